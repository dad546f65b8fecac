// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title  Bill: what seconds cost (SP-19, SP-24)
/// @notice Every amount that moves, and every share of it, is a difference of two amounts rounded down, so that roundings
///         cancel out over a lease's life: the parts of a bill sum to what was locked for it, and it makes no difference
///         to anybody how often somebody settles.
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

    /// @notice The grosses of `before` and of `left` payable seconds: a bill that takes the one down to the other lies between.
    function between(uint256 rate, uint256 before, uint256 left, uint256 decimals)
        internal
        pure
        returns (uint256 from, uint256 to)
    {
        unchecked {
            uint256 unit = 10 ** (18 - decimals);
            from = rate * before / unit;
            to = rate * left / unit;
        }
    }

    /// @notice `bp` of what lies between, as a difference too: whoever cuts a bill in pieces moves no unit by it.
    /// @return at most `from` − `to`
    function part(uint256 from, uint256 to, uint256 bp) internal pure returns (uint256) {
        unchecked {
            return from * bp / BP - to * bp / BP;
        }
    }
}
