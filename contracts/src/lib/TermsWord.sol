// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title  TermsWord: reads and packs the market's terms (layout in IPaymentTokens)
library TermsWord {
    /// @notice Units as the getters below say.
    struct Fields {
        uint256 commission;
        uint256 payerFee;
        uint256 receiverFee;
        uint256 tier1Rebate;
        uint256 policy;
        uint256 bidBlocks;
        uint256 bracket;
        uint256 matchFee;
        uint256 minDeposit;
        uint256 missPenalty;
    }

    function pack(Fields memory f) internal pure returns (uint256) {
        return f.commission | (f.payerFee << 16) | (f.receiverFee << 32) | (f.tier1Rebate << 48) | (f.policy << 64)
            | (f.bidBlocks << 80) | (f.bracket << 88) | (f.matchFee << 120) | (f.minDeposit << 152)
            | (f.missPenalty << 184);
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
