// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Match} from "../../src/interfaces/IMatchTaskManager.sol";
import {BidWord} from "../../src/lib/BidWord.sol";
import {Bid} from "../../src/lib/Types.sol";
import {TaskBase} from "../matching/TaskBase.sol";

/// @title  ManyBidsGas: what resolving and challenging cost by the number of bids, as whole transactions
/// @notice Isolated as Gas.t.sol is, and kept in snapshots/bids.json in the same way.
/// forge-config: default.isolate = true
contract ManyBidsGasTest is TaskBase {
    using BidWord for Bid;

    /// So many that every one of the 64 slots is some provider's.
    uint256 private constant PROVIDERS = 800;

    function setUp() public override {
        super.setUp();
        for (uint256 n = 5; n <= PROVIDERS; ++n) {
            _providerWith(n, _record(_hotKey(n)), 50e18);
        }
        // Ledgers and tallies exist afterwards.
        uint256 first = _orders(1)[0];
        _respond(_match(first, _best(first)), 0);
        _resolve(_orders(1)[0]);
    }

    function test_8() public {
        _measure(8, 165_000, 165_000);
    }

    function test_32() public {
        _measure(32, 250_000, 250_000);
    }

    function test_64() public {
        _measure(64, 350_000, 350_000);
    }

    function _measure(uint256 bids, uint256 resolve, uint256 challenge) private {
        _resolve(_crowded(bids));
        _spent(string.concat("resolve_", vm.toString(bids)), resolve);

        uint256 order = _crowded(bids);
        _mine(4);
        Match[] memory wrong = _match(order, _worst(order));
        (, bytes32 response) = _response(wrong, 0);
        assertEq(_respond(wrong, 0), 1);
        bytes32 seed = _seed(order);
        vm.prank(reporter);
        tasks.challenge(order, wrong[0].bid, seed, response);
        _spent(string.concat("challenge_", vm.toString(bids)), challenge);
    }

    /// @dev An order with so many bids, each in a slot of its own.
    function _crowded(uint256 bids) private returns (uint256 order) {
        order = _create();
        uint256 slots;
        for (uint256 n = 1; bids != 0; ++n) {
            uint256 slot = uint256(keccak256(abi.encode(order, n))) % 64;
            if (slots >> slot & 1 == 1) continue;
            slots |= 1 << slot;
            --bids;
            _bid(n, order, RATE - n * 1e12);
        }
    }

    function _match(uint256 order, Bid bid) private pure returns (Match[] memory matches) {
        matches = new Match[](1);
        (matches[0].order, matches[0].bid) = (order, bid);
    }

    /// @dev Some bid that is not the best.
    function _worst(uint256 order) private view returns (Bid) {
        Bid[] memory bids = orders.bidsOf(order);
        Bid best = _best(order);
        return bids[0].provider() == best.provider() ? bids[1] : bids[0];
    }

    function _spent(string memory name, uint256 budget) private {
        assertLe(vm.snapshotGasLastCall("bids", name), budget, name);
    }
}
