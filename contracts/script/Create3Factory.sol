// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {CREATE3} from "solady/utils/CREATE3.sol";

/// @title  Create3Factory: addresses that depend on deployer and name alone
/// @notice Contracts that know each other by constructor need addresses before they have code. The salt holds the
///         caller, so that nobody takes another deployer's address.
contract Create3Factory {
    function deploy(bytes32 name, bytes calldata initCode) external returns (address) {
        return CREATE3.deployDeterministic(initCode, _salt(msg.sender, name));
    }

    function addressOf(address deployer, bytes32 name) external view returns (address) {
        return CREATE3.predictDeterministicAddress(_salt(deployer, name));
    }

    function _salt(address deployer, bytes32 name) private pure returns (bytes32) {
        return keccak256(abi.encode(deployer, name));
    }
}
