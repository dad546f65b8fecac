// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IOrderBook} from "../../src/interfaces/IOrderBook.sol";
import {IProviderRegistry, ProviderRecord} from "../../src/interfaces/IProviderRegistry.sol";
import {IStakeRegistry} from "../../src/interfaces/IStakeRegistry.sol";
import {IStakingManager} from "../../src/interfaces/IStakingManager.sol";
import {LeaseWord} from "../../src/lib/LeaseWord.sol";
import {ProfileWord} from "../../src/lib/ProfileWord.sol";
import {ResourcesWord} from "../../src/lib/ResourcesWord.sol";
import {Bid, CloseReason, LeaseState, OrderState, Profile, ProfileFlags} from "../../src/lib/Types.sol";
import {MarketBase} from "../market/MarketBase.sol";

/// @title  MatchAttack: nobody can stop a match or choose another, and no end of a lease can be blocked
contract MatchAttack is MarketBase {
    using LeaseWord for uint256;
    using ProfileWord for Profile;

    // ---- resolve

    /// Any gas limit either fails as a whole or matches the same provider: starving a call inside changes nothing.
    function test_resolve_withLittleGas() public {
        _provider(1);
        _provider(2);
        uint256 order = _create();
        _bid(1, order, RATE);
        _bid(2, order, RATE);
        _mine(4);
        (Bid best,,) = orders.winnerOf(order);
        uint256 state = vm.snapshotState();
        uint256 matched;
        for (uint256 gasLimit = 30_000; gasLimit < 400_000; gasLimit += 2500) {
            (bool ok, bytes memory out) =
                address(orders).call{gas: gasLimit}(abi.encodeCall(IOrderBook.resolve, (order)));
            if (ok) {
                assertEq(abi.decode(out, (uint256)), uint32(Bid.unwrap(best)));
                ++matched;
            }
            vm.revertToState(state);
        }
        assertGt(matched, 0);
    }

    /// A winner that is meanwhile barred, drained, slashed bare, sold out, or under another key is matched all the same.
    function test_resolve_winnerChangedAfterBidding() public {
        _provider(1);
        uint256 order = _create();
        _bid(1, order, RATE);
        address owner = _owner(1);
        vm.startPrank(address(leases));
        registry.bar(1, 99);
        registry.take(1, 16, 4);
        staking.slash(1, type(uint256).max, "");
        vm.stopPrank();
        vm.startPrank(owner);
        registry.setDraining(1, true);
        registry.setRecord(1, _record(makeAddr("fresh")));
        vm.stopPrank();

        assertEq(_resolve(order), 1);
        assertTrue(registry.profile(1).flags() & ProfileFlags.OVERBOOKED != 0);
        vm.warp(vm.getBlockTimestamp() + CONFIRM_WINDOW + 1);
        leases.expire(order);
        vm.prank(address(leases));
        registry.give(1, 16, 4);
        assertEq(registry.profile(1).freeUnits(), 16);
        assertEq(_free(), 10_000e6 - _net(uint160(keeper)), "all but the match fee came back");
    }

    /// One that wins more orders than it can hold blocks none of them, and every unit comes back.
    function test_resolve_overbookedProvider() public {
        ProviderRecord memory small = _record(_hotKey(1));
        small.capacity = ResourcesWord.pack(2000, 4096, 10_240, 0, 0, 3, 0, 0);
        _providerWith(1, small, 1000e18);
        uint256[4] memory made;
        for (uint256 i; i < 4; ++i) {
            made[i] = _create();
            _bid(1, made[i], RATE);
        }
        _mine(4);
        for (uint256 i; i < 4; ++i) {
            orders.resolve(made[i]);
        }
        assertEq(registry.profile(1).freeUnits(), 0);
        vm.expectRevert(
            abi.encodeWithSelector(IOrderBook.OrderBook_Ineligible.selector, made[3] + 1, 1, "no free units")
        );
        this.bidAgain();
        vm.warp(vm.getBlockTimestamp() + CONFIRM_WINDOW + 1);
        for (uint256 i; i < 4; ++i) {
            leases.expire(made[i]);
        }
        assertEq(registry.profile(1).freeUnits(), 2);
        assertEq(registry.profile(1).flags() & ProfileFlags.OVERBOOKED, 0);
        assertEq(registry.profile(1).slashes(), 4);
    }

    function bidAgain() external {
        uint256 order = _create();
        _bid(1, order, RATE);
    }

    /// A full house of 64 slots is resolved well within a transaction's gas.
    function test_resolve_fullHouse() public {
        uint256 order = _create();
        uint256 placed;
        for (uint256 n = 1; placed < 64 && n < 2000; ++n) {
            _provider(n);
            address hot = _hotKey(n);
            vm.prank(hot);
            try orders.placeBid(order, RATE, 0) {
                placed = orders.bidsOf(order).length;
            } catch {}
        }
        assertEq(placed, 64);
        _mine(4);
        uint256 before = gasleft();
        orders.resolve(order);
        assertLt(before - gasleft(), 1_000_000);
    }

    // ---- penalties

    /// Whoever expires a lease cannot save its provider from the bar and the penalty by giving too little gas.
    function test_expire_withLittleGas() public {
        uint256 lease = _pending();
        vm.warp(vm.getBlockTimestamp() + CONFIRM_WINDOW + 1);
        uint256 state = vm.snapshotState();
        uint256 done;
        for (uint256 gasLimit = 50_000; gasLimit < 1_000_000; gasLimit += 10_000) {
            (bool ok,) = address(leases).call{gas: gasLimit}(abi.encodeCall(leases.expire, (lease)));
            if (ok) {
                ++done;
                assertEq(registry.profile(1).freeUnits(), 16);
                assertTrue(registry.profile(1).flags() & ProfileFlags.BARRED != 0);
                assertEq(registry.profile(1).slashes(), 1);
                assertEq(registry.profile(1).stake(), 995);
            }
            vm.revertToState(state);
        }
        assertGt(done, 0);
    }

    function test_barredUntilThePenaltyIsStakedAgain() public {
        uint256 lease = _pending();
        vm.warp(vm.getBlockTimestamp() + CONFIRM_WINDOW + 1);
        leases.expire(lease);
        vm.prank(governor);
        spon.transfer(_owner(1), 10e18);
        address owner = _owner(1);
        vm.startPrank(owner);
        spon.approve(address(staking), 10e18);
        staking.stake(1, 4.99e18);
        assertTrue(registry.profile(1).flags() & ProfileFlags.BARRED != 0);
        staking.stake(1, 0.01e18);
        assertEq(registry.profile(1).flags() & ProfileFlags.BARRED, 0);
    }

    // ---- exits

    /// Registry and staking broken for good: every lease can still be ended by everyone who may.
    function test_exits_withBrokenPeers() public {
        uint256 pending = _pending();
        _breakPeers();
        uint256 state = vm.snapshotState();
        vm.prank(tenant);
        leases.close(pending);
        vm.revertToState(state);
        vm.warp(vm.getBlockTimestamp() + CONFIRM_WINDOW + 1);
        leases.expire(pending);
        assertEq(uint8(_reason(pending)), uint8(CloseReason.NotConfirmed));
        vm.revertToState(state);
        _confirm(pending);
        state = vm.snapshotState();
        for (uint256 i; i < 4; ++i) {
            vm.warp(vm.getBlockTimestamp() + 2 hours);
            if (i == 0) {
                vm.prank(tenant);
                leases.close(pending);
            } else if (i == 1) {
                vm.warp(vm.getBlockTimestamp() + DURATION);
                leases.expire(pending);
            } else if (i == 2) {
                address hot = _hotKey(1);
                vm.prank(hot);
                leases.closeByProvider(pending, CloseReason.ProviderClosed);
            } else {
                vm.prank(arbiter);
                leases.pause(pending, vm.getBlockTimestamp());
                vm.warp(vm.getBlockTimestamp() + MAX_PAUSE + 1);
                leases.expire(pending);
            }
            vm.warp(vm.getBlockTimestamp() + HOLDBACK);
            leases.settle(pending);
            assertEq(leases.lockedOf(pending), 0);
            escrow.cashOut(1, DOLLAR);
            vm.startPrank(tenant);
            escrow.withdraw(wallet, DOLLAR, _free(), tenant);
            vm.stopPrank();
            vm.revertToState(state);
        }
    }

    /// Order refunds need nobody either: no bids, or a seed that is gone.
    function test_exits_ofOrders() public {
        _provider(1);
        uint256 empty = _create();
        uint256 late = _create();
        _bid(1, late, RATE);
        vm.roll(block.number + 9000);
        _breakPeers();
        assertEq(orders.resolve(empty), 0);
        assertEq(orders.resolve(late), 0);
        (uint256 w0,,) = orders.orderWords(late);
        assertEq((w0 >> 136) & 0xff, uint256(OrderState.Void));
        assertEq(_free(), 10_000e6);
    }

    function _breakPeers() private {
        bytes4[5] memory broken = [
            IProviderRegistry.give.selector,
            IProviderRegistry.bar.selector,
            IStakeRegistry.setStake.selector,
            IStakeRegistry.profile.selector,
            IStakeRegistry.ownerOf.selector
        ];
        for (uint256 i; i < 5; ++i) {
            vm.mockCallRevert(address(registry), abi.encodePacked(broken[i]), "broken");
        }
        vm.mockCallRevert(address(staking), abi.encodePacked(IStakingManager.slash.selector), "broken");
    }
}
