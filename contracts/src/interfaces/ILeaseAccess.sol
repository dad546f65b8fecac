// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title  LeaseAccess: who besides the owner may reach a wallet's leases, and since when (lease API)
/// @notice No money here. A daemon reads this contract per connection and closes what was revoked.
interface ILeaseAccess {
    event DelegateSet(uint256 indexed wallet, address indexed delegate, uint256 until, bool write);
    /// Authorisations with a lower nonce are void.
    event AuthorisationsRevoked(uint256 indexed wallet, uint256 nonce);

    error LeaseAccess_NotOwner(uint256 wallet, address caller);

    /// @param until unix seconds; 0 revokes
    function setDelegate(uint256 wallet, address delegate, uint40 until, bool write) external;
    function revokeAuthorisations(uint256 wallet) external;

    /// @return until 0 when `account` is no delegate of the wallet's present owner
    function delegateOf(uint256 wallet, address account) external view returns (uint256 until, bool write);
    function nonceOf(uint256 wallet) external view returns (uint256);
    /// @notice Owner, delegate and nonce in one call.
    function access(uint256 wallet, address account) external view returns (bool read, bool write, uint256 nonce);
}
