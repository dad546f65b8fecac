// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title  Bill: what seconds cost (SP-19, SP-24)
/// @notice Every amount that moves is a difference of two `lockOf`, so that roundings cancel out over a lease's life and
///         no unit is lost: the parts of a bill always sum to what was locked for it.
library Bill {
    uint256 internal constant BP = 10_000;

    /// @param rate 1e-18 whole tokens per second, below 2^80
    /// @param secs below 2^40
    /// @param decimals the token's, at most 18
    /// @return token units, rounded down
    function grossOf(uint256 rate, uint256 secs, uint256 decimals) internal pure returns (uint256) {
        unchecked {
            return rate * secs / 10 ** (18 - decimals);
        }
    }

    /// @notice Gross and the payer's fee on it: what is locked for `secs` seconds.
    /// @param payerFee bp
    function lockOf(uint256 rate, uint256 secs, uint256 decimals, uint256 payerFee) internal pure returns (uint256) {
        unchecked {
            uint256 gross = grossOf(rate, secs, decimals);
            return gross + gross * payerFee / BP;
        }
    }

    /// @notice The parts of a bill that takes the payable seconds from `before` down to `left`.
    /// @return gross token units
    /// @return payersFee token units; both together are lockOf(before) − lockOf(left)
    function between(uint256 rate, uint256 before, uint256 left, uint256 decimals, uint256 payerFee)
        internal
        pure
        returns (uint256 gross, uint256 payersFee)
    {
        unchecked {
            uint256 unit = 10 ** (18 - decimals);
            uint256 from = rate * before / unit;
            uint256 to = rate * left / unit;
            gross = from - to;
            payersFee = from * payerFee / BP - to * payerFee / BP;
        }
    }
}
