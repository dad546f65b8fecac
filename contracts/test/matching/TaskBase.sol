// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Blockhash} from "@openzeppelin/contracts/utils/Blockhash.sol";

import {IBlsVerifier} from "../../src/interfaces/IBlsVerifier.sol";
import {Match, Result, Share} from "../../src/interfaces/IMatchTaskManager.sol";
import {Quorum} from "../../src/interfaces/IOperatorRegistry.sol";
import {OrderWord} from "../../src/lib/OrderWord.sol";
import {Bid} from "../../src/lib/Types.sol";
import {MatchMessage} from "../../src/matching/MatchMessage.sol";
import {G2} from "../../src/verify/G2.sol";
import {Built} from "../Built.sol";
import {MarketBase} from "../market/MarketBase.sol";
import {BlsSigner} from "../operator/BlsSigner.sol";

/// @title  TaskBase: a market with four providers and a set of seven operators of 1,000 SPON each, who sign what a test says
abstract contract TaskBase is MarketBase, BlsSigner {
    using OrderWord for uint256;

    uint256 internal constant OPERATORS = 7;
    uint256 internal constant STAKE = 1000e18;
    address internal aggregator = makeAddr("aggregator");
    address internal reporter = makeAddr("reporter");

    function setUp() public virtual override {
        super.setUp();
        bls = IBlsVerifier(Built.make("BlsVerifier", ""));
        for (uint256 n = 1; n <= 4; ++n) {
            _provider(n);
        }
        for (uint256 n = 1; n <= OPERATORS; ++n) {
            _operator(n);
        }
        vm.warp(clock.startOf(clock.current() + 1));
    }

    // ---------------------------------------------------------------- operators

    function _secretOf(uint256 operator) internal pure returns (uint256) {
        return operator + 1000;
    }

    function _operatorOwner(uint256 operator) internal pure returns (address) {
        return address(uint160(0xabc000 + operator));
    }

    function _operator(uint256 n) internal virtual {
        address owner = _operatorOwner(n);
        bytes memory key = _keyOf(_secretOf(n));
        bytes memory proof = _prove(_secretOf(n), operators.possessionDigest(owner, key));
        vm.prank(owner);
        operators.register(key, proof);
        _stakeOperator(n, STAKE);
        vm.prank(owner);
        operators.enter(n, 0);
    }

    function _stakeOperator(uint256 n, uint256 tokens) internal {
        vm.prank(governor);
        spon.transfer(_operatorOwner(n), tokens);
        vm.startPrank(_operatorOwner(n));
        spon.approve(address(operatorStaking), tokens);
        operatorStaking.stake(n, tokens);
        vm.stopPrank();
    }

    /// @dev Those in the mask `silent` (bit n: operator n) do not sign.
    function _quorum(uint256 era, bytes32 digest, uint256 silent) internal view returns (Quorum memory q) {
        uint256 secret;
        q.key = G2.infinity();
        for (uint256 n = 1; n <= operators.operatorCount(); ++n) {
            (, uint256 weight) = operators.weightAt(n, era);
            if (weight == 0) continue;
            q.key = G2.add(q.key, operators.keyOf(n));
            if (silent >> n & 1 == 0) secret += _secretOf(n);
        }
        (uint256 point,,,) = operators.setAt(era);
        (q.era, q.point, q.signature) = (uint32(era), uint32(point), _sign(secret, digest));
        q.nonSigners = _nonSigners(era, silent);
    }

    function _nonSigners(uint256 era, uint256 silent) internal view returns (bytes memory packed) {
        bytes32 previous;
        // The lowest key hash above the previous one, again and again.
        while (true) {
            uint256 next;
            bytes32 lowest = bytes32(type(uint256).max);
            for (uint256 n = 1; n <= operators.operatorCount(); ++n) {
                bytes32 hash = operators.keyHashOf(n);
                if (silent >> n & 1 == 1 && hash > previous && hash < lowest) (next, lowest) = (n, hash);
            }
            if (next == 0) return packed;
            previous = lowest;
            (uint256 point,) = operators.weightAt(next, era);
            packed = bytes.concat(packed, bytes4(uint32(point)), operators.keyOf(next));
        }
    }

    // ---------------------------------------------------------------- orders

    /// @dev `count` orders of one closing block, each with three bids of which provider 1's is the best by price.
    function _orders(uint256 count) internal returns (uint256[] memory ids) {
        ids = new uint256[](count);
        for (uint256 i; i < count; ++i) {
            ids[i] = _create();
            for (uint256 n = 1; n <= 3; ++n) {
                address hot = _hotKey(n);
                vm.prank(hot);
                // Of two in one slot the first, which is better, stays.
                try orders.placeBid(ids[i], n == 1 ? RATE / 4 : RATE, 0) {} catch {}
            }
        }
        _mine(4);
    }

    function _closeBlock(uint256 order) internal view returns (uint256) {
        (uint256 w0,,) = orders.orderWords(order);
        return w0.closeBlock();
    }

    function _eraOf(uint256 order) internal view returns (uint256) {
        (uint256 w0,,) = orders.orderWords(order);
        return w0.setEra();
    }

    function _seed(uint256 order) internal view returns (bytes32) {
        return randomness.seedOf(_closeBlock(order) + 1);
    }

    function _best(uint256 order) internal view returns (Bid) {
        return orders.bestOf(order, _seed(order));
    }

    /// @dev Provider 2's, which is dearer.
    function _losing(uint256 order) internal view returns (Bid) {
        Bid[] memory bids = orders.bidsOf(order);
        for (uint256 i; i < bids.length; ++i) {
            if (Bid.unwrap(bids[i]) & 0xffffffff == 2) return bids[i];
        }
        revert("no bid of provider 2");
    }

    // ---------------------------------------------------------------- messages

    function _result(uint256 order) internal view returns (Result memory) {
        (uint256 w0, uint256 w1,) = orders.orderWords(order);
        return Result({
            orderHash: MatchMessage.orderHash(order, w0, w1),
            closeHash: Blockhash.blockHash(w0.closeBlock()),
            seed: _seed(order),
            policy: w0.policy(),
            setEra: w0.setEra()
        });
    }

    function _leaf(uint256 order, Bid bid) internal view returns (bytes32) {
        return MatchMessage.leafOf(_result(order), Bid.unwrap(bid));
    }

    /// @dev The right matches of orders of one closing block.
    function _matches(uint256[] memory ids) internal view returns (Match[] memory matches) {
        matches = new Match[](ids.length);
        for (uint256 i; i < ids.length; ++i) {
            (matches[i].order, matches[i].bid) = (ids[i], _best(ids[i]));
        }
    }

    /// @dev Fills in the proofs.
    function _plant(Match[] memory matches) internal view returns (bytes32 root) {
        bytes32[] memory leaves = new bytes32[](matches.length);
        for (uint256 i; i < matches.length; ++i) {
            leaves[i] = _leaf(matches[i].order, matches[i].bid);
        }
        for (uint256 i; i < matches.length; ++i) {
            (root, matches[i].proof) = _climb(leaves, i);
        }
    }

    /// @dev Root of a tree whose pairs are sorted and whose odd last node goes up as it is, and the path of leaf `index`.
    function _climb(bytes32[] memory level, uint256 index) internal pure returns (bytes32, bytes32[] memory path) {
        path = new bytes32[](0);
        while (level.length > 1) {
            bytes32[] memory above = new bytes32[]((level.length + 1) / 2);
            for (uint256 i; i < level.length; i += 2) {
                above[i / 2] = i + 1 == level.length ? level[i] : _pair(level[i], level[i + 1]);
            }
            if (index ^ 1 < level.length) path = _append(path, level[index ^ 1]);
            (level, index) = (above, index / 2);
        }
        return (level[0], path);
    }

    function _pair(bytes32 a, bytes32 b) private pure returns (bytes32) {
        return a < b ? keccak256(abi.encode(a, b)) : keccak256(abi.encode(b, a));
    }

    function _append(bytes32[] memory path, bytes32 node) private pure returns (bytes32[] memory longer) {
        longer = new bytes32[](path.length + 1);
        for (uint256 i; i < path.length; ++i) {
            longer[i] = path[i];
        }
        longer[path.length] = node;
    }

    /// @dev Has the matches signed by all but the silent ones, and submits them.
    function _respond(Match[] memory matches, uint256 silent) internal returns (uint256 matched) {
        bytes32 root = _plant(matches);
        (uint256 closeBlock, uint256 era) = (_closeBlock(matches[0].order), _eraOf(matches[0].order));
        Quorum memory q = _quorum(era, tasks.rootDigest(closeBlock, era, root), silent);
        vm.prank(aggregator);
        return tasks.respondBatch(closeBlock, root, q, matches);
    }

    /// @dev What a respond of these with those silent is known by.
    function _response(Match[] memory matches, uint256 silent) internal view returns (bytes32 digest, bytes32) {
        uint256 era = _eraOf(matches[0].order);
        digest = tasks.rootDigest(_closeBlock(matches[0].order), era, _plant(matches));
        return (digest, keccak256(abi.encode(digest, era, keccak256(_nonSigners(era, silent)))));
    }

    function _shareOf(uint256 operator, Match[] memory matches) internal view returns (Share memory share) {
        share.root = _plant(matches);
        share.operator = uint32(operator);
        (share.setEra, share.closeBlock) = (uint32(_eraOf(matches[0].order)), uint40(_closeBlock(matches[0].order)));
        share.signature = _sign(_secretOf(operator), tasks.rootDigest(share.closeBlock, share.setEra, share.root));
    }

    function _staked(uint256 operator) internal view returns (uint256) {
        (uint256 active,, uint256 thawing,) = operatorStaking.poolOf(operator);
        return active + thawing;
    }
}
