// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IBlsVerifier} from "../interfaces/IBlsVerifier.sol";
import {HashToG1} from "./HashToG1.sol";

/// @title  BlsVerifier: min-sig BLS12-381 through EIP-2537
/// @notice A signature holds when e(H(m), key) · e(signature, −g2) = 1. The pairing precompile refuses points off the
///         curve or outside the prime-order subgroup, but takes infinity for valid (and a pairing of two infinities for
///         true), so infinity is refused before. Stateless and immutable; the gas that untrusted points can burn is
///         bounded, since a failing precompile burns all that it was given.
contract BlsVerifier is IBlsVerifier {
    /// The chain lacks EIP-2537, or has it differently.
    error Bls_NoPrecompile();
    /// Too little gas to tell a false signature from a check that ran dry.
    error Bls_OutOfGas();

    bytes private constant SIGNATURE_DOMAIN = "BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";
    bytes private constant POSSESSION_DOMAIN = "BLS_POP_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";

    address private constant PAIRING = address(0x0f);
    /// EIP-2537: 37,700 + 32,600 for each of two pairs.
    uint256 private constant PAIRING_GAS = 102_900;

    uint256 private constant G1_LENGTH = 128;
    uint256 private constant G2_LENGTH = 256;

    /// The generator of G2 with y negated (y → p − y), in EIP-2537's encoding: x.c0, x.c1, y.c0, y.c1.
    bytes private constant NEGATED_G2 = hex"00000000000000000000000000000000024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
        hex"0000000000000000000000000000000013e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
        hex"000000000000000000000000000000000d1b3cc2c7027888be51d9ef691d77bcb679afda66c73f17f9ee3837a55024f78c71363275a75d75d86bab79f74782aa"
        hex"0000000000000000000000000000000013fa4d4a0ad8b1ce186ed5061789213d993923066dddaf1040bc3ff59f825c78df74f2d75467e25e0f55f8a00fa030ed";

    /// A known answer for the probe: the key of secret 1 is g2 itself, so its signature of a message is H(message).
    bytes private constant G2 = hex"00000000000000000000000000000000024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
        hex"0000000000000000000000000000000013e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
        hex"000000000000000000000000000000000ce5d527727d6e118cc9cdc6da2e351aadfd9baa8cbdd3a76d429a695160d12c923ac9cc3baca289e193548608b82801"
        hex"000000000000000000000000000000000606c4a02ea734cc32acd2b02bc28b99cb3e287e85a763af267492ab572e99ab3f370d275cec1da1aaa9075ff05f79be";

    /// @dev Probes the precompiles: one signature that must hold and one that must not.
    constructor() {
        bytes memory point = HashToG1.hash("probe", SIGNATURE_DOMAIN);
        bytes memory other = HashToG1.hash("another", SIGNATURE_DOMAIN);
        if (!_pairs(point, G2, point) || _pairs(point, G2, other)) revert Bls_NoPrecompile();
    }

    /// @inheritdoc IBlsVerifier
    function verify(bytes calldata publicKey, bytes calldata message, bytes calldata signature)
        external
        view
        returns (bool)
    {
        return _verify(publicKey, message, signature, SIGNATURE_DOMAIN);
    }

    /// @inheritdoc IBlsVerifier
    function verifyPossession(bytes calldata publicKey, bytes32 digest, bytes calldata proof)
        external
        view
        returns (bool)
    {
        return _verify(publicKey, bytes.concat(digest), proof, POSSESSION_DOMAIN);
    }

    /// @inheritdoc IBlsVerifier
    function hashToG1(bytes calldata message, bytes calldata domain) external view returns (bytes memory point) {
        if (domain.length == 0 || domain.length > 255) revert Bls_BadLength("domain");
        return HashToG1.hash(message, domain);
    }

    function _verify(bytes calldata publicKey, bytes memory message, bytes calldata signature, bytes memory domain)
        private
        view
        returns (bool)
    {
        if (publicKey.length != G2_LENGTH) revert Bls_BadLength("public key");
        if (signature.length != G1_LENGTH) revert Bls_BadLength("signature");
        if (_isInfinity(publicKey)) revert Bls_Infinity("public key");
        if (_isInfinity(signature)) revert Bls_Infinity("signature");
        return _pairs(HashToG1.hash(message, domain), publicKey, signature);
    }

    /// @dev e(hashed, key) · e(signature, −g2) = 1, and all points are in their subgroups.
    function _pairs(bytes memory hashed, bytes memory key, bytes memory signature) private view returns (bool) {
        bytes memory input = bytes.concat(hashed, key, signature, NEGATED_G2);
        // A call gets at most 63/64 of what is left: with less, a true signature would look false.
        if (gasleft() < PAIRING_GAS + PAIRING_GAS / 63 + 3000) revert Bls_OutOfGas();
        (bool success, bytes memory output) = PAIRING.staticcall{gas: PAIRING_GAS}(input);
        return success && output.length == 32 && abi.decode(output, (uint256)) == 1;
    }

    /// @dev EIP-2537 encodes infinity as zeroes alone.
    function _isInfinity(bytes calldata point) private pure returns (bool) {
        for (uint256 i; i < point.length; i += 32) {
            if (bytes32(point[i:i + 32]) != 0) return false;
        }
        return true;
    }
}
