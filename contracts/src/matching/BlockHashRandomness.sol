// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Blockhash} from "@openzeppelin/contracts/utils/Blockhash.sol";

import {IRandomness} from "../interfaces/IMatching.sol";

/// @title  BlockHashRandomness: seeds from block hashes, 8,191 blocks back through EIP-2935
/// @notice For chains whose block builders gain nothing by grinding a hash. Where the history contract is missing the
///         last 256 blocks remain.
contract BlockHashRandomness is IRandomness {
    /// @inheritdoc IRandomness
    function seedOf(uint256 blockNumber) external view returns (bytes32) {
        if (blockNumber >= block.number) revert Randomness_NotYet(blockNumber);
        bytes32 hash = Blockhash.blockHash(blockNumber);
        if (hash == 0) revert Randomness_Gone(blockNumber);
        return keccak256(abi.encode(hash, blockNumber));
    }

    /// @inheritdoc IRandomness
    function isGone(uint256 blockNumber) external view returns (bool) {
        return blockNumber < block.number && Blockhash.blockHash(blockNumber) == 0;
    }
}
