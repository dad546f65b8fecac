// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Test} from "forge-std/Test.sol";

import {IRandomness} from "../../src/interfaces/IMatching.sol";
import {BlockHashRandomness} from "../../src/matching/BlockHashRandomness.sol";
import {Built} from "../Built.sol";

/// @title  BlockHashRandomness: not yet, here, through the history contract, gone
contract BlockHashRandomnessTest is Test {
    /// EIP-2935's own code and address.
    address internal constant HISTORY = 0x0000F90827F1C53a10cb7A02335B175320002935;
    bytes internal constant HISTORY_CODE =
        hex"3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f35600143038111604257611fff81430311604257611fff9006545f5260205ff35b5f5ffd5b5f35611fff60014303065500";
    address internal constant SYSTEM = 0xffffFFFfFFffffffffffffffFfFFFfffFFFfFFfE;

    BlockHashRandomness internal randomness = BlockHashRandomness(Built.make("BlockHashRandomness", ""));

    function setUp() public {
        vm.roll(100_000);
    }

    function test_notYet() public {
        vm.expectRevert(abi.encodeWithSelector(IRandomness.Randomness_NotYet.selector, 100_000));
        randomness.seedOf(100_000);
        vm.expectRevert(abi.encodeWithSelector(IRandomness.Randomness_NotYet.selector, type(uint256).max));
        randomness.seedOf(type(uint256).max);
        assertFalse(randomness.isGone(100_000));
        assertFalse(randomness.isGone(100_001));
    }

    function test_recent() public {
        vm.setBlockhash(99_999, keccak256("hash"));
        assertEq(randomness.seedOf(99_999), keccak256(abi.encode(keccak256("hash"), 99_999)));
        assertFalse(randomness.isGone(99_999));
    }

    function test_gone_withoutTheHistoryContract() public {
        vm.etch(HISTORY, "");
        assertTrue(randomness.isGone(99_743));
        vm.expectRevert(abi.encodeWithSelector(IRandomness.Randomness_Gone.selector, 99_743));
        randomness.seedOf(99_743);
    }

    /// The same seed from the opcode and, later, from the history; then never again.
    function test_history() public {
        vm.etch(HISTORY, HISTORY_CODE);
        bytes32 hash = keccak256("old");
        vm.roll(50_001);
        vm.setBlockhash(50_000, hash);
        vm.prank(SYSTEM);
        (bool ok,) = HISTORY.call(abi.encode(hash)); // what the chain does at the start of a block
        assertTrue(ok);
        bytes32 seed = randomness.seedOf(50_000);

        vm.roll(50_000 + 8191);
        assertEq(randomness.seedOf(50_000), seed);
        assertFalse(randomness.isGone(50_000));
        vm.roll(50_000 + 8192);
        assertTrue(randomness.isGone(50_000));
        vm.expectRevert(abi.encodeWithSelector(IRandomness.Randomness_Gone.selector, 50_000));
        randomness.seedOf(50_000);
    }
}
