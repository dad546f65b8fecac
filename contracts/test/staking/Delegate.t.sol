// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IStakingManager} from "../../src/interfaces/IStakingManager.sol";
import {ProfileWord} from "../../src/lib/ProfileWord.sol";
import {Profile, ProfileFlags} from "../../src/lib/Types.sol";
import {StakeBase} from "./StakeBase.sol";

/// @title  DelegateTest: delegations, eras and redelegation
contract DelegateTest is StakeBase {
    using ProfileWord for Profile;

    // ---- Eras

    function test_delegate_countsFromTheNextEra() public {
        vm.expectEmit(address(staking));
        emit IStakingManager.Delegated(provider, alice, 60e18, 60e18 - DEAD, 2);
        _delegate(alice, provider, 60e18);
        assertEq(_counted(provider), DEAD, "nobody's, so nobody waits for it");
        assertEq(registry.profile(provider).stake(), 0);

        _nextEra();
        assertEq(_counted(provider), 60e18);
        assertFalse(_has(provider, ProfileFlags.STAKED), "until somebody rolls it in");
        vm.prank(bob);
        staking.sync(provider);
        assertEq(registry.profile(provider).stake(), 60);
        assertTrue(_has(provider, ProfileFlags.STAKED));
    }

    function test_delegate_pendingIsPerEra() public {
        _delegate(alice, provider, 60e18);
        _nextEra();
        _delegate(bob, provider, 40e18);
        assertEq(_counted(provider), 60e18);
        _delegate(alice, provider, 5e18);
        assertEq(_counted(provider), 60e18);
        _nextEra();
        assertEq(_counted(provider), 105e18);
    }

    function test_delegate_minShares() public {
        vm.expectRevert(
            abi.encodeWithSelector(IStakingManager.StakingManager_TooFewShares.selector, 10e18 - DEAD, 10e18)
        );
        vm.prank(alice);
        staking.delegate(provider, 10e18, 10e18);
    }

    /// An empty pool's first deposit leaves a thousandth of a SPON; later ones nothing.
    function test_delegate_firstDeposit() public {
        vm.expectRevert(abi.encodeWithSelector(IStakingManager.StakingManager_TooFewShares.selector, 0, 1));
        vm.prank(alice);
        staking.delegate(provider, DEAD, 0);
        assertEq(_delegate(alice, provider, DEAD + 1), 1);
        assertEq(_delegate(bob, provider, 1), 1);
        assertEq(_delegate(bob, provider, 5e18), 5e18);
    }

    /// Whoever delegates and leaves in one era takes out the young shares: nothing that counts moves.
    function test_delegateAndLeave_doesNotTouchWhatCounts() public {
        _stake(50e18);
        _delegate(alice, provider, 100e18);
        _nextEra();
        staking.sync(provider);
        _delegate(bob, provider, 1000e18);
        vm.prank(bob);
        staking.unstake(provider, 1000e18);
        assertEq(_counted(provider), 150e18);
        _delegate(alice, provider, 70e18);
        vm.prank(alice);
        staking.unstake(provider, 70e18);
        assertEq(_counted(provider), 150e18);
        vm.prank(alice);
        staking.unstake(provider, 30e18);
        assertEq(_counted(provider), 120e18);
    }

    // ---- Redelegation

    function test_redelegate_thawsAtTheSourceAndThenMoves() public {
        _delegate(alice, provider, 100e18);
        _nextEra();
        uint256 until = vm.getBlockTimestamp() + UNBONDING;
        vm.expectEmit(address(staking));
        emit IStakingManager.Redelegated(provider, other, alice, 60e18, until);
        vm.prank(alice);
        uint256 request = staking.redelegate(provider, other, 60e18, 0);
        assertEq(_counted(provider), 40e18);
        assertEq(_counted(other), 0);
        vm.warp(until);
        uint256 before = spon.balanceOf(alice);
        vm.prank(alice);
        assertEq(staking.withdraw(request), 60e18);
        assertEq(spon.balanceOf(alice), before);
        assertEq(_all(other, alice), 60e18 - DEAD);
        assertEq(_counted(other), DEAD, "a delegation like any other");
        _nextEra();
        assertEq(_counted(other), 60e18);
    }

    function test_redelegate_thenSlashAtTheSource() public {
        _delegate(alice, provider, 100e18);
        vm.prank(alice);
        uint256 request = staking.redelegate(provider, other, 50e18, 0);
        assertEq(_slash(other, 50e18), 0);
        assertEq(_slash(provider, 30e18), 30e18);
        vm.warp(vm.getBlockTimestamp() + UNBONDING);
        vm.prank(alice);
        assertEq(staking.withdraw(request), 35e18, "half of it was the request's");
        assertEq(_slash(other, type(uint256).max), 35e18, "and now it answers for its target");
    }

    function test_redelegate_wipedAtTheSource() public {
        _delegate(alice, provider, 100e18);
        vm.prank(alice);
        uint256 request = staking.redelegate(provider, other, 50e18, 0);
        assertEq(_slash(provider, type(uint256).max), 100e18);
        vm.warp(vm.getBlockTimestamp() + UNBONDING);
        vm.prank(alice);
        assertEq(staking.withdraw(request), 0);
        assertEq(_all(other, alice), 0);
    }

    /// A target that became dearer than the delegator allowed pays him out: no request is ever stuck.
    function test_redelegate_paysOutBelowMinShares() public {
        _delegate(bob, other, 100e18);
        _delegate(alice, provider, 100e18);
        vm.prank(alice);
        uint256 request = staking.redelegate(provider, other, 50e18, 50e18);
        vm.prank(bob);
        staking.addReward(other, 1e18);
        vm.warp(vm.getBlockTimestamp() + UNBONDING);
        uint256 before = spon.balanceOf(alice);
        vm.prank(alice);
        assertEq(staking.withdraw(request), 50e18);
        assertEq(spon.balanceOf(alice) - before, 50e18);
        assertEq(_all(other, alice), 0);
    }

    /// Too little for an empty target's first deposit: paid out as well.
    function test_redelegate_paysOutWhatIsTooLittle() public {
        _delegate(alice, provider, 100e18);
        vm.prank(alice);
        uint256 request = staking.redelegate(provider, other, DEAD, 0);
        vm.warp(vm.getBlockTimestamp() + UNBONDING);
        uint256 before = spon.balanceOf(alice);
        vm.prank(alice);
        staking.withdraw(request);
        assertEq(spon.balanceOf(alice) - before, DEAD);
    }

    function test_redelegate_badTargets() public {
        _delegate(alice, provider, 100e18);
        vm.startPrank(alice);
        vm.expectRevert(abi.encodeWithSelector(IStakingManager.StakingManager_SameProvider.selector, provider));
        staking.redelegate(provider, provider, 1e18, 0);
        vm.expectRevert(abi.encodeWithSelector(IStakingManager.StakingManager_UnknownProvider.selector, 9));
        staking.redelegate(provider, 9, 1e18, 0);
        vm.expectRevert(abi.encodeWithSelector(IStakingManager.StakingManager_InsufficientShares.selector, 0, 1e18));
        staking.redelegate(other, provider, 1e18, 0);
    }

    /// One token never counts for two providers, at whatever time it is looked at.
    function testFuzz_redelegate_countsOnce(uint256 tokens, uint256 wait) public {
        tokens = bound(tokens, 3 * DEAD, 1_000_000e18);
        uint256 shares = _delegate(alice, provider, tokens);
        _nextEra();
        vm.prank(alice);
        uint256 request = staking.redelegate(provider, other, shares, 0);
        vm.warp(vm.getBlockTimestamp() + UNBONDING + bound(wait, 0, 3 * ERA));
        assertEq(_counted(provider) + _counted(other), DEAD);
        vm.prank(alice);
        staking.withdraw(request);
        _nextEra();
        assertEq(_counted(provider) + _counted(other), tokens);
    }
}
