// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title  IBlsVerifier: BLS12-381 min-sig (signature in G1, key in G2) through EIP-2537
/// @notice Points in EIP-2537 encoding: G1 128 bytes, G2 256 bytes (x.c0, x.c1, y.c0, y.c1), 16 zero bytes before each
///         coordinate. Infinity is refused everywhere.
interface IBlsVerifier {
    error Bls_BadLength(string what);
    error Bls_Infinity(string what);

    /// @notice One signature of one key over `message`, domain BLS_SIG_BLS12381G1_XMD:SHA-256_SSWU_RO_POP_.
    function verify(bytes calldata publicKey, bytes calldata message, bytes calldata signature)
        external
        view
        returns (bool);
    /// @notice Proof of possession over an EIP-712 digest (operator, registry, chain id, key), domain BLS_POP_….
    function verifyPossession(bytes calldata publicKey, bytes32 digest, bytes calldata proof)
        external
        view
        returns (bool);
    function hashToG1(bytes calldata message, bytes calldata domain) external view returns (bytes memory point);
}
