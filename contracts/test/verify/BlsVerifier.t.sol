// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IBlsVerifier} from "../../src/interfaces/IBlsVerifier.sol";
import {BlsVerifier} from "../../src/verify/BlsVerifier.sol";
import {Built} from "../Built.sol";
import {Test} from "forge-std/Test.sol";

/// @title  BlsVerifierTest: RFC 9380's vectors and signatures of blst hold; corrupted, foreign and infinite ones do not
/// @notice fixtures/rfc9380.json: appendix J.9.1 of RFC 9380. fixtures/blst.json: printed by `cargo run -p iono-bls --example fixtures`.
contract BlsVerifierTest is Test {
    struct Signed {
        bytes32 digest;
        bytes hashed;
        bytes message;
        bytes possession;
        bytes publicKey;
        bytes signature;
    }

    BlsVerifier private verifier;
    string private blst;

    function setUp() public {
        verifier = BlsVerifier(Built.make("BlsVerifier", ""));
        blst = vm.readFile("contracts/test/verify/fixtures/blst.json");
    }

    function test_rfc9380Vectors() public view {
        string memory json = vm.readFile("contracts/test/verify/fixtures/rfc9380.json");
        bytes memory domain = bytes(vm.parseJsonString(json, ".domain"));
        for (uint256 i; i < 5; ++i) {
            string memory path = string.concat(".vectors[", vm.toString(i), "]");
            bytes memory message = vm.parseJsonBytes(json, string.concat(path, ".message"));
            assertEq(verifier.hashToG1(message, domain), vm.parseJsonBytes(json, string.concat(path, ".point")));
        }
    }

    function test_blstSignatures() public view {
        bytes memory domain = "BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";
        for (uint256 i; i < 12; ++i) {
            Signed memory s = _signed(i);
            assertEq(verifier.hashToG1(s.message, domain), s.hashed);
            assertTrue(verifier.verify(s.publicKey, s.message, s.signature));
            assertTrue(verifier.verifyPossession(s.publicKey, s.digest, s.possession));
        }
    }

    function test_aggregate() public view {
        bytes memory key = vm.parseJsonBytes(blst, ".aggregate.publicKey");
        bytes memory message = vm.parseJsonBytes(blst, ".aggregate.message");
        assertTrue(verifier.verify(key, message, vm.parseJsonBytes(blst, ".aggregate.signature")));
    }

    function test_foreignParts() public view {
        Signed memory a = _signed(3);
        Signed memory b = _signed(4);
        assertFalse(verifier.verify(b.publicKey, a.message, a.signature));
        assertFalse(verifier.verify(a.publicKey, b.message, a.signature));
        assertFalse(verifier.verify(a.publicKey, a.message, b.signature));
        assertFalse(verifier.verifyPossession(a.publicKey, b.digest, a.possession));
    }

    /// A signature is no proof of possession, nor the other way round: the domains differ.
    function test_domainsAreApart() public view {
        Signed memory s = _signed(2);
        assertFalse(verifier.verify(s.publicKey, bytes.concat(s.digest), s.possession));
        assertFalse(verifier.verifyPossession(s.publicKey, s.digest, s.signature));
    }

    function testFuzz_corrupted(uint8 which, uint256 index, uint8 bit) public view {
        Signed memory s = _signed(5);
        bytes memory target = which % 3 == 0 ? s.publicKey : which % 3 == 1 ? s.message : s.signature;
        index %= target.length;
        target[index] = bytes1(uint8(target[index]) ^ uint8(1 << (bit % 8)));
        assertFalse(verifier.verify(s.publicKey, s.message, s.signature));
    }

    function test_infinityIsRefused() public {
        Signed memory s = _signed(1);
        vm.expectRevert(abi.encodeWithSelector(IBlsVerifier.Bls_Infinity.selector, "public key"));
        verifier.verify(new bytes(256), s.message, s.signature);
        vm.expectRevert(abi.encodeWithSelector(IBlsVerifier.Bls_Infinity.selector, "signature"));
        verifier.verify(s.publicKey, s.message, new bytes(128));
        vm.expectRevert(abi.encodeWithSelector(IBlsVerifier.Bls_Infinity.selector, "public key"));
        verifier.verify(new bytes(256), s.message, new bytes(128));
        vm.expectRevert(abi.encodeWithSelector(IBlsVerifier.Bls_Infinity.selector, "public key"));
        verifier.verifyPossession(new bytes(256), 0, new bytes(128));
    }

    function test_badLengths() public {
        Signed memory s = _signed(1);
        vm.expectRevert(abi.encodeWithSelector(IBlsVerifier.Bls_BadLength.selector, "public key"));
        verifier.verify(s.signature, s.message, s.signature);
        vm.expectRevert(abi.encodeWithSelector(IBlsVerifier.Bls_BadLength.selector, "signature"));
        verifier.verify(s.publicKey, s.message, s.publicKey);
        vm.expectRevert(abi.encodeWithSelector(IBlsVerifier.Bls_BadLength.selector, "domain"));
        verifier.hashToG1("", "");
        vm.expectRevert(abi.encodeWithSelector(IBlsVerifier.Bls_BadLength.selector, "domain"));
        verifier.hashToG1("", new bytes(256));
    }

    /// On the curve, outside the prime-order subgroup.
    function test_outsideTheSubgroup() public view {
        Signed memory s = _signed(1);
        assertFalse(verifier.verify(s.publicKey, s.message, vm.parseJsonBytes(blst, ".outsideSubgroup.g1")));
        assertFalse(verifier.verify(vm.parseJsonBytes(blst, ".outsideSubgroup.g2"), s.message, s.signature));
    }

    /// Hash, two pairings and what surrounds them.
    function test_gasOfAVerification() public view {
        Signed memory s = _signed(3);
        uint256 before = gasleft();
        verifier.verify(s.publicKey, s.message, s.signature);
        assertLt(before - gasleft(), 130_000);
    }

    /// Not on the curve: the precompile burns what it got, which is bounded.
    function test_gasOfAHostilePointIsBounded() public view {
        Signed memory s = _signed(1);
        bytes memory junk = s.signature;
        junk[127] ^= 0x01;
        uint256 before = gasleft();
        assertFalse(verifier.verify(s.publicKey, s.message, junk));
        assertLt(before - gasleft(), 250_000);
    }

    /// Too little gas reverts; it never makes a true signature look false.
    function test_littleGasReverts() public view {
        Signed memory s = _signed(1);
        for (uint256 gasLimit = 60_000; gasLimit < 260_000; gasLimit += 1000) {
            (bool ok, bytes memory out) = address(verifier).staticcall{gas: gasLimit}(
                abi.encodeCall(IBlsVerifier.verify, (s.publicKey, s.message, s.signature))
            );
            if (ok) assertTrue(abi.decode(out, (bool)));
        }
    }

    function test_probe_refusesAChainWithoutThePrecompiles() public {
        vm.mockCall(address(0x0f), bytes(""), abi.encode(uint256(0)));
        vm.expectRevert(BlsVerifier.Bls_NoPrecompile.selector);
        Built.make("BlsVerifier", "");
        vm.mockCall(address(0x0f), bytes(""), abi.encode(uint256(1)));
        vm.expectRevert(BlsVerifier.Bls_NoPrecompile.selector);
        Built.make("BlsVerifier", "");
    }

    function _signed(uint256 i) private view returns (Signed memory) {
        string memory path = string.concat(".signatures[", vm.toString(i), "].");
        return Signed({
            digest: vm.parseJsonBytes32(blst, string.concat(path, "digest")),
            hashed: vm.parseJsonBytes(blst, string.concat(path, "hashed")),
            message: vm.parseJsonBytes(blst, string.concat(path, "message")),
            possession: vm.parseJsonBytes(blst, string.concat(path, "possession")),
            publicKey: vm.parseJsonBytes(blst, string.concat(path, "publicKey")),
            signature: vm.parseJsonBytes(blst, string.concat(path, "signature"))
        });
    }
}
