// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IFizzShares} from "../../src/interfaces/IFizzShares.sol";
import {FizzBase} from "../fizz/FizzBase.sol";

/// @title  FizzGas: what light nodes cost as whole transactions, and what a lease pays to learn of a share
/// @notice Runs isolated, like GasTest; figures go to snapshots/fizz.json. Registry, subnet and stakes are warm from earlier
///         use as they are in the field: no slot is written for the first time but those of the node itself.
/// forge-config: default.isolate = true
contract FizzGas is FizzBase {
    /// What LeaseBook gives `shareOf` (LeaseWiring.SHARE_GAS).
    uint256 private constant SHARE_GAS = 50_000;

    uint256 private fizz;

    function setUp() public override {
        super.setUp();
        fizz = _active(alice, GATEWAY);
        uint256 lease = _bidFor(GATEWAY, fizz);
        _resolve(lease);
        _confirmBy(GATEWAY, lease);
        skip(2 hours);
        leases.settle(lease);
        _nextEra();
    }

    function test_register() public {
        _propose(bob, GATEWAY);
        _spent("register", 150_000);
        vm.prank(_hotKey(GATEWAY));
        fizzes.accept(2);
        _spent("accept", 75_000);
        vm.prank(bob);
        fizzes.exit(2);
        _spent("exit", 40_000);
    }

    /// Beside `place_bid` of gas.json: what the look at the registry and the stakes adds.
    function test_placeBid() public {
        _bidFor(GATEWAY, fizz);
        _spent("place_bid", 90_000);
    }

    /// Beside `resolve` and `settle` of gas.json: payee and share, and the second ledger.
    function test_lease() public {
        uint256 lease = _bidFor(GATEWAY, fizz);
        _resolve(lease);
        _spent("resolve", 165_000);
        _confirmBy(GATEWAY, lease);
        skip(3 hours);
        vm.prank(keeper);
        leases.settle(lease);
        _spent("settle", 52_000);
    }

    /// All slots cold, as in a transaction of its own; a fifth of what it may take.
    function test_shareOf() public {
        bytes memory data = abi.encodeCall(IFizzShares.shareOf, (GATEWAY, fizz));
        vm.cool(fizzShares);
        uint256 before = gasleft();
        (bool ok,) = fizzShares.staticcall(data);
        uint256 used = before - gasleft();
        assertTrue(ok);
        vm.snapshotValue("fizz", "share_of", used);
        assertLt(used, SHARE_GAS / 4);
    }

    function test_vote() public {
        vm.prank(alice);
        uint256 proposal = votes.proposeTerms(GATEWAY, _subnetTerms(SHARE - 1, DELEGATION));
        _spent("propose", 230_000);
        _vote(alice, proposal, true);
        _spent("vote", 95_000);
        _vote(_owner(GATEWAY), proposal, true);
        skip(VOTING + 1);
        votes.execute(proposal);
        _spent("execute", 90_000);
    }

    /// In an era in which pool and staker did not change yet: two checkpoints are written.
    function test_delegate() public {
        _delegate(alice, GATEWAY, 1e18);
        // The last call is the delegation: `stopPrank` is none.
        _spent("delegate", 200_000);
    }

    function _spent(string memory name, uint256 budget) private {
        uint256 gas = vm.snapshotGasLastCall("fizz", name);
        assertLe(gas, budget, name);
    }
}
