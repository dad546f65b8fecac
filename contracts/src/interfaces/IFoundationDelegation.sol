// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title  FoundationDelegation: what the foundation delegates to newcomers, and when it may have it back (SP-4)
/// @notice Amounts in SPON wei, times in seconds. To StakingManager this contract is one delegator among others: what it
///         delegates counts from the next era, earns rewards, and is slashed. What it adds is the foundation's promise: a
///         delegation stays until its provider has leased the threshold of its capacity, or until the term is over, for a
///         provider that never gets there. What is reclaimed unbonds and stays slashable meanwhile, like anybody's.
interface IFoundationDelegation {
    event FoundationDelegated(uint256 indexed provider, uint256 tokens, uint256 shares, uint256 committedUntil);
    event FoundationReclaimed(uint256 indexed provider, uint256 indexed request, uint256 shares, uint256 utilisation);
    event FoundationRepaid(uint256 indexed request, uint256 tokens);

    error FoundationDelegation_BadParameters();
    error FoundationDelegation_NotFoundation(address caller);
    /// Neither has the provider leased enough of its capacity, nor is the term over.
    error FoundationDelegation_Committed(
        uint256 provider, uint256 utilisation, uint256 threshold, uint256 committedUntil
    );

    /// @notice Foundation only, which approved this contract for `tokens`. Renews the term for all that the provider has.
    function delegate(uint256 provider, uint256 tokens, uint256 minShares) external returns (uint256 shares);
    /// @notice Foundation only: starts to unbond `shares` of a provider that has come far enough.
    /// @return request StakingManager's, for `withdraw`
    function reclaim(uint256 provider, uint256 shares) external returns (uint256 request);
    /// @notice Anyone: pays what has unbonded to the foundation.
    function withdraw(uint256 request) external returns (uint256 tokens);

    /// @notice Leased of the registered capacity in bp: of units or of GPUs, whichever is scarcer; 0 for an unknown provider.
    function utilisationOf(uint256 provider) external view returns (uint256);
    /// @return unix seconds; 0 when the foundation never delegated to it
    function committedUntil(uint256 provider) external view returns (uint256);
    function foundation() external view returns (address);
    /// @notice Utilisation in bp from which on the foundation may reclaim.
    function threshold() external view returns (uint256);
    /// @notice Seconds after which it may in any case.
    function term() external view returns (uint256);
}
