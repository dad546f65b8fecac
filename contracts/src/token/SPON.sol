// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Burnable} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Burnable.sol";
import {ERC20Capped} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Capped.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {ERC20Votes} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Votes.sol";
import {Nonces} from "@openzeppelin/contracts/utils/Nonces.sol";
import {Time} from "@openzeppelin/contracts/utils/types/Time.sol";

/// @title  SPON: the network's token: stakes, penalties, rewards and votes
/// @notice ERC-20 with EIP-2612 permit and ERC-5805 votes. Capped; only the access manager's minter role mints. What is
///         burned may be minted again within the cap. Votes count by time, since block numbers differ between chains.
contract SPON is ERC20Capped, ERC20Burnable, ERC20Permit, ERC20Votes, AccessManaged {
    /// @notice The most that can ever exist at one time, in wei.
    uint256 public constant CAP = 1_000_000_000e18;

    constructor(address authority)
        ERC20("Spheron", "SPON")
        ERC20Capped(CAP)
        ERC20Permit("Spheron")
        AccessManaged(authority)
    {}

    /// @notice Creates `amount` wei for `to`; reverts beyond the cap.
    function mint(address to, uint256 amount) external restricted {
        _mint(to, amount);
    }

    /// @notice ERC-6372: voting power is looked up by unix time.
    function clock() public view override returns (uint48) {
        return Time.timestamp();
    }

    // ERC-6372 fixes this name.
    // solhint-disable-next-line func-name-mixedcase
    function CLOCK_MODE() public pure override returns (string memory) {
        return "mode=timestamp";
    }

    function nonces(address owner) public view override(ERC20Permit, Nonces) returns (uint256) {
        return super.nonces(owner);
    }

    function _update(address from, address to, uint256 value) internal override(ERC20, ERC20Capped, ERC20Votes) {
        super._update(from, to, value);
    }
}
