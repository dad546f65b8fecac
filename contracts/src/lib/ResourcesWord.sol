// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Resources} from "./Types.sol";

/// @title  ResourcesWord: reads the packed word of what a lease may use or a provider offers (layout in Types.sol)
library ResourcesWord {
    uint256 internal constant UNIT_CPU = 1000; // millicores
    uint256 internal constant UNIT_MEMORY = 4096; // MiB
    uint256 internal constant UNIT_STORAGE = 65_536; // MiB

    /// @return millicores
    function cpu(Resources r) internal pure returns (uint256) {
        return Resources.unwrap(r) & 0xffffffff;
    }

    /// @return MiB
    function memoryMib(Resources r) internal pure returns (uint256) {
        return (Resources.unwrap(r) >> 32) & 0xffffffff;
    }

    /// @return MiB
    function storageMib(Resources r) internal pure returns (uint256) {
        return (Resources.unwrap(r) >> 64) & 0xffffffff;
    }

    function gpus(Resources r) internal pure returns (uint256) {
        return (Resources.unwrap(r) >> 96) & 0xff;
    }

    /// @return 0 none, 1–10
    function gpuTier(Resources r) internal pure returns (uint256) {
        return (Resources.unwrap(r) >> 104) & 0xff;
    }

    /// @return 0 any, 1 HDD, 2 SSD, 3 NVMe
    function storageClass(Resources r) internal pure returns (uint256) {
        return (Resources.unwrap(r) >> 112) & 0xff;
    }

    function endpoints(Resources r) internal pure returns (uint256) {
        return (Resources.unwrap(r) >> 120) & 0xff;
    }

    /// @return ASCII, first letter in the first byte, zero-padded
    function gpuModel(Resources r) internal pure returns (bytes16) {
        return bytes16(uint128(Resources.unwrap(r) >> 128));
    }

    /// @notice The market's coarse measure of capacity: the largest of cpu, memory and storage in units, at least 1.
    function units(Resources r) internal pure returns (uint256 n) {
        n = _ceil(cpu(r), UNIT_CPU);
        uint256 other = _ceil(memoryMib(r), UNIT_MEMORY);
        if (other > n) n = other;
        other = _ceil(storageMib(r), UNIT_STORAGE);
        if (other > n) n = other;
        if (n == 0) n = 1;
    }

    function pack(
        uint256 cpu_,
        uint256 memory_,
        uint256 storage_,
        uint256 gpus_,
        uint256 gpuTier_,
        uint256 storageClass_,
        uint256 endpoints_,
        bytes16 gpuModel_
    ) internal pure returns (Resources) {
        return Resources.wrap(
            (cpu_ & 0xffffffff) | ((memory_ & 0xffffffff) << 32) | ((storage_ & 0xffffffff) << 64)
                | ((gpus_ & 0xff) << 96) | ((gpuTier_ & 0xff) << 104) | ((storageClass_ & 0xff) << 112)
                | ((endpoints_ & 0xff) << 120) | (uint256(uint128(gpuModel_)) << 128)
        );
    }

    function _ceil(uint256 a, uint256 b) private pure returns (uint256) {
        return (a + b - 1) / b;
    }
}
