// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IStakingManager} from "../../src/interfaces/IStakingManager.sol";
import {StakeBase} from "./StakeBase.sol";

/// @title  StakeHistory: what was held at the end of an era that is over (SP-38)
contract HistoryTest is StakeBase {
    function test_endOfTheEra() public {
        uint256 era = clock.current();
        uint256 own = _stake(100e18);
        uint256 hers = _delegate(alice, provider, 50e18);
        _nextEra();
        _held(era, own, hers);
        hers += _delegate(alice, provider, 30e18);
        vm.prank(alice);
        staking.unstake(provider, 20e18);
        hers -= 20e18;
        _held(era, own, hers - 10e18);
        _nextEra();
        _held(era + 1, own, hers);
        // Nothing changes: the last word stands.
        skip(30 days);
        _held(clock.current() - 1, own, hers);
        _held(era, own, hers - 10e18);
        _held(0, 0, 0);
        assertEq(staking.totalSharesAt(other, era), 0);
    }

    function test_onlyWhatIsOver() public {
        _stake(100e18);
        uint256 era = clock.current();
        bytes memory notOver = abi.encodeWithSelector(IStakingManager.StakingManager_EraNotOver.selector, era, era);
        vm.expectRevert(notOver);
        staking.sharesAt(provider, owner, era);
        vm.expectRevert(notOver);
        staking.totalSharesAt(provider, era);
    }

    function test_slashesChangeNoShares() public {
        uint256 era = clock.current();
        uint256 own = _stake(100e18);
        uint256 hers = _delegate(alice, provider, 50e18);
        _slash(provider, 70e18);
        _nextEra();
        _held(era, own, hers);
    }

    /// What was lost before the end of an era has no part in it, and what came after the loss has all.
    function test_totalLoss() public {
        uint256 era = clock.current();
        uint256 own = _stake(100e18);
        uint256 hers = _delegate(alice, provider, 50e18);
        _nextEra();
        _slash(provider, type(uint96).max);
        _nextEra();
        _held(era, own, hers);
        assertEq(staking.totalSharesAt(provider, era + 1), 0);
        assertEq(staking.sharesAt(provider, alice, era + 1), 0);
        assertEq(staking.sharesAt(provider, owner, era + 1), 0);

        uint256 his = _delegate(bob, provider, 10e18);
        _nextEra();
        assertEq(staking.sharesAt(provider, bob, era + 2), his);
        assertEq(staking.sharesAt(provider, alice, era + 2), 0);
        assertEq(staking.totalSharesAt(provider, era + 2), his + DEAD);
    }

    function test_lossAndReturnInOneEra() public {
        uint256 era = clock.current();
        _delegate(alice, provider, 50e18);
        _delegate(bob, provider, 50e18);
        _slash(provider, type(uint96).max);
        uint256 hers = _delegate(alice, provider, 5e18);
        _nextEra();
        assertEq(staking.sharesAt(provider, alice, era), hers);
        assertEq(staking.sharesAt(provider, bob, era), 0);
        assertEq(staking.totalSharesAt(provider, era), hers + DEAD);
    }

    /// Thawing shares are no shares: at the target they are new ones.
    function test_redelegation() public {
        uint256 era = clock.current();
        uint256 hers = _delegate(alice, provider, 50e18);
        _nextEra();
        vm.prank(alice);
        uint256 request = staking.redelegate(provider, other, hers, 0);
        _nextEra();
        assertEq(staking.sharesAt(provider, alice, era), hers);
        assertEq(staking.sharesAt(provider, alice, era + 1), 0);
        skip(UNBONDING);
        uint256 moved = clock.current();
        vm.prank(alice);
        staking.withdraw(request);
        _nextEra();
        assertEq(staking.sharesAt(other, alice, moved - 1), 0);
        assertEq(staking.sharesAt(other, alice, moved), staking.sharesOf(other, alice));
    }

    function _held(uint256 era, uint256 own, uint256 hers) private view {
        assertEq(staking.sharesAt(provider, owner, era), own);
        assertEq(staking.sharesAt(provider, alice, era), hers);
        assertEq(staking.totalSharesAt(provider, era), own + hers == 0 ? 0 : own + hers + DEAD);
    }
}
