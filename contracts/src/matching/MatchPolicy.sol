// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";

import {IMatchPolicy} from "../interfaces/IMatching.sol";

/// @title  MatchPolicy: immutable versions of the scoring weights (SP-12)
/// @notice Versions count from 1. An order keeps the version that it was made with, so a vote never changes an open
///         order's outcome.
contract MatchPolicy is IMatchPolicy, AccessManaged {
    uint256 private constant COMPONENTS = 8;
    uint256 private constant WEIGHT_SUM = 10_000;
    uint256 private constant MAX_RANDOM = 500; // 5%
    uint256 private constant MAX_VERSIONS = type(uint16).max;

    mapping(uint256 version => uint256 weights) private _weights;
    uint256 private _latest;

    /// @param weights version 1
    constructor(address authority, uint256 weights) AccessManaged(authority) {
        _add(weights);
    }

    /// @inheritdoc IMatchPolicy
    function addVersion(uint256 weights) external restricted returns (uint256 version) {
        return _add(weights);
    }

    /// @inheritdoc IMatchPolicy
    function weightsOf(uint256 version) external view returns (uint256 weights) {
        weights = _weights[version];
        if (weights == 0) revert MatchPolicy_Unknown(version);
    }

    /// @inheritdoc IMatchPolicy
    function latest() external view returns (uint256) {
        return _latest;
    }

    function _add(uint256 weights) private returns (uint256 version) {
        uint256 sum;
        for (uint256 i; i < COMPONENTS; ++i) {
            sum += (weights >> (16 * i)) & 0xffff;
        }
        if (sum != WEIGHT_SUM) revert MatchPolicy_BadWeights("the weights must sum to 10000");
        if ((weights >> 112) & 0xffff > MAX_RANDOM) revert MatchPolicy_BadWeights("random is at most 500");
        if ((weights >> 128) & 0xffffffff == 0) revert MatchPolicy_BadWeights("the stake cap is zero");
        if (weights >> 160 != 0) revert MatchPolicy_BadWeights("spare bits are set");
        version = _latest + 1;
        if (version > MAX_VERSIONS) revert MatchPolicy_BadWeights("no version left");
        _latest = version;
        _weights[version] = weights;
        emit VersionAdded(version, weights);
    }
}
