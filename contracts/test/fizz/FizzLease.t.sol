// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IOrderBook} from "../../src/interfaces/IOrderBook.sol";
import {LeaseWord} from "../../src/lib/LeaseWord.sol";
import {ProfileWord} from "../../src/lib/ProfileWord.sol";
import {Profile, ProfileFlags} from "../../src/lib/Types.sol";
import {FizzBase} from "./FizzBase.sol";

/// @title  FizzLease: light nodes on the market: whom a bid may name, what a lease pays, and what the subnet shares (SP-37)
contract FizzLeaseTest is FizzBase {
    using LeaseWord for uint256;
    using ProfileWord for Profile;

    // ---------------------------------------------------------------- bids

    function test_bid_forAnActiveNode() public {
        uint256 fizz = _active(alice, GATEWAY);
        uint256 order = _bidFor(GATEWAY, fizz);
        assertEq(orders.bidsOf(order).length, 1);
    }

    function test_bid_forNoOther() public {
        _refused(GATEWAY, 1, "no light node of this provider");
        uint256 fizz = _propose(alice, GATEWAY);
        _refused(GATEWAY, fizz, "light node: not accepted yet");
        vm.prank(_hotKey(GATEWAY));
        fizzes.accept(fizz);
        _refused(GATEWAY, fizz, "light node: its owner's delegation is too small");
        _delegate(alice, GATEWAY, DELEGATION);
        _refused(OTHER, fizz, "no light node of this provider");
        _bidFor(GATEWAY, fizz);
        vm.prank(address(votes));
        fizzes.setExpelled(GATEWAY, alice, true);
        _refused(GATEWAY, fizz, "light node: expelled");
        vm.prank(alice);
        fizzes.exit(fizz);
        _refused(GATEWAY, fizz, "light node: has left");
    }

    // ---------------------------------------------------------------- pay

    function test_lease_paysTheNode() public {
        uint256 lease = _lease(_active(alice, GATEWAY));
        assertEq(_w0(lease).fizzShare(), SHARE);
        assertEq(leases.payeeOf(lease), till);
        skip(2 * DURATION);
        leases.settle(lease);
        uint256 all = _gross(RATE, DURATION) * 7800 / 10_000;
        assertEq(_net(uint160(till)), all * SHARE / 10_000);
        assertEq(_net(GATEWAY), all - all * SHARE / 10_000);
        escrow.cashOut(uint160(till), DOLLAR);
        assertEq(dollar.balanceOf(till), all * SHARE / 10_000);
    }

    /// A running lease pays whom and what it paid at its start, whatever is decided since.
    function test_lease_keepsItsShare() public {
        uint256 fizz = _active(alice, GATEWAY);
        _nextEra();
        uint256 lease = _lease(fizz);
        _decideTerms(GATEWAY, _subnetTerms(1, DELEGATION));
        vm.startPrank(alice);
        fizzes.setPayout(fizz, bob);
        fizzes.lowerMinShare(fizz, 0);
        fizzes.exit(fizz);
        vm.stopPrank();
        _nextEra();
        _expel(GATEWAY, alice);
        _unstakeAll(alice, GATEWAY);
        assertEq(_w0(lease).fizzShare(), SHARE);
        leases.settle(lease);
        uint256 all = _gross(RATE, DURATION) * 7800 / 10_000;
        assertEq(_net(uint160(till)), all * SHARE / 10_000);
    }

    /// Who is paid and how much is asked when the lease opens; only the owner chooses the first.
    function test_lease_paysWhereTheOwnerSays() public {
        uint256 fizz = _active(alice, GATEWAY);
        vm.prank(alice);
        fizzes.setPayout(fizz, bob);
        assertEq(leases.payeeOf(_lease(fizz)), bob);
    }

    // ---------------------------------------------------------------- what the subnet shares

    /// What a light node does or fails to do stands in its provider's profile: the subnet bids with it from then on.
    function test_subnet_sharesItsRecord() public {
        uint256 fizz = _active(alice, GATEWAY);
        _nextEra();
        staking.sync(GATEWAY);
        assertEq(registry.profile(GATEWAY).stake(), 1100, "delegations of light nodes weigh in its bids");
        uint256 lease = _bidFor(GATEWAY, fizz);
        _resolve(lease);
        skip(CONFIRM_WINDOW + 1);
        leases.expire(lease);
        Profile p = registry.profile(GATEWAY);
        assertEq(p.slashes(), 1);
        assertEq(p.flags() & ProfileFlags.BARRED, ProfileFlags.BARRED);
    }

    /// Rewards enter the pool, so that light nodes earn them by their delegation.
    function test_subnet_sharesItsRewards() public {
        _active(alice, GATEWAY);
        uint256 before = staking.tokensFor(GATEWAY, staking.sharesOf(GATEWAY, alice));
        vm.startPrank(governor);
        spon.approve(address(staking), 110e18);
        staking.addReward(GATEWAY, 110e18);
        vm.stopPrank();
        uint256 gained = staking.tokensFor(GATEWAY, staking.sharesOf(GATEWAY, alice)) - before;
        assertApproxEqAbs(gained, 10e18, 1e16);
    }

    function _lease(uint256 fizz) private returns (uint256 lease) {
        lease = _bidFor(GATEWAY, fizz);
        assertEq(_resolve(lease), GATEWAY);
        _confirmBy(GATEWAY, lease);
    }

    function _refused(uint256 provider, uint256 fizz, string memory why) private {
        uint256 order = _fizzOrder();
        vm.expectRevert(abi.encodeWithSelector(IOrderBook.OrderBook_Ineligible.selector, order, provider, why));
        vm.prank(_hotKey(provider));
        orders.placeBid(order, RATE, uint32(fizz));
    }
}
