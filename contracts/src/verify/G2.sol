// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title  G2: sums and differences of BLS12-381 keys, in EIP-2537's encoding (256 bytes: x.c0, x.c1, y.c0, y.c1)
/// @notice Points must be on the curve or the precompile fails; it does not check their subgroup, so only keys whose
///         possession was proved, and sums of such, may come here. Infinity, 256 zero bytes, is the sum of none.
library G2 {
    /// A point off the curve, or no such precompile.
    error G2_Failed();

    uint256 internal constant LENGTH = 256;

    /// The field's prime, 381 bits.
    uint256 private constant P_HIGH = 0x1a0111ea397fe69a4b1ba7b6434bacd7;
    uint256 private constant P_LOW = 0x64774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab;

    function infinity() internal pure returns (bytes memory) {
        return new bytes(LENGTH);
    }

    function add(bytes memory a, bytes memory b) internal view returns (bytes memory sum) {
        sum = bytes.concat(a, b);
        bool success;
        assembly ("memory-safe") {
            success := staticcall(gas(), 0x0d, add(sum, 0x20), 512, add(sum, 0x20), 256)
            success := and(success, eq(returndatasize(), 256))
            mstore(sum, 256)
        }
        if (!success) revert G2_Failed();
    }

    function subtract(bytes memory a, bytes memory b) internal view returns (bytes memory) {
        bytes memory negated = bytes.concat(b);
        _negate(negated, 0xa0); // y.c0, behind the length and x
        _negate(negated, 0xe0); // y.c1
        return add(a, negated);
    }

    /// @notice Adds a point of 256 bytes to `sum` in its place.
    /// @return hash of the point, which had to be copied anyway
    function addTo(bytes memory sum, bytes calldata point) internal view returns (bytes32 hash) {
        bool success;
        assembly ("memory-safe") {
            // The free memory is scratch space: the two points one after the other.
            let input := mload(0x40)
            calldatacopy(input, point.offset, 256)
            hash := keccak256(input, 256)
            mcopy(add(input, 256), add(sum, 0x20), 256)
            success := staticcall(gas(), 0x0d, input, 512, add(sum, 0x20), 256)
            success := and(success, eq(returndatasize(), 256))
        }
        if (!success) revert G2_Failed();
    }

    /// @dev c → p − c for the coordinate of 64 bytes at `offset`; 0 stays 0.
    function _negate(bytes memory point, uint256 offset) private pure {
        uint256 high;
        uint256 low;
        assembly ("memory-safe") {
            high := mload(add(point, offset))
            low := mload(add(add(point, offset), 0x20))
        }
        if (high | low == 0) return;
        unchecked {
            high = P_HIGH - high - (low > P_LOW ? 1 : 0);
            low = P_LOW - low;
        }
        assembly ("memory-safe") {
            mstore(add(point, offset), high)
            mstore(add(add(point, offset), 0x20), low)
        }
    }
}
