// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title  MatchPolicy: immutable versions of the scoring weights (SP-12)
/// @notice Governance appends versions and picks the one for new orders; a version never changes. Weights word, 16 bits
///         each from the least significant: price, region, rating, availability, slashes, tier, stake, random |
///         stakeCap 32 (whole SPON). The eight weights sum to 10,000 and random is at most 500.
interface IMatchPolicy {
    event VersionAdded(uint256 indexed version, uint256 weights);

    error MatchPolicy_BadWeights(string what);
    error MatchPolicy_Unknown(uint256 version);

    function addVersion(uint256 weights) external returns (uint256 version);
    function weightsOf(uint256 version) external view returns (uint256);
    function latest() external view returns (uint256);
}

/// @title  IRandomness: the seed of a block, the same for whoever asks
interface IRandomness {
    error Randomness_NotYet(uint256 blockNumber);
    /// Older than the history that the chain serves: never re-seeded.
    error Randomness_Gone(uint256 blockNumber);

    function seedOf(uint256 blockNumber) external view returns (bytes32);
    /// @notice True when `seedOf` can never answer again.
    function isGone(uint256 blockNumber) external view returns (bool);
}
