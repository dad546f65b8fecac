// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";

import {IFoundationDelegation} from "../interfaces/IFoundationDelegation.sol";
import {IProviderRegistry} from "../interfaces/IProviderRegistry.sol";
import {IStakingManager} from "../interfaces/IStakingManager.sol";
import {ProfileWord} from "../lib/ProfileWord.sol";
import {ResourcesWord} from "../lib/ResourcesWord.sol";
import {Profile, Resources} from "../lib/Types.sol";
import {SPON} from "../token/SPON.sol";

/// @title  FoundationDelegation: what the foundation delegates to newcomers, and when it may have it back (SP-4)
/// @notice See IFoundationDelegation. Nothing is governed: threshold and term are those that providers were promised, and
///         other ones mean another contract. Utilisation is taken as it is in the moment of the reclaim. A provider that
///         claims more capacity than it can lease holds it down until the term is over, no longer.
contract FoundationDelegation is IFoundationDelegation {
    using ProfileWord for Profile;
    using ResourcesWord for Resources;
    using SafeERC20 for SPON;

    uint256 private constant BP = 10_000;

    SPON private immutable TOKEN;
    IStakingManager private immutable STAKING;
    IProviderRegistry private immutable REGISTRY;
    /// @inheritdoc IFoundationDelegation
    address public immutable foundation;
    /// @inheritdoc IFoundationDelegation
    uint256 public immutable threshold;
    /// @inheritdoc IFoundationDelegation
    uint256 public immutable term;

    /// @inheritdoc IFoundationDelegation
    mapping(uint256 provider => uint256) public committedUntil;

    modifier onlyFoundation() {
        if (msg.sender != foundation) revert FoundationDelegation_NotFoundation(msg.sender);
        _;
    }

    /// @param threshold_ bp, more than 0 and at most 10,000
    constructor(
        SPON token,
        IStakingManager staking,
        IProviderRegistry registry,
        address foundation_,
        uint256 threshold_,
        uint256 term_
    ) {
        if (foundation_ == address(0) || threshold_ == 0 || threshold_ > BP) {
            revert FoundationDelegation_BadParameters();
        }
        (TOKEN, STAKING, REGISTRY) = (token, staking, registry);
        (foundation, threshold, term) = (foundation_, threshold_, term_);
    }

    /// @inheritdoc IFoundationDelegation
    function delegate(uint256 provider, uint256 tokens, uint256 minShares)
        external
        onlyFoundation
        returns (uint256 shares)
    {
        uint256 until = block.timestamp + term;
        committedUntil[provider] = until;
        TOKEN.safeTransferFrom(msg.sender, address(this), tokens);
        TOKEN.forceApprove(address(STAKING), tokens);
        shares = STAKING.delegate(provider, tokens, minShares);
        emit FoundationDelegated(provider, tokens, shares, until);
    }

    /// @inheritdoc IFoundationDelegation
    function reclaim(uint256 provider, uint256 shares) external onlyFoundation returns (uint256 request) {
        uint256 utilisation = utilisationOf(provider);
        uint256 until = committedUntil[provider];
        if (utilisation < threshold && block.timestamp < until) {
            revert FoundationDelegation_Committed(provider, utilisation, threshold, until);
        }
        request = STAKING.unstake(provider, shares);
        emit FoundationReclaimed(provider, request, shares, utilisation);
    }

    /// @inheritdoc IFoundationDelegation
    function withdraw(uint256 request) external returns (uint256 tokens) {
        tokens = STAKING.withdraw(request);
        emit FoundationRepaid(request, tokens);
        TOKEN.safeTransfer(foundation, tokens);
    }

    /// @inheritdoc IFoundationDelegation
    function utilisationOf(uint256 provider) public view returns (uint256) {
        Profile profile = REGISTRY.profile(provider);
        if (Profile.unwrap(profile) == 0) return 0;
        uint256 units = _leased(profile.freeUnits(), profile.totalUnits());
        uint256 gpus = _leased(profile.freeGpus(), REGISTRY.record(provider).capacity.gpus());
        return units > gpus ? units : gpus;
    }

    /// @dev What is leased beyond the capacity leaves nothing free: all of it.
    function _leased(uint256 free, uint256 total) private pure returns (uint256) {
        return total == 0 ? 0 : (total - free) * BP / total;
    }
}
