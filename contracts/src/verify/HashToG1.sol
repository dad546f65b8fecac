// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title  HashToG1: BLS12381G1_XMD:SHA-256_SSWU_RO_ of RFC 9380 on the precompiles of EIP-2537
/// @notice expand_message_xmd to 128 bytes, two field elements mod p, each mapped to the curve (the precompile clears
///         the cofactor), then added. Written for few copies: it is part of every check of a quorum.
library HashToG1 {
    /// A precompile did not answer; cannot happen on a chain that has EIP-2537 unless gas runs out.
    error HashToG1_Failed();

    /// p with its 16 zero bytes cut off: its first 32 bytes and its last 16.
    bytes32 private constant P_FIRST = 0x1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f624;
    bytes16 private constant P_LAST = 0x1eabfffeb153ffffb9feffffffffaaab;

    /// @param domain 1 to 255 bytes
    /// @return point 128 bytes, EIP-2537's encoding
    function hash(bytes memory message, bytes memory domain) internal view returns (bytes memory point) {
        point = new bytes(128);
        hashTo(message, domain, point);
    }

    /// @notice Writes the point over the first 128 bytes of `target`.
    function hashTo(bytes memory message, bytes memory domain, bytes memory target) internal view {
        (bytes32 b1, bytes32 b2, bytes32 b3, bytes32 b4) = _expand(message, domain);
        bool success;
        uint256 points;
        assembly ("memory-safe") {
            points := mload(0x40)
        }
        success = _map(b1, b2, points) && _map(b3, b4, points + 128);
        assembly ("memory-safe") {
            success := and(success, staticcall(gas(), 0x0b, points, 256, add(target, 0x20), 128)) // G1ADD
            success := and(success, eq(returndatasize(), 128))
        }
        if (!success) revert HashToG1_Failed();
    }

    /// @dev RFC 9380, 5.3.1: len_in_bytes = 128 = 4 blocks of SHA-256, whose input block is 64 bytes. The first input is
    ///      64 zeroes ‖ message ‖ 0x008000 ‖ domain ‖ its length; the next four are 32 bytes ‖ 1 to 4 ‖ domain ‖ its length,
    ///      for which the 33 bytes before the domain are written over.
    function _expand(bytes memory message, bytes memory domain)
        private
        view
        returns (bytes32 b1, bytes32 b2, bytes32 b3, bytes32 b4)
    {
        bool success;
        assembly ("memory-safe") {
            function sha(success_, from, to) -> ok, digest {
                ok := and(success_, staticcall(gas(), 0x02, from, sub(to, from), 0x00, 0x20))
                digest := mload(0x00)
            }
            let first := mload(0x40)
            mstore(first, 0)
            mstore(add(first, 0x20), 0)
            let at := add(first, 0x40)
            mcopy(at, add(message, 0x20), mload(message))
            at := add(at, mload(message))
            mstore(at, shl(232, 0x008000))
            at := add(at, 3)
            let length := mload(domain)
            mcopy(at, add(domain, 0x20), length)
            mstore8(add(at, length), length)
            let end := add(add(at, length), 1)

            let b0
            success, b0 := sha(1, first, end)
            let next := sub(at, 33)
            mstore(next, b0)
            mstore8(sub(at, 1), 1)
            success, b1 := sha(success, next, end)
            mstore(next, xor(b0, b1))
            mstore8(sub(at, 1), 2)
            success, b2 := sha(success, next, end)
            mstore(next, xor(b0, b2))
            mstore8(sub(at, 1), 3)
            success, b3 := sha(success, next, end)
            mstore(next, xor(b0, b3))
            mstore8(sub(at, 1), 4)
            success, b4 := sha(success, next, end)
        }
        if (!success) revert HashToG1_Failed();
    }

    /// @dev 64 bytes mod p, onto the curve, to `target`: one of two places of 128 bytes at the start of the free memory,
    ///      which is scratch space here.
    function _map(bytes32 high, bytes32 low, uint256 target) private view returns (bool success) {
        assembly ("memory-safe") {
            // MODEXP's lengths 64, 1 and 48, its base, exponent 1 and modulus p.
            let input := add(mload(0x40), 0x100)
            mstore(input, 64)
            mstore(add(input, 0x20), 1)
            mstore(add(input, 0x40), 48)
            mstore(add(input, 0x60), high)
            mstore(add(input, 0x80), low)
            mstore8(add(input, 0xa0), 1)
            mstore(add(input, 0xa1), P_FIRST)
            mstore(add(input, 0xc1), P_LAST)
            // 48 bytes behind 16 that are zero: a field element of EIP-2537.
            success := staticcall(gas(), 0x05, input, 0xd1, add(input, 0x10), 48)
            success := and(success, eq(returndatasize(), 48))
            success := and(success, staticcall(gas(), 0x10, input, 64, target, 128)) // MAP_FP_TO_G1
            success := and(success, eq(returndatasize(), 128))
        }
    }
}
