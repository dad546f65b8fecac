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
    /// @notice All fixed for good. Times in seconds.
    struct Wiring {
        address orderBook;
        IEscrow escrow;
        IPaymentTokens paymentTokens;
        IProviderRegistry registry;
        IStakingManager staking;
        /// Proves downtime: pauses, resumes, refunds.
        address arbiter;
        IFizzShares fizzShares;
        uint40 holdback;
        uint40 confirmWindow;
        uint40 maxPause;
    }

    uint256 private constant SLASH_GAS = 400_000;
    uint256 private constant REGISTRY_GAS = 100_000;
    uint256 private constant SHARE_GAS = 50_000;
    uint256 private constant SPON = 0;

    address public immutable orderBook;
    IEscrow public immutable escrow;
    IPaymentTokens public immutable paymentTokens;
    IProviderRegistry public immutable registry;
    IStakingManager public immutable staking;
    address public immutable arbiter;
    IFizzShares public immutable fizzShares;
    /// @inheritdoc ILeaseBook
    uint256 public immutable holdback;
    /// @inheritdoc ILeaseBook
    uint256 public immutable confirmWindow;
    /// @inheritdoc ILeaseBook
    uint256 public immutable maxPause;

    constructor(Wiring memory w) {
        orderBook = w.orderBook;
        escrow = w.escrow;
        paymentTokens = w.paymentTokens;
        registry = w.registry;
        staking = w.staking;
        arbiter = w.arbiter;
        fizzShares = w.fizzShares;
        holdback = w.holdback;
        confirmWindow = w.confirmWindow;
        maxPause = w.maxPause;
    }

    /// @dev A light node that nobody knows has no share: its gateway earns it all.
    function _fizzShare(uint256 provider, uint256 fizz) internal view returns (address payee, uint256 share) {
        (bool ok, uint256 a, uint256 b) =
            Guarded.tryView2(address(fizzShares), SHARE_GAS, abi.encodeCall(IFizzShares.shareOf, (provider, fizz)));
        // An address below 2^32 would read as a provider's id in Escrow.
        if (ok && a > type(uint32).max && a <= type(uint160).max && b <= Bill.BP) return (address(uint160(a)), b);
    }

    function _giveCapacity(uint256 provider, uint256 units, uint256 gpus) internal {
        Guarded.tryCall(
            address(registry), REGISTRY_GAS, abi.encodeCall(IProviderRegistry.give, (provider, units, gpus))
        );
    }

    function _bar(uint256 provider, uint256 lease) internal {
        Guarded.tryCall(address(registry), REGISTRY_GAS, abi.encodeCall(IProviderRegistry.bar, (provider, lease)));
    }

    /// @dev The penalty is set in cents and taken in SPON.
    function _punish(uint256 provider, CloseReason reason) internal {
        uint256 penalty = paymentTokens.unitsFor(SPON, TermsWord.missPenalty(paymentTokens.termsWord()));
        if (penalty == 0) return;
        Guarded.tryCall(
            address(staking),
            SLASH_GAS,
            abi.encodeCall(IStakingManager.slash, (provider, penalty, bytes32(uint256(reason))))
        );
    }
}
