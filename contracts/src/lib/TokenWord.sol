// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title  TokenWord: reads and packs the word of a payment token (layout in IPaymentTokens)
library TokenWord {
    uint256 internal constant ENABLED = 1;
    uint256 internal constant SPON = 2;
    uint256 internal constant AMOUNT_MAX = type(uint80).max;

    function pack(uint256 flags_, uint256 decimals_, uint256 price_, uint256 matchFee_, uint256 minDeposit_)
        internal
        pure
        returns (uint256)
    {
        return flags_ | (decimals_ << 8) | (price_ << 16) | (matchFee_ << 96) | (minDeposit_ << 176);
    }

    function flags(uint256 w) internal pure returns (uint256) {
        return w & 0xff;
    }

    function isEnabled(uint256 w) internal pure returns (bool) {
        return w & ENABLED != 0;
    }

    /// @return true for the network's own token: no payer's and receiver's fee
    function isSpon(uint256 w) internal pure returns (bool) {
        return w & SPON != 0;
    }

    function decimals(uint256 w) internal pure returns (uint256) {
        return (w >> 8) & 0xff;
    }

    /// @return 1e-8 dollars per whole token
    function price(uint256 w) internal pure returns (uint256) {
        return (w >> 16) & AMOUNT_MAX;
    }

    /// @return token units
    function matchFee(uint256 w) internal pure returns (uint256) {
        return (w >> 96) & AMOUNT_MAX;
    }

    /// @return token units
    function minDeposit(uint256 w) internal pure returns (uint256) {
        return w >> 176;
    }

    /// @return cents of dollars that `amount` token units are worth, rounded down
    function toCents(uint256 w, uint256 amount) internal pure returns (uint256) {
        // A price is in 1e-8 dollars: a million of them make a cent.
        return amount * price(w) / (10 ** decimals(w) * 1e6);
    }

    /// @return token units that `cents` of dollars are worth, rounded up
    function fromCents(uint256 w, uint256 cents) internal pure returns (uint256) {
        uint256 p = price(w);
        return (cents * 1e6 * 10 ** decimals(w) + p - 1) / p;
    }
}
