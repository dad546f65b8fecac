// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

import {Escrow} from "../../src/payment/Escrow.sol";

/// @title  HostileTokens: tokens that governance should never enable, to see that they harm nobody else

/// @notice Keeps a hundredth of every transfer.
contract FeeToken is ERC20("Fee", "FEE") {
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (from != address(0) && to != address(0)) super._update(to, address(0), value / 100);
    }
}

/// @notice All balances can be scaled at any time.
contract RebasingToken is ERC20("Rebase", "REB") {
    uint256 public percent = 100;

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function rebase(uint256 percent_) external {
        percent = percent_;
    }

    function balanceOf(address account) public view override returns (uint256) {
        return super.balanceOf(account) * percent / 100;
    }
}

/// @notice Says no in one of three ways, and refuses accounts on a list.
contract MoodyToken is ERC20("Moody", "MOO") {
    enum Mood {
        Good,
        Reverts,
        ReturnsFalse,
        BurnsGas
    }

    Mood public mood;
    mapping(address => bool) public blocked;

    error Blocked(address account);

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function setMood(Mood mood_) external {
        mood = mood_;
    }

    function block_(address account) external {
        blocked[account] = true;
    }

    function transfer(address to, uint256 value) public override returns (bool) {
        return _answer() && super.transfer(to, value);
    }

    function transferFrom(address from, address to, uint256 value) public override returns (bool) {
        return _answer() && super.transferFrom(from, to, value);
    }

    function _answer() private view returns (bool) {
        if (mood == Mood.Reverts) revert("not today");
        if (mood == Mood.BurnsGas) {
            while (true) {}
        }
        return mood == Mood.Good;
    }

    function _update(address from, address to, uint256 value) internal override {
        if (blocked[from] || blocked[to]) revert Blocked(blocked[from] ? from : to);
        super._update(from, to, value);
    }
}

/// @notice Calls back into the escrow during a transfer.
contract ReentrantToken is ERC20("Reenter", "REE") {
    address private _target;
    bytes private _data;
    bool public reentered;
    bytes public answer;

    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function arm(address target, bytes calldata data) external {
        _target = target;
        _data = data;
    }

    function _update(address from, address to, uint256 value) internal override {
        super._update(from, to, value);
        if (_target == address(0)) return;
        address target = _target;
        _target = address(0);
        (reentered, answer) = target.call(_data);
    }

    /// @notice Wallets of this contract, so that it may call as their owner.
    function openWallet(Escrow escrow) external returns (uint256) {
        return escrow.createWallet(address(this));
    }

    function approveEscrow(Escrow escrow) external {
        _approve(address(this), address(escrow), type(uint256).max);
    }
}

/// @notice Claims more decimals than rates have.
contract ManyDecimalsToken is ERC20("Many", "MANY") {
    function decimals() public pure override returns (uint8) {
        return 19;
    }
}
