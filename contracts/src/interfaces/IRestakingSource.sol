// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title  IRestakingSource: what an operator has staked elsewhere and vouches with here too (SP-15)
/// @notice A source that reverts or needs more than 5,000,000 gas counts for nothing.
interface IRestakingSource {
    /// @param operator the owner of an operator's record
    /// @return wei of SPON that its restaked shares are taken for
    function restakedOf(address operator) external view returns (uint256);
}
