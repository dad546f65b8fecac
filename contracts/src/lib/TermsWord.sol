// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title  TermsWord: reads and packs the market's terms (layout in IPaymentTokens)
library TermsWord {
    function pack(
        uint256 commission_,
        uint256 payerFee_,
        uint256 receiverFee_,
        uint256 tier1Rebate_,
        uint256 policy_,
        uint256 bidBlocks_,
        uint256 bracket_,
        uint256 matchFee_,
        uint256 minDeposit_,
        uint256 missPenalty_
    ) internal pure returns (uint256) {
        return commission_ | (payerFee_ << 16) | (receiverFee_ << 32) | (tier1Rebate_ << 48) | (policy_ << 64)
            | (bidBlocks_ << 80) | (bracket_ << 88) | (matchFee_ << 120) | (minDeposit_ << 152) | (missPenalty_ << 184);
    }

    /// @return bp of the gross
    function commission(uint256 w) internal pure returns (uint256) {
        return w & 0xffff;
    }

    /// @return bp of the gross, for payers in another token than SPON
    function payerFee(uint256 w) internal pure returns (uint256) {
        return (w >> 16) & 0xffff;
    }

    /// @return bp of the gross, for providers paid in another token than SPON
    function receiverFee(uint256 w) internal pure returns (uint256) {
        return (w >> 32) & 0xffff;
    }

    /// @return bp of the provider's fee that tier 1 is spared
    function tier1Rebate(uint256 w) internal pure returns (uint256) {
        return (w >> 48) & 0xffff;
    }

    /// @return MatchPolicy version of new orders
    function policy(uint256 w) internal pure returns (uint256) {
        return (w >> 64) & 0xffff;
    }

    /// @return blocks after the order's own in which bids count
    function bidBlocks(uint256 w) internal pure returns (uint256) {
        return (w >> 80) & 0xff;
    }

    /// @return cents of deposit per bracket step (SP-25)
    function bracket(uint256 w) internal pure returns (uint256) {
        return (w >> 88) & 0xffffffff;
    }

    /// @return cents for the keeper of a match
    function matchFee(uint256 w) internal pure returns (uint256) {
        return (w >> 120) & 0xffffffff;
    }

    /// @return cents that a wallet must hold before it orders
    function minDeposit(uint256 w) internal pure returns (uint256) {
        return (w >> 152) & 0xffffffff;
    }

    /// @return cents, slashed in SPON, for a missed confirmation or a failed completion
    function missPenalty(uint256 w) internal pure returns (uint256) {
        return (w >> 184) & 0xffffffff;
    }
}
