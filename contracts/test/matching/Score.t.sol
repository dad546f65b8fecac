// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Test} from "forge-std/Test.sol";

import {BidWord} from "../../src/lib/BidWord.sol";
import {ProfileWord} from "../../src/lib/ProfileWord.sol";
import {Bid, Profile} from "../../src/lib/Types.sol";
import {Score} from "../../src/matching/Score.sol";

/// @title  Score: each component by hand, then the sum (SP-12)
contract ScoreTest is Test {
    using BidWord for Bid;
    using ProfileWord for Profile;

    uint256 internal constant EQUAL = 1250 | (1250 << 16) | (1250 << 32) | (1250 << 48) | (1250 << 64) | (1250 << 80)
        | (2000 << 96) | (500 << 112) | (1000 << 128);

    function test_price() public pure {
        assertEq(Score.priceOf(0, 1e18), 10_000);
        assertEq(Score.priceOf(0.5e18, 1e18), 5000);
        assertEq(Score.priceOf(1, 3), 10_000 - 3333); // the quotient is rounded down
        assertEq(Score.priceOf(1e18, 1e18), 0);
        assertEq(Score.priceOf(2e18, 1e18), 0);
        assertEq(Score.priceOf(0, 0), 0);
    }

    function test_region() public pure {
        assertEq(Score.regionOf(0, 0x0203), 10_000);
        assertEq(Score.regionOf(0x0007, 0x0203), 10_000); // a zone without an area means nothing
        assertEq(Score.regionOf(0x0203, 0x0203), 10_000);
        assertEq(Score.regionOf(0x0200, 0x0203), 10_000);
        assertEq(Score.regionOf(0x0204, 0x0203), 5000);
        assertEq(Score.regionOf(0x0303, 0x0203), 0);
    }

    function test_rating() public pure {
        assertEq(Score.ratingOf(0), 6000); // unrated counts as 3.0
        assertEq(Score.ratingOf(1), 0);
        assertEq(Score.ratingOf(301), 6000);
        assertEq(Score.ratingOf(501), 10_000);
        assertEq(Score.ratingOf(1023), 10_000);
    }

    function test_tier() public pure {
        uint16[8] memory expected = [0, 10_000, 8333, 6666, 5000, 3333, 1666, 0];
        for (uint256 tier; tier < 8; ++tier) {
            assertEq(Score.tierOf(tier), expected[tier]);
            if (tier != 0) assertEq(Score.tierOf(tier), (7 - tier) * 10_000 / 6);
        }
        for (uint256 tier = 8; tier < 16; ++tier) {
            assertEq(Score.tierOf(tier), 0);
        }
    }

    function test_stake() public pure {
        assertEq(Score.stakeOf(0, 1000), 0);
        assertEq(Score.stakeOf(333, 1000), 3330);
        assertEq(Score.stakeOf(1000, 1000), 10_000);
        assertEq(Score.stakeOf(5000, 1000), 10_000);
        assertEq(Score.stakeOf(5000, 0), 0);
    }

    function test_staticScore_addsUp() public pure {
        Profile p = Profile.wrap(0).withId(7).withTrustTier(3).withRating(401).withSlashes(1).withStake(500)
            .withAvailability(51).withRegion(0x0204);
        Bid bid = BidWord.pack(p, 0, 0.25e18);
        uint256 expected = 1250 * 7500 // price
            + 1250 * 5000 // region: another zone
            + 1250 * 8000 // rating 4.0
            + 1250 * 2000 // 51 of 255 free
            + 1250 * 5000 // slashed once
            + 1250 * 6666 // tier 3
            + 2000 * 5000; // half the cap
        assertEq(Score.staticScore(EQUAL, 1e18, 0x0203, bid), expected);
    }

    function test_ticket() public pure {
        assertEq(Score.ticketOf("seed", 7), uint256(keccak256(abi.encode(bytes32("seed"), uint256(7)))));
        assertEq(Score.randomScore(EQUAL, 10_000), 500 * 10_000);
        assertEq(Score.randomScore(EQUAL, 10_001), 0);
    }

    /// Nothing stored can make a score leave its range.
    function testFuzz_bounded(Bid bid, uint80 maxRate, uint16 region, bytes32 seed) public pure {
        uint256 s = Score.staticScore(EQUAL, maxRate, region, bid);
        s += Score.randomScore(EQUAL, Score.ticketOf(seed, bid.provider()));
        assertLe(s, 100_000_000);
    }

    /// Cheaper is never worse.
    function testFuzz_cheaperIsNotWorse(uint80 a, uint80 b, uint80 maxRate) public pure {
        vm.assume(maxRate != 0);
        (uint256 low, uint256 high) = a < b ? (a, b) : (b, a);
        assertGe(Score.priceOf(low, maxRate), Score.priceOf(high, maxRate));
    }

    function testFuzz_bidCarriesTheProfile(Profile p, uint32 fizz, uint80 rate) public pure {
        Bid bid = BidWord.pack(p, fizz, rate);
        assertEq(bid.provider(), p.id());
        assertEq(bid.trustTier(), p.trustTier());
        assertEq(bid.fizz(), fizz);
        assertEq(bid.rate(), rate);
        assertEq(bid.profile().attributes(), p.attributes());
        assertEq(bid.profile().stake(), p.stake());
        assertEq(bid.profile().freeUnits(), 0);
    }
}
