// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IMatchPolicy} from "../interfaces/IMatching.sol";
import {IPaymentTokens} from "../interfaces/IPaymentTokens.sol";
import {TermsWord} from "../lib/TermsWord.sol";
import {TokenWord} from "../lib/TokenWord.sol";

/// @title  MarketTerms: fees, bid window, bracket and penalties of new orders, within fixed bounds (SP-24, SP-25)
/// @notice The bounds are code, so that no vote can take a tenant's reserve or stop the market by a bad number.
abstract contract MarketTerms {
    uint256 internal constant MAX_COMMISSION = 5000; // bp
    uint256 internal constant MAX_SIDE_FEE = 1000; // bp
    uint256 internal constant MAX_BID_BLOCKS = 64; // well within the history of block hashes
    uint256 internal constant MAX_MATCH_FEE = 10_000; // cents: what a match may cost where gas is dearest
    uint256 internal constant MAX_CENTS = 1_000_000; // 10,000 dollars

    /// @notice A version of it must exist before terms may name it.
    IMatchPolicy public immutable policies;

    uint256 internal _terms;

    constructor(IMatchPolicy policies_) {
        policies = policies_;
    }

    function _setTermsWord(uint256 terms) internal {
        _atMost("commission", TermsWord.commission(terms), MAX_COMMISSION);
        _atMost("payerFee", TermsWord.payerFee(terms), MAX_SIDE_FEE);
        _atMost("receiverFee", TermsWord.receiverFee(terms), MAX_SIDE_FEE);
        _atMost("tier1Rebate", TermsWord.tier1Rebate(terms), 10_000);
        _atMost("bidBlocks", TermsWord.bidBlocks(terms), MAX_BID_BLOCKS);
        if (TermsWord.bidBlocks(terms) == 0) revert IPaymentTokens.MarketTerms_OutOfBounds("bidBlocks", 0);
        _atMost("bracket", TermsWord.bracket(terms), MAX_CENTS);
        _atMost("matchFee", TermsWord.matchFee(terms), MAX_MATCH_FEE);
        _atMost("minDeposit", TermsWord.minDeposit(terms), MAX_CENTS);
        _atMost("missPenalty", TermsWord.missPenalty(terms), MAX_CENTS);
        if (terms >> 216 != 0) revert IPaymentTokens.MarketTerms_OutOfBounds("spare", terms >> 216);
        policies.weightsOf(TermsWord.policy(terms)); // reverts when there is no such version
        _terms = terms;
        emit IPaymentTokens.TermsSet(terms);
    }

    /// @return matchFee token units
    /// @return minDeposit token units
    function _feesIn(uint256 tokenWord_) internal view returns (uint256 matchFee, uint256 minDeposit) {
        matchFee = TokenWord.fromCents(tokenWord_, TermsWord.matchFee(_terms));
        minDeposit = TokenWord.fromCents(tokenWord_, TermsWord.minDeposit(_terms));
        _atMost("matchFee", matchFee, TokenWord.AMOUNT_MAX);
        _atMost("minDeposit", minDeposit, TokenWord.AMOUNT_MAX);
    }

    function _atMost(string memory what, uint256 value, uint256 limit) private pure {
        if (value > limit) revert IPaymentTokens.MarketTerms_OutOfBounds(what, value);
    }
}
