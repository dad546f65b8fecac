// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IProviderAccount} from "../../src/interfaces/IProviderRegistry.sol";
import {IProviderRegistry} from "../../src/interfaces/IProviderRegistry.sol";
import {IStakingManager} from "../../src/interfaces/IStakingManager.sol";
import {ProfileWord} from "../../src/lib/ProfileWord.sol";
import {Profile, ProfileFlags} from "../../src/lib/Types.sol";
import {EraClock} from "../../src/staking/EraClock.sol";
import {Built} from "../Built.sol";
import {StakeBase} from "./StakeBase.sol";
import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";

/// @title  StakeTest: own stake, tiers, unbonding, permits and rewards
contract StakeTest is StakeBase {
    using ProfileWord for Profile;

    function test_stake_countsAtOnce() public {
        vm.expectEmit(address(staking));
        emit IStakingManager.Staked(provider, owner, 49e18, 49e18 - DEAD);
        assertEq(_stake(49e18), 49e18 - DEAD);
        assertFalse(_has(provider, ProfileFlags.STAKED));
        _stake(1e18);
        assertTrue(_has(provider, ProfileFlags.STAKED));
        assertEq(registry.profile(provider).stake(), 50);
        assertEq(_own(provider), 50e18 - DEAD);
        assertEq(_counted(provider), 50e18);
        assertEq(staking.sharesOf(provider, owner), 50e18 - DEAD);
        assertEq(spon.balanceOf(address(staking)), 50e18);
    }

    function test_stake_onlyOwner() public {
        vm.expectRevert(abi.encodeWithSelector(IStakingManager.StakingManager_NotOwner.selector, provider, alice));
        vm.prank(alice);
        staking.stake(provider, 1e18);
    }

    function test_zeroAndUnknown() public {
        vm.startPrank(owner);
        vm.expectRevert(IStakingManager.StakingManager_ZeroAmount.selector);
        staking.stake(provider, 0);
        vm.expectRevert(IStakingManager.StakingManager_ZeroAmount.selector);
        staking.delegate(provider, 0, 0);
        vm.expectRevert(IStakingManager.StakingManager_ZeroAmount.selector);
        staking.unstake(provider, 0);
        vm.expectRevert(IStakingManager.StakingManager_ZeroAmount.selector);
        staking.addReward(provider, 0);
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.ProviderRegistry_UnknownProvider.selector, 9));
        staking.stake(9, 1e18);
        vm.expectRevert(abi.encodeWithSelector(IStakingManager.StakingManager_UnknownProvider.selector, 9));
        staking.delegate(9, 1e18, 0);
        vm.expectRevert(abi.encodeWithSelector(IStakingManager.StakingManager_UnknownProvider.selector, 9));
        staking.sync(9);
    }

    function test_unstake_andWithdraw() public {
        _stake(100e18);
        uint256 until = vm.getBlockTimestamp() + UNBONDING;
        vm.expectEmit(address(staking));
        emit IStakingManager.UnbondingStarted(provider, owner, 1, 60e18, until);
        vm.prank(owner);
        uint256 request = staking.unstake(provider, 60e18);
        assertEq(_counted(provider), 40e18);
        assertFalse(_has(provider, ProfileFlags.STAKED));
        assertEq(_thawing(provider), 60e18);
        (address staker, uint256 of_, uint256 target, uint256 tokens, uint256 readyAt) = staking.requestOf(request);
        assertEq(staker, owner);
        assertEq(of_, provider);
        assertEq(target, 0);
        assertEq(tokens, 60e18);
        assertEq(readyAt, until);

        vm.warp(until - 1);
        vm.expectRevert(abi.encodeWithSelector(IStakingManager.StakingManager_StillUnbonding.selector, request, until));
        vm.prank(owner);
        staking.withdraw(request);

        vm.warp(until);
        vm.expectRevert(abi.encodeWithSelector(IStakingManager.StakingManager_UnknownRequest.selector, request));
        vm.prank(alice);
        staking.withdraw(request);

        uint256 before = spon.balanceOf(owner);
        vm.prank(owner);
        assertEq(staking.withdraw(request), 60e18);
        assertEq(spon.balanceOf(owner) - before, 60e18);
        vm.expectRevert(abi.encodeWithSelector(IStakingManager.StakingManager_UnknownRequest.selector, request));
        vm.prank(owner);
        staking.withdraw(request);
    }

    function test_unstake_moreThanHeld() public {
        _stake(10e18);
        vm.expectRevert(
            abi.encodeWithSelector(IStakingManager.StakingManager_InsufficientShares.selector, 10e18 - DEAD, 10e18)
        );
        vm.prank(owner);
        staking.unstake(provider, 10e18);
    }

    // ---- Permit

    function test_permitAndStake() public {
        (address holder, uint256 key) = makeAddrAndKey("holder");
        uint256 id = _register(holder, makeAddr("holder hot key"));
        vm.prank(governor);
        spon.mint(holder, 50e18);
        uint256 deadline = vm.getBlockTimestamp();
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, _permitDigest(holder, 50e18, deadline));
        vm.prank(holder);
        staking.permitAndStake(id, 50e18, deadline, v, r, s);
        assertEq(_own(id), 50e18 - DEAD);
    }

    function test_permitAndStake_permitWasFrontRun() public {
        (address holder, uint256 key) = makeAddrAndKey("holder");
        uint256 id = _register(holder, makeAddr("holder hot key"));
        vm.prank(governor);
        spon.mint(holder, 50e18);
        uint256 deadline = vm.getBlockTimestamp();
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, _permitDigest(holder, 50e18, deadline));
        vm.prank(bob);
        spon.permit(holder, address(staking), 50e18, deadline, v, r, s);
        vm.prank(holder);
        staking.permitAndStake(id, 50e18, deadline, v, r, s);
        assertEq(_own(id), 50e18 - DEAD);
    }

    function test_permitAndStake_falsePermitWithoutAllowance() public {
        (address holder, uint256 key) = makeAddrAndKey("holder");
        uint256 id = _register(holder, makeAddr("holder hot key"));
        vm.prank(governor);
        spon.mint(holder, 50e18);
        uint256 deadline = vm.getBlockTimestamp();
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, _permitDigest(holder, 49e18, deadline));
        vm.expectRevert();
        vm.prank(holder);
        staking.permitAndStake(id, 50e18, deadline, v, r, s);
    }

    // ---- Tiers

    function test_tierDefaults() public view {
        uint256[7] memory defaults = [uint256(500), 400, 300, 200, 150, 100, 50];
        for (uint256 tier = 1; tier <= 7; ++tier) {
            assertEq(staking.tierStake(tier), defaults[tier - 1] * 1e18);
        }
    }

    function test_setTierStake() public {
        _stake(50e18);
        vm.expectRevert(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, owner));
        vm.prank(owner);
        staking.setTierStake(7, 1);

        vm.startPrank(governor);
        vm.expectRevert(abi.encodeWithSelector(IStakingManager.StakingManager_UnknownTier.selector, 0));
        staking.setTierStake(0, 1);
        vm.expectRevert(abi.encodeWithSelector(IStakingManager.StakingManager_UnknownTier.selector, 8));
        staking.setTierStake(8, 1);
        staking.setTierStake(7, 51e18);
        assertTrue(_has(provider, ProfileFlags.STAKED));
        staking.sync(provider);
        assertFalse(_has(provider, ProfileFlags.STAKED));
        staking.setTierStake(7, 50e18);
        staking.sync(provider);
        assertTrue(_has(provider, ProfileFlags.STAKED));
    }

    // ---- Rewards

    function test_addReward_belongsToAllShares() public {
        _stake(100e18);
        _delegate(alice, provider, 300e18);
        vm.expectEmit(address(staking));
        emit IStakingManager.RewardAdded(provider, 40e18);
        vm.prank(bob);
        staking.addReward(provider, 40e18);
        _near(_own(provider), 110e18);
        _near(staking.tokensFor(provider, _all(provider, alice)), 330e18);
        _near(_counted(provider), 110e18);
    }

    /// Two shares of one and a half wei each are worth three, one of them one: the rest is for those who stay.
    function test_unstake_roundsDown() public {
        _stake(100e18);
        vm.prank(alice);
        staking.addReward(provider, 50e18);
        assertEq(staking.tokensFor(provider, 2), 3);
        assertEq(staking.tokensFor(provider, 1), 1);
        vm.prank(owner);
        uint256 request = staking.unstake(provider, 1);
        (,,, uint256 tokens,) = staking.requestOf(request);
        assertEq(tokens, 1);
        (uint256 left, uint256 shares,,) = staking.poolOf(provider);
        assertEq(left, 150e18 - 1);
        assertEq(shares, 100e18 - 1);
    }

    function test_addReward_needsSomebodyToEarnIt() public {
        vm.expectRevert(abi.encodeWithSelector(IStakingManager.StakingManager_InsufficientShares.selector, 0, 1));
        vm.prank(bob);
        staking.addReward(provider, 1e18);
    }

    // ---- Ownership

    function test_stakeStaysWithWhoStakedIt() public {
        _stake(100e18);
        IProviderAccount account = IProviderAccount(registry.accountOf(provider));
        vm.prank(owner);
        account.offerOwnership(alice);
        vm.prank(alice);
        account.acceptOwnership();
        assertEq(_own(provider), 0);
        assertEq(_counted(provider), 100e18);
        vm.prank(owner);
        staking.unstake(provider, 100e18 - DEAD);
        assertEq(_counted(provider), DEAD);
    }

    // ---- Construction

    function test_unbondingMustOutlastAnEra() public {
        address[4] memory none;
        vm.expectRevert(abi.encodeWithSelector(IStakingManager.StakingManager_BadUnbondingTime.selector, ERA, ERA));
        Built.make("StakingManager", abi.encode(address(manager), spon, registry, clock, ERA, none));
    }

    function test_eraClock() public {
        uint256 genesis = vm.getBlockTimestamp();
        assertEq(clock.current(), 1);
        vm.warp(genesis + ERA - 1);
        assertEq(clock.current(), 1);
        vm.warp(genesis + ERA);
        assertEq(clock.current(), 2);
        assertEq(clock.startOf(2), genesis + ERA);
        assertEq(clock.startOf(1), genesis);

        vm.expectRevert(EraClock.EraClock_BadParameters.selector);
        Built.make("EraClock", abi.encode(0, ERA));
        vm.expectRevert(EraClock.EraClock_BadParameters.selector);
        Built.make("EraClock", abi.encode(vm.getBlockTimestamp() + 1, ERA));
        vm.expectRevert(EraClock.EraClock_BadParameters.selector);
        Built.make("EraClock", abi.encode(genesis, 59));
    }

    function _permitDigest(address holder, uint256 value, uint256 deadline) private view returns (bytes32) {
        bytes32 typeHash =
            keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 structHash = keccak256(abi.encode(typeHash, holder, address(staking), value, 0, deadline));
        return keccak256(abi.encodePacked(hex"1901", spon.DOMAIN_SEPARATOR(), structHash));
    }
}
