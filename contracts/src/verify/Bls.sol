// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IBlsVerifier} from "../interfaces/IBlsVerifier.sol";
import {HashToG1} from "./HashToG1.sol";

/// @title  Bls: min-sig BLS12-381 through EIP-2537
/// @notice A signature holds when e(H(m), key) · e(signature, −g2) = 1. The pairing precompile refuses points off the
///         curve or outside the prime-order subgroup, but takes infinity for valid (and a pairing of two infinities for
///         true), so infinity is refused before. The gas that untrusted points can burn is bounded, since a failing
///         precompile burns all that it was given.
library Bls {
    /// Too little gas to tell a false signature from a check that ran dry.
    error Bls_OutOfGas();

    bytes internal constant SIGNATURE_DOMAIN = "BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";
    bytes internal constant POSSESSION_DOMAIN = "BLS_POP_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_";
    /// Of signatures that are never aggregated over one message, such as drand's.
    bytes internal constant PLAIN_DOMAIN = "BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_NUL_";

    uint256 private constant G1_LENGTH = 128;
    uint256 private constant G2_LENGTH = 256;

    /// Two pairs of a point in G1 and one in G2.
    uint256 private constant INPUT_LENGTH = 2 * (G1_LENGTH + G2_LENGTH);
    /// EIP-2537: 37,700 + 32,600 for each of two pairs.
    uint256 private constant PAIRING_GAS = 102_900;

    /// The generator of G2 with y negated (y → p − y), in EIP-2537's encoding: x.c0, x.c1, y.c0, y.c1.
    bytes private constant NEGATED_G2 = hex"00000000000000000000000000000000024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d1770bac0326a805bbefd48056c8c121bdb8"
        hex"0000000000000000000000000000000013e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049334cf11213945d57e5ac7d055d042b7e"
        hex"000000000000000000000000000000000d1b3cc2c7027888be51d9ef691d77bcb679afda66c73f17f9ee3837a55024f78c71363275a75d75d86bab79f74782aa"
        hex"0000000000000000000000000000000013fa4d4a0ad8b1ce186ed5061789213d993923066dddaf1040bc3ff59f825c78df74f2d75467e25e0f55f8a00fa030ed";

    /// @notice Whether `signature` is the key's over `message`.
    function verify(bytes memory key, bytes memory message, bytes memory signature) internal view returns (bool) {
        return _verify(key, message, signature, SIGNATURE_DOMAIN);
    }

    /// @notice Whether `signature` is the key's over `message` in the domain without proofs of possession.
    function verifyPlain(bytes memory key, bytes memory message, bytes memory signature) internal view returns (bool) {
        return _verify(key, message, signature, PLAIN_DOMAIN);
    }

    /// @notice Whether `proof` shows that who signed it knows the key's secret.
    function verifyPossession(bytes memory key, bytes32 digest, bytes memory proof) internal view returns (bool) {
        return _verify(key, bytes.concat(digest), proof, POSSESSION_DOMAIN);
    }

    /// @dev Whether e(first 128 bytes of `input`, key) · e(signature, −g2) = 1 and all points are in their subgroups.
    ///      `input` has INPUT_LENGTH bytes, of which this writes all but the first 128.
    function _pairs(bytes memory input, bytes memory key, bytes memory signature) private view returns (bool holds) {
        bytes memory negated = NEGATED_G2;
        // A call gets at most 63/64 of what is left: with less, a true signature would look false.
        if (gasleft() < PAIRING_GAS + PAIRING_GAS / 63 + 3000) revert Bls_OutOfGas();
        assembly ("memory-safe") {
            mcopy(add(input, 0xa0), add(key, 0x20), 256)
            mcopy(add(input, 0x1a0), add(signature, 0x20), 128)
            mcopy(add(input, 0x220), add(negated, 0x20), 256)
            mstore(0x00, 0)
            holds := staticcall(PAIRING_GAS, 0x0f, add(input, 0x20), 768, 0x00, 0x20)
            holds := and(holds, and(eq(returndatasize(), 0x20), eq(mload(0x00), 1)))
        }
    }

    function _verify(bytes memory key, bytes memory message, bytes memory signature, bytes memory domain)
        private
        view
        returns (bool)
    {
        if (key.length != G2_LENGTH) revert IBlsVerifier.Bls_BadLength("public key");
        if (signature.length != G1_LENGTH) revert IBlsVerifier.Bls_BadLength("signature");
        if (_isZero(key, 0) && _isZero(key, 1)) revert IBlsVerifier.Bls_Infinity("public key");
        if (_isZero(signature, 0)) revert IBlsVerifier.Bls_Infinity("signature");
        bytes memory input = new bytes(INPUT_LENGTH);
        HashToG1.hashTo(message, domain, input);
        return _pairs(input, key, signature);
    }

    /// @dev Infinity is zeroes alone (EIP-2537). No other point of the subgroups has x = 0, since all that have it are of
    ///      order 3: x is all there is to look at, two coordinates of it in G2.
    function _isZero(bytes memory point, uint256 coordinate) private pure returns (bool zero) {
        assembly ("memory-safe") {
            let place := add(point, add(0x20, shl(6, coordinate)))
            zero := iszero(or(mload(place), mload(add(place, 0x20))))
        }
    }
}
