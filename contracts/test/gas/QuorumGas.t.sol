// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Quorum} from "../../src/interfaces/IOperatorRegistry.sol";
import {OperatorBase} from "../operator/OperatorBase.sol";

/// @title  QuorumGas: what the check of a quorum costs as a whole transaction, by the number of silent members
/// @notice Isolated as Gas.t.sol is, and kept in snapshots/quorum.json in the same way.
/// forge-config: default.isolate = true
contract QuorumGasTest is OperatorBase {
    uint256 private constant OPERATORS = 64;
    bytes32 private constant DIGEST = keccak256("digest");
    uint256 private era;

    function _capacity() internal pure override returns (uint32) {
        return uint32(OPERATORS);
    }

    function setUp() public override {
        super.setUp();
        _join(OPERATORS);
        era = _nextEra();
    }

    function test_quorum_0_silent() public {
        _check(0, "quorum_0_silent", 155_000);
    }

    function test_quorum_5_silent() public {
        _check(5, "quorum_5_silent", 200_000);
    }

    function test_quorum_20_silent() public {
        _check(20, "quorum_20_silent", 320_000);
    }

    function _check(uint256 silent, string memory name, uint256 budget) private {
        Quorum memory q = _quorum(era, DIGEST, ((1 << silent) - 1) << 1);
        // A call, since a view's static call would be no transaction of its own.
        (bool ok,) = address(operators).call(abi.encodeCall(operators.checkQuorum, (DIGEST, q)));
        assertTrue(ok);
        assertLe(vm.snapshotGasLastCall("quorum", name), budget, name);
    }
}
