// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";

import {IStakingManager} from "../interfaces/IStakingManager.sol";
import {EraClock} from "./EraClock.sol";

/// @title  StakeHistory: who held what of a pool at the end of an era, to vote with (SP-38)
/// @notice A checkpoint is written with the pool's nonce, since shares of a pool that was lost in between are worth
///         nothing. Only eras that are over can be asked about: their answers are final.
abstract contract StakeHistory is IStakingManager {
    using Checkpoints for Checkpoints.Trace208;
    using SafeCast for uint256;

    uint256 private constant NONCE = 112;

    EraClock internal immutable CLOCK;

    /// By era: shares 112 | nonce 32.
    mapping(uint256 provider => Checkpoints.Trace208) private _totals;
    mapping(uint256 provider => mapping(address staker => Checkpoints.Trace208)) private _held;

    constructor(EraClock clock) {
        CLOCK = clock;
    }

    /// @inheritdoc IStakingManager
    function sharesAt(uint256 provider, address staker, uint256 era) external view returns (uint256) {
        uint256 held = _at(_held[provider][staker], era);
        return held >> NONCE == _at(_totals[provider], era) >> NONCE ? _sharesIn(held) : 0;
    }

    /// @inheritdoc IStakingManager
    function totalSharesAt(uint256 provider, uint256 era) external view returns (uint256) {
        return _sharesIn(_at(_totals[provider], era));
    }

    function _rememberTotal(uint256 provider, uint256 era, uint256 nonce, uint256 shares) internal {
        _push(_totals[provider], era, nonce, shares);
    }

    function _rememberHeld(uint256 provider, address staker, uint256 era, uint256 nonce, uint256 shares) internal {
        _push(_held[provider][staker], era, nonce, shares);
    }

    function _push(Checkpoints.Trace208 storage trace, uint256 era, uint256 nonce, uint256 shares) private {
        trace.push(era.toUint48(), ((nonce << NONCE) | shares).toUint208());
    }

    function _at(Checkpoints.Trace208 storage trace, uint256 era) private view returns (uint256) {
        uint256 current = CLOCK.current();
        if (era >= current) revert StakingManager_EraNotOver(era, current);
        return trace.upperLookupRecent(era.toUint48());
    }

    function _sharesIn(uint256 checkpoint) private pure returns (uint256) {
        return checkpoint & ((1 << NONCE) - 1);
    }
}
