// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Vm} from "forge-std/Vm.sol";

import {ILeaseBook} from "../../src/interfaces/ILeaseBook.sol";
import {Match, Result, Share} from "../../src/interfaces/IMatchTaskManager.sol";
import {OrderWord} from "../../src/lib/OrderWord.sol";
import {Bid, OrderState} from "../../src/lib/Types.sol";
import {TaskBase} from "../matching/TaskBase.sol";

/// @title  MatchActions: what tenants, bidders, keepers, operators, a liar and an accuser do at random
/// @notice Operators 1 to 5 only ever sign what the bids say; 6 and 7 lie now and then. The accuser has every root that
///         honest operators ever signed, on chains that a re-org took away too, and mixes them as it likes.
abstract contract MatchActions is TaskBase {
    using OrderWord for uint256;

    uint256 internal constant HONEST = 5;

    /// Orders made together close together.
    uint256[][] internal groups;
    /// How many leases were ever created for an order.
    mapping(uint256 order => uint256) internal leasesOf;

    /// What honest operators signed for a group, once for each chain.
    struct Signed {
        uint256 group;
        uint256 closeBlock;
        uint256 era;
        bytes32 root;
        Match[] matches;
        Result[] results;
    }

    Signed[] private _signed;
    uint256 internal punished;

    // ---------------------------------------------------------------- the market

    function open(uint256 count, uint256 bidders) external {
        uint256[] memory ids = new uint256[](count % 3 + 1);
        for (uint256 i; i < ids.length; ++i) {
            ids[i] = _create();
            for (uint256 n = 1; n <= 4; ++n) {
                if (bidders >> n & 1 == 0) continue;
                address hot = _hotKey(n);
                vm.prank(hot);
                try orders.placeBid(ids[i], n == 1 ? RATE / 4 : RATE, 0) {} catch {} // no capacity, or outbid
            }
            bidders >>= 4;
        }
        groups.push(ids);
    }

    /// @notice The tenant closes what was matched, so that money and capacity come back.
    function close(uint256 group) external {
        if (groups.length == 0) return;
        uint256[] storage ids = groups[_recent(group)];
        for (uint256 i; i < ids.length; ++i) {
            vm.prank(tenant);
            try leases.close(ids[i]) {} catch {} // none yet, or closed
        }
    }

    function wait(uint256 blocks) external {
        _mine(blocks % 6 + 1);
    }

    function nextEra() external {
        _mine(1);
        vm.warp(clock.startOf(clock.current() + 1));
    }

    function resolve(uint256 group, uint256 pick) external {
        if (groups.length == 0) return;
        uint256[] storage ids = groups[_recent(group)];
        uint256 order = ids[pick % ids.length];
        if (!_isClosed(order)) return;
        vm.recordLogs();
        vm.prank(keeper);
        try orders.resolve(order) {} catch {} // decided already
        _countLeases();
    }

    // ---------------------------------------------------------------- operators

    /// @notice Honest operators sign the results of a group, as the chain is now.
    function sign(uint256 group) public {
        if (groups.length == 0) return;
        group = _recent(group);
        Match[] memory matches = _truth(group);
        if (matches.length == 0) return;
        bytes32 root = _plant(matches);
        Signed storage s = _signed.push();
        (s.group, s.closeBlock, s.era, s.root) = (group, _closeBlock(matches[0].order), _eraOf(matches[0].order), root);
        for (uint256 i; i < matches.length; ++i) {
            s.matches.push(matches[i]);
            s.results.push(_result(matches[i].order));
        }
    }

    function respond(uint256 group, uint256 silent) external {
        if (groups.length == 0) return;
        group = _recent(group);
        Match[] memory matches = _truth(group);
        if (matches.length == 0) return;
        uint256 era = _eraOf(matches[0].order);
        silent = _silent(silent, era);
        if (!_isQuorum(silent, era) || operators.currentEra() > era + 2) return;
        sign(group);
        vm.recordLogs();
        _respond(matches, silent);
        _countLeases();
    }

    /// @notice The blocks from the closing one on are others now; only orders that are still open have a say in that.
    function reorg(uint256 group, bytes32 salt) external {
        if (groups.length == 0) return;
        uint256[] storage ids = groups[_recent(group)];
        for (uint256 i; i < ids.length; ++i) {
            if (!_isOpen(ids[i])) return;
        }
        uint256 closeBlock = _closeBlock(ids[0]);
        uint256 head = vm.getBlockNumber();
        if (head < closeBlock + 2 || head > closeBlock + 200) return;
        vm.setBlockhash(closeBlock, keccak256(abi.encode(salt, closeBlock)));
        vm.setBlockhash(closeBlock + 1, keccak256(abi.encode(salt, closeBlock + 1)));
    }

    function exit(uint256 operator) external {
        operator = operator % HONEST + 1;
        vm.prank(_operatorOwner(operator));
        try operators.exit(operator) {} catch {} // out already
    }

    function enter(uint256 operator) external {
        operator = operator % HONEST + 1;
        vm.prank(_operatorOwner(operator));
        try operators.enter(operator, 0) {} catch {} // in already
    }

    /// @notice 6 or 7 signs a losing bid, and is shown.
    function lie(uint256 group, uint256 operator) external {
        if (groups.length == 0) return;
        operator = 6 + operator % 2;
        Match[] memory matches = _truth(_recent(group));
        if (matches.length == 0) return;
        Bid[] memory bids = orders.bidsOf(matches[0].order);
        if (bids.length < 2) return;
        (, uint256 weight) = operators.weightAt(operator, _eraOf(matches[0].order));
        if (weight == 0) return;
        matches[0].bid = Bid.unwrap(bids[0]) == Bid.unwrap(matches[0].bid) ? bids[1] : bids[0];
        Share memory share = _shareOf(operator, matches);
        uint256 before = _staked(operator);
        vm.prank(reporter);
        try tasks.proveLie(share, matches[0]) {
            assertEq(_staked(operator), before - before / 2, "a lie costs half the stake");
            ++punished;
        } catch {} // punished for this order already
    }

    // ---------------------------------------------------------------- the accuser

    /// @notice Any proof that can be made of what honest operators signed; none may succeed.
    function accuse(uint256 first, uint256 second, uint256 operator, uint256 pick, uint256 kind) external {
        if (_signed.length == 0) return;
        Signed storage a = _signed[first % _signed.length];
        Signed storage b = _signed[second % _signed.length];
        operator = operator % HONEST + 1;
        Match memory m = a.matches[pick % a.matches.length];
        vm.startPrank(reporter);
        if (kind % 4 == 0) {
            // Another bid of the same order, or the order of another share, with a proof that is right for something.
            Bid[] memory bids = orders.bidsOf(m.order);
            m.bid = bids[(pick >> 8) % bids.length];
            if (pick >> 16 & 1 == 1) m.order = b.matches[pick % b.matches.length].order;
            try tasks.proveLie(_shareBy(operator, pick >> 17 & 1 == 1 ? b : a), m) {
                revert("X2: an honest share was a lie");
            } catch {}
        } else if (kind % 4 == 1) {
            Result memory result = a.results[pick % a.results.length];
            Match memory n = b.matches[(pick >> 8) % b.matches.length];
            uint256[2] memory bids = [Bid.unwrap(m.bid), Bid.unwrap(n.bid)];
            try tasks.proveEquivocation(_shareBy(operator, a), _shareBy(operator, b), result, bids, m.proof, n.proof) {
                revert("X2: honest shares contradicted each other");
            } catch {}
        } else if (kind % 4 == 2) {
            try tasks.challenge(m.order, m.bid, _seed(m.order), _responseOfSigned(a, 0)) {
                revert("X2: a right match was wrong");
            } catch {}
        } else {
            uint256[] memory one = new uint256[](1);
            one[0] = operator;
            bytes32 digest = tasks.rootDigest(a.closeBlock, a.era, a.root);
            try tasks.punishSigners(m.order, digest, a.era, "", one) {
                revert("X2: signers of a right match were punished");
            } catch {}
        }
        vm.stopPrank();
    }

    // ---------------------------------------------------------------- internals

    /// @dev The right matches of a group whose seed is there; none when it has no bid.
    function _truth(uint256 group) private view returns (Match[] memory matches) {
        uint256[] storage ids = groups[group];
        if (!_isClosed(ids[0]) || vm.getBlockNumber() > _closeBlock(ids[0]) + 200) return matches;
        uint256 count;
        Match[] memory found = new Match[](ids.length);
        for (uint256 i; i < ids.length; ++i) {
            if (orders.bidsOf(ids[i]).length == 0) continue;
            (found[count].order, found[count].bid) = (ids[i], _best(ids[i]));
            ++count;
        }
        matches = new Match[](count);
        for (uint256 i; i < count; ++i) {
            matches[i] = found[i];
        }
    }

    function _shareBy(uint256 operator, Signed storage s) private view returns (Share memory share) {
        (share.operator, share.setEra, share.closeBlock) = (uint32(operator), uint32(s.era), uint40(s.closeBlock));
        share.root = s.root;
        share.signature = _sign(_secretOf(operator), tasks.rootDigest(s.closeBlock, s.era, s.root));
    }

    function _responseOfSigned(Signed storage s, uint256 silent) private view returns (bytes32) {
        bytes32 digest = tasks.rootDigest(s.closeBlock, s.era, s.root);
        return keccak256(abi.encode(digest, s.era, keccak256(_nonSigners(s.era, silent))));
    }

    /// @dev Members that do not sign: at most one of choice, and the ejected ones.
    function _silent(uint256 choice, uint256 era) private view returns (uint256 mask) {
        for (uint256 n = 1; n <= OPERATORS; ++n) {
            (, uint256 weight) = operators.weightAt(n, era);
            if (weight != 0 && (choice % 16 == n || operators.ejectedIn(n) != 0)) mask |= 1 << n;
        }
    }

    function _isQuorum(uint256 silent, uint256 era) private view returns (bool) {
        uint256 signed;
        uint256 total;
        for (uint256 n = 1; n <= OPERATORS; ++n) {
            (, uint256 weight) = operators.weightAt(n, era);
            total += weight;
            if (silent >> n & 1 == 0) signed += weight;
        }
        return signed * 3 > total * 2;
    }

    function _countLeases() private {
        Vm.Log[] memory logs = vm.getRecordedLogs();
        for (uint256 i; i < logs.length; ++i) {
            if (logs[i].topics[0] == ILeaseBook.LeaseCreated.selector) ++leasesOf[uint256(logs[i].topics[1])];
        }
    }

    function _isOpen(uint256 order) internal view returns (bool) {
        (uint256 w0,,) = orders.orderWords(order);
        return w0.state() == OrderState.Open;
    }

    function _isClosed(uint256 order) internal view returns (bool) {
        return vm.getBlockNumber() >= _closeBlock(order) + 2;
    }

    /// @dev Mostly one of the last groups, where something can happen.
    function _recent(uint256 pick) private view returns (uint256) {
        uint256 count = groups.length;
        return pick % 4 == 0 ? (pick / 4) % count : count - 1 - (pick / 4) % (count < 3 ? count : 3);
    }
}
