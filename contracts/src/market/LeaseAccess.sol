// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IEscrow} from "../interfaces/IEscrow.sol";
import {ILeaseAccess} from "../interfaces/ILeaseAccess.sol";

/// @title  LeaseAccess: delegates and revocation nonces of wallets
/// @notice A grant belongs to the owner who made it: when the wallet passes to another account it is void at once, and
///         should the wallet come back, its owner's own unexpired grants hold again.
contract LeaseAccess is ILeaseAccess {
    struct Grant {
        uint40 until; // unix seconds, exclusive
        bool write;
    }

    IEscrow private immutable ESCROW;

    mapping(uint256 wallet => mapping(address owner => mapping(address delegate => Grant))) private _grants;
    /// @inheritdoc ILeaseAccess
    mapping(uint256 wallet => uint256) public nonceOf;

    modifier onlyWalletOwner(uint256 wallet) {
        if (msg.sender != ESCROW.ownerOf(wallet)) revert LeaseAccess_NotOwner(wallet, msg.sender);
        _;
    }

    constructor(IEscrow escrow) {
        ESCROW = escrow;
    }

    /// @inheritdoc ILeaseAccess
    function setDelegate(uint256 wallet, address delegate, uint40 until, bool write) external onlyWalletOwner(wallet) {
        _grants[wallet][msg.sender][delegate] = Grant(until, write);
        emit DelegateSet(wallet, delegate, until, write);
    }

    /// @inheritdoc ILeaseAccess
    function revokeAuthorisations(uint256 wallet) external onlyWalletOwner(wallet) {
        emit AuthorisationsRevoked(wallet, ++nonceOf[wallet]);
    }

    /// @inheritdoc ILeaseAccess
    function delegateOf(uint256 wallet, address account) external view returns (uint256 until, bool write) {
        Grant memory grant = _grants[wallet][ESCROW.ownerOf(wallet)][account];
        return (grant.until, grant.write);
    }

    /// @inheritdoc ILeaseAccess
    function access(uint256 wallet, address account) external view returns (bool read, bool write, uint256 nonce) {
        nonce = nonceOf[wallet];
        address owner = ESCROW.ownerOf(wallet);
        if (account == owner) return (owner != address(0), owner != address(0), nonce);
        Grant memory grant = _grants[wallet][owner][account];
        read = block.timestamp < grant.until;
        write = read && grant.write;
    }
}
