// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Bid, Profile} from "./Types.sol";

/// @title  BidWord: reads and packs the word of a bid (layout in Types.sol)
/// @notice Its low 126 bits are the bidder's profile at the time of the bid, so that a score needs no other storage.
library BidWord {
    uint256 private constant PROFILE_MASK = (1 << 126) - 1;

    function pack(Profile profile_, uint256 fizz_, uint256 rate_) internal pure returns (Bid) {
        return Bid.wrap((Profile.unwrap(profile_) & PROFILE_MASK) | (fizz_ << 126) | (rate_ << 158));
    }

    /// @notice The profile fields that a bid carries, as a profile word with the rest zero.
    function profile(Bid b) internal pure returns (Profile) {
        return Profile.wrap(Bid.unwrap(b) & PROFILE_MASK);
    }

    function provider(Bid b) internal pure returns (uint256) {
        return Bid.unwrap(b) & 0xffffffff;
    }

    function trustTier(Bid b) internal pure returns (uint256) {
        return (Bid.unwrap(b) >> 32) & 0xf;
    }

    /// @return light node of the gateway that bids, 0 for the provider's own machines
    function fizz(Bid b) internal pure returns (uint256) {
        return (Bid.unwrap(b) >> 126) & 0xffffffff;
    }

    /// @return 1e-18 whole tokens per second
    function rate(Bid b) internal pure returns (uint256) {
        return (Bid.unwrap(b) >> 158) & ((1 << 80) - 1);
    }
}
