// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IFizzShares} from "../../src/interfaces/IFizzShares.sol";
import {ILeaseBook} from "../../src/interfaces/ILeaseBook.sol";
import {ProviderRecord} from "../../src/interfaces/IProviderRegistry.sol";
import {LeaseWord} from "../../src/lib/LeaseWord.sol";
import {LeaseState, OrderFlags, Terms} from "../../src/lib/Types.sol";
import {MarketBase} from "./MarketBase.sol";

/// @title  LeaseBook: confirmation and bills (SP-19, SP-24, SP-37)
contract LeaseBillingTest is MarketBase {
    using LeaseWord for uint256;

    // ---------------------------------------------------------------- confirm

    function test_confirm_startsTheBill() public {
        uint256 lease = _pending();
        skip(30);
        uint256 start = vm.getBlockTimestamp();
        vm.expectEmit(address(leases));
        emit ILeaseBook.LeaseConfirmed(lease, 1, start, start + DURATION);
        _confirm(lease);
        assertTrue(_state(lease) == LeaseState.Active);
        assertEq(_w1(lease).end(), start + DURATION);
        assertEq(_w1(lease).settledTo(), start);
        assertEq(leases.lockedOf(lease), _lock(RATE, DURATION));
    }

    function test_confirm_inTheLastSecond() public {
        uint256 lease = _pending();
        skip(CONFIRM_WINDOW);
        _confirm(lease);
    }

    function test_confirm_tooLate() public {
        uint256 lease = _pending();
        uint256 by = _w1(lease).end();
        skip(CONFIRM_WINDOW + 1);
        address hot = _hotKey(1);
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_ConfirmTooLate.selector, lease, by));
        vm.prank(hot);
        leases.confirm(lease);
    }

    function test_confirm_onlyTheProvidersHotKey() public {
        uint256 lease = _pending();
        _provider(2);
        address other = _hotKey(2);
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_NotProvider.selector, lease, other));
        vm.prank(other);
        leases.confirm(lease);
        address owner = _owner(1);
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_NotProvider.selector, lease, owner));
        vm.prank(owner);
        leases.confirm(lease);
    }

    function test_confirm_once() public {
        uint256 lease = _active();
        address hot = _hotKey(1);
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_WrongState.selector, lease, LeaseState.Active));
        vm.prank(hot);
        leases.confirm(lease);
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_WrongState.selector, 77, LeaseState.None));
        vm.prank(hot);
        leases.confirm(77);
    }

    // ---------------------------------------------------------------- settle

    function test_settle_lagsBehindByTheHoldback() public {
        uint256 lease = _active();
        skip(HOLDBACK);
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_NothingToSettle.selector, lease));
        leases.settle(lease);
        skip(1000);
        uint256 gross = _gross(RATE, DURATION) - _gross(RATE, DURATION - 1000);
        uint256 net = leases.settle(lease); // anyone may
        assertEq(net, gross * 7800 / 10_000);
        assertEq(_net(1), net);
        // Commission, receiver's and payer's fee.
        assertEq(_net(1) + _fee(1), _lock(RATE, DURATION) - _lock(RATE, DURATION - 1000));
        assertEq(leases.lockedOf(lease), _lock(RATE, DURATION - 1000));
    }

    function test_settle_pendingOrUnknown() public {
        uint256 lease = _pending();
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_NothingToSettle.selector, lease));
        leases.settle(lease);
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_NothingToSettle.selector, 99));
        leases.settle(99);
    }

    function test_settle_atMostTheLock() public {
        uint256 lease = _active();
        uint256 locked = leases.lockedOf(lease);
        skip(10 * DURATION);
        leases.settle(lease);
        assertEq(_net(1) + _fee(1), locked);
        assertEq(leases.lockedOf(lease), 0);
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_NothingToSettle.selector, lease));
        leases.settle(lease);
    }

    function test_settleMany_skipsWhatIsNotDue() public {
        uint256 a = _active();
        skip(2 hours);
        uint256 b = _active();
        uint256[] memory both = new uint256[](3);
        (both[0], both[1], both[2]) = (a, b, 99);
        leases.settleMany(both);
        assertLt(leases.lockedOf(a), _lock(RATE, DURATION));
        assertEq(leases.lockedOf(b), _lock(RATE, DURATION));
    }

    /// At a cent an hour in six decimals a rate cut to units would lose a quarter; settling every minute loses nothing.
    function test_settle_tinyRatesLoseNothing() public {
        _provider(1);
        Terms memory t = _terms();
        t.maxRate = 2_777_777_777_777; // 0.01 dollars an hour
        uint256 lease = _create(t, _spec());
        _bid(1, lease, t.maxRate);
        _resolve(lease);
        _confirm(lease);
        uint256 locked = leases.lockedOf(lease);
        assertEq(locked, uint256(239_999 + 4799));
        skip(HOLDBACK);
        for (uint256 i; i < 100; ++i) {
            skip(60);
            leases.settle(lease);
        }
        skip(DURATION);
        leases.settle(lease);
        assertEq(_net(1) + _fee(1), locked);
    }

    /// However often it is settled, the parts sum to the lock.
    function testFuzz_settle_partsSumToTheLock(uint80 rate, uint32[8] memory steps) public {
        rate = uint80(bound(rate, 1, MAX_RATE));
        _provider(1);
        uint256 lease = _create();
        _bid(1, lease, rate);
        _resolve(lease);
        _confirm(lease);
        uint256 locked = leases.lockedOf(lease);
        assertEq(locked, _lock(rate, DURATION));
        uint256[] memory one = new uint256[](1);
        one[0] = lease;
        for (uint256 i; i < steps.length; ++i) {
            skip(bound(steps[i], 0, DURATION / 4));
            leases.settleMany(one);
            assertEq(_net(1) + _fee(1) + leases.lockedOf(lease), locked);
        }
        skip(2 * DURATION);
        leases.settleMany(one);
        assertEq(_net(1) + _fee(1), locked);
    }

    // ---------------------------------------------------------------- light nodes

    function test_fizzShare_isSplitOff() public {
        address node = makeAddr("node");
        vm.mockCall(fizzShares, abi.encodeCall(IFizzShares.shareOf, (1, 5)), abi.encode(node, 3000));
        uint256 lease = _fizzLease();
        assertEq(_w0(lease).fizz(), 5);
        assertEq(_w0(lease).fizzShare(), 3000);
        assertEq(leases.payeeOf(lease), node);
        // What the registry says later does not matter.
        vm.mockCall(fizzShares, abi.encodeCall(IFizzShares.shareOf, (1, 5)), abi.encode(stranger, 10_000));
        skip(2 * DURATION);
        uint256 net = leases.settle(lease);
        uint256 gross = _gross(RATE, DURATION);
        uint256 all = gross * 7800 / 10_000;
        assertEq(_net(uint160(node)), all * 3000 / 10_000);
        assertEq(net, all - all * 3000 / 10_000);
        assertEq(_net(1) + _fee(1) + _net(uint160(node)), _lock(RATE, DURATION));
    }

    /// A contract that does not answer, an unknown node, a share above all, a payee that reads as a provider: the gateway earns it all.
    function test_fizzShare_whenTheAnswerIsOfNoUse() public {
        uint256 state = vm.snapshotState();
        assertEq(_w0(_fizzLease()).fizzShare(), 0);
        vm.revertToState(state);
        _noShare(abi.encode(address(0), 3000));
        _noShare(abi.encode(stranger, 10_001));
        _noShare(abi.encode(address(7), 3000));
        _noShare(abi.encode(uint256(1) << 160, 3000));
        _noShare(abi.encode(stranger));
    }

    function _noShare(bytes memory answer) private {
        uint256 state = vm.snapshotState();
        vm.mockCall(fizzShares, abi.encodeCall(IFizzShares.shareOf, (1, 5)), answer);
        uint256 lease = _fizzLease();
        assertEq(_w0(lease).fizzShare(), 0);
        assertEq(leases.payeeOf(lease), address(0));
        vm.revertToState(state);
    }

    function _fizzLease() private returns (uint256 lease) {
        ProviderRecord memory gateway = _record(_hotKey(1));
        gateway.offersFizz = true;
        _providerWith(1, gateway, 1000e18);
        Terms memory t = _terms();
        t.flags = OrderFlags.FIZZ;
        lease = _create(t, _spec());
        _allowAnyFizz();
        vm.prank(_hotKey(1));
        orders.placeBid(lease, RATE, 5);
        _resolve(lease);
        _confirm(lease);
    }
}
