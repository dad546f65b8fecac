// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Match, Result, Share} from "../../src/interfaces/IMatchTaskManager.sol";
import {Quorum} from "../../src/interfaces/IOperatorRegistry.sol";
import {LeaseWord} from "../../src/lib/LeaseWord.sol";
import {Bid, LeaseState} from "../../src/lib/Types.sol";
import {MatchMessage} from "../../src/matching/MatchMessage.sol";
import {Accuser} from "./Accuser.sol";

/// @title  WrongActions: liars that are a quorum by themselves match wrongly; some of it is challenged, some signers punished
/// @notice They weigh so much that those whom nobody punished yet are enough. The honest sign none of it.
abstract contract WrongActions is Accuser {
    using LeaseWord for uint256;

    uint256 internal constant LIARS_STAKE = 100_000e18;

    struct Wrong {
        uint256 order;
        Bid bid;
        bytes32 seed;
        bytes32 digest;
        uint256 era;
        uint256 silent;
        bytes nonSigners;
        bool challenged;
    }

    Wrong[] private _wrongs;
    mapping(uint256 order => mapping(uint256 operator => bool)) private _wasPunished;

    /// @notice New orders, and a batch of the liars alone in which one of them goes to a losing bid.
    function respondWrongly(uint256 count, uint256 pick) external {
        open(count, type(uint256).max);
        _mine(4);
        Match[] memory matches = _truth(groups.length - 1);
        if (matches.length == 0) return;
        uint256 era = _eraOf(matches[0].order);
        uint256 silent = _silent(0, era) | _honestMembers(era);
        if (!_isQuorum(silent, era)) return;
        uint256 index = pick % matches.length;
        uint256 order = matches[index].order;
        Bid[] memory bids = orders.bidsOf(order);
        Bid other = bids[(pick >> 8) % bids.length];
        if (Bid.unwrap(other) == Bid.unwrap(matches[index].bid)) return;
        matches[index].bid = other;
        bytes32 seed = _seed(order);
        bytes32 root = _plant(matches);
        bytes32 digest = tasks.rootDigest(_closeBlock(order), era, root);
        Quorum memory quorum = _quorum(era, digest, silent);
        vm.recordLogs();
        tasks.respondBatch(_closeBlock(order), root, quorum, matches);
        _countLeases();
        // Left out when it is worth more than the liars may lose.
        if (!_isOpen(order)) _wrongs.push(Wrong(order, other, seed, digest, era, silent, quorum.nonSigners, false));
    }

    function confirm(uint256 pick) external {
        if (_wrongs.length == 0) return;
        uint256 order = _wrongs[_latest(pick)].order;
        (uint256 w0, uint256 w1) = leases.leaseWords(order);
        if (w1.state() != LeaseState.Pending || vm.getBlockTimestamp() > w1.end()) return;
        vm.prank(_hotKey(w0.provider()));
        leases.confirm(order);
    }

    /// @notice A pending lease goes to whom it belongs, or is closed when that cannot be paid; an overdue or any other one
    ///         stays as it is.
    function challenge(uint256 pick) external {
        if (_wrongs.length == 0) return;
        Wrong storage w = _wrongs[_latest(pick)];
        if (w.challenged) return;
        w.challenged = true;
        (uint256 w0, uint256 w1) = leases.leaseWords(w.order);
        vm.recordLogs();
        tasks.challenge(w.order, w.bid, w.seed, _responseTo(w));
        _countLeases();
        (uint256 to, uint256 after_) = leases.leaseWords(w.order);
        if (w1.state() != LeaseState.Pending || vm.getBlockTimestamp() > w1.end()) {
            assertEq(to, w0, "X4");
            assertEq(after_, w1, "X4");
        } else if (after_.state() == LeaseState.Pending) {
            assertEq(to.provider(), Bid.unwrap(orders.bestOf(w.order, w.seed)) & 0xffffffff, "X4");
        }
    }

    function punish(uint256 pick, uint256 operator) external {
        if (_wrongs.length == 0) return;
        Wrong storage w = _wrongs[_latest(pick)];
        operator = _liar(operator);
        (, uint256 weight) = operators.weightAt(operator, w.era);
        bool signed = weight != 0 && w.silent >> operator & 1 == 0;
        if (!w.challenged || !signed || _wasPunished[w.order][operator]) return;
        _wasPunished[w.order][operator] = true;
        uint256 before = _staked(operator);
        vm.prank(reporter);
        tasks.punishSigners(w.order, w.digest, w.era, w.nonSigners, _one(operator));
        assertLe(_staked(operator), before - before / 2, "X5");
    }

    /// @notice A liar shows a contradiction of its own about anything, the number of an order that it lied about among it.
    function contradict(uint256 pick, uint256 operator) external {
        if (_wrongs.length == 0 || pick % 4 != 0) return; // seldom, or there would soon be no quorum
        Wrong storage w = _wrongs[_latest(pick)];
        operator = _liar(operator);
        (, uint256 weight) = operators.weightAt(operator, w.era);
        if (weight == 0) return;
        Result memory result;
        result.orderHash = bytes32(w.order);
        Share[2] memory shares;
        for (uint256 i; i < 2; ++i) {
            (shares[i].operator, shares[i].setEra) = (uint32(operator), uint32(w.era));
            shares[i].root = MatchMessage.leafOf(result, i);
            shares[i].signature = _sign(_secretOf(operator), tasks.rootDigest(0, w.era, shares[i].root));
        }
        bytes32[] memory none;
        // Once for each order.
        try tasks.proveEquivocation(shares[0], shares[1], result, [uint256(0), 1], none, none) {} catch {}
    }

    /// @notice One of the honest as a signer of what the liars signed, under any list of silent ones.
    function accuseOfSigning(uint256 pick, uint256 operator, uint256 silent, uint256 kind) external {
        if (_wrongs.length == 0) return;
        Wrong storage w = _wrongs[_latest(pick)];
        bytes memory list = w.nonSigners;
        if (kind % 4 == 0) list = "";
        if (kind % 4 == 1) list = _nonSigners(w.era, _silent(silent, w.era));
        if (kind % 4 == 2) list = _wrongs[_latest(silent)].nonSigners;
        vm.prank(reporter);
        try tasks.punishSigners(w.order, w.digest, w.era, list, _one(_honestOne(operator))) {
            revert("X2: who was silent was punished");
        } catch {}
    }

    // ---------------------------------------------------------------- internals

    function _liar(uint256 pick) private view returns (uint256) {
        return pick % (OPERATORS - _honest()) + _honest() + 1;
    }

    function _honestMembers(uint256 era) private view returns (uint256 mask) {
        for (uint256 n = 1; n <= _honest(); ++n) {
            (, uint256 weight) = operators.weightAt(n, era);
            if (weight != 0) mask |= 1 << n;
        }
    }

    function _responseTo(Wrong storage w) private view returns (bytes32) {
        return keccak256(abi.encode(w.digest, w.era, keccak256(w.nonSigners)));
    }

    function _latest(uint256 pick) private view returns (uint256) {
        uint256 count = _wrongs.length;
        return count - 1 - pick % (count < 3 ? count : 3);
    }

    function _one(uint256 operator) private pure returns (uint256[] memory one) {
        one = new uint256[](1);
        one[0] = operator;
    }
}
