// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IRandomness} from "./IMatching.sol";

/// @title  IDrandRandomness: seeds from a drand network whose rounds are single signatures, such as quicknet
/// @notice A block's seed is the first round that comes out more than `delay` seconds after the block: nobody, the block's
///         builder included, can know or choose it while bids are still taken. Anyone brings it, with the block's header.
interface IDrandRandomness is IRandomness {
    /// @notice Fixed for good.
    struct Network {
        bytes key; // G2, EIP-2537's encoding, 256 bytes
        uint40 genesis; // unix seconds of round 1
        uint40 period; // seconds
        uint40 delay; // seconds between a block and its round, more than block times lie
    }

    event RoundVerified(uint256 indexed round, bytes signature);
    event SeedStored(uint256 indexed blockNumber, uint256 indexed round, bytes32 seed);

    error Drand_BadNetwork();
    /// The header is not that of a block which the chain still remembers.
    error Drand_BadHeader();
    error Drand_SeedKnown(uint256 blockNumber);
    /// The signature is not the network's over this round.
    error Drand_BadRound(uint256 round);

    /// @notice Stores the seed of a block.
    /// @param header RLP of the block's header, whose hash the chain still remembers
    /// @param signature of `roundOf` the header's time, G1 in EIP-2537's encoding; not looked at when the round is known
    /// @return seed what `seedOf` answers from now on
    function submit(bytes calldata header, bytes calldata signature) external returns (bytes32 seed);

    /// @param timestamp unix seconds of a block
    /// @return round the first that comes out more than the delay later
    function roundOf(uint256 timestamp) external view returns (uint256 round);
    function network() external view returns (Network memory);
}
