// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Profile, Resources} from "../lib/Types.sol";
import {IStakeRegistry} from "./IStakeRegistry.sol";

/// @notice What a provider says of itself (SP-2). Capacity is what it offers to the market, not what the machine has.
struct ProviderRecord {
    address hotKey; // bids, confirms, settles; cannot move money or stake
    uint16 region;
    uint24 attributes;
    uint48 tokens; // mask of accepted payment tokens
    bool offersOwn; // machines of its own
    bool offersFizz; // gateway of light nodes
    Resources capacity;
    bytes32 pin; // SHA-256 of the lease API's SubjectPublicKeyInfo
    string endpoint; // host:port of the lease API, at most 128 bytes
}

/// @title  ProviderRegistry: proposals, approval, records and profile words (SP-1, SP-2, SP-9)
/// @notice One profile word per provider, kept current by this contract and its peers (constructor wiring), so that a
///         bid reads one slot. Each provider owns an immutable ProviderAccount clone that acts as its payee address.
interface IProviderRegistry is IStakeRegistry {
    event ProviderProposed(uint256 indexed proposal, address indexed owner, ProviderRecord record);
    event ProposalRejected(uint256 indexed proposal);
    event ProviderRegistered(
        uint256 indexed provider, address indexed owner, address indexed account, uint256 proposal
    );
    event RecordChanged(uint256 indexed provider, ProviderRecord record);
    event PinRotated(uint256 indexed provider, bytes32 current, bytes32 next);
    event DrainingSet(uint256 indexed provider, bool draining);
    /// The hot key belongs to providers of this owner alone.
    event HotKeyAdmitted(address indexed hotKey, address indexed owner);
    event AutoApprovalSet(bool on);
    /// Every change of a profile word.
    event ProfileChanged(uint256 indexed provider, Profile profile);
    event ProviderBarred(uint256 indexed provider, uint256 indexed lease);

    error ProviderRegistry_NotOwner(uint256 provider, address caller);
    error ProviderRegistry_NotHotKey(uint256 provider, address caller);
    /// Another provider's, or admitted to another owner.
    error ProviderRegistry_HotKeyTaken(address hotKey);
    error ProviderRegistry_UnknownProvider(uint256 provider);
    error ProviderRegistry_UnknownProposal(uint256 proposal);
    error ProviderRegistry_NotPeer(address caller);
    error ProviderRegistry_BadRecord(string what);

    /// @notice The caller becomes the owner. With auto-approval on the provider is registered at once.
    /// @return proposal ids count from 1
    /// @return provider 0 while the proposal waits
    function propose(ProviderRecord calldata record) external returns (uint256 proposal, uint256 provider);
    function approve(uint256 proposal) external returns (uint256 provider);
    function reject(uint256 proposal) external;
    function setAutoApproval(bool on) external;
    /// @notice Governance: 1 (best) to 7 (SP-6). The stake is checked against the new tier at once.
    function setTrustTier(uint256 provider, uint256 tier) external;

    /// @notice Owner only. Capacity may not fall below what is leased; the hot key may change.
    function setRecord(uint256 provider, ProviderRecord calldata record) external;
    /// @notice Owner or hot key. Both pins are valid until the next rotation, so that no connection breaks.
    function rotatePin(uint256 provider, bytes32 next) external;
    /// @notice By a hot key, which has the last word on whose it is: from now on only `owner` may name it. If a provider
    ///         of another owner's has it, that one keeps its leases but acts no more until its owner names another key. So
    ///         nobody can keep a newcomer out, or a lost key in, by registering the new key first. Zero: anyone may again.
    function admit(address owner) external;
    /// @notice Owner or hot key: no new leases, present ones stay.
    function setDraining(uint256 provider, bool draining) external;

    /// @notice LeaseBook only: moves units between free and leased. Neither reverts for want of capacity: a provider that
    ///         won more than it has is overbooked, and pays for what it cannot confirm.
    function take(uint256 provider, uint256 units, uint256 gpus) external;
    function give(uint256 provider, uint256 units, uint256 gpus) external;
    /// @notice LeaseBook only: bars until the stake is topped up.
    function bar(uint256 provider, uint256 lease) external;
    /// @notice Ratings only.
    /// @param rating average × 100 + 1
    function setRating(uint256 provider, uint256 rating) external;

    function profileOf(address hotKey) external view returns (Profile);
    function record(uint256 provider) external view returns (ProviderRecord memory);
    function nextPin(uint256 provider) external view returns (bytes32);
    /// @return owner the only one who may name the hot key; zero: anyone
    function admitted(address hotKey) external view returns (address owner);
    function hotKeyOf(uint256 provider) external view returns (address);
    /// @notice Deterministic, the same before and after registration.
    function accountOf(uint256 provider) external view returns (address);
    function providerCount() external view returns (uint256);
    function autoApproval() external view returns (bool);
}

/// @title  ProviderAccount: a provider's own contract (SP-1): its owner's address on the market
/// @notice Immutable clone. Receives cash-outs until a payout address is set; only its owner takes tokens out.
interface IProviderAccount {
    event OwnershipOffered(address indexed from, address indexed to);
    event OwnershipTransferred(address indexed from, address indexed to);
    event Swept(address indexed asset, address indexed to, uint256 amount);

    error ProviderAccount_NotOwner(address caller);
    error ProviderAccount_NotOffered(address caller);
    error ProviderAccount_NotRegistry(address caller);

    function initialize(uint256 provider, address owner) external;
    function owner() external view returns (address);
    function provider() external view returns (uint256);
    function offerOwnership(address to) external;
    function acceptOwnership() external;
    function sweep(address asset, address to) external returns (uint256 amount);
}
