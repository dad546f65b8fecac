// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";

import {IMatchPolicy} from "../interfaces/IMatching.sol";
import {IPaymentTokens} from "../interfaces/IPaymentTokens.sol";
import {TokenWord} from "../lib/TokenWord.sol";
import {MarketTerms} from "./MarketTerms.sol";

/// @title  PaymentTokens: the tokens that governance enabled, with a governed price each (SP-18)
/// @notice Delisting blocks new deposits and orders only; what is in escrow stays withdrawable. Immutable code.
contract PaymentTokens is IPaymentTokens, MarketTerms, AccessManaged {
    uint256 private constant MAX_TOKENS = 48; // bits of a profile's token mask
    uint256 private constant STEP = 2;
    uint256 private constant STEP_TIME = 1 days;

    /// @notice Where a price stood when its present day of changes began.
    struct Anchor {
        uint80 price;
        uint40 since;
    }

    mapping(uint256 token => uint256 word) private _words;
    mapping(uint256 token => address asset) private _assets;
    mapping(uint256 token => Anchor) private _anchors;
    /// Token id + 1, so that 0 means never listed.
    mapping(address asset => uint256) private _idOf;
    uint256 private _count;

    /// @param spon becomes token 0
    /// @param sponPrice 1e-8 dollars per whole SPON
    constructor(address authority, IMatchPolicy policies, address spon, uint256 sponPrice, uint256 terms)
        MarketTerms(policies)
        AccessManaged(authority)
    {
        _setTermsWord(terms);
        _list(spon, sponPrice, TokenWord.ENABLED | TokenWord.SPON);
    }

    /// @inheritdoc IPaymentTokens
    function enableToken(address asset, uint256 price) external restricted returns (uint256 token) {
        uint256 id = _idOf[asset];
        if (id == 0) return _list(asset, price, TokenWord.ENABLED);
        token = id - 1;
        uint256 word = _words[token];
        if (TokenWord.isEnabled(word)) revert PaymentTokens_AlreadyEnabled(asset);
        uint256 decimals = TokenWord.decimals(word);
        _step(token, word, price);
        _store(token, TokenWord.flags(word) | TokenWord.ENABLED, decimals, price);
        // At most 18, checked when it was listed.
        // forge-lint: disable-next-line(unsafe-typecast)
        emit TokenEnabled(token, asset, uint8(decimals));
    }

    /// @inheritdoc IPaymentTokens
    function disableToken(uint256 token) external restricted {
        _words[token] = _known(token) & ~TokenWord.ENABLED;
        emit TokenDisabled(token);
    }

    /// @inheritdoc IPaymentTokens
    function setPrice(uint256 token, uint256 price) external restricted {
        uint256 word = _known(token);
        _step(token, word, price);
        _store(token, TokenWord.flags(word), TokenWord.decimals(word), price);
        emit PriceSet(token, price);
    }

    /// @inheritdoc IPaymentTokens
    function setTerms(uint256 terms) external restricted {
        _setTermsWord(terms);
        // Each token's word carries the fees in its own units: at most 48 slots.
        for (uint256 token; token < _count; ++token) {
            uint256 word = _words[token];
            _store(token, TokenWord.flags(word), TokenWord.decimals(word), TokenWord.price(word));
        }
    }

    /// @inheritdoc IPaymentTokens
    function assetOf(uint256 token) external view returns (address) {
        return _assets[token];
    }

    /// @inheritdoc IPaymentTokens
    function tokenCount() external view returns (uint256) {
        return _count;
    }

    /// @inheritdoc IPaymentTokens
    function tokenWord(uint256 token) external view returns (uint256) {
        return _words[token];
    }

    /// @inheritdoc IPaymentTokens
    function termsWord() external view returns (uint256) {
        return _terms;
    }

    /// @inheritdoc IPaymentTokens
    function quote(uint256 token) external view returns (uint256 tokenWord_, uint256 termsWord_) {
        return (_words[token], _terms);
    }

    /// @inheritdoc IPaymentTokens
    function unitsFor(uint256 token, uint256 cents) external view returns (uint256) {
        return TokenWord.fromCents(_known(token), cents);
    }

    function _list(address asset, uint256 price, uint256 flags) private returns (uint256 token) {
        token = _count;
        if (token == MAX_TOKENS) revert PaymentTokens_TooManyTokens();
        uint8 decimals = IERC20Metadata(asset).decimals();
        if (decimals > 18) revert PaymentTokens_TooManyDecimals(asset, decimals);
        _count = token + 1;
        _assets[token] = asset;
        _idOf[asset] = token + 1;
        _store(token, flags, decimals, price);
        emit TokenEnabled(token, asset, decimals);
    }

    /// @dev At most a factor of two from where the price stood when its present day of changes began.
    function _step(uint256 token, uint256 word, uint256 price) private {
        Anchor memory anchor = _anchors[token];
        if (block.timestamp >= anchor.since + STEP_TIME) {
            anchor = Anchor(uint80(TokenWord.price(word)), uint40(block.timestamp));
            _anchors[token] = anchor;
        }
        uint256 low = (uint256(anchor.price) + STEP - 1) / STEP;
        uint256 high = uint256(anchor.price) * STEP;
        if (price < low || price > high) revert PaymentTokens_PriceStep(token, price, low, high);
    }

    /// @dev A price so low that a fee would not fit its field is refused.
    function _store(uint256 token, uint256 flags, uint256 decimals, uint256 price) private {
        if (price == 0 || price > TokenWord.AMOUNT_MAX) revert MarketTerms_OutOfBounds("price", price);
        uint256 word = TokenWord.pack(flags, decimals, price, 0, 0);
        (uint256 matchFee, uint256 minDeposit) = _feesIn(word);
        _words[token] = TokenWord.pack(flags, decimals, price, matchFee, minDeposit);
    }

    function _known(uint256 token) private view returns (uint256) {
        if (token >= _count) revert PaymentTokens_Unknown(token);
        return _words[token];
    }
}
