// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IEscrow} from "../../src/interfaces/IEscrow.sol";
import {ILeaseBook} from "../../src/interfaces/ILeaseBook.sol";
import {IOrderBook} from "../../src/interfaces/IOrderBook.sol";
import {BidWord} from "../../src/lib/BidWord.sol";
import {LeaseWord} from "../../src/lib/LeaseWord.sol";
import {OrderWord} from "../../src/lib/OrderWord.sol";
import {ProfileWord} from "../../src/lib/ProfileWord.sol";
import {Bid, LeaseState, OrderState, Profile, Terms} from "../../src/lib/Types.sol";
import {Score} from "../../src/matching/Score.sol";
import {MarketBase} from "./MarketBase.sol";

/// @title  OrderBook.resolve and cancel: the match, and what becomes of orders without one (SP-12 to SP-14)
contract ResolveTest is MarketBase {
    using BidWord for Bid;
    using LeaseWord for uint256;
    using ProfileWord for Profile;

    function setUp() public override {
        super.setUp();
        for (uint256 n = 1; n <= 5; ++n) {
            _provider(n);
        }
    }

    function test_matchesAndOpensALease() public {
        uint256 order = _create();
        _bid(1, order, RATE);
        _mine(4);
        (Bid bid, uint256 score, bytes32 seed) = orders.winnerOf(order);
        assertEq(bid.provider(), 1);
        assertGt(score, 0);
        assertEq(seed, keccak256(abi.encode(blockhash(block.number - 1), block.number - 1)));

        vm.expectEmit(address(orders));
        emit IOrderBook.OrderMatched(order, 1, bid, seed, keeper);
        vm.prank(keeper);
        assertEq(orders.resolve(order), 1);

        assertTrue(_orderState(order) == OrderState.Matched);
        (uint256 w0, uint256 w1) = leases.leaseWords(order);
        assertTrue(w1.state() == LeaseState.Pending);
        assertEq(w0.wallet(), wallet);
        assertEq(w0.token(), DOLLAR);
        assertEq(w0.provider(), 1);
        assertEq(w0.fee(), 2200);
        assertEq(w0.payerFee(), 200);
        assertEq(w0.duration(), DURATION);
        assertEq(w0.units(), 2);
        assertEq(w0.decimals(), 6);
        assertEq(w1.rate(), RATE);
        assertEq(w1.end(), block.timestamp + CONFIRM_WINDOW);
        assertEq(w1.settledTo(), 0);
        // The rest of the reserve is free again, the keeper has its fee.
        assertEq(_free(), 10_000e6 - _lock(RATE, DURATION) - 0.05e6);
        assertEq(leases.lockedOf(order), _lock(RATE, DURATION));
        assertEq(_net(uint160(keeper)), 0.05e6);
        assertEq(registry.profileOf(_hotKey(1)).freeUnits(), 14);
    }

    function test_tooEarly() public {
        uint256 order = _create();
        _bid(1, order, RATE);
        for (uint256 i; i < 4; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IOrderBook.OrderBook_TooEarly.selector, order, 1004));
            orders.resolve(order);
            _mine(1);
        }
        orders.resolve(order);
    }

    function test_twice() public {
        uint256 order = _create();
        _bid(1, order, RATE);
        _resolve(order);
        vm.expectRevert(abi.encodeWithSelector(IOrderBook.OrderBook_NotOpen.selector, order, OrderState.Matched));
        orders.resolve(order);
        vm.expectRevert(abi.encodeWithSelector(IOrderBook.OrderBook_NotOpen.selector, order, OrderState.Matched));
        orders.winnerOf(order);
    }

    function test_withoutBids_isVoidAndRefunded() public {
        uint256 order = _create();
        _mine(4);
        (Bid bid,,) = orders.winnerOf(order);
        assertEq(bid.provider(), 0);
        vm.expectEmit(address(orders));
        emit IOrderBook.OrderVoided(order, 0);
        vm.prank(keeper);
        assertEq(orders.resolve(order), 0);
        assertTrue(_orderState(order) == OrderState.Void);
        assertEq(_free(), 10_000e6);
        assertEq(_net(uint160(keeper)), 0);
    }

    /// Never re-seeded: who waits for a better seed loses the order.
    function test_afterTheSeedIsGone_isVoidAndRefunded() public {
        vm.etch(0x0000F90827F1C53a10cb7A02335B175320002935, "");
        uint256 order = _create();
        _bid(1, order, RATE);
        _bid(2, order, RATE);
        uint256 bids = orders.bidsOf(order).length;
        _mine(3 + 257);
        vm.expectEmit(address(orders));
        emit IOrderBook.OrderVoided(order, bids);
        assertEq(orders.resolve(order), 0);
        assertEq(_free(), 10_000e6);
        vm.expectRevert(abi.encodeWithSelector(IOrderBook.OrderBook_NotOpen.selector, order, OrderState.Void));
        orders.resolve(order);
    }

    /// With the last block in which the seed is there it is still a match.
    function test_withTheLastSeed() public {
        vm.etch(0x0000F90827F1C53a10cb7A02335B175320002935, "");
        uint256 order = _create();
        _bid(1, order, RATE);
        _mine(3 + 256);
        assertEq(orders.resolve(order), 1);
    }

    /// Starved of gas a resolution fails whole; it does not void the order.
    function testFuzz_littleGasVoidsNothing(uint256 gas) public {
        uint256 order = _create();
        _bid(1, order, RATE);
        _mine(4);
        gas = bound(gas, 20_000, 400_000);
        try orders.resolve{gas: gas}(order) returns (uint256 provider) {
            assertEq(provider, 1);
        } catch {
            assertTrue(_orderState(order) == OrderState.Open);
        }
    }

    /// The best score wins whoever calls, of equal ones the higher ticket; only rate, profile and seed decide.
    function testFuzz_theBestScoreWins(uint80[5] memory rates, bytes32 hash) public {
        vm.assume(hash != 0);
        uint256 order = _create();
        (, uint256 w1,) = orders.orderWords(order);
        for (uint256 n = 1; n <= 5; ++n) {
            try this.bidAs(n, order, bound(rates[n - 1], 1, MAX_RATE)) {} catch {}
        }
        _mine(4);
        vm.setBlockhash(vm.getBlockNumber() - 1, hash);
        bytes32 seed = keccak256(abi.encode(hash, vm.getBlockNumber() - 1));

        Bid[] memory bids = orders.bidsOf(order);
        uint256 best;
        uint256 highest;
        uint256 winner;
        for (uint256 i; i < bids.length; ++i) {
            uint256 ticket = uint256(keccak256(abi.encode(seed, bids[i].provider())));
            uint256 score = Score.staticScore(WEIGHTS, OrderWord.maxRate(w1), 0, bids[i]) + 500 * (ticket % 10_001);
            if (score < best || (score == best && ticket < highest)) continue;
            (best, highest, winner) = (score, ticket, bids[i].provider());
        }
        (, uint256 score_,) = orders.winnerOf(order);
        assertEq(score_, best);
        assertEq(orders.resolve(order), winner);
    }

    function bidAs(uint256 n, uint256 order, uint256 rate) external {
        _bid(n, order, rate);
    }

    /// A vote after the order was made changes nothing for it.
    function test_termsAreThoseOfTheOrder() public {
        uint256 order = _create();
        _bid(1, order, RATE);
        vm.startPrank(governor);
        policies.addVersion(9500 << 96 | (500 << 112) | (1 << 128));
        tokens.setPrice(DOLLAR, 2e8);
        tokens.disableToken(DOLLAR);
        vm.stopPrank();
        _resolve(order);
        assertEq(_w0(order).fee(), 2200);
        assertEq(_net(uint160(keeper)), 0.05e6);
        assertEq(_free(), 10_000e6 - _lock(RATE, DURATION) - 0.05e6);
    }

    /// Tier 1 is spared a quarter of its fee (SP-6).
    function test_tier1Rebate() public {
        vm.prank(governor);
        registry.setTrustTier(1, 1);
        uint256 order = _create();
        _bid(1, order, RATE);
        _resolve(order);
        assertEq(_w0(order).fee(), 1650);
    }

    /// A provider that won more than it has is matched all the same: resolution depends on stored bids alone.
    function test_overbookedProvider() public {
        Terms memory t = _terms();
        t.duration = 600;
        uint256 a = _create(t, _specOf(16_000, 4096, 1024, 0, 0));
        uint256 b = _create(t, _specOf(16_000, 4096, 1024, 0, 0));
        _bid(1, a, RATE);
        _bid(1, b, RATE);
        _mine(4);
        assertEq(orders.resolve(a), 1);
        assertEq(orders.resolve(b), 1);
        assertEq(registry.profileOf(_hotKey(1)).freeUnits(), 0);
        vm.startPrank(tenant);
        leases.close(a);
        assertEq(registry.profileOf(_hotKey(1)).freeUnits(), 0);
        leases.close(b);
        vm.stopPrank();
        assertEq(registry.profileOf(_hotKey(1)).freeUnits(), 16);
    }

    function test_open_onlyTheOrderBook() public {
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_NotBook.selector, stranger));
        vm.prank(stranger);
        leases.open(1, 0, 0, Bid.wrap(0));
    }

    // ---------------------------------------------------------------- cancel

    function test_cancel() public {
        uint256 order = _create();
        _bid(1, order, RATE);
        _mine(2);
        vm.expectEmit(address(orders));
        emit IOrderBook.OrderCancelled(order);
        vm.prank(tenant);
        orders.cancel(order);
        assertTrue(_orderState(order) == OrderState.Cancelled);
        assertEq(_free(), 10_000e6);
        _mine(2);
        vm.expectRevert(abi.encodeWithSelector(IOrderBook.OrderBook_NotOpen.selector, order, OrderState.Cancelled));
        orders.resolve(order);
    }

    /// From the closing block on the bids are known and the seed is near: no way back.
    function test_cancel_endsWithTheBidding() public {
        uint256 order = _create();
        _mine(3);
        vm.expectRevert(abi.encodeWithSelector(IOrderBook.OrderBook_BiddingClosed.selector, order, 1002));
        vm.prank(tenant);
        orders.cancel(order);
    }

    function test_cancel_onlyTheOwner() public {
        uint256 order = _create();
        vm.expectRevert(abi.encodeWithSelector(IEscrow.Escrow_NotOwner.selector, wallet, stranger));
        vm.prank(stranger);
        orders.cancel(order);
        // With the wallet the order changes hands.
        vm.prank(tenant);
        escrow.transferWallet(wallet, stranger);
        vm.prank(stranger);
        orders.cancel(order);
    }

    function _orderState(uint256 order) private view returns (OrderState) {
        (uint256 w0,,) = orders.orderWords(order);
        return OrderWord.state(w0);
    }
}
