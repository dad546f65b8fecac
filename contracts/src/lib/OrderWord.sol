// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {OrderState, Terms} from "./Types.sol";

/// @title  OrderWord: reads and packs an order's two words (layout in Types.sol)
/// @notice Functions on `w0` read the first word, those on `w1` the second.
library OrderWord {
    uint256 private constant STATE = 136;
    uint256 internal constant OCCUPANCY = 192;

    /// @notice An open order's terms: one part of the first word, to be joined with `packMarket` and `packSize`.
    /// @dev The caller has checked that requirements fit 18 bits and flags 6.
    function packTerms(uint256 wallet_, Terms calldata terms) internal pure returns (uint256) {
        return wallet_ | (uint256(terms.token) << 48) | (uint256(terms.duration) << 104)
            | (uint256(OrderState.Open) << STATE) | (uint256(terms.region) << 192)
            | (uint256(terms.requirements) << 208) | (uint256(terms.flags) << 226);
    }

    function packMarket(uint256 closeBlock_, uint256 policy_, uint256 setEra_, uint256 decimals_)
        internal
        pure
        returns (uint256)
    {
        return (closeBlock_ << 64) | (policy_ << 144) | (setEra_ << 160) | (decimals_ << 184);
    }

    function packSize(uint256 units_, uint256 gpus_) internal pure returns (uint256) {
        return (units_ << 232) | (gpus_ << 248);
    }

    function pack1(uint256 maxRate_, uint256 fee_, uint256 payerFee_, uint256 matchFee_)
        internal
        pure
        returns (uint256)
    {
        return maxRate_ | (fee_ << 80) | (payerFee_ << 96) | (matchFee_ << 112);
    }

    function wallet(uint256 w0) internal pure returns (uint256) {
        return w0 & 0xffffffffffff;
    }

    function token(uint256 w0) internal pure returns (uint256) {
        return (w0 >> 48) & 0xffff;
    }

    function closeBlock(uint256 w0) internal pure returns (uint256) {
        return (w0 >> 64) & 0xffffffffff;
    }

    /// @return seconds
    function duration(uint256 w0) internal pure returns (uint256) {
        return (w0 >> 104) & 0xffffffff;
    }

    function state(uint256 w0) internal pure returns (OrderState) {
        return OrderState((w0 >> STATE) & 0xff);
    }

    function withState(uint256 w0, OrderState state_) internal pure returns (uint256) {
        return (w0 & ~(uint256(0xff) << STATE)) | (uint256(state_) << STATE);
    }

    function policy(uint256 w0) internal pure returns (uint256) {
        return (w0 >> 144) & 0xffff;
    }

    /// @return the era whose set of operators may match the order
    function setEra(uint256 w0) internal pure returns (uint256) {
        return (w0 >> 160) & 0xffffff;
    }

    /// @return the payment token's
    function decimals(uint256 w0) internal pure returns (uint256) {
        return (w0 >> 184) & 0xff;
    }

    function region(uint256 w0) internal pure returns (uint256) {
        return (w0 >> 192) & 0xffff;
    }

    /// @return 14 bits of attributes, trust tier in the 4 bits above
    function requirements(uint256 w0) internal pure returns (uint256) {
        return (w0 >> 208) & 0x3ffff;
    }

    function flags(uint256 w0) internal pure returns (uint256) {
        return (w0 >> 226) & 0x3f;
    }

    function units(uint256 w0) internal pure returns (uint256) {
        return (w0 >> 232) & 0xffff;
    }

    function gpus(uint256 w0) internal pure returns (uint256) {
        return w0 >> 248;
    }

    /// @return 1e-18 whole tokens per second
    function maxRate(uint256 w1) internal pure returns (uint256) {
        return w1 & ((1 << 80) - 1);
    }

    /// @return bp of the gross, from the provider
    function fee(uint256 w1) internal pure returns (uint256) {
        return (w1 >> 80) & 0xffff;
    }

    /// @return bp of the gross, on top, from the payer
    function payerFee(uint256 w1) internal pure returns (uint256) {
        return (w1 >> 96) & 0xffff;
    }

    /// @return token units for the keeper that resolves
    function matchFee(uint256 w1) internal pure returns (uint256) {
        return (w1 >> 112) & ((1 << 80) - 1);
    }

    /// @return bit s is set when slot s holds a bid
    function occupancy(uint256 w1) internal pure returns (uint256) {
        return w1 >> OCCUPANCY;
    }
}
