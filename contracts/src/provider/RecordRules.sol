// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IProviderRegistry, ProviderRecord} from "../interfaces/IProviderRegistry.sol";
import {ResourcesWord} from "../lib/ResourcesWord.sol";
import {Resources} from "../lib/Types.sol";

/// @title  RecordRules: what a provider's record must look like (SP-2, SP-5)
/// @notice Claims are not believed here, only bounded: whether a provider has what it says is found out by challenges.
library RecordRules {
    using ResourcesWord for Resources;

    uint256 private constant MAX_ENDPOINT = 128; // bytes
    uint256 private constant MAX_GPU_TIER = 10;
    uint256 private constant MAX_CONNECTIVITY = 4;
    uint256 private constant MAX_STORAGE_CLASS = 3;

    /// @dev Reverts with the name of the first field that cannot be right.
    function check(ProviderRecord calldata record) internal pure {
        _require(record.hotKey != address(0), "hot key");
        _require(record.offersOwn || record.offersFizz, "offers nothing");
        _require(record.tokens != 0, "tokens");
        _require(record.pin != 0, "pin");
        uint256 length = bytes(record.endpoint).length;
        _require(length != 0 && length <= MAX_ENDPOINT, "endpoint");

        // compute 2 | storage 2 | gpu 4 | connectivity 3 | compliance 3
        uint256 attributes = record.attributes;
        _require(attributes >> 14 == 0, "attributes");
        _require((attributes >> 4) & 15 <= MAX_GPU_TIER, "attributes: gpu");
        _require((attributes >> 8) & 7 <= MAX_CONNECTIVITY, "attributes: connectivity");

        Resources capacity = record.capacity;
        _require(capacity.cpu() != 0 && capacity.memoryMib() != 0, "capacity");
        _require(capacity.gpuTier() <= MAX_GPU_TIER, "capacity: gpu tier");
        _require(capacity.storageClass() <= MAX_STORAGE_CLASS, "capacity: storage class");
        _require(capacity.gpus() != 0 || capacity.gpuTier() == 0, "capacity: gpu tier without gpus");
    }

    function _require(bool holds, string memory what) private pure {
        if (!holds) revert IProviderRegistry.ProviderRegistry_BadRecord(what);
    }
}
