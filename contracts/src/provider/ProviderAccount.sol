// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IProviderAccount} from "../interfaces/IProviderRegistry.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

/// @title  ProviderAccount: a provider's own contract (SP-1)
/// @notice Immutable clone made by ProviderRegistry. It says who owns the provider and keeps what is paid to it; nobody
///         but its owner takes anything out, and ownership changes hands in two steps so that it cannot be lost to a
///         mistyped address.
contract ProviderAccount is IProviderAccount {
    using SafeERC20 for IERC20;

    address private immutable REGISTRY;

    /// @inheritdoc IProviderAccount
    address public owner;
    /// @notice Who may accept ownership; zero when nothing is offered.
    address public offeredTo;
    /// @inheritdoc IProviderAccount
    uint256 public provider;

    modifier onlyOwner() {
        if (msg.sender != owner) revert ProviderAccount_NotOwner(msg.sender);
        _;
    }

    /// @dev Deployed once by the registry as the clones' implementation, which itself stays without an owner.
    constructor() {
        REGISTRY = msg.sender;
    }

    /// @inheritdoc IProviderAccount
    function initialize(uint256 provider_, address owner_) external {
        if (msg.sender != REGISTRY) revert ProviderAccount_NotRegistry(msg.sender);
        provider = provider_;
        owner = owner_;
        emit OwnershipTransferred(address(0), owner_);
    }

    /// @inheritdoc IProviderAccount
    function offerOwnership(address to) external onlyOwner {
        offeredTo = to;
        emit OwnershipOffered(msg.sender, to);
    }

    /// @inheritdoc IProviderAccount
    function acceptOwnership() external {
        if (msg.sender != offeredTo) revert ProviderAccount_NotOffered(msg.sender);
        emit OwnershipTransferred(owner, msg.sender);
        owner = msg.sender;
        offeredTo = address(0);
    }

    /// @inheritdoc IProviderAccount
    function sweep(address asset, address to) external onlyOwner returns (uint256 amount) {
        amount = IERC20(asset).balanceOf(address(this));
        emit Swept(asset, to, amount);
        IERC20(asset).safeTransfer(to, amount);
    }
}
