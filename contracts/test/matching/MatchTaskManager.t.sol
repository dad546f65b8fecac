// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IMatchTaskManager, Match} from "../../src/interfaces/IMatchTaskManager.sol";
import {IOperatorRegistry, Quorum} from "../../src/interfaces/IOperatorRegistry.sol";
import {IOrderBook} from "../../src/interfaces/IOrderBook.sol";
import {BidWord} from "../../src/lib/BidWord.sol";
import {OrderWord} from "../../src/lib/OrderWord.sol";
import {Bid, OrderState, Terms} from "../../src/lib/Types.sol";
import {MatchTaskManager} from "../../src/matching/MatchTaskManager.sol";
import {TaskBase} from "./TaskBase.sol";

/// @title  MatchTaskManagerTest: batches, what is left out of them, who is paid
contract MatchTaskManagerTest is TaskBase {
    using BidWord for Bid;
    using OrderWord for uint256;

    // ---------------------------------------------------------------- batches

    /// A quorum's match makes the lease that `resolve` would have made, and nothing else moves.
    function test_respond_IsWhatResolveDecides() public {
        uint256[] memory ids = _orders(2);
        uint256 free = _free();
        uint256 state = vm.snapshotState();
        for (uint256 i; i < 2; ++i) {
            vm.prank(address(tasks));
            orders.resolve(ids[i]);
        }
        bytes32 resolved = _outcome(ids);
        uint256 freed = _free();
        assertGt(freed, free);
        assertTrue(vm.revertToState(state));

        assertEq(_respond(_matches(ids), 0), 2);
        assertEq(_outcome(ids), resolved);
        assertEq(_free(), freed);
        assertEq(_net(uint160(address(tasks))), 2 * 0.05e6);
    }

    function test_respond_AnyNumberInATree() public {
        uint256 state = vm.snapshotState();
        for (uint256 count = 1; count <= 9; ++count) {
            assertEq(_respond(_matches(_orders(count)), 1 << 3), count);
            vm.revertToState(state);
        }
    }

    function test_respond_Emits() public {
        uint256[] memory ids = _orders(1);
        Match[] memory matches = _matches(ids);
        (, bytes32 response) = _response(matches, 1 << 2);
        bytes32 root = _plant(matches);
        uint256 closeBlock = _closeBlock(ids[0]);
        uint256 era = _eraOf(ids[0]);
        bytes32[] memory silent = new bytes32[](1);
        silent[0] = operators.keyHashOf(2);
        vm.expectEmit(address(orders));
        emit IOrderBook.OrderMatched(ids[0], 1, matches[0].bid, _seed(ids[0]), address(tasks));
        vm.expectEmit(address(tasks));
        emit IMatchTaskManager.BatchResponded(response, closeBlock, era, root, 1, 6 * STAKE, silent);
        _respond(matches, 1 << 2);
        (,, bytes32 digest) = orders.orderWords(ids[0]);
        assertEq(digest, keccak256(abi.encode(ids[0], matches[0].bid, _seed(ids[0]), response)));
    }

    function test_respond_RevertIf_NoQuorum() public {
        Match[] memory matches = _matches(_orders(1));
        bytes32 root = _plant(matches);
        uint256 closeBlock = _closeBlock(matches[0].order);
        uint256 era = _eraOf(matches[0].order);
        Quorum memory q = _quorum(era, tasks.rootDigest(closeBlock, era, root), 14);
        vm.expectRevert(
            abi.encodeWithSelector(IOperatorRegistry.OperatorRegistry_NoQuorum.selector, 4 * STAKE, 7 * STAKE)
        );
        tasks.respondBatch(closeBlock, root, q, matches);
    }

    /// The same signatures do not speak of another closing block, another set or another contract.
    function test_respond_RevertIf_Replayed() public {
        Match[] memory matches = _matches(_orders(1));
        bytes32 root = _plant(matches);
        uint256 closeBlock = _closeBlock(matches[0].order);
        uint256 era = _eraOf(matches[0].order);
        Quorum memory q = _quorum(era, tasks.rootDigest(closeBlock, era, root), 0);
        vm.expectRevert(IOperatorRegistry.OperatorRegistry_BadSignature.selector);
        tasks.respondBatch(closeBlock - 1, root, q, matches);
        vm.chainId(block.chainid + 1);
        vm.expectRevert(IOperatorRegistry.OperatorRegistry_BadSignature.selector);
        tasks.respondBatch(closeBlock, root, q, matches);
    }

    function test_respond_RevertIf_TheSeedIsStillToCome() public {
        uint256 order = _create();
        _bid(1, order, RATE);
        _mine(3);
        uint256 closeBlock = _closeBlock(order);
        uint256 era = _eraOf(order);
        Quorum memory q = _quorum(era, tasks.rootDigest(closeBlock, era, 0), 0);
        vm.expectRevert();
        tasks.respondBatch(closeBlock, 0, q, new Match[](0));
    }

    function test_respond_RevertIf_TheBlockIsGone() public {
        Match[] memory matches = _matches(_orders(1));
        bytes32 root = _plant(matches);
        uint256 closeBlock = _closeBlock(matches[0].order);
        uint256 era = _eraOf(matches[0].order);
        Quorum memory q = _quorum(era, tasks.rootDigest(closeBlock, era, root), 0);
        vm.roll(closeBlock + 8192);
        vm.expectRevert(abi.encodeWithSelector(IMatchTaskManager.MatchTasks_BlockGone.selector, closeBlock));
        tasks.respondBatch(closeBlock, root, q, matches);
    }

    // ---------------------------------------------------------------- what is left out

    /// One that is matched already, one of another batch, one that nobody signed: the rest goes on.
    function test_respond_LeavesOutWhatIsNotPossible() public {
        uint256[] memory other = _orders(1);
        uint256[] memory ids = _orders(3);
        Match[] memory matches = _matches(ids);
        bytes32 root = _plant(matches);
        Match[] memory given = new Match[](5);
        (given[0], given[1], given[2]) = (matches[0], matches[1], matches[2]);
        given[3] = Match(other[0], _best(other[0]), new bytes32[](0));
        given[4] = Match(9999, matches[0].bid, new bytes32[](0));
        given[1].proof = new bytes32[](0);
        vm.prank(keeper);
        orders.resolve(ids[0]);

        uint256 closeBlock = _closeBlock(ids[0]);
        uint256 era = _eraOf(ids[0]);
        Quorum memory q = _quorum(era, tasks.rootDigest(closeBlock, era, root), 0);
        _expectSkip(ids[0], IMatchTaskManager.Skip.NotOpen);
        _expectSkip(ids[1], IMatchTaskManager.Skip.NotSigned);
        _expectSkip(other[0], IMatchTaskManager.Skip.OtherBatch);
        _expectSkip(9999, IMatchTaskManager.Skip.NotOpen);
        assertEq(tasks.respondBatch(closeBlock, root, q, given), 1);
        assertEq(uint8(_orderState(ids[1])), uint8(OrderState.Open));
        assertEq(uint8(_orderState(ids[2])), uint8(OrderState.Matched));
        assertEq(_net(uint160(address(tasks))), 0.05e6);
    }

    function test_respond_LeavesOutTheSecondOfTheSame() public {
        uint256[] memory ids = _orders(1);
        uint256[] memory twice = new uint256[](2);
        (twice[0], twice[1]) = (ids[0], ids[0]);
        assertEq(_respond(_matches(twice), 0), 1);
    }

    /// A quorum can be wrong among the bids that are there, but it cannot invent one.
    function test_respond_LeavesOutABidThatIsNotThere() public {
        Match[] memory matches = _matches(_orders(1));
        matches[0].bid = Bid.wrap(Bid.unwrap(matches[0].bid) - (1 << 158));
        _expectSkip(matches[0].order, IMatchTaskManager.Skip.Refused);
        assertEq(_respond(matches, 0), 0);
        matches[0].bid = Bid.wrap(0);
        assertEq(_respond(matches, 0), 0);
        assertEq(orders.resolve(matches[0].order), 1);
    }

    function test_award_RevertIf_NotTaskManager() public {
        vm.expectRevert(abi.encodeWithSelector(IOrderBook.OrderBook_NotTaskManager.selector, address(this)));
        orders.award(1, Bid.wrap(1), 0, 0);
        vm.expectRevert(abi.encodeWithSelector(IOrderBook.OrderBook_NotTaskManager.selector, address(this)));
        orders.amend(1, Bid.wrap(1));
    }

    // ---------------------------------------------------------------- limit

    /// 7,000 SPON at a dollar, of which half can be lost: 3,500 dollars in a window, and the rest is for `resolve`.
    function test_limit() public {
        vm.prank(governor);
        dollar.mint(tenant, 1_000_000e6);
        vm.prank(tenant);
        escrow.deposit(wallet, DOLLAR, 90_000e6);
        uint256 each = _lock(RATE / 4, DURATION) / 1e4; // cents
        uint256 room = 350_000 / each;
        uint256[] memory ids = _orders(room + 1);
        assertEq(_respond(_matches(ids), 0), room);
        assertEq(tasks.spentInWindow(), room * each);
        assertEq(uint8(_orderState(ids[room])), uint8(OrderState.Open));

        // In the next window what was matched in this one still counts, in the one after no more.
        skip(1 hours);
        assertEq(tasks.spentInWindow(), room * each);
        skip(1 hours);
        assertEq(tasks.spentInWindow(), 0);
        uint256[] memory last = new uint256[](1);
        last[0] = ids[room];
        assertEq(_respond(_matches(last), 0), 1);
    }

    // ---------------------------------------------------------------- rewards

    /// Those who signed share the fees by weight; who was silent is noted.
    function test_claim() public {
        uint256 era = clock.current();
        _respond(_matches(_orders(3)), 1 << 2);
        _respond(_matches(_orders(2)), 0);
        uint256 fee = 0.05e6;
        _expectPerformance(1, era, 5, 0, 3 * fee / 6 + 2 * fee / 7);
        _expectPerformance(2, era, 5, 3, 2 * fee / 7);

        uint256 sum;
        for (uint256 n = 1; n <= OPERATORS; ++n) {
            (,, uint256 unclaimed) = tasks.performanceOf(n, era, DOLLAR);
            vm.expectEmit(address(tasks));
            emit IMatchTaskManager.RewardClaimed(n, era, DOLLAR, unclaimed);
            assertEq(tasks.claim(n, era, DOLLAR), unclaimed);
            assertEq(dollar.balanceOf(_operatorOwner(n)), unclaimed);
            sum += unclaimed;
        }
        assertApproxEqAbs(sum, 5 * fee, OPERATORS);
        assertLe(sum, 5 * fee);
        vm.expectRevert(abi.encodeWithSelector(IMatchTaskManager.MatchTasks_NothingToClaim.selector, 1, era, DOLLAR));
        tasks.claim(1, era, DOLLAR);
    }

    /// Fees in several tokens, in whatever order they come.
    function test_claim_SeveralTokens() public {
        address payer = makeAddr("payer");
        vm.prank(governor);
        spon.transfer(payer, 100_000e18);
        uint256 sponWallet = escrow.createWallet(payer);
        vm.startPrank(payer);
        spon.approve(address(escrow), 100_000e18);
        escrow.deposit(sponWallet, 0, 100_000e18);
        vm.stopPrank();

        uint256[] memory ids = new uint256[](3);
        for (uint256 i; i < 3; ++i) {
            ids[i] = i == 1 ? _createIn(payer, sponWallet, 0) : _create();
            _bid(1, ids[i], RATE / 4);
        }
        _mine(4);
        uint256 era = clock.current();
        assertEq(_respond(_matches(ids), 0), 3);
        _expectPerformance(1, era, 2, 0, uint256(2 * 0.05e6) / 7);
        (uint256 matched,, uint256 unclaimed) = tasks.performanceOf(1, era, 0);
        assertEq(matched, 1);
        assertApproxEqAbs(unclaimed, uint256(0.05e18) / 7, 1);
        uint256 before = spon.balanceOf(_operatorOwner(1));
        tasks.claim(1, era, 0);
        assertEq(spon.balanceOf(_operatorOwner(1)), before + unclaimed);
    }

    function test_wiring() public view {
        IMatchTaskManager.Wiring memory w = tasks.wiring();
        assertEq(w.orders, address(orders));
        assertEq(w.leases, address(leases));
        assertEq(w.operators, address(operators));
        assertEq(w.staking, address(operatorStaking));
        assertEq(w.escrow, address(escrow));
        assertEq(w.paymentTokens, address(tokens));
        assertEq(w.randomness, address(randomness));
        assertEq(w.challengeWindow, 1 hours);
    }

    /// Stake must stay as long as what it stands for can be challenged: three eras of a day and an hour here.
    function test_wiring_RevertIf_StakeLeavesTooEarly() public {
        IMatchTaskManager.Wiring memory w = tasks.wiring();
        w.challengeWindow = 4 days - 1;
        new MatchTaskManager(w);
        w.challengeWindow = 4 days;
        vm.expectRevert(abi.encodeWithSelector(IMatchTaskManager.MatchTasks_BadUnbondingTime.selector, 7 days, 7 days));
        new MatchTaskManager(w);
        w.challengeWindow = 0;
        vm.expectRevert(IMatchTaskManager.MatchTasks_BadWindow.selector);
        new MatchTaskManager(w);
    }

    // ---------------------------------------------------------------- helpers

    function _createIn(address owner, uint256 from, uint256 token) private returns (uint256) {
        Terms memory terms = _terms();
        (terms.wallet, terms.token) = (uint48(from), uint16(token));
        vm.prank(owner);
        return orders.createOrder(terms, _spec());
    }

    function _orderState(uint256 order) private view returns (OrderState) {
        (uint256 w0,,) = orders.orderWords(order);
        return w0.state();
    }

    /// @dev Leases but for their digests, which name the response.
    function _outcome(uint256[] memory ids) private view returns (bytes32 all) {
        for (uint256 i; i < ids.length; ++i) {
            all = keccak256(abi.encode(all, _w0(ids[i]), _w1(ids[i]), _orderState(ids[i])));
        }
    }

    function _expectSkip(uint256 order, IMatchTaskManager.Skip reason) private {
        vm.expectEmit(address(tasks));
        emit IMatchTaskManager.MatchSkipped(order, reason);
    }

    function _expectPerformance(uint256 operator, uint256 era, uint256 matched, uint256 missed, uint256 unclaimed)
        private
        view
    {
        (uint256 matched_, uint256 missed_, uint256 unclaimed_) = tasks.performanceOf(operator, era, DOLLAR);
        assertEq(matched_, matched);
        assertEq(missed_, missed);
        assertApproxEqAbs(unclaimed_, unclaimed, 1);
    }
}
