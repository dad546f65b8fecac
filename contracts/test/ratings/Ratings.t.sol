// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IEscrow} from "../../src/interfaces/IEscrow.sol";
import {ILeaseBook} from "../../src/interfaces/ILeaseBook.sol";
import {IPaymentTokens} from "../../src/interfaces/IPaymentTokens.sol";
import {IProviderRegistry} from "../../src/interfaces/IProviderRegistry.sol";
import {IRatings} from "../../src/interfaces/IRatings.sol";
import {LeaseWord} from "../../src/lib/LeaseWord.sol";
import {TokenWord} from "../../src/lib/TokenWord.sol";
import {CloseReason} from "../../src/lib/Types.sol";
import {Ratings} from "../../src/market/Ratings.sol";
import {Built} from "../Built.sol";
import {Test} from "forge-std/Test.sol";

/// @title  RatingsTest: who may rate what and when, and the average of the last ten, against a plain list
/// @notice Leases are words that the tests make up; contracts/test/attack rates real ones.
contract RatingsTest is Test {
    using LeaseWord for uint256;

    uint256 private constant PROVIDER = 7;
    uint256 private constant DURATION = 10 hours;
    uint256 private constant RATE = 1e18 / uint256(36_000) + 1; // ten cents an hour

    address private books = makeAddr("books");
    address private registry = makeAddr("registry");
    Ratings private ratings;
    uint256 private start;
    uint256[] private history;

    function setUp() public {
        vm.warp(1_800_000_000);
        start = vm.getBlockTimestamp();
        ratings = Ratings(
            Built.make(
                "Ratings",
                abi.encode(
                    IEscrow(books), ILeaseBook(books), IPaymentTokens(books), IProviderRegistry(registry), 1 hours, 10
                )
            )
        );
        uint256 dollar = TokenWord.pack(TokenWord.ENABLED, 6, 1e8, 0, 0);
        vm.mockCall(books, abi.encodeCall(IPaymentTokens.tokenWord, (1)), abi.encode(dollar));
        vm.mockCall(registry, abi.encodePacked(IProviderRegistry.setRating.selector), "");
    }

    function test_rate() public {
        address tenant = _lease(1, 1 hours);
        vm.expectCall(registry, abi.encodeCall(IProviderRegistry.setRating, (PROVIDER, 401)));
        vm.expectEmit(address(ratings));
        emit IRatings.Rated(1, PROVIDER, tenant, 4, 400);
        vm.prank(tenant);
        ratings.rate(1, 4);
        (uint256 average, uint256 count) = ratings.averageOf(PROVIDER);
        assertEq(average, 400);
        assertEq(count, 1);
    }

    function test_zeroStarsIsARating() public {
        address tenant = _lease(1, 1 hours);
        vm.expectCall(registry, abi.encodeCall(IProviderRegistry.setRating, (PROVIDER, 1)));
        vm.prank(tenant);
        ratings.rate(1, 0);
        (, uint256 count) = ratings.averageOf(PROVIDER);
        assertEq(count, 1);
    }

    function test_badStars() public {
        address tenant = _lease(1, 1 hours);
        vm.expectRevert(abi.encodeWithSelector(IRatings.Ratings_BadStars.selector, 6));
        vm.prank(tenant);
        ratings.rate(1, 6);
    }

    function test_onlyTheTenant() public {
        _lease(1, 1 hours);
        vm.expectRevert(abi.encodeWithSelector(IRatings.Ratings_NotTenant.selector, 1, address(this)));
        ratings.rate(1, 5);
        vm.mockCall(books, abi.encodeCall(ILeaseBook.leaseWords, (9)), abi.encode(uint256(0), uint256(0)));
        vm.expectRevert(abi.encodeWithSelector(IRatings.Ratings_NotTenant.selector, 9, address(0)));
        vm.prank(address(0));
        ratings.rate(9, 5);
    }

    function test_onceALease() public {
        address tenant = _lease(1, 1 hours);
        vm.startPrank(tenant);
        ratings.rate(1, 4);
        vm.expectRevert(abi.encodeWithSelector(IRatings.Ratings_AlreadyRated.selector, 1));
        ratings.rate(1, 4);
        vm.stopPrank();
        // Not even by its next owner, nor when the ten have moved on.
        for (uint256 i = 2; i < 13; ++i) {
            vm.prank(_lease(i, 1 hours));
            ratings.rate(i, 1);
        }
        vm.expectRevert(abi.encodeWithSelector(IRatings.Ratings_AlreadyRated.selector, 1));
        vm.prank(tenant);
        ratings.rate(1, 4);
    }

    function test_onlyWhatIsPaidCounts() public {
        address tenant = _lease(1, 1 hours - 1);
        vm.expectRevert(abi.encodeWithSelector(IRatings.Ratings_TooShort.selector, 1, 1 hours - 1, 1 hours));
        vm.prank(tenant);
        ratings.rate(1, 5);
    }

    function test_closedLease() public {
        address tenant = _lease(1, 90 minutes);
        (uint256 w0, uint256 w1) = ILeaseBook(books).leaseWords(1);
        w1 = w1.closed(start + 90 minutes, CloseReason.TenantClosed);
        vm.mockCall(books, abi.encodeCall(ILeaseBook.leaseWords, (1)), abi.encode(w0, w1));
        vm.prank(tenant);
        ratings.rate(1, 5);
    }

    function test_tooSmall() public {
        address tenant = _lease(1, 1 hours);
        (uint256 w0, uint256 w1) = ILeaseBook(books).leaseWords(1);
        w1 = w1.withRate(RATE * 95 / 100);
        vm.mockCall(books, abi.encodeCall(ILeaseBook.leaseWords, (1)), abi.encode(w0, w1));
        vm.expectRevert(abi.encodeWithSelector(IRatings.Ratings_TooSmall.selector, 1, 9, 10));
        vm.prank(tenant);
        ratings.rate(1, 5);
    }

    function test_oneTenantStandsOnceAmongTheTen() public {
        address tenant = _lease(1, 1 hours);
        vm.prank(tenant);
        ratings.rate(1, 5);
        for (uint256 i = 2; i <= 11; ++i) {
            _lease(100 + i, 1 hours);
            vm.mockCall(books, abi.encodeCall(IEscrow.ownerOf, (100 + i)), abi.encode(tenant));
            vm.expectRevert(abi.encodeWithSelector(IRatings.Ratings_RecentRating.selector, PROVIDER, tenant));
            vm.prank(tenant);
            ratings.rate(100 + i, 5);
            vm.prank(_lease(i, 1 hours));
            ratings.rate(i, 5);
        }
        vm.prank(tenant);
        ratings.rate(102, 5);
    }

    /// The two slots hold the same as a list of all ratings would say of its last ten.
    /// forge-config: default.fuzz.runs = 64
    function testFuzz_averageOfTheLastTen(uint8[25] memory stars) public {
        for (uint256 i; i < stars.length; ++i) {
            address tenant = _lease(i + 1, 1 hours);
            uint256 given = stars[i] % 6;
            history.push(given);
            uint256 count = history.length < 10 ? history.length : 10;
            uint256 sum;
            for (uint256 j = history.length - count; j < history.length; ++j) {
                sum += history[j];
            }
            vm.expectCall(registry, abi.encodeCall(IProviderRegistry.setRating, (PROVIDER, sum * 100 / count + 1)));
            vm.prank(tenant);
            ratings.rate(i + 1, given);
            (uint256 average, uint256 of_) = ratings.averageOf(PROVIDER);
            assertEq(average, sum * 100 / count);
            assertEq(of_, count);
        }
    }

    /// @dev An active lease of its own wallet and tenant that paid for `secs`.
    function _lease(uint256 lease, uint256 secs) private returns (address tenant) {
        // Layout of Types.sol: wallet, token, provider, decimals.
        uint256 w0 = lease | (1 << 48) | (PROVIDER << 64) | (6 << 232);
        uint256 w1 = LeaseWord.pending(RATE, start + 60).active().withEnd(start + DURATION).withSettled(start + secs, 0);
        vm.mockCall(books, abi.encodeCall(ILeaseBook.leaseWords, (lease)), abi.encode(w0, w1));
        vm.mockCall(books, abi.encodeCall(ILeaseBook.paidSeconds, (lease)), abi.encode(secs));
        tenant = makeAddr(vm.toString(lease));
        vm.mockCall(books, abi.encodeCall(IEscrow.ownerOf, (lease)), abi.encode(tenant));
    }
}
