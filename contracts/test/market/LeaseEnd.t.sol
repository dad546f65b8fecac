// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IEscrow} from "../../src/interfaces/IEscrow.sol";
import {ILeaseBook} from "../../src/interfaces/ILeaseBook.sol";
import {Guarded} from "../../src/lib/Guarded.sol";
import {LeaseWord} from "../../src/lib/LeaseWord.sol";
import {ProfileWord} from "../../src/lib/ProfileWord.sol";
import {CloseReason, LeaseState, Profile, ProfileFlags} from "../../src/lib/Types.sol";
import {MarketBase} from "./MarketBase.sol";

/// @title  LeaseBook: every way in which a lease ends, and what it costs whom (SP-20, SP-21)
contract LeaseEndTest is MarketBase {
    using LeaseWord for uint256;
    using ProfileWord for Profile;

    // ---------------------------------------------------------------- tenant

    function test_close_refundsTheRestAtOnce() public {
        uint256 lease = _active();
        skip(1000);
        uint256 free = _free();
        uint256 now_ = vm.getBlockTimestamp();
        uint256 refund = _lock(RATE, DURATION) - _lock(RATE, 1000);
        vm.expectEmit(address(leases));
        emit ILeaseBook.LeaseClosed(lease, wallet, 1, CloseReason.TenantClosed, now_, refund);
        vm.prank(tenant);
        leases.close(lease);
        assertTrue(_state(lease) == LeaseState.Closed);
        assertEq(_free() - free, refund);
        assertEq(registry.profileOf(_hotKey(1)).freeUnits(), 16);
        // The held-back tail is the provider's.
        assertEq(leases.lockedOf(lease), _lock(RATE, 1000));
        skip(HOLDBACK);
        leases.settle(lease);
        assertEq(leases.lockedOf(lease), 0);
        assertEq(_net(1) + _fee(1), _lock(RATE, 1000));
    }

    function test_close_pendingCostsNothing() public {
        uint256 lease = _pending();
        vm.prank(tenant);
        leases.close(lease);
        assertEq(_free(), 10_000e6 - 0.05e6); // but for the match
        assertEq(leases.lockedOf(lease), 0);
        assertEq(registry.profileOf(_hotKey(1)).freeUnits(), 16);
        assertEq(_slashed(), 0);
    }

    function test_close_onlyTheTenantAndOnce() public {
        uint256 lease = _active();
        vm.expectRevert(abi.encodeWithSelector(IEscrow.Escrow_NotOwner.selector, wallet, stranger));
        vm.prank(stranger);
        leases.close(lease);
        vm.startPrank(tenant);
        leases.close(lease);
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_WrongState.selector, lease, LeaseState.Closed));
        leases.close(lease);
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_WrongState.selector, 99, LeaseState.None));
        leases.close(99);
    }

    /// Even when nothing is to be refunded a stranger cannot close.
    function test_close_afterTheEnd() public {
        uint256 lease = _active();
        skip(DURATION + 5);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.Escrow_NotOwner.selector, wallet, stranger));
        vm.prank(stranger);
        leases.close(lease);
        vm.prank(tenant);
        leases.close(lease);
        assertTrue(_reason(lease) == CloseReason.Expired);
        assertEq(_w1(lease).stoppedAt(), _w1(lease).end());
    }

    function test_close_followsTheWallet() public {
        uint256 lease = _active();
        vm.prank(tenant);
        escrow.transferWallet(wallet, stranger);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.Escrow_NotOwner.selector, wallet, tenant));
        vm.prank(tenant);
        leases.close(lease);
        vm.prank(stranger);
        leases.close(lease);
    }

    // ---------------------------------------------------------------- provider

    function test_closeByProvider_withoutTheTenantsFault_isPenalised() public {
        uint256 lease = _active();
        skip(1000);
        _closeByProvider(lease, CloseReason.ProviderClosed);
        assertTrue(_reason(lease) == CloseReason.ProviderClosed);
        assertEq(_slashed(), 5e18); // 5 dollars in SPON
        assertEq(registry.profileOf(_hotKey(1)).slashes(), 1);
        assertEq(leases.lockedOf(lease), _lock(RATE, 1000));
    }

    function test_closeByProvider_forTheTenantsFault() public {
        CloseReason[4] memory faults = [
            CloseReason.ImageUnavailable,
            CloseReason.CrashLoop,
            CloseReason.ManifestMissing,
            CloseReason.PolicyViolation
        ];
        for (uint256 i; i < faults.length; ++i) {
            uint256 lease = _active();
            _closeByProvider(lease, faults[i]);
            assertTrue(_reason(lease) == faults[i]);
        }
        assertEq(_slashed(), 0);
    }

    function test_closeByProvider_otherReasonsAreNotItsOwn() public {
        uint256 lease = _active();
        CloseReason[5] memory others = [
            CloseReason.None,
            CloseReason.Expired,
            CloseReason.TenantClosed,
            CloseReason.NotConfirmed,
            CloseReason.ProviderLost
        ];
        for (uint256 i; i < others.length; ++i) {
            _badReason(lease, others[i]);
        }
    }

    /// A lease that never ran has no fault of the tenant's.
    function test_closeByProvider_pending() public {
        uint256 lease = _pending();
        _badReason(lease, CloseReason.CrashLoop);
        _closeByProvider(lease, CloseReason.ProviderClosed);
        assertEq(_slashed(), 5e18);
        assertEq(_free(), 10_000e6 - 0.05e6);
    }

    function test_closeByProvider_onlyIts() public {
        uint256 lease = _active();
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_NotProvider.selector, lease, tenant));
        vm.prank(tenant);
        leases.closeByProvider(lease, CloseReason.ProviderClosed);
    }

    function test_closeByProvider_afterTheEndIsNoFailure() public {
        uint256 lease = _active();
        skip(DURATION);
        _closeByProvider(lease, CloseReason.ProviderClosed);
        assertTrue(_reason(lease) == CloseReason.Expired);
        assertEq(_slashed(), 0);
    }

    // ---------------------------------------------------------------- time

    function test_expire_atTheEnd() public {
        uint256 lease = _active();
        uint256 end = _w1(lease).end();
        skip(DURATION - 1);
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_NotExpired.selector, lease, end));
        leases.expire(lease);
        skip(1);
        vm.prank(stranger);
        leases.expire(lease);
        assertTrue(_reason(lease) == CloseReason.Expired);
        skip(HOLDBACK);
        leases.settle(lease);
        assertEq(_net(1) + _fee(1), _lock(RATE, DURATION));
    }

    function test_expire_missedConfirmation() public {
        uint256 lease = _pending();
        uint256 by = _w1(lease).end();
        skip(CONFIRM_WINDOW);
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_ConfirmStillOpen.selector, lease, by));
        leases.expire(lease);
        skip(1);
        leases.expire(lease);
        assertTrue(_reason(lease) == CloseReason.NotConfirmed);
        assertEq(_free(), 10_000e6 - 0.05e6);
        assertEq(_slashed(), 5e18);
        assertTrue(registry.profileOf(_hotKey(1)).flags() & ProfileFlags.BARRED != 0);
        assertEq(registry.profileOf(_hotKey(1)).freeUnits(), 16);
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_WrongState.selector, lease, LeaseState.Closed));
        leases.expire(lease);
    }

    function test_expire_unknown() public {
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_WrongState.selector, 99, LeaseState.None));
        leases.expire(99);
    }

    // ---------------------------------------------------------------- nothing holds an exit

    /// Registry and staking revert, burn gas, or answer with megabytes: the lease ends all the same.
    function test_exits_whateverThePeersDo() public {
        bytes[3] memory hostile = [
            bytes(hex"60006000fd"), // reverts
            bytes(hex"5b600056"), // loops until the gas is gone
            bytes(hex"6280000060006000fd62800000600060003e62800000600060002060005260206000f3") // floods
        ];
        hostile[2] = hex"62100000600052621000006000fd"; // reverts with a megabyte
        for (uint256 i; i < hostile.length; ++i) {
            uint256 state = vm.snapshotState();
            uint256 active = _active();
            uint256 pending = _pending();
            vm.etch(address(registry), hostile[i]);
            vm.etch(address(staking), hostile[i]);
            skip(CONFIRM_WINDOW + 1);
            leases.expire{gas: 2_000_000}(pending);
            vm.prank(tenant);
            leases.close{gas: 2_000_000}(active);
            skip(HOLDBACK + 1);
            leases.settle(active);
            uint256 free = _free();
            vm.prank(tenant);
            escrow.withdraw(wallet, DOLLAR, free, tenant);
            assertEq(leases.lockedOf(active) + leases.lockedOf(pending), 0);
            vm.revertToState(state);
        }
    }

    /// Who ends a lease cannot spare the provider its penalty by giving too little gas.
    function testFuzz_penaltyCannotBeStarved(uint256 gas) public {
        uint256 lease = _pending();
        skip(CONFIRM_WINDOW + 1);
        gas = bound(gas, 60_000, 900_000);
        try leases.expire{gas: gas}(lease) {
            assertEq(_slashed(), 5e18);
            assertTrue(registry.profileOf(_hotKey(1)).flags() & ProfileFlags.BARRED != 0);
            assertEq(registry.profileOf(_hotKey(1)).freeUnits(), 16);
        } catch {
            assertTrue(_state(lease) == LeaseState.Pending);
        }
    }

    function test_penalty_tooLittleGasIsSaid() public {
        uint256 lease = _pending();
        skip(CONFIRM_WINDOW + 1);
        vm.expectPartialRevert(Guarded.Guarded_TooLittleGas.selector);
        leases.expire{gas: 150_000}(lease);
    }

    /// A provider with less stake than the penalty loses what it has, and the lease ends.
    function test_penalty_atMostTheStake() public {
        _provider(1);
        for (uint256 i; i < 3; ++i) {
            uint256 lease = _active();
            vm.startPrank(governor);
            tokens.setPrice(0, 0.5e8);
            vm.stopPrank();
            _closeByProvider(lease, CloseReason.ProviderClosed);
        }
        assertEq(_slashed(), 30e18);
    }

    // ---------------------------------------------------------------- helpers

    /// @dev SPON that provider 1 has lost.
    function _slashed() private view returns (uint256) {
        return 10_000_000e18 - spon.totalSupply();
    }

    function _closeByProvider(uint256 lease, CloseReason reason) private {
        vm.prank(_hotKey(1));
        leases.closeByProvider(lease, reason);
    }

    function _badReason(uint256 lease, CloseReason reason) private {
        address hot = _hotKey(1);
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_BadReason.selector, reason));
        vm.prank(hot);
        leases.closeByProvider(lease, reason);
    }
}
