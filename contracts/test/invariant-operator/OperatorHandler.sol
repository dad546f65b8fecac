// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Test} from "forge-std/Test.sol";

import {OperatorRegistry} from "../../src/operator/OperatorRegistry.sol";
import {StakingManager} from "../../src/staking/StakingManager.sol";
import {SPON} from "../../src/token/SPON.sol";
import {Restaked} from "../operator/OperatorBase.sol";

/// @title  OperatorHandler: any order of stake, unstake, withdraw, enter, exit, evict, slash, restake and eras
/// @notice Calls that are not possible are left out; what is left must not revert. It keeps what was slashed and, for
///         every era that has begun, what its set was at its beginning.
contract OperatorHandler is Test {
    uint256 private constant MAX = 10_000e18;

    OperatorRegistry private immutable OPERATORS;
    StakingManager private immutable STAKING;
    SPON private immutable SPON_;
    Restaked private immutable RESTAKING;
    address private immutable JUDGE;
    uint256 private immutable CAPACITY;
    uint256 private immutable MIN_WEIGHT;
    uint256 private immutable COUNT;

    uint256 public staked;
    uint256 public slashed;
    uint256 public withdrawn;
    uint256[] private _requests;
    address[] private _requesters;
    uint256[] private _eras;
    mapping(uint256 era => bytes32) private _sets;

    constructor(
        OperatorRegistry operators,
        StakingManager staking,
        SPON spon,
        Restaked restaking,
        address judge,
        uint256 count
    ) {
        (OPERATORS, STAKING, SPON_, RESTAKING, JUDGE, COUNT) = (operators, staking, spon, restaking, judge, count);
        CAPACITY = operators.wiring().capacity;
        MIN_WEIGHT = operators.wiring().minWeight;
    }

    function stake(uint256 seed, uint256 tokens) external {
        uint256 operator = _pick(seed);
        (uint256 held, uint256 shares,,) = STAKING.poolOf(operator);
        tokens = bound(tokens, 1e18, MAX);
        // After a loss a share can be worth less than nothing that a deposit could buy.
        if (shares != 0 && tokens * shares / held == 0) return;
        address owner = OPERATORS.ownerOf(operator);
        SPON_.mint(owner, tokens);
        vm.startPrank(owner);
        SPON_.approve(address(STAKING), tokens);
        STAKING.stake(operator, tokens);
        vm.stopPrank();
        staked += tokens;
    }

    function unstake(uint256 seed, uint256 shares) external {
        uint256 operator = _pick(seed);
        address owner = OPERATORS.ownerOf(operator);
        uint256 held = STAKING.sharesOf(operator, owner);
        if (held == 0) return;
        vm.prank(owner);
        _requests.push(STAKING.unstake(operator, seed % 3 == 0 ? held : bound(shares, 1, held)));
        _requesters.push(owner);
    }

    function withdraw(uint256 seed) external {
        if (_requests.length == 0) return;
        uint256 i = seed % _requests.length;
        (,,,, uint256 until) = STAKING.requestOf(_requests[i]);
        if (block.timestamp < until) vm.warp(until);
        vm.prank(_requesters[i]);
        withdrawn += STAKING.withdraw(_requests[i]);
        (_requests[i], _requesters[i]) = (_requests[_requests.length - 1], _requesters[_requesters.length - 1]);
        _requests.pop();
        _requesters.pop();
    }

    function restake(uint256 seed, uint256 amount) external {
        uint256 operator = _pick(seed);
        RESTAKING.set(OPERATORS.ownerOf(operator), bound(amount, 0, 2 * MAX));
        OPERATORS.sync(operator);
    }

    /// @dev Into a full set, by evicting the first one that may be.
    function enter(uint256 seed) external {
        uint256 operator = _pick(seed);
        if (OPERATORS.ejectedIn(operator) != 0 || _newestWeight(operator) != 0) return;
        uint256 weight = _weightToBe(operator);
        if (weight < MIN_WEIGHT) return;
        (, uint256 total, uint256 size,) = OPERATORS.setAt(OPERATORS.currentEra() + 1);
        uint256 evicted;
        if (size == CAPACITY) {
            for (uint256 other = 1; other <= COUNT && evicted == 0; ++other) {
                uint256 held = _newestWeight(other);
                if (held != 0 && held <= total / size && weight * 10 >= held * 11) evicted = other;
            }
            if (evicted == 0) return;
        }
        vm.prank(OPERATORS.ownerOf(operator));
        OPERATORS.enter(operator, evicted);
    }

    function exit(uint256 seed) external {
        uint256 operator = _pick(seed);
        if (_newestWeight(operator) == 0) return;
        vm.prank(OPERATORS.ownerOf(operator));
        OPERATORS.exit(operator);
    }

    /// @dev Seldom, or there would soon be nobody left.
    function slash(uint256 seed, uint256 tokens) external {
        if (seed % 4 != 0) return;
        uint256 operator = _pick(seed >> 8);
        (uint256 active,, uint256 thawing,) = STAKING.poolOf(operator);
        vm.prank(JUDGE);
        uint256 taken = STAKING.slash(operator, bound(tokens, 0, 2 * MAX), "");
        assertLe(taken, active + thawing, "O4");
        slashed += taken;
    }

    function nextEra(uint256 secs) external {
        vm.warp(block.timestamp + bound(secs, 1 hours, 2 days));
        uint256 era = OPERATORS.currentEra();
        if (_sets[era] != 0) return;
        _sets[era] = setOf(era);
        _eras.push(era);
    }

    /// @return whether every set is still what it was when its era began
    function setsStand() external view returns (bool) {
        for (uint256 i; i < _eras.length; ++i) {
            if (_sets[_eras[i]] != setOf(_eras[i])) return false;
        }
        return true;
    }

    /// @return a digest of everything that a quorum of the era is checked against
    function setOf(uint256 era) public view returns (bytes32) {
        (uint256 point, uint256 weight, uint256 size, bytes32 keyHash) = OPERATORS.setAt(era);
        bytes memory all = abi.encode(point, weight, size, keyHash);
        for (uint256 operator = 1; operator <= COUNT; ++operator) {
            (uint256 place, uint256 weight_) = OPERATORS.weightAt(operator, era);
            all = bytes.concat(all, abi.encode(place, weight_));
        }
        return keccak256(all);
    }

    function _pick(uint256 seed) private view returns (uint256) {
        return seed % COUNT + 1;
    }

    function _newestWeight(uint256 operator) private view returns (uint256 weight) {
        (, weight) = OPERATORS.weightAt(operator, OPERATORS.currentEra() + 1);
    }

    function _weightToBe(uint256 operator) private view returns (uint256) {
        (, uint256 counted) = STAKING.stakeOf(operator);
        uint256 restaked = RESTAKING.restakedOf(OPERATORS.ownerOf(operator));
        return counted + (restaked < counted ? restaked : counted);
    }
}
