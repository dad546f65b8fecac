// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {ILeaseBook} from "../../src/interfaces/ILeaseBook.sol";
import {LeaseWord} from "../../src/lib/LeaseWord.sol";
import {CloseReason, LeaseState} from "../../src/lib/Types.sol";
import {MarketBase} from "./MarketBase.sol";

/// @title  LeaseBook: pause, resume and refund: what did not run is not paid (SP-36, SP-50)
contract LeasePauseTest is MarketBase {
    using LeaseWord for uint256;

    uint256 internal lease;
    uint256 internal start;

    function setUp() public override {
        super.setUp();
        lease = _active();
        start = vm.getBlockTimestamp();
    }

    function test_pause_byTheProvider_reachesBack() public {
        skip(1000);
        vm.expectEmit(address(leases));
        emit ILeaseBook.LeasePaused(lease, start + 400);
        _pause(_hotKey(1), start + 400);
        assertTrue(_state(lease) == LeaseState.Paused);
        assertEq(_w1(lease).pausedBy(), LeaseWord.BY_PROVIDER);
        assertEq(leases.lockedOf(lease), _lock(RATE, DURATION));
    }

    function test_pause_sinceWithinBounds() public {
        skip(HOLDBACK + 1000);
        leases.settle(lease);
        uint256 now_ = vm.getBlockTimestamp();
        _badSince(start + 999, start + 1000, now_);
        _badSince(now_ + 1, start + 1000, now_);
        _pause(_hotKey(1), start + 1000);
    }

    function test_pause_notBeyondTheEnd() public {
        skip(DURATION + 10);
        _badSince(start + DURATION + 1, start, start + DURATION);
    }

    function test_pause_onlyProviderOrArbiter() public {
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_NotProvider.selector, lease, tenant));
        vm.prank(tenant);
        leases.pause(lease, start);
        _pause(arbiter, start);
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_WrongState.selector, lease, LeaseState.Paused));
        vm.prank(arbiter);
        leases.pause(lease, start);
    }

    function test_resume_refundsThePausedSeconds() public {
        skip(1000);
        _pause(_hotKey(1), start + 400);
        skip(2000);
        uint256 free = _free();
        uint256 refund = _lock(RATE, DURATION) - _lock(RATE, DURATION - 2600);
        vm.expectEmit(address(leases));
        emit ILeaseBook.LeaseResumed(lease, 2600, refund);
        vm.prank(_hotKey(1));
        leases.resume(lease);
        assertTrue(_state(lease) == LeaseState.Active);
        assertEq(_free() - free, refund);
        assertEq(_w1(lease).unbilled(), 2600);
        assertEq(_w1(lease).end(), start + DURATION); // the end does not move
        // In the end the provider is paid for what ran.
        skip(2 * DURATION);
        leases.settle(lease);
        assertEq(_net(1) + _fee(1), _lock(RATE, DURATION - 2600));
    }

    function test_resume_onlyByWhoPaused() public {
        skip(100);
        _pause(arbiter, start);
        address hot = _hotKey(1);
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_NotPauser.selector, lease, hot));
        vm.prank(hot);
        leases.resume(lease);
        vm.prank(arbiter);
        leases.resume(lease);
        _pause(hot, start);
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_NotPauser.selector, lease, arbiter));
        vm.prank(arbiter);
        leases.resume(lease);
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_NotProvider.selector, lease, tenant));
        vm.prank(tenant);
        leases.resume(lease);
    }

    function test_resume_onlyWhenPaused() public {
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_WrongState.selector, lease, LeaseState.Active));
        vm.prank(_hotKey(1));
        leases.resume(lease);
    }

    function test_settle_whilePaused_stopsThere() public {
        skip(1000);
        _pause(_hotKey(1), start + 1000);
        skip(DURATION / 2);
        leases.settle(lease);
        assertEq(_w1(lease).settledTo(), start + 1000);
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_NothingToSettle.selector, lease));
        leases.settle(lease);
    }

    /// Seconds given back are skipped before anything is paid.
    function test_settle_skipsUnbilledSeconds() public {
        skip(2000);
        _pause(_hotKey(1), start + 1000);
        vm.prank(_hotKey(1));
        leases.resume(lease);
        skip(HOLDBACK - 1500); // now - holdback = start + 500
        assertEq(leases.settle(lease), 0);
        assertEq(_w1(lease).unbilled(), 500);
        skip(1000);
        assertGt(leases.settle(lease), 0);
        assertEq(_w1(lease).unbilled(), 0);
        assertEq(leases.lockedOf(lease), _lock(RATE, DURATION - 1500));
    }

    function test_refund_onlyTheArbiter() public {
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_NotArbiter.selector, tenant));
        vm.prank(tenant);
        leases.refund(lease, 1);
    }

    function test_refund_atMostWhatRanAndIsNotSettled() public {
        skip(500);
        uint256 free = _free();
        uint256 expected = _lock(RATE, DURATION) - _lock(RATE, DURATION - 500);
        vm.expectEmit(address(leases));
        emit ILeaseBook.LeaseRefunded(lease, 500, expected);
        vm.prank(arbiter);
        assertEq(leases.refund(lease, 1 weeks), expected);
        assertEq(_free() - free, expected);
        vm.prank(arbiter);
        assertEq(leases.refund(lease, 1), 0);
    }

    function test_refund_ofAClosedLeasesTail() public {
        skip(1000);
        vm.prank(tenant);
        leases.close(lease);
        vm.prank(arbiter);
        leases.refund(lease, 300);
        skip(HOLDBACK);
        leases.settle(lease);
        assertEq(_net(1) + _fee(1), _lock(RATE, 700));
    }

    function test_refund_notBeforeTheStart() public {
        uint256 pending = _pending();
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_WrongState.selector, pending, LeaseState.Pending));
        vm.prank(arbiter);
        leases.refund(pending, 1);
    }

    function test_close_ofAPausedLease_paysUpToThePause() public {
        skip(1000);
        _pause(_hotKey(1), start + 600);
        skip(1000);
        vm.prank(tenant);
        leases.close(lease);
        assertTrue(_reason(lease) == CloseReason.TenantClosed);
        skip(HOLDBACK);
        leases.settle(lease);
        assertEq(_net(1) + _fee(1), _lock(RATE, 600));
    }

    /// Proven down, and the tenant left.
    function test_close_whenTheArbiterPaused() public {
        skip(1000);
        _pause(arbiter, start + 600);
        vm.prank(tenant);
        leases.close(lease);
        assertTrue(_reason(lease) == CloseReason.ProviderLost);
    }

    function test_expire_whenPausedForTooLong() public {
        _extendTo(30 days);
        _pause(_hotKey(1), start);
        skip(MAX_PAUSE);
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_NotExpired.selector, lease, start + 30 days));
        leases.expire(lease);
        skip(1);
        vm.prank(stranger);
        leases.expire(lease);
        assertTrue(_reason(lease) == CloseReason.ProviderLost);
        assertEq(leases.lockedOf(lease), 0);
    }

    function test_expire_ofAPausedLeaseAtItsEnd() public {
        skip(1000);
        _pause(_hotKey(1), start + 1000);
        skip(DURATION);
        leases.expire(lease);
        assertTrue(_reason(lease) == CloseReason.Expired);
        skip(HOLDBACK);
        leases.settle(lease);
        assertEq(_net(1) + _fee(1), _lock(RATE, 1000));
    }

    /// Pause, refund and settle in any order: what is paid, refunded and locked sums to the first lock.
    function testFuzz_nothingIsLost(uint8[12] memory acts, uint16[12] memory steps) public {
        uint256 total = _free() + leases.lockedOf(lease) + _net(1) + _fee(1);
        for (uint256 i; i < acts.length; ++i) {
            skip(bound(steps[i], 1, 2 hours));
            _act(acts[i] % 5, steps[i]);
            assertEq(_free() + leases.lockedOf(lease) + _net(1) + _fee(1), total);
        }
        if (_state(lease) != LeaseState.Closed) {
            vm.prank(tenant);
            leases.close(lease);
        }
        skip(HOLDBACK + 1);
        _act(4, 0);
        assertEq(leases.lockedOf(lease), 0);
        assertEq(_free() + _net(1) + _fee(1), total);
    }

    function _act(uint256 act, uint256 value) private {
        uint256[] memory one = new uint256[](1);
        one[0] = lease;
        LeaseState state = _state(lease);
        uint256 now_ = vm.getBlockTimestamp();
        uint256 end = _w1(lease).end();
        if (act == 0 && state == LeaseState.Active) {
            _pause(_hotKey(1), bound(value, _w1(lease).settledTo(), now_ < end ? now_ : end));
        } else if (act == 1 && state == LeaseState.Paused && _w1(lease).pausedBy() == 1) {
            vm.prank(_hotKey(1));
            leases.resume(lease);
        } else if (act == 2 && state != LeaseState.Closed) {
            vm.prank(arbiter);
            leases.refund(lease, value);
        } else if (act == 3 && now_ >= end && state != LeaseState.Closed) {
            leases.expire(lease);
        } else {
            leases.settleMany(one);
        }
    }

    function _pause(address by, uint256 since) private {
        vm.prank(by);
        leases.pause(lease, since);
    }

    function _badSince(uint256 since, uint256 earliest, uint256 latest) private {
        address hot = _hotKey(1);
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_BadSince.selector, since, earliest, latest));
        vm.prank(hot);
        leases.pause(lease, since);
    }

    function _extendTo(uint256 duration) private {
        dollar.mint(tenant, 100_000e6);
        vm.startPrank(tenant);
        escrow.deposit(wallet, DOLLAR, 100_000e6);
        leases.extend(lease, uint32(duration - DURATION));
        vm.stopPrank();
    }
}
