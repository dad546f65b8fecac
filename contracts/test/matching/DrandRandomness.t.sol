// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {RLP} from "@openzeppelin/contracts/utils/RLP.sol";

import {IBlsVerifier} from "../../src/interfaces/IBlsVerifier.sol";
import {IDrandRandomness} from "../../src/interfaces/IDrandRandomness.sol";
import {IRandomness} from "../../src/interfaces/IMatching.sol";
import {DrandRandomness} from "../../src/matching/DrandRandomness.sol";
import {Quicknet} from "./Quicknet.sol";

/// @title  DrandRandomnessTest: quicknet's own key and published rounds
contract DrandRandomnessTest is Quicknet {
    using RLP for RLP.Encoder;

    uint256 private constant BLOCK = 99_990;

    DrandRandomness private randomness;

    function setUp() public {
        vm.roll(100_000);
        randomness = _makeQuicknet();
    }

    /// All published rounds of the fixture, each for a block that it comes out after.
    function test_PublishedRounds() public {
        uint256[5] memory rounds = [uint256(1000), 1001, 1002, 1003, 32_398_885];
        for (uint256 i; i < rounds.length; ++i) {
            assertEq(vm.parseJsonUint(fixture, string.concat(_roundPath(i), ".round")), rounds[i]);
            bytes memory header = _header(BLOCK + i, _timeBefore(rounds[i]));
            bytes memory signature = _signatureOf(i);
            bytes32 seed = keccak256(abi.encode(keccak256(signature), BLOCK + i));
            vm.expectEmit(address(randomness));
            emit IDrandRandomness.RoundVerified(rounds[i], signature);
            vm.expectEmit(address(randomness));
            emit IDrandRandomness.SeedStored(BLOCK + i, rounds[i], seed);
            assertEq(randomness.submit(header, signature), seed);
            assertEq(randomness.seedOf(BLOCK + i), seed);
        }
    }

    /// A round is of one block time or later: what comes out while bids are taken is never a seed.
    function testFuzz_TheRoundComesOutAfterTheDelay(uint256 timestamp) public view {
        timestamp = bound(timestamp, 1, type(uint40).max);
        uint256 round = randomness.roundOf(timestamp);
        uint256 out = GENESIS + (round - 1) * PERIOD;
        assertGt(out, timestamp + DELAY);
        if (round > 1) assertLe(out - PERIOD, timestamp + DELAY);
    }

    function test_BlocksOfOneRoundShareItsVerification() public {
        uint256 time = _timeBefore(1000);
        bytes32 first = randomness.submit(_header(BLOCK, time), _signatureOf(0));
        bytes32 second = randomness.submit(_header(BLOCK + 1, time - 1), "");
        assertNotEq(first, second);
    }

    function test_RevertIf_TheSignatureIsOfAnotherRound() public {
        bytes memory header = _header(BLOCK, _timeBefore(1000));
        vm.expectRevert(abi.encodeWithSelector(IDrandRandomness.Drand_BadRound.selector, 1000));
        randomness.submit(header, _signatureOf(1));
        vm.expectRevert(abi.encodeWithSelector(IBlsVerifier.Bls_Infinity.selector, "signature"));
        randomness.submit(header, new bytes(128));
        vm.expectRevert(abi.encodeWithSelector(IBlsVerifier.Bls_BadLength.selector, "signature"));
        randomness.submit(header, "");
    }

    function test_RevertIf_TheHeaderIsNotTheChains() public {
        bytes memory header = _header(BLOCK, _timeBefore(1000));
        vm.setBlockhash(BLOCK, keccak256("another"));
        vm.expectRevert(IDrandRandomness.Drand_BadHeader.selector);
        randomness.submit(header, _signatureOf(0));
        // Too short to hold a time, and a list that ends early.
        bytes memory short = RLP.encoder().push(uint256(1)).push(uint256(2)).encode();
        vm.expectRevert(IDrandRandomness.Drand_BadHeader.selector);
        randomness.submit(short, _signatureOf(0));
        vm.expectRevert();
        randomness.submit(hex"f90200", _signatureOf(0));
    }

    function test_RevertIf_TheSeedIsKnown() public {
        bytes memory header = _header(BLOCK, _timeBefore(1000));
        randomness.submit(header, _signatureOf(0));
        vm.expectRevert(abi.encodeWithSelector(IDrandRandomness.Drand_SeedKnown.selector, BLOCK));
        randomness.submit(header, _signatureOf(0));
    }

    function test_NotYetThenGone() public {
        _header(BLOCK, _timeBefore(1000));
        vm.expectRevert(abi.encodeWithSelector(IRandomness.Randomness_NotYet.selector, BLOCK));
        randomness.seedOf(BLOCK);
        assertFalse(randomness.isGone(BLOCK));
        assertFalse(randomness.isGone(block.number));
        vm.setBlockhash(BLOCK, 0);
        assertTrue(randomness.isGone(BLOCK));
        vm.expectRevert(abi.encodeWithSelector(IRandomness.Randomness_Gone.selector, BLOCK));
        randomness.seedOf(BLOCK);
    }

    /// What was brought in time stays when the chain has forgotten the block.
    function test_ASeedOutlivesItsBlock() public {
        bytes32 seed = randomness.submit(_header(BLOCK, _timeBefore(1000)), _signatureOf(0));
        vm.setBlockhash(BLOCK, 0);
        assertFalse(randomness.isGone(BLOCK));
        assertEq(randomness.seedOf(BLOCK), seed);
    }

    function test_Network() public {
        IDrandRandomness.Network memory n = randomness.network();
        assertEq(n.key, vm.parseJsonBytes(fixture, ".key"));
        assertEq(n.genesis, GENESIS);
        assertEq(n.period, PERIOD);
        assertEq(n.delay, DELAY);
        n.period = 0;
        vm.expectRevert(IDrandRandomness.Drand_BadNetwork.selector);
        new DrandRandomness(n);
        n.period = 3;
        n.key = new bytes(255);
        vm.expectRevert(IDrandRandomness.Drand_BadNetwork.selector);
        new DrandRandomness(n);
    }
}
