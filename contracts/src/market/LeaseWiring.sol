// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IEscrow} from "../interfaces/IEscrow.sol";
import {IFizzShares} from "../interfaces/IFizzShares.sol";
import {ILeaseBook} from "../interfaces/ILeaseBook.sol";
import {IPaymentTokens} from "../interfaces/IPaymentTokens.sol";
import {IProviderRegistry} from "../interfaces/IProviderRegistry.sol";
import {IStakingManager} from "../interfaces/IStakingManager.sol";
import {Bill} from "../lib/Bill.sol";
import {Guarded} from "../lib/Guarded.sol";
import {TermsWord} from "../lib/TermsWord.sol";
import {CloseReason} from "../lib/Types.sol";

/// @title  LeaseWiring: what LeaseBook is wired to, and what it tells them when a lease ends
/// @notice Those calls are guarded: should registry or staking ever fail, the lease ends all the same.
abstract contract LeaseWiring is ILeaseBook {
    uint256 private constant SLASH_GAS = 400_000;
    uint256 private constant REGISTRY_GAS = 100_000;
    uint256 private constant SHARE_GAS = 50_000;
    uint256 private constant SPON = 0;

    address internal immutable ORDER_BOOK;
    IEscrow internal immutable ESCROW;
    IPaymentTokens internal immutable PAYMENT_TOKENS;
    IProviderRegistry internal immutable REGISTRY;
    address internal immutable STAKING;
    address internal immutable ARBITER;
    address internal immutable FIZZ_SHARES;
    uint40 internal immutable HOLDBACK;
    uint40 internal immutable CONFIRM_WINDOW;
    uint40 internal immutable MAX_PAUSE;

    constructor(Wiring memory w) {
        ORDER_BOOK = w.orderBook;
        ESCROW = IEscrow(w.escrow);
        PAYMENT_TOKENS = IPaymentTokens(w.paymentTokens);
        REGISTRY = IProviderRegistry(w.registry);
        STAKING = w.staking;
        ARBITER = w.arbiter;
        FIZZ_SHARES = w.fizzShares;
        HOLDBACK = w.holdback;
        CONFIRM_WINDOW = w.confirmWindow;
        MAX_PAUSE = w.maxPause;
    }

    /// @inheritdoc ILeaseBook
    function wiring() external view returns (Wiring memory) {
        return Wiring(
            ORDER_BOOK,
            address(ESCROW),
            address(PAYMENT_TOKENS),
            address(REGISTRY),
            STAKING,
            ARBITER,
            FIZZ_SHARES,
            HOLDBACK,
            CONFIRM_WINDOW,
            MAX_PAUSE
        );
    }

    /// @inheritdoc ILeaseBook
    function holdback() external view returns (uint256) {
        return HOLDBACK;
    }

    /// @inheritdoc ILeaseBook
    function confirmWindow() external view returns (uint256) {
        return CONFIRM_WINDOW;
    }

    /// @dev A light node that nobody knows has no share: its gateway earns it all.
    function _fizzShare(uint256 provider, uint256 fizz) internal view returns (address payee, uint256 share) {
        (bool ok, uint256 a, uint256 b) =
            Guarded.tryView2(FIZZ_SHARES, SHARE_GAS, abi.encodeCall(IFizzShares.shareOf, (provider, fizz)));
        // An address below 2^32 would read as a provider's id in Escrow.
        // forge-lint: disable-next-line(unsafe-typecast)
        if (ok && a > type(uint32).max && a <= type(uint160).max && b <= Bill.BP) return (address(uint160(a)), b);
    }

    function _giveCapacity(uint256 provider, uint256 units, uint256 gpus) internal {
        Guarded.tryCall(
            address(REGISTRY), REGISTRY_GAS, abi.encodeCall(IProviderRegistry.give, (provider, units, gpus))
        );
    }

    function _bar(uint256 provider, uint256 lease) internal {
        Guarded.tryCall(address(REGISTRY), REGISTRY_GAS, abi.encodeCall(IProviderRegistry.bar, (provider, lease)));
    }

    /// @dev The penalty is set in cents and taken in SPON.
    function _punish(uint256 provider, CloseReason reason) internal {
        uint256 penalty = PAYMENT_TOKENS.unitsFor(SPON, TermsWord.missPenalty(PAYMENT_TOKENS.termsWord()));
        if (penalty == 0) return;
        Guarded.tryCall(
            STAKING, SLASH_GAS, abi.encodeCall(IStakingManager.slash, (provider, penalty, bytes32(uint256(reason))))
        );
    }
}
