// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Vm} from "forge-std/Vm.sol";

import {ILeaseBook} from "../../src/interfaces/ILeaseBook.sol";
import {Match, Result, Share} from "../../src/interfaces/IMatchTaskManager.sol";
import {OrderWord} from "../../src/lib/OrderWord.sol";
import {Bid, OrderState} from "../../src/lib/Types.sol";
import {MatchMessage} from "../../src/matching/MatchMessage.sol";
import {TaskBase} from "../matching/TaskBase.sol";

/// @title  MatchActions: what tenants, bidders, keepers, operators and two liars do at random
/// @notice Operators up to `_honest()` only ever sign what the bids say; 6 and 7 lie now and then.
abstract contract MatchActions is TaskBase {
    using OrderWord for uint256;

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

    Signed[] internal _signed;

    // ---------------------------------------------------------------- the market

    function open(uint256 count, uint256 bidders) public {
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

    /// @notice What they signed on a chain that is no more, where the seed was another (0), the closing block too (1), or that
    ///         alone, as seeds from elsewhere allow (2). Any bid may have been the best of another closing block's.
    function signElsewhere(uint256 group, uint256 pick, uint256 chain, uint256 kind) external {
        if (groups.length == 0) return;
        group = _recent(group);
        uint256 order = groups[group][pick % groups[group].length];
        Bid[] memory bids = orders.bidsOf(order);
        if (!_isClosed(order) || vm.getBlockNumber() > _closeBlock(order) + 200 || bids.length == 0) return;
        (chain, kind) = (chain % 4, kind % 3); // few, so that they meet again
        Result memory result = _result(order);
        if (kind != 2) result.seed = keccak256(abi.encode(chain, "seed"));
        if (kind != 0) result.closeHash = keccak256(abi.encode(chain, "closing block"));
        Bid bid = kind == 0 ? orders.bestOf(order, result.seed) : bids[chain % bids.length];
        Signed storage s = _signed.push();
        (s.group, s.closeBlock, s.era) = (group, _closeBlock(order), result.setEra);
        s.root = MatchMessage.leafOf(result, Bid.unwrap(bid));
        s.matches.push(Match(order, bid, new bytes32[](0)));
        s.results.push(result);
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
        operator = _honestOne(operator);
        vm.prank(_operatorOwner(operator));
        try operators.exit(operator) {} catch {} // out already
    }

    function enter(uint256 operator) external {
        operator = _honestOne(operator);
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
        } catch {} // punished for this order already
    }

    // ---------------------------------------------------------------- internals

    /// @dev So many operators are honest.
    function _honest() internal view virtual returns (uint256);

    /// @return one of them; 1 when there is none
    function _honestOne(uint256 pick) internal view returns (uint256) {
        uint256 count = _honest();
        return count == 0 ? 1 : pick % count + 1;
    }

    /// @dev The right matches of a group whose seed is there; none when it has no bid.
    function _truth(uint256 group) internal view returns (Match[] memory matches) {
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

    /// @dev Members that do not sign: at most one of choice, and the ejected ones.
    function _silent(uint256 choice, uint256 era) internal view returns (uint256 mask) {
        for (uint256 n = 1; n <= OPERATORS; ++n) {
            (, uint256 weight) = operators.weightAt(n, era);
            if (weight != 0 && (choice % 16 == n || operators.ejectedIn(n) != 0)) mask |= 1 << n;
        }
    }

    function _isQuorum(uint256 silent, uint256 era) internal view returns (bool) {
        uint256 signed;
        uint256 total;
        for (uint256 n = 1; n <= OPERATORS; ++n) {
            (, uint256 weight) = operators.weightAt(n, era);
            total += weight;
            if (silent >> n & 1 == 0) signed += weight;
        }
        return signed * 3 > total * 2;
    }

    function _countLeases() internal {
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
    function _recent(uint256 pick) internal view returns (uint256) {
        uint256 count = groups.length;
        return pick % 4 == 0 ? (pick / 4) % count : count - 1 - (pick / 4) % (count < 3 ? count : 3);
    }
}
