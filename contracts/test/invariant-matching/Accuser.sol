// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Match, Result, Share} from "../../src/interfaces/IMatchTaskManager.sol";
import {Bid} from "../../src/lib/Types.sol";
import {MatchActions} from "./MatchActions.sol";

/// @title  Accuser: has every root that honest operators ever signed, and makes proofs of them as it likes
/// @notice None may succeed. It mixes fields of shares, results, leaves and proofs, right ones and such of other orders,
///         blocks, sets and chains.
abstract contract Accuser is MatchActions {
    /// @notice One of the honest as the signer of a lie.
    function accuseOfALie(uint256 first, uint256 second, uint256 operator, uint256 pick) external {
        if (_signed.length == 0) return;
        (Signed storage a, Signed storage b) = _two(first, second);
        Match memory m = a.matches[pick % a.matches.length];
        // Another bid of the same order, or the order of another share, with a proof that is right for something.
        Bid[] memory bids = orders.bidsOf(m.order);
        if (_mixes(pick, 0)) m.bid = bids[(pick >> 8) % bids.length];
        if (_mixes(pick, 1)) m.order = b.matches[(pick >> 16) % b.matches.length].order;
        Share memory share = _shareBy(_honestOne(operator), _mixes(pick, 2) ? b : a);
        if (_mixes(pick, 3)) share.root = b.root;
        if (_mixes(pick, 4)) share.closeBlock = uint40(b.closeBlock);
        if (_mixes(pick, 5)) share.setEra = uint32(b.era);
        if (_mixes(pick, 6)) share.operator = uint32(_honestOne(operator >> 8));
        vm.prank(reporter);
        try tasks.proveLie(share, m) {
            revert("X2: an honest share was a lie");
        } catch {}
    }

    /// @notice One of the honest as the signer of two results of which at most one can be true.
    function accuseOfContradiction(uint256 first, uint256 second, uint256 operator, uint256 pick) external {
        if (_signed.length == 0) return;
        (Signed storage a, Signed storage b) = _two(first, second);
        operator = _honestOne(operator);
        Match memory m = a.matches[pick % a.matches.length];
        Match memory n = b.matches[(pick >> 8) % b.matches.length];
        Result memory result = a.results[pick % a.results.length];
        Result memory other = b.results[(pick >> 8) % b.results.length];
        if (_mixes(pick, 0)) result.orderHash = other.orderHash;
        if (_mixes(pick, 1)) result.closeHash = other.closeHash;
        if (_mixes(pick, 2)) result.seed = other.seed;
        if (_mixes(pick, 3)) result.setEra = other.setEra;
        uint256[2] memory bids = [Bid.unwrap(m.bid), Bid.unwrap(n.bid)];
        vm.prank(reporter);
        try tasks.proveEquivocation(_shareBy(operator, a), _shareBy(operator, b), result, bids, m.proof, n.proof) {
            revert("X2: honest shares contradicted each other");
        } catch {}
    }

    /// @notice A right match as a wrong one, or its signers as those of a wrong one.
    function accuseOfAWrongMatch(uint256 first, uint256 silent, uint256 operator, uint256 pick) external {
        if (_signed.length == 0) return;
        Signed storage a = _signed[first % _signed.length];
        Match memory m = a.matches[pick % a.matches.length];
        bytes32 digest = tasks.rootDigest(a.closeBlock, a.era, a.root);
        bytes memory nonSigners = _nonSigners(a.era, _silent(silent, a.era));
        bytes32 response = keccak256(abi.encode(digest, a.era, keccak256(nonSigners)));
        try tasks.challenge(m.order, m.bid, a.results[pick % a.results.length].seed, response) {
            revert("X2: a right match was wrong");
        } catch {}
        uint256[] memory one = new uint256[](1);
        one[0] = _honestOne(operator);
        try tasks.punishSigners(m.order, digest, a.era, nonSigners, one) {
            revert("X2: signers of a right match were punished");
        } catch {}
    }

    // ---------------------------------------------------------------- internals

    /// @dev Any two, mostly of one group, so that they have something in common.
    function _two(uint256 first, uint256 second) private view returns (Signed storage a, Signed storage b) {
        uint256 count = _signed.length;
        a = _signed[first % count];
        b = _signed[second % 4 == 0 ? second / 4 % count : (first % count + second % 3) % count];
    }

    /// @dev Whether a field is one of the two at most that are mixed in.
    function _mixes(uint256 pick, uint256 field) private pure returns (bool) {
        return pick >> 32 & 15 == field || pick >> 36 & 15 == field;
    }

    function _shareBy(uint256 operator, Signed storage s) private view returns (Share memory share) {
        (share.operator, share.setEra, share.closeBlock) = (uint32(operator), uint32(s.era), uint40(s.closeBlock));
        share.root = s.root;
        share.signature = _sign(_secretOf(operator), tasks.rootDigest(s.closeBlock, s.era, s.root));
    }
}
