// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

interface IHook {
    function onMoved(address from, address to, uint256 amount) external;
}

/// @title  HookToken: a token that tells sender and receiver of every transfer, as ERC-777 does
contract HookToken is ERC20("Hook", "HOOK") {
    mapping(address => bool) public wants;

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function listen() external {
        wants[msg.sender] = true;
    }

    function decimals() public pure override returns (uint8) {
        return 6;
    }

    function _update(address from, address to, uint256 amount) internal override {
        if (wants[from]) IHook(from).onMoved(from, to, amount);
        super._update(from, to, amount);
        if (wants[to]) IHook(to).onMoved(from, to, amount);
    }
}
