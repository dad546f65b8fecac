// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Vm} from "forge-std/Vm.sol";

/// @title  Built: makes a contract of this repository from the code that deployments use
/// @notice Tests are compiled without IR, in a sixth of the time (foundry.toml); what a plain `new` makes would be too, so
///         that neither its gas nor its faults were those of the code on a chain. Foundry writes the code of contracts/src
///         to out/<name>.sol/<name>.json whenever it builds more than single test files.
library Built {
    Vm private constant VM = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    /// @param name of a contract in contracts/src, in a file of the same name
    /// @param args of its constructor, ABI-encoded; nobody checks their types
    function make(string memory name, bytes memory args) internal returns (address) {
        return VM.deployCode(string.concat("out/", name, ".sol/", name, ".json"), args);
    }
}
