// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Profile} from "./Types.sol";

/// @title  ProfileWord: reads and changes the packed word of a provider (layout in Types.sol)
/// @notice Setters mask their value to the field's width; callers saturate or refuse before they come here.
library ProfileWord {
    uint256 private constant TIER = 32;
    uint256 private constant RATING = 36;
    uint256 private constant SLASHES = 46;
    uint256 private constant STAKE = 54;
    uint256 private constant AVAILABILITY = 78;
    uint256 private constant REGION = 86;
    uint256 private constant ATTRIBUTES = 102;
    uint256 private constant FREE_UNITS = 126;
    uint256 private constant TOTAL_UNITS = 150;
    uint256 private constant FREE_GPUS = 174;
    uint256 private constant TOKENS = 186;
    uint256 private constant FLAGS = 234;

    function id(Profile p) internal pure returns (uint256) {
        return Profile.unwrap(p) & 0xffffffff;
    }

    /// @return 1 (best) to 7
    function trustTier(Profile p) internal pure returns (uint256) {
        return (Profile.unwrap(p) >> TIER) & 0xf;
    }

    /// @return 0 unrated, else average × 100 + 1
    function rating(Profile p) internal pure returns (uint256) {
        return (Profile.unwrap(p) >> RATING) & 0x3ff;
    }

    function slashes(Profile p) internal pure returns (uint256) {
        return (Profile.unwrap(p) >> SLASHES) & 0xff;
    }

    /// @return whole SPON
    function stake(Profile p) internal pure returns (uint256) {
        return (Profile.unwrap(p) >> STAKE) & 0xffffff;
    }

    /// @return 0 to 255, of 255
    function availability(Profile p) internal pure returns (uint256) {
        return (Profile.unwrap(p) >> AVAILABILITY) & 0xff;
    }

    function region(Profile p) internal pure returns (uint256) {
        return (Profile.unwrap(p) >> REGION) & 0xffff;
    }

    function attributes(Profile p) internal pure returns (uint256) {
        return (Profile.unwrap(p) >> ATTRIBUTES) & 0xffffff;
    }

    function freeUnits(Profile p) internal pure returns (uint256) {
        return (Profile.unwrap(p) >> FREE_UNITS) & 0xffffff;
    }

    function totalUnits(Profile p) internal pure returns (uint256) {
        return (Profile.unwrap(p) >> TOTAL_UNITS) & 0xffffff;
    }

    function freeGpus(Profile p) internal pure returns (uint256) {
        return (Profile.unwrap(p) >> FREE_GPUS) & 0xfff;
    }

    /// @return mask of payment token ids
    function tokens(Profile p) internal pure returns (uint256) {
        return (Profile.unwrap(p) >> TOKENS) & 0xffffffffffff;
    }

    /// @return ProfileFlags
    function flags(Profile p) internal pure returns (uint256) {
        return (Profile.unwrap(p) >> FLAGS) & 0xffff;
    }

    function withId(Profile p, uint256 value) internal pure returns (Profile) {
        return _set(p, 0, 32, value);
    }

    function withTrustTier(Profile p, uint256 value) internal pure returns (Profile) {
        return _set(p, TIER, 4, value);
    }

    function withRating(Profile p, uint256 value) internal pure returns (Profile) {
        return _set(p, RATING, 10, value);
    }

    function withSlashes(Profile p, uint256 value) internal pure returns (Profile) {
        return _set(p, SLASHES, 8, value);
    }

    function withStake(Profile p, uint256 value) internal pure returns (Profile) {
        return _set(p, STAKE, 24, value);
    }

    function withAvailability(Profile p, uint256 value) internal pure returns (Profile) {
        return _set(p, AVAILABILITY, 8, value);
    }

    function withRegion(Profile p, uint256 value) internal pure returns (Profile) {
        return _set(p, REGION, 16, value);
    }

    function withAttributes(Profile p, uint256 value) internal pure returns (Profile) {
        return _set(p, ATTRIBUTES, 24, value);
    }

    function withFreeUnits(Profile p, uint256 value) internal pure returns (Profile) {
        return _set(p, FREE_UNITS, 24, value);
    }

    function withTotalUnits(Profile p, uint256 value) internal pure returns (Profile) {
        return _set(p, TOTAL_UNITS, 24, value);
    }

    function withFreeGpus(Profile p, uint256 value) internal pure returns (Profile) {
        return _set(p, FREE_GPUS, 12, value);
    }

    function withTokens(Profile p, uint256 value) internal pure returns (Profile) {
        return _set(p, TOKENS, 48, value);
    }

    function withFlags(Profile p, uint256 value) internal pure returns (Profile) {
        return _set(p, FLAGS, 16, value);
    }

    function _set(Profile p, uint256 offset, uint256 width, uint256 value) private pure returns (Profile) {
        uint256 mask = (1 << width) - 1;
        return Profile.wrap((Profile.unwrap(p) & ~(mask << offset)) | ((value & mask) << offset));
    }
}
