// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title  Guarded: calls whose failure must not stop the caller (SP-20)
/// @notice The callee gets a fixed amount of gas, cannot revert the caller and cannot flood it with return data. The
///         caller's caller cannot starve it either: with too little gas the whole transaction reverts.
library Guarded {
    error Guarded_TooLittleGas(uint256 needed);

    function tryCall(address target, uint256 gasLimit, bytes memory data) internal returns (bool ok) {
        _require(gasLimit);
        assembly ("memory-safe") {
            ok := call(gasLimit, target, 0, add(data, 0x20), mload(data), 0, 0)
        }
    }

    /// @return ok also false when the answer is shorter than a word
    function tryView(address target, uint256 gasLimit, bytes memory data) internal view returns (bool ok, uint256 a) {
        _require(gasLimit);
        assembly ("memory-safe") {
            ok := staticcall(gasLimit, target, add(data, 0x20), mload(data), 0x00, 0x20)
            ok := and(ok, gt(returndatasize(), 0x1f))
            if ok { a := mload(0x00) }
        }
    }

    /// @return ok also false when the answer is shorter than two words
    function tryView2(address target, uint256 gasLimit, bytes memory data)
        internal
        view
        returns (bool ok, uint256 a, uint256 b)
    {
        _require(gasLimit);
        assembly ("memory-safe") {
            ok := staticcall(gasLimit, target, add(data, 0x20), mload(data), 0x00, 0x40)
            ok := and(ok, gt(returndatasize(), 0x3f))
            if ok {
                a := mload(0x00)
                b := mload(0x20)
            }
        }
    }

    /// @dev A call passes on at most 63/64 of what is left (EIP-150).
    function _require(uint256 gasLimit) private view {
        uint256 needed = gasLimit + gasLimit / 63 + 5000;
        if (gasleft() < needed) revert Guarded_TooLittleGas(needed);
    }
}
