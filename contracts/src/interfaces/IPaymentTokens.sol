// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title  PaymentTokens and MarketTerms: what an order's terms are made of (SP-18, SP-24, SP-25)
/// @notice Governed. Orders snapshot what they read here, so a change never touches money that is already reserved.
///         Token word: flags 8 (1 enabled, 2 SPON: no payer and receiver fee) | decimals 8 | price 80 (1e-8 dollars per
///         whole token) | matchFee 80 | minDeposit 80 (both in the token's smallest unit).
///         Terms word: commission 16 | payerFee 16 | receiverFee 16 | tier1Rebate 16 (all bp) | policy 16 | bidBlocks 8 |
///         bracket 32 (cents per step) | matchFee 32 (cents) | minDeposit 32 (cents) | missPenalty 32 (cents).
interface IPaymentTokens {
    event TokenEnabled(uint256 indexed token, address indexed asset, uint8 decimals);
    event TokenDisabled(uint256 indexed token);
    event PriceSet(uint256 indexed token, uint256 price);
    event TermsSet(uint256 terms);

    error PaymentTokens_AlreadyEnabled(address asset);
    error PaymentTokens_Unknown(uint256 token);
    error PaymentTokens_TooManyTokens();
    error PaymentTokens_TooManyDecimals(address asset, uint8 decimals);
    /// A price may move by at most a factor of two a day.
    error PaymentTokens_PriceStep(uint256 token, uint256 price, uint256 low, uint256 high);
    error MarketTerms_OutOfBounds(string what, uint256 value);

    /// @notice Governance. Ids count from 0; 0 is SPON; at most 48. A token that was listed before keeps its id and the
    ///         bound on its price.
    function enableToken(address asset, uint256 price) external returns (uint256 token);
    function disableToken(uint256 token) external;
    function setPrice(uint256 token, uint256 price) external;
    function setTerms(uint256 terms) external;

    function assetOf(uint256 token) external view returns (address);
    function tokenCount() external view returns (uint256);
    function tokenWord(uint256 token) external view returns (uint256);
    function termsWord() external view returns (uint256);
    /// @notice Both words in one call: what OrderBook needs for an order.
    function quote(uint256 token) external view returns (uint256 tokenWord_, uint256 termsWord_);
    /// @notice `cents` of dollars in units of `token`, rounded up.
    function unitsFor(uint256 token, uint256 cents) external view returns (uint256);
}
