// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {ProviderRecord} from "../../src/interfaces/IProviderRegistry.sol";
import {ResourcesWord} from "../../src/lib/ResourcesWord.sol";
import {TaskBase} from "../matching/TaskBase.sol";

/// @title  BatchGas: what a match costs by quorum and by challenge, as whole transactions
/// @notice Isolated as Gas.t.sol is, and kept in snapshots/batch.json in the same way. As there the first batch of an era
///         is made before the one that is measured.
/// forge-config: default.isolate = true
contract BatchGasTest is TaskBase {
    function setUp() public override {
        super.setUp();
        dollar.mint(tenant, 100_000e6);
        vm.prank(tenant);
        escrow.deposit(wallet, DOLLAR, 100_000e6);
        // Enough at stake for fifty orders.
        for (uint256 n = 1; n <= OPERATORS; ++n) {
            _stakeOperator(n, 9 * STAKE);
        }
        vm.warp(clock.startOf(clock.current() + 1));
        _respond(_matches(_orders(1)), 0);
    }

    /// @dev Room for all orders, of which one provider wins all.
    function _record(address hotKey) internal pure override returns (ProviderRecord memory record) {
        record = super._record(hotKey);
        record.capacity = ResourcesWord.pack(1_000_000, 4_000_000, 40_000_000, 4, 6, 3, 0, "a100");
    }

    function test_respond_1() public {
        _measure(1, "respond_1_per_order", 300_000);
    }

    function test_respond_10() public {
        _measure(10, "respond_10_per_order", 120_000);
    }

    function test_respond_50() public {
        _measure(50, "respond_50_per_order", 115_000);
    }

    function _measure(uint256 count, string memory name, uint256 budget) private {
        assertEq(_respond(_matches(_orders(count)), 0), count);
        uint256 gas = uint256(vm.lastCallGas().gasTotalUsed) / count;
        vm.snapshotValue("batch", name, gas);
        assertLe(gas, budget, name);
    }
}
