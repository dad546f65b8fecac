// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Profile} from "../lib/Types.sol";

/// @title  IStakeRegistry: whose stakes a StakingManager holds, and who is told when they change
/// @notice ProviderRegistry for the stakes of providers, OperatorRegistry for those of operators.
interface IStakeRegistry {
    /// @notice StakingManager only.
    /// @param stake wei that count in this era
    /// @param sufficient whether that is what the holder's trust tier asks for
    /// @param toppedUp whether the owner has just staked again what slashes took: lifts a bar
    /// @param slashes how often it was slashed
    function setStake(uint256 id, uint256 stake, bool sufficient, bool toppedUp, uint256 slashes) external;

    /// @return id, trust tier and slashes in their fields; 0 for one that is not registered
    function profile(uint256 id) external view returns (Profile);
    function ownerOf(uint256 id) external view returns (address);
}
