// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {CloseReason, LeaseState} from "./Types.sol";

/// @title  LeaseWord: reads and changes a lease's two words (layout in Types.sol)
/// @notice Functions on `w0` read the first word, those on `w1` the second. The first changes only with the terms, the
///         second with everything that happens, so that confirming, billing, pausing and closing write one slot.
library LeaseWord {
    uint256 private constant DURATION = 176;
    uint256 private constant UNITS = 208;
    uint256 private constant VERSION = 240;

    uint256 private constant END = 80;
    uint256 private constant SETTLED = 120;
    uint256 private constant STOPPED = 160;
    uint256 private constant UNBILLED = 200;
    uint256 private constant STATE = 224;
    uint256 private constant REASON = 232;
    uint256 private constant PAUSED_BY = 240;

    uint256 private constant TIME = 0xffffffffff;
    uint256 private constant RATE = (1 << 80) - 1;

    uint256 internal constant BY_PROVIDER = 1;
    uint256 internal constant BY_ARBITER = 2;

    /// @notice Who and in which token: one part of the first word, to be joined with `packTerms` and `packSize`.
    function packParties(uint256 wallet_, uint256 token_, uint256 provider_, uint256 fizz_)
        internal
        pure
        returns (uint256)
    {
        return wallet_ | (token_ << 48) | (provider_ << 64) | (fizz_ << 96);
    }

    function packTerms(uint256 fee_, uint256 payerFee_, uint256 fizzShare_, uint256 duration_)
        internal
        pure
        returns (uint256)
    {
        return (fee_ << 128) | (payerFee_ << 144) | (fizzShare_ << 160) | (duration_ << DURATION);
    }

    function packSize(uint256 units_, uint256 gpus_, uint256 decimals_) internal pure returns (uint256) {
        return (units_ << UNITS) | (gpus_ << 224) | (decimals_ << 232);
    }

    function wallet(uint256 w0) internal pure returns (uint256) {
        return w0 & 0xffffffffffff;
    }

    function token(uint256 w0) internal pure returns (uint256) {
        return (w0 >> 48) & 0xffff;
    }

    function provider(uint256 w0) internal pure returns (uint256) {
        return (w0 >> 64) & 0xffffffff;
    }

    function fizz(uint256 w0) internal pure returns (uint256) {
        return (w0 >> 96) & 0xffffffff;
    }

    /// @return bp of the gross, from the provider
    function fee(uint256 w0) internal pure returns (uint256) {
        return (w0 >> 128) & 0xffff;
    }

    /// @return bp of the gross, on top, from the payer
    function payerFee(uint256 w0) internal pure returns (uint256) {
        return (w0 >> 144) & 0xffff;
    }

    /// @return bp of the net that the light node's payee earns
    function fizzShare(uint256 w0) internal pure returns (uint256) {
        return (w0 >> 160) & 0xffff;
    }

    /// @return seconds from the confirmation to `end`
    function duration(uint256 w0) internal pure returns (uint256) {
        return (w0 >> DURATION) & 0xffffffff;
    }

    /// @return taken from the provider's capacity
    function units(uint256 w0) internal pure returns (uint256) {
        return (w0 >> UNITS) & 0xffff;
    }

    function gpus(uint256 w0) internal pure returns (uint256) {
        return (w0 >> 224) & 0xff;
    }

    /// @return the payment token's
    function decimals(uint256 w0) internal pure returns (uint256) {
        return (w0 >> 232) & 0xff;
    }

    /// @return how often spec or manifest changed
    function version(uint256 w0) internal pure returns (uint256) {
        return w0 >> VERSION;
    }

    function withDuration(uint256 w0, uint256 duration_) internal pure returns (uint256) {
        return (w0 & ~(uint256(0xffffffff) << DURATION)) | (duration_ << DURATION);
    }

    function withUnits(uint256 w0, uint256 units_, uint256 gpus_) internal pure returns (uint256) {
        return (w0 & ~(uint256(0xffffff) << UNITS)) | (units_ << UNITS) | (gpus_ << 224);
    }

    /// @notice One more change of spec or manifest; counts on from 0 after 65,535.
    function nextVersion(uint256 w0) internal pure returns (uint256) {
        unchecked {
            return w0 + (1 << VERSION);
        }
    }

    /// @notice The second word of a lease that waits for its confirmation until `confirmBy`.
    function pending(uint256 rate_, uint256 confirmBy) internal pure returns (uint256) {
        return rate_ | (confirmBy << END) | (uint256(LeaseState.Pending) << STATE);
    }

    /// @return 1e-18 whole tokens per second
    function rate(uint256 w1) internal pure returns (uint256) {
        return w1 & RATE;
    }

    /// @return unix seconds; the last moment to confirm while pending
    function end(uint256 w1) internal pure returns (uint256) {
        return (w1 >> END) & TIME;
    }

    /// @return unix seconds; 0 while pending
    function settledTo(uint256 w1) internal pure returns (uint256) {
        return (w1 >> SETTLED) & TIME;
    }

    /// @return unix seconds since when a paused or closed lease costs nothing; else 0
    function stoppedAt(uint256 w1) internal pure returns (uint256) {
        return (w1 >> STOPPED) & TIME;
    }

    /// @return seconds after `settledTo` that were given back and are not paid for
    function unbilled(uint256 w1) internal pure returns (uint256) {
        return (w1 >> UNBILLED) & 0xffffff;
    }

    function state(uint256 w1) internal pure returns (LeaseState) {
        return LeaseState((w1 >> STATE) & 0xff);
    }

    function isIn(uint256 w1, LeaseState state_) internal pure returns (bool) {
        return (w1 >> STATE) & 0xff == uint256(state_);
    }

    function reason(uint256 w1) internal pure returns (CloseReason) {
        return CloseReason((w1 >> REASON) & 0xff);
    }

    /// @return BY_PROVIDER, BY_ARBITER, or 0 when not paused
    function pausedBy(uint256 w1) internal pure returns (uint256) {
        return (w1 >> PAUSED_BY) & 0xff;
    }

    function withRate(uint256 w1, uint256 rate_) internal pure returns (uint256) {
        return (w1 & ~RATE) | rate_;
    }

    function withEnd(uint256 w1, uint256 end_) internal pure returns (uint256) {
        return (w1 & ~(TIME << END)) | (end_ << END);
    }

    function withUnbilled(uint256 w1, uint256 unbilled_) internal pure returns (uint256) {
        return (w1 & ~(uint256(0xffffff) << UNBILLED)) | (unbilled_ << UNBILLED);
    }

    function withSettled(uint256 w1, uint256 settledTo_, uint256 unbilled_) internal pure returns (uint256) {
        return withUnbilled((w1 & ~(TIME << SETTLED)) | (settledTo_ << SETTLED), unbilled_);
    }

    /// @notice Billed, not stopped.
    function active(uint256 w1) internal pure returns (uint256) {
        return _with(w1, LeaseState.Active, 0, CloseReason.None, 0);
    }

    function paused(uint256 w1, uint256 since, uint256 by) internal pure returns (uint256) {
        return _with(w1, LeaseState.Paused, since, CloseReason.None, by);
    }

    function closed(uint256 w1, uint256 since, CloseReason reason_) internal pure returns (uint256) {
        return _with(w1, LeaseState.Closed, since, reason_, 0);
    }

    function _with(uint256 w1, LeaseState state_, uint256 stoppedAt_, CloseReason reason_, uint256 by)
        private
        pure
        returns (uint256)
    {
        w1 &= ~((TIME << STOPPED) | (uint256(0xffffffff) << STATE));
        return
            w1 | (stoppedAt_ << STOPPED) | (uint256(state_) << STATE) | (uint256(reason_) << REASON) | (by << PAUSED_BY);
    }
}
