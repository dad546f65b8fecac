// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IPaymentTokens} from "../interfaces/IPaymentTokens.sol";
import {IRestakingSource} from "../interfaces/IRestakingSource.sol";
import {Guarded} from "../lib/Guarded.sol";
import {TokenWord} from "../lib/TokenWord.sol";

/// @notice The part of EigenLayer's DelegationManager that is read.
interface IDelegationManager {
    /// @return shares that stakers have delegated to the operator, by strategy; what is queued for withdrawal is not
    ///         among them
    function getOperatorShares(address operator, address[] memory strategies)
        external
        view
        returns (uint256[] memory shares);
}

/// @notice The part of an EigenLayer strategy that is read.
interface IStrategy {
    function underlyingToken() external view returns (address);
    function sharesToUnderlyingView(uint256 shares) external view returns (uint256);
}

/// @title  EigenLayerSource: shares that were delegated to an operator in EigenLayer, in wei of SPON (SP-15)
/// @notice The operator is known there by the address that owns its record here. A strategy counts while its underlying
///         token is an enabled payment token of the market, at the market's price. A strategy that fails, runs long or
///         answers nonsense counts for nothing, and the others go on.
contract EigenLayerSource is IRestakingSource {
    /// @notice A strategy and the payment token that its underlying token is.
    struct Strategy {
        address strategy;
        uint96 token;
    }

    uint256 private constant SPON_ID = 0;
    /// Strategies at most, since each costs two calls of so much gas at most: all of them fit what the registry gives.
    uint256 private constant MOST = 16;
    uint256 private constant CALL_GAS = 100_000;

    IDelegationManager public immutable DELEGATION;
    IPaymentTokens public immutable PAYMENT_TOKENS;
    Strategy[] private _strategies;

    error EigenLayerSource_BadStrategies(uint256 count, uint256 most);

    constructor(address delegation, address paymentTokens, Strategy[] memory strategies_) {
        if (strategies_.length == 0 || strategies_.length > MOST) {
            revert EigenLayerSource_BadStrategies(strategies_.length, MOST);
        }
        DELEGATION = IDelegationManager(delegation);
        PAYMENT_TOKENS = IPaymentTokens(paymentTokens);
        for (uint256 i; i < strategies_.length; ++i) {
            _strategies.push(strategies_[i]);
        }
    }

    /// @inheritdoc IRestakingSource
    function restakedOf(address operator) external view returns (uint256) {
        address[] memory all = new address[](_strategies.length);
        for (uint256 i; i < all.length; ++i) {
            all[i] = _strategies[i].strategy;
        }
        uint256[] memory shares = DELEGATION.getOperatorShares(operator, all);
        uint256 cents;
        for (uint256 i; i < all.length; ++i) {
            if (shares[i] != 0) cents += _centsOf(_strategies[i], shares[i]);
        }
        return cents == 0 ? 0 : PAYMENT_TOKENS.unitsFor(SPON_ID, cents);
    }

    /// @notice The strategies that count.
    function strategies() external view returns (Strategy[] memory) {
        return _strategies;
    }

    /// @dev Cents of dollars that shares of a strategy are worth, 0 when it cannot be said.
    function _centsOf(Strategy memory s, uint256 shares) private view returns (uint256) {
        if (s.token >= PAYMENT_TOKENS.tokenCount()) return 0;
        uint256 word = PAYMENT_TOKENS.tokenWord(s.token);
        if (!TokenWord.isEnabled(word)) return 0;
        (bool ok, uint256 underlying) = _ask(s.strategy, abi.encodeCall(IStrategy.underlyingToken, ()));
        if (!ok || underlying != uint160(PAYMENT_TOKENS.assetOf(s.token))) return 0;
        uint256 units;
        (ok, units) = _ask(s.strategy, abi.encodeCall(IStrategy.sharesToUnderlyingView, (shares)));
        // Beyond any supply there is: a strategy that says so is not believed.
        return ok && units <= type(uint104).max ? TokenWord.toCents(word, units) : 0;
    }

    function _ask(address strategy, bytes memory question) private view returns (bool ok, uint256 answer) {
        return Guarded.tryView(strategy, CALL_GAS, question);
    }
}
