// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IOrderBook} from "../interfaces/IOrderBook.sol";
import {ResourcesWord} from "./ResourcesWord.sol";
import {Resources, Spec} from "./Types.sol";

/// @title  SpecRules: what a spec must look like, on creation and on update (SP-10)
/// @notice The totals must be the sums of the groups: brackets and capacity count totals, providers pack groups.
library SpecRules {
    using ResourcesWord for Resources;

    uint256 internal constant GROUP = 16; // bytes
    uint256 internal constant MAX_GROUPS = 12 * GROUP;
    uint256 internal constant MAX_UNITS = type(uint16).max;
    uint256 internal constant MAX_GPU_TIER = 10;
    uint256 internal constant MAX_STORAGE_CLASS = 3;

    /// @return units the market's coarse measure of it
    /// @return gpus devices
    function check(Spec calldata spec) internal pure returns (uint256 units, uint256 gpus) {
        Resources r = spec.resources;
        units = r.units();
        if (units > MAX_UNITS) revert IOrderBook.OrderBook_BadTerms("resources: too large");
        gpus = r.gpus();
        if (gpus == 0 ? r.gpuTier() != 0 : r.gpuTier() == 0 || r.gpuTier() > MAX_GPU_TIER) {
            revert IOrderBook.OrderBook_BadTerms("resources: gpu tier");
        }
        if (r.storageClass() > MAX_STORAGE_CLASS) revert IOrderBook.OrderBook_BadTerms("resources: storage class");
        _checkGroups(spec.groups, r);
    }

    function _checkGroups(bytes calldata groups, Resources r) private pure {
        uint256 length = groups.length;
        if (length == 0 || length > MAX_GROUPS || length % GROUP != 0) {
            revert IOrderBook.OrderBook_BadTerms("groups: length");
        }
        uint256 cpu;
        uint256 memoryMib;
        uint256 storageMib;
        uint256 gpus;
        unchecked {
            for (uint256 i; i < length; i += GROUP) {
                uint256 group = uint128(bytes16(groups[i:i + GROUP]));
                uint256 count = group >> 112;
                if (count == 0) revert IOrderBook.OrderBook_BadTerms("groups: count");
                cpu += count * ((group >> 88) & 0xffffff);
                memoryMib += count * ((group >> 64) & 0xffffff);
                storageMib += count * (((group >> 40) & 0xffffff) + ((group >> 16) & 0xffffff));
                gpus += count * ((group >> 8) & 0xff);
            }
        }
        if (cpu != r.cpu() || memoryMib != r.memoryMib() || storageMib != r.storageMib() || gpus != r.gpus()) {
            revert IOrderBook.OrderBook_BadTerms("groups: do not sum to the resources");
        }
    }
}
