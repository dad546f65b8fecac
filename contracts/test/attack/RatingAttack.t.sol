// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Quote} from "../../src/interfaces/ILeaseBook.sol";
import {IProviderRegistry, ProviderRecord} from "../../src/interfaces/IProviderRegistry.sol";
import {IRatings} from "../../src/interfaces/IRatings.sol";
import {LeaseWord} from "../../src/lib/LeaseWord.sol";
import {ProfileWord} from "../../src/lib/ProfileWord.sol";
import {Profile, Spec} from "../../src/lib/Types.sol";
import {Ratings} from "../../src/market/Ratings.sol";
import {Built} from "../Built.sol";
import {MarketBase} from "../market/MarketBase.sol";

/// @title  RatingAttack: a provider that rents from itself cannot buy stars for less than the minimum (SP-9)
contract RatingAttack is MarketBase {
    using LeaseWord for uint256;
    using ProfileWord for Profile;

    Ratings private ratings;

    function setUp() public override {
        super.setUp();
        // This contract stands in the registry for Ratings and passes its calls on.
        ratings = Ratings(
            Built.make("Ratings", abi.encode(escrow, leases, tokens, IProviderRegistry(address(this)), 1 hours, 100))
        );
    }

    function setRating(uint256 provider, uint256 rating) external {
        require(msg.sender == address(ratings));
        registry.setRating(provider, rating);
    }

    function test_honestRating() public {
        uint256 lease = _active();
        vm.warp(vm.getBlockTimestamp() + 2 hours);
        _tooShort(lease, 0); // accrued, but not settled
        leases.settle(lease);
        vm.prank(tenant);
        ratings.rate(lease, 5);
        assertEq(registry.profile(1).rating(), 501);
    }

    function test_ratingAfterTheEnd() public {
        uint256 lease = _active();
        vm.warp(vm.getBlockTimestamp() + 90 minutes);
        vm.prank(tenant);
        leases.close(lease);
        vm.warp(vm.getBlockTimestamp() + 1 hours);
        leases.settle(lease);
        assertEq(leases.paidSeconds(lease), 90 minutes);
        vm.prank(tenant);
        ratings.rate(lease, 0);
        assertEq(registry.profile(1).rating(), 1);
    }

    /// Paused from its first second on: time goes by, nothing is paid.
    function test_pausedTimeDoesNotCount() public {
        uint256 lease = _active();
        _pause(lease, vm.getBlockTimestamp());
        vm.warp(vm.getBlockTimestamp() + 5 hours);
        _resume(lease);
        vm.warp(vm.getBlockTimestamp() + 90 minutes);
        leases.settle(lease);
        _tooShort(lease, 30 minutes);
        vm.warp(vm.getBlockTimestamp() + 30 minutes);
        leases.settle(lease);
        vm.prank(tenant);
        ratings.rate(lease, 5);
    }

    /// What the arbiter gave back does not count, whether it is skipped yet or not.
    function test_refundedTimeDoesNotCount() public {
        uint256 lease = _active();
        vm.warp(vm.getBlockTimestamp() + 2 hours);
        leases.settle(lease); // one hour
        assertEq(leases.paidSeconds(lease), 1 hours);
        vm.prank(arbiter);
        leases.refund(lease, 30 minutes);
        assertEq(leases.paidSeconds(lease), 1 hours);
        vm.warp(vm.getBlockTimestamp() + 10 minutes);
        leases.settle(lease); // skipped
        assertEq(leases.paidSeconds(lease), 1 hours);
        vm.warp(vm.getBlockTimestamp() + 30 minutes);
        leases.settle(lease);
        assertEq(leases.paidSeconds(lease), 70 minutes);
    }

    /// An hour at next to nothing, then a high rate for a moment: only what the high rate paid for counts.
    function test_rateRaisedJustBefore() public {
        (address hot, uint256 key) = makeAddrAndKey("hot 1");
        assertEq(hot, _hotKey(1));
        uint256 lease = _pending();
        _confirm(lease);
        vm.warp(vm.getBlockTimestamp() + 3 hours);
        Spec memory spec = _spec();
        Quote memory quote = Quote({
            lease: lease,
            version: 0,
            oldRate: RATE,
            specHash: keccak256(abi.encode(spec)),
            rate: 1e18,
            expiry: uint40(vm.getBlockTimestamp())
        });
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, leases.quoteHash(quote));
        vm.startPrank(tenant);
        escrow.deposit(wallet, DOLLAR, 90_000e6);
        leases.update(quote, spec, abi.encodePacked(r, s, v));
        vm.stopPrank();
        _tooShort(lease, 0);
        vm.warp(vm.getBlockTimestamp() + 2 hours - 1);
        leases.settle(lease);
        _tooShort(lease, 1 hours - 1);
    }

    /// Never confirmed, or closed before it ran.
    function test_leaseThatNeverRan() public {
        uint256 lease = _pending();
        _tooShort(lease, 0);
        vm.warp(vm.getBlockTimestamp() + 30 days);
        leases.expire(lease);
        _tooShort(lease, 0);
        lease = _pendingAgain();
        vm.prank(tenant);
        leases.close(lease);
        _tooShort(lease, 0);
    }

    function test_walletSoldBeforeRating() public {
        uint256 lease = _active();
        vm.warp(vm.getBlockTimestamp() + 2 hours);
        leases.settle(lease);
        vm.prank(tenant);
        escrow.transferWallet(wallet, stranger);
        vm.expectRevert(abi.encodeWithSelector(IRatings.Ratings_NotTenant.selector, lease, tenant));
        vm.prank(tenant);
        ratings.rate(lease, 5);
        vm.prank(stranger);
        ratings.rate(lease, 5);
    }

    function _pendingAgain() private returns (uint256 lease) {
        _provider(2);
        lease = _create();
        _bid(2, lease, RATE);
        _resolve(lease);
    }

    function _pause(uint256 lease, uint256 since) private {
        address hot = _hotKey(1);
        vm.prank(hot);
        leases.pause(lease, since);
    }

    function _resume(uint256 lease) private {
        address hot = _hotKey(1);
        vm.prank(hot);
        leases.resume(lease);
    }

    function _tooShort(uint256 lease, uint256 paid) private {
        vm.expectRevert(abi.encodeWithSelector(IRatings.Ratings_TooShort.selector, lease, paid, 1 hours));
        vm.prank(tenant);
        ratings.rate(lease, 5);
    }
}
