// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title  EraClock: which era it is (SP-49)
/// @notice Eras are numbered from 1 and all have the same length; both are fixed for good, so that nobody can move a
///         boundary under a delegation or a reward. Another length means another clock and another staking manager.
contract EraClock {
    error EraClock_BadParameters();

    /// @notice Start of era 1, unix seconds.
    uint256 public immutable GENESIS;
    /// @notice Length of an era in seconds.
    uint256 public immutable LENGTH;

    /// @param genesis unix seconds, not in the future
    /// @param length seconds, at least one minute
    constructor(uint256 genesis, uint256 length) {
        if (genesis == 0 || genesis > block.timestamp || length < 1 minutes) revert EraClock_BadParameters();
        GENESIS = genesis;
        LENGTH = length;
    }

    /// @notice The era of this block; never 0.
    function current() external view returns (uint256) {
        return (block.timestamp - GENESIS) / LENGTH + 1;
    }

    /// @notice When `era` (1 and up) starts, unix seconds.
    function startOf(uint256 era) external view returns (uint256) {
        return GENESIS + (era - 1) * LENGTH;
    }
}
