// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Bid, CloseReason, LeaseState, Resources, Spec} from "../lib/Types.sol";

/// @notice A provider's signed offer to change a lease (EIP-712, domain "Ionosphere LeaseBook" "1"). `version` is the
///         lease's manifest version, so that a quote is for one present state only.
struct Quote {
    uint256 lease;
    uint16 version;
    uint80 oldRate;
    bytes32 specHash; // keccak256(abi.encode(Spec)) of the new spec
    uint80 rate;
    uint40 expiry; // unix seconds
}

/// @title  LeaseBook: running leases and their bills (SP-14, SP-19 to SP-24)
/// @notice Lease id = order id. Let r = end − settledTo − unbilled be the seconds still payable and
///         gross(r) = ⌊rate × r ÷ 10^(18 − decimals)⌋ in token units; a lease holds gross(r) plus the payer's fee on it.
///         Every operation changes r and moves the difference, so money is conserved by construction and a lease never
///         pays more than its lock. `settle` pays up to now − holdback; a close refunds the rest at once and leaves the
///         held-back tail to a later `settle`.
interface ILeaseBook {
    /// @notice Fixed for good. `arbiter` proves downtime: pauses, resumes, refunds. Times in seconds.
    struct Wiring {
        address orderBook;
        address escrow;
        address paymentTokens;
        address registry;
        address staking;
        address arbiter;
        address fizzShares;
        uint40 holdback;
        uint40 confirmWindow;
        uint40 maxPause;
    }

    event LeaseCreated(
        uint256 indexed lease, uint256 indexed wallet, uint256 indexed provider, uint256 word0, uint256 word1
    );
    /// A pending lease begins anew with another provider.
    event LeaseReopened(uint256 indexed lease, uint256 indexed provider, uint256 word0, uint256 word1);
    event LeaseConfirmed(uint256 indexed lease, uint256 indexed provider, uint256 start, uint256 end);
    event LeaseSettled(
        uint256 indexed lease, uint256 indexed provider, uint256 settledTo, uint256 net, uint256 fee, uint256 fizz
    );
    event LeasePaused(uint256 indexed lease, uint256 since);
    event LeaseResumed(uint256 indexed lease, uint256 unbilledSeconds, uint256 refund);
    event LeaseRefunded(uint256 indexed lease, uint256 unbilledSeconds, uint256 refund);
    event LeaseExtended(uint256 indexed lease, uint256 end, uint256 amount);
    /// New spec and rate on the provider's quote; billed at the old rate until now.
    event LeaseUpdated(uint256 indexed lease, uint256 rate, uint256 version, Spec spec);
    /// The manifest changed within the same resources.
    event ManifestChanged(uint256 indexed lease, bytes32 manifestHash, uint256 version);
    event LeaseClosed(
        uint256 indexed lease,
        uint256 indexed wallet,
        uint256 indexed provider,
        CloseReason reason,
        uint256 end,
        uint256 refund
    );

    error LeaseBook_WrongState(uint256 lease, LeaseState state);
    error LeaseBook_NotTenant(uint256 lease, address caller);
    error LeaseBook_NotProvider(uint256 lease, address caller);
    /// Only who paused a lease resumes it.
    error LeaseBook_NotPauser(uint256 lease, address caller);
    error LeaseBook_NotBook(address caller);
    error LeaseBook_NotArbiter(address caller);
    error LeaseBook_ConfirmTooLate(uint256 lease, uint256 confirmBy);
    error LeaseBook_ConfirmStillOpen(uint256 lease, uint256 confirmBy);
    error LeaseBook_NotExpired(uint256 lease, uint256 end);
    error LeaseBook_BadReason(CloseReason reason);
    error LeaseBook_BadSince(uint256 since, uint256 earliest, uint256 latest);
    error LeaseBook_TooLong(uint256 duration, uint256 maximum);
    error LeaseBook_QuoteExpired(uint256 expiry);
    error LeaseBook_QuoteMismatch(string what);
    error LeaseBook_NothingToSettle(uint256 lease);
    error LeaseBook_BeyondBracket(uint256 neededCents, uint256 heldCents);

    /// @notice OrderBook only: a pending lease that must be confirmed within the confirmation window.
    function open(uint256 lease, uint256 orderWord0, uint256 orderWord1, Bid bid) external returns (uint256 locked);
    /// @notice OrderBook only: a pending lease begins anew with another winner. What the new rate needs beyond the lock
    ///         comes out of the wallet's free balance.
    /// @return stands false when the balance is too small: the lease is closed and refunded
    function reopen(uint256 lease, uint256 orderWord0, uint256 orderWord1, Bid bid) external returns (bool stands);

    /// @notice Provider's hot key: billing starts now (SP-19).
    function confirm(uint256 lease) external;
    /// @notice Anyone: pays what accrued until now − holdback.
    function settle(uint256 lease) external returns (uint256 net);
    function settleMany(uint256[] calldata leases) external;
    /// @notice Provider's hot key or the arbiter: no billing from `since` on, which may lie back as far as the last
    ///         settlement.
    function pause(uint256 lease, uint256 since) external;
    /// @notice Provider's hot key or the arbiter (who paused); the paused seconds are refunded at once.
    function resume(uint256 lease) external;
    /// @notice Arbiter only: proven downtime of `secs` seconds goes back to the tenant, at most what is not settled.
    function refund(uint256 lease, uint256 secs) external returns (uint256 amount);
    /// @notice Tenant: locks more at the lease's rate (SP-22).
    function extend(uint256 lease, uint32 secs) external;
    /// @notice Tenant with the provider's quote (SP-23). The old terms are settled up to now without holdback.
    function update(Quote calldata quote, Spec calldata spec, bytes calldata signature) external;
    /// @notice Tenant: another manifest within the same resources.
    function setManifestHash(uint256 lease, bytes32 manifestHash) external;
    /// @notice Tenant, any state but closed.
    function close(uint256 lease) external;
    /// @notice Provider's hot key; ProviderClosed or one of the tenant's faults.
    function closeByProvider(uint256 lease, CloseReason reason) external;
    /// @notice Anyone: ends a lease whose time ran out (SP-21), one that was not confirmed in time, or one that is paused
    ///         for longer than the wiring's maxPause.
    function expire(uint256 lease) external;

    function wiring() external view returns (Wiring memory);
    function leaseWords(uint256 lease) external view returns (uint256 word0, uint256 word1);
    /// @return amount locked for the lease, payer's fee included
    function lockedOf(uint256 lease) external view returns (uint256 amount);
    /// @notice What a rating may stand on (SP-9): settled seconds at the present rate. Those given back and those before
    ///         an update do not count.
    function paidSeconds(uint256 lease) external view returns (uint256);
    /// @return who earns the light node's share; zero when there is none
    function payeeOf(uint256 lease) external view returns (address);
    function quoteHash(Quote calldata quote) external view returns (bytes32);
    function holdback() external view returns (uint256);
    function confirmWindow() external view returns (uint256);
}
