// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title  HashToG1: BLS12381G1_XMD:SHA-256_SSWU_RO_ of RFC 9380 on the precompiles of EIP-2537
/// @notice expand_message_xmd to 128 bytes, two field elements mod p, each mapped to the curve (the precompile clears
///         the cofactor), then added.
library HashToG1 {
    /// A precompile did not answer; cannot happen on a chain that has EIP-2537 unless gas runs out.
    error HashToG1_Failed();

    address private constant MODEXP = address(0x05);
    address private constant G1_ADD = address(0x0b);
    address private constant MAP_FP_TO_G1 = address(0x10);

    /// p with its 16 zero bytes cut off.
    bytes private constant P =
        hex"1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab";

    /// @param domain 1 to 255 bytes
    /// @return point 128 bytes, EIP-2537's encoding
    function hash(bytes memory message, bytes memory domain) internal view returns (bytes memory point) {
        (bytes32 b1, bytes32 b2, bytes32 b3, bytes32 b4) = _expand(message, domain);
        return _call(G1_ADD, bytes.concat(_map(b1, b2), _map(b3, b4)), 128);
    }

    /// @dev RFC 9380, 5.3.1: len_in_bytes = 128 = 4 blocks of SHA-256, whose input block is 64 bytes.
    function _expand(bytes memory message, bytes memory domain)
        private
        pure
        returns (bytes32 b1, bytes32 b2, bytes32 b3, bytes32 b4)
    {
        bytes memory suffix = bytes.concat(domain, bytes1(uint8(domain.length)));
        bytes32 b0 = sha256(bytes.concat(new bytes(64), message, hex"008000", suffix));
        b1 = sha256(bytes.concat(b0, hex"01", suffix));
        b2 = sha256(bytes.concat(b0 ^ b1, hex"02", suffix));
        b3 = sha256(bytes.concat(b0 ^ b2, hex"03", suffix));
        b4 = sha256(bytes.concat(b0 ^ b3, hex"04", suffix));
    }

    /// @dev 64 bytes mod p, onto the curve.
    function _map(bytes32 high, bytes32 low) private view returns (bytes memory) {
        bytes memory reduced = _call(
            MODEXP,
            bytes.concat(bytes32(uint256(64)), bytes32(uint256(1)), bytes32(uint256(48)), high, low, hex"01", P),
            48
        );
        return _call(MAP_FP_TO_G1, bytes.concat(bytes16(0), reduced), 128);
    }

    function _call(address precompile, bytes memory input, uint256 length) private view returns (bytes memory output) {
        bool success;
        (success, output) = precompile.staticcall(input);
        if (!success || output.length != length) revert HashToG1_Failed();
    }
}
