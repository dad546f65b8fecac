// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @notice Tokens that shares divide among their holders, in one slot. `nonce` counts total losses: shares of an earlier
///         nonce are worth nothing.
struct SharePool {
    uint112 tokens; // wei
    uint112 shares;
    uint32 nonce;
}

/// @title  SharePools: deposit, redeem and slash in O(1) (after The Graph's Horizon staking)
/// @notice Every division rounds down, that is for those who stay. A share starts at one wei; a slash that leaves less
///         than a millionth of a wei per share is a total loss, so shares never exceed 10^6 × tokens, and with at most
///         10^27 wei of SPON both fit their fields whatever the order of slashes and deposits.
library SharePools {
    using SafeCast for uint256;

    uint256 private constant SHARES_PER_TOKEN = 1e6;

    function deposit(SharePool storage self, uint256 tokens) internal returns (uint256 shares) {
        shares = sharesFor(self, tokens);
        self.tokens += tokens.toUint112();
        self.shares += shares.toUint112();
    }

    function redeem(SharePool storage self, uint256 shares) internal returns (uint256 tokens) {
        tokens = tokensFor(self, shares);
        self.tokens -= tokens.toUint112();
        self.shares -= shares.toUint112();
    }

    /// @param tokens at most what the pool holds
    /// @return taken `tokens`, and the dust with them when what is left counts as a total loss
    function slash(SharePool storage self, uint256 tokens) internal returns (uint256 taken) {
        uint256 left = self.tokens - tokens;
        if (left * SHARES_PER_TOKEN >= self.shares) {
            self.tokens = left.toUint112();
            return tokens;
        }
        taken = self.tokens;
        self.tokens = 0;
        self.shares = 0;
        ++self.nonce;
    }

    function sharesFor(SharePool storage self, uint256 tokens) internal view returns (uint256) {
        return self.shares == 0 ? tokens : Math.mulDiv(tokens, self.shares, self.tokens);
    }

    function tokensFor(SharePool storage self, uint256 shares) internal view returns (uint256) {
        return self.shares == 0 ? 0 : Math.mulDiv(shares, self.tokens, self.shares);
    }
}
