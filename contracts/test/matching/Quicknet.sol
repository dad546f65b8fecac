// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {RLP} from "@openzeppelin/contracts/utils/RLP.sol";
import {Test} from "forge-std/Test.sol";

import {IDrandRandomness} from "../../src/interfaces/IDrandRandomness.sol";
import {DrandRandomness} from "../../src/matching/DrandRandomness.sol";
import {Built} from "../Built.sol";

/// @title  Quicknet: drand's quicknet, its published rounds, and headers of blocks that they are to be the seeds of
abstract contract Quicknet is Test {
    using RLP for RLP.Encoder;

    uint256 internal constant GENESIS = 1_692_803_367;
    uint256 internal constant PERIOD = 3;
    uint256 internal constant DELAY = 6;

    string internal fixture = vm.readFile("contracts/test/verify/fixtures/quicknet.json");

    function _makeQuicknet() internal returns (DrandRandomness) {
        bytes memory key = vm.parseJsonBytes(fixture, ".key");
        return _make(IDrandRandomness.Network(key, uint40(GENESIS), uint40(PERIOD), uint40(DELAY)));
    }

    function _make(IDrandRandomness.Network memory n) internal returns (DrandRandomness) {
        return DrandRandomness(Built.make("DrandRandomness", abi.encode(n)));
    }

    function _roundPath(uint256 index) internal pure returns (string memory) {
        return string.concat(".rounds[", vm.toString(index), "]");
    }

    function _signatureOf(uint256 index) internal view returns (bytes memory) {
        return vm.parseJsonBytes(fixture, string.concat(_roundPath(index), ".signature"));
    }

    /// @dev The last second at which a block's round is this one.
    function _timeBefore(uint256 round) internal pure returns (uint256) {
        return GENESIS + (round - 1) * PERIOD - DELAY - 1;
    }

    /// @dev The header of a block as the chain has it, with the fields of today's blocks.
    function _header(uint256 number, uint256 time) internal returns (bytes memory header) {
        RLP.Encoder memory list = RLP.encoder().push(keccak256("parent")).push(keccak256("ommers"));
        list = list.push(address(1)).push(keccak256("state")).push(keccak256("transactions"));
        list = list.push(keccak256("receipts")).push(new bytes(256)).push(uint256(0)).push(number);
        list = list.push(uint256(30e6)).push(uint256(1e6)).push(time).push(bytes("extra"));
        header = list.push(keccak256("mix")).push(new bytes(8)).push(uint256(7)).encode();
        vm.setBlockhash(number, keccak256(header));
    }
}
