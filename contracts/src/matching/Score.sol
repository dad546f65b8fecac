// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {BidWord} from "../lib/BidWord.sol";
import {ProfileWord} from "../lib/ProfileWord.sol";
import {Bid, Profile} from "../lib/Types.sol";

/// @title  Score: how good a bid is for an order, in integers (SP-12); `crates/matching` is its twin
/// @notice score = Σ weight × component over the eight components below, each 0 to 10,000. The weights sum to 10,000, so
///         a score is at most 100,000,000. All divisions round down. Inputs are the weights word (IMatchPolicy), the
///         order's maxRate and region, the bid word and the seed; nothing else.
///
///         price         10,000 − ⌊min(rate, maxRate) × 10,000 ÷ maxRate⌋; 0 when maxRate is 0
///         region        10,000 when the order's area is 0 (any); when the areas are equal, 10,000 if the order's zone is
///                       0 (any) or equal, else 5,000; 0 when the areas differ. Zone is the region's low byte, area its
///                       high byte
///         rating        6,000 when unrated (field 0), else (min(field, 501) − 1) × 20
///         availability  ⌊availability × 10,000 ÷ 255⌋
///         slashes       ⌊10,000 ÷ (1 + slashes)⌋
///         tier          ⌊(7 − tier) × 10,000 ÷ 6⌋ for 1 ≤ tier ≤ 7, else 0
///         stake         ⌊min(stake, stakeCap) × 10,000 ÷ stakeCap⌋; 0 when stakeCap is 0
///         random        ticket mod 10,001, where ticket = uint256(keccak256(abi.encode(bytes32 seed, uint256 provider)))
///
///         The static score leaves `random` out: it decides who holds a bid slot before the seed exists. The highest
///         score wins; of equal scores the one with the higher ticket.
library Score {
    using BidWord for Bid;
    using ProfileWord for Profile;

    uint256 internal constant ONE = 10_000;
    uint256 private constant UNRATED = 6000;
    /// The tier component by tier, 16 bits each.
    uint256 private constant TIERS =
        (ONE << 16) | (8333 << 32) | (6666 << 48) | (5000 << 64) | (3333 << 80) | (1666 << 96);

    /// @notice Everything but the random component.
    function staticScore(uint256 weights, uint256 maxRate, uint256 region, Bid bid) internal pure returns (uint256 s) {
        Profile p = bid.profile();
        unchecked {
            s = _weight(weights, 0) * priceOf(bid.rate(), maxRate);
            s += _weight(weights, 1) * regionOf(region, p.region());
            s += _weight(weights, 2) * ratingOf(p.rating());
            s += _weight(weights, 3) * (p.availability() * ONE / 255);
            s += _weight(weights, 4) * (ONE / (1 + p.slashes()));
            s += _weight(weights, 5) * tierOf(p.trustTier());
            s += _weight(weights, 6) * stakeOf(p.stake(), (weights >> 128) & 0xffffffff);
        }
    }

    /// @notice What a provider drew: decides the random component and breaks ties.
    function ticketOf(bytes32 seed, uint256 provider) internal pure returns (uint256 ticket) {
        // abi.encode(seed, provider) in the scratch space: no memory is allocated per bid.
        assembly ("memory-safe") {
            mstore(0x00, seed)
            mstore(0x20, provider)
            ticket := keccak256(0x00, 0x40)
        }
    }

    /// @notice The random component, weighted.
    function randomScore(uint256 weights, uint256 ticket) internal pure returns (uint256) {
        unchecked {
            return _weight(weights, 7) * (ticket % (ONE + 1));
        }
    }

    function priceOf(uint256 rate, uint256 maxRate) internal pure returns (uint256) {
        if (rate >= maxRate) return 0;
        unchecked {
            return ONE - rate * ONE / maxRate;
        }
    }

    function regionOf(uint256 wanted, uint256 offered) internal pure returns (uint256) {
        if (wanted >> 8 == 0) return ONE;
        if (wanted >> 8 != offered >> 8) return 0;
        return wanted & 0xff == 0 || wanted & 0xff == offered & 0xff ? ONE : ONE / 2;
    }

    function ratingOf(uint256 rating) internal pure returns (uint256) {
        if (rating == 0) return UNRATED;
        unchecked {
            return ((rating > 501 ? 501 : rating) - 1) * 20;
        }
    }

    function tierOf(uint256 tier) internal pure returns (uint256) {
        return (TIERS >> (tier << 4)) & 0xffff;
    }

    function stakeOf(uint256 stake, uint256 cap) internal pure returns (uint256) {
        if (cap == 0) return 0;
        unchecked {
            return (stake > cap ? cap : stake) * ONE / cap;
        }
    }

    function _weight(uint256 weights, uint256 index) private pure returns (uint256) {
        unchecked {
            return (weights >> (index << 4)) & 0xffff;
        }
    }
}
