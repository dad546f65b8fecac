// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IBlsVerifier} from "../../src/interfaces/IBlsVerifier.sol";

/// @title  BlsSigner: keys and signatures of any secret, by the chain's own precompiles
abstract contract BlsSigner {
    bytes internal constant SIGNATURE_DOMAIN = "BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";
    bytes internal constant POSSESSION_DOMAIN = "BLS_POP_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";
    address private constant G1_ADD = address(0x0b);
    address private constant G1_MSM = address(0x0c);
    address private constant G2_MSM = address(0x0e);
    bytes private constant GENERATOR = hex"00000000000000000000000000000000024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
        hex"0000000000000000000000000000000013e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
        hex"000000000000000000000000000000000ce5d527727d6e118cc9cdc6da2e351aadfd9baa8cbdd3a76d429a695160d12c923ac9cc3baca289e193548608b82801"
        hex"000000000000000000000000000000000606c4a02ea734cc32acd2b02bc28b99cb3e287e85a763af267492ab572e99ab3f370d275cec1da1aaa9075ff05f79be";

    IBlsVerifier internal bls;

    function _keyOf(uint256 secret) internal view returns (bytes memory) {
        return _call(G2_MSM, bytes.concat(GENERATOR, bytes32(secret)));
    }

    function _sign(uint256 secret, bytes32 digest) internal view returns (bytes memory) {
        return _multiply(bls.hashToG1(bytes.concat(digest), SIGNATURE_DOMAIN), secret);
    }

    function _prove(uint256 secret, bytes32 digest) internal view returns (bytes memory) {
        return _multiply(bls.hashToG1(bytes.concat(digest), POSSESSION_DOMAIN), secret);
    }

    function _addSignatures(bytes memory a, bytes memory b) internal view returns (bytes memory) {
        return _call(G1_ADD, bytes.concat(a, b));
    }

    function _multiply(bytes memory point, uint256 scalar) private view returns (bytes memory) {
        return _call(G1_MSM, bytes.concat(point, bytes32(scalar)));
    }

    function _call(address precompile, bytes memory input) private view returns (bytes memory output) {
        bool success;
        (success, output) = precompile.staticcall(input);
        require(success, "precompile");
    }
}
