// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Escrow} from "../../src/payment/Escrow.sol";
import {HookToken, IHook} from "./HookToken.sol";

/// @title  Reentrant: a wallet's owner that calls back whenever its token moves
contract Reentrant is IHook {
    Escrow private immutable ESCROW;
    HookToken private immutable TOKEN;

    address private _target;
    bytes private _call;
    bool private _armed;
    bool public reached;
    bool public succeeded;

    constructor(Escrow escrow, HookToken token) {
        (ESCROW, TOKEN) = (escrow, token);
        token.listen();
        token.approve(address(escrow), type(uint256).max);
    }

    /// @notice What to try in the next transfer, once.
    function arm(address target, bytes calldata data) external {
        (_target, _call, _armed, reached, succeeded) = (target, data, true, false, false);
    }

    function run(address target, bytes calldata data) external returns (bool ok) {
        (ok,) = target.call(data);
    }

    function onMoved(address, address, uint256) external {
        if (!_armed) return;
        (_armed, reached) = (false, true);
        (succeeded,) = _target.call(_call);
    }
}
