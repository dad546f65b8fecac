// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";

/// @title  DevDollar: the devnet's test dollar
/// @notice Worth nothing: anyone mints. Six decimals and a permit, as the usual dollar tokens have.
contract DevDollar is ERC20Permit {
    /// @notice What one call of `faucet` gives: a thousand dollars.
    uint256 public constant FAUCET = 1000e6;

    constructor() ERC20("Devnet Dollar", "DUSD") ERC20Permit("Devnet Dollar") {}

    function faucet() external {
        _mint(msg.sender, FAUCET);
    }

    /// @param amount millionths of a dollar
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    function decimals() public pure override returns (uint8) {
        return 6;
    }
}
