// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IStakingManager} from "../../src/interfaces/IStakingManager.sol";
import {ProfileWord} from "../../src/lib/ProfileWord.sol";
import {Profile, ProfileFlags} from "../../src/lib/Types.sol";
import {StakeBase} from "./StakeBase.sol";

/// @title  SlashTest: penalties, total losses, bars, and attempts to inflate a share
contract SlashTest is StakeBase {
    using ProfileWord for Profile;

    function test_slash_onlySlashers() public {
        vm.expectRevert(abi.encodeWithSelector(IStakingManager.StakingManager_NotSlasher.selector, owner));
        vm.prank(owner);
        staking.slash(provider, 1, "");
        vm.expectRevert(abi.encodeWithSelector(IStakingManager.StakingManager_NotSlasher.selector, address(0)));
        vm.prank(address(0));
        staking.slash(provider, 1, "");
    }

    function test_slash_takesAllSharesAlikeAndBurns() public {
        _stake(100e18);
        _delegate(alice, provider, 300e18);
        uint256 supply = spon.totalSupply();
        vm.expectEmit(address(staking));
        emit IStakingManager.StakeSlashed(provider, 40e18, leaseBook, "test");
        assertEq(_slash(provider, 40e18), 40e18);
        assertEq(supply - spon.totalSupply(), 40e18);
        _near(_own(provider), 90e18);
        _near(staking.tokensFor(provider, _all(provider, alice)), 270e18);
        assertEq(registry.profile(provider).slashes(), 1);
        assertEq(registry.profile(provider).stake(), 90, "alice's does not count yet");
    }

    function test_slash_duringThaw() public {
        _stake(100e18);
        _delegate(alice, provider, 100e18);
        vm.prank(alice);
        uint256 request = staking.unstake(provider, 100e18);
        assertEq(_slash(provider, 50e18), 50e18);
        _near(_own(provider), 75e18);
        assertEq(_thawing(provider), 75e18);
        vm.warp(vm.getBlockTimestamp() + UNBONDING);
        vm.prank(alice);
        assertEq(staking.withdraw(request), 75e18);
    }

    /// What was thawed but not fetched is still slashable; what was fetched is not.
    function test_slash_thawedButNotWithdrawn() public {
        _stake(200e18);
        vm.prank(owner);
        uint256 request = staking.unstake(provider, 100e18);
        vm.warp(vm.getBlockTimestamp() + UNBONDING + 30 days);
        assertEq(_slash(provider, 20e18), 20e18);
        vm.prank(owner);
        assertEq(staking.withdraw(request), 90e18);
        assertEq(_slash(provider, 10e18), 10e18);
        _near(_own(provider), 80e18);
    }

    /// A request made after a slash bears only what came after it.
    function test_slash_oldAndNewRequests() public {
        _stake(400e18);
        vm.prank(owner);
        uint256 first = staking.unstake(provider, 100e18);
        _slash(provider, 200e18); // all at half
        vm.prank(owner);
        uint256 second = staking.unstake(provider, 100e18);
        _slash(provider, 100e18); // and half again
        vm.warp(vm.getBlockTimestamp() + UNBONDING);
        vm.startPrank(owner);
        assertEq(staking.withdraw(first), 25e18);
        assertEq(staking.withdraw(second), 25e18);
    }

    function test_slash_neverReverts() public {
        assertEq(_slash(provider, 1e18), 0, "nothing staked");
        assertEq(_slash(999, 1e18), 0, "no such provider");
        _stake(10e18);
        assertEq(_slash(provider, 0), 0);
        assertEq(registry.profile(provider).slashes(), 0);
        assertEq(_slash(provider, type(uint256).max), 10e18);
        assertEq(_slash(provider, type(uint256).max), 0);
    }

    function test_slash_countSaturates() public {
        _stake(1000e18);
        for (uint256 i; i < 260; ++i) {
            _slash(provider, 1);
        }
        assertEq(registry.profile(provider).slashes(), 255);
    }

    // ---- Total loss

    function test_slashToZero_thenStakeAgain() public {
        _stake(100e18);
        _delegate(alice, provider, 100e18);
        vm.prank(alice);
        uint256 request = staking.unstake(provider, 40e18);
        assertEq(_slash(provider, 200e18), 200e18);
        assertEq(_all(provider, owner), 0);
        assertEq(_all(provider, alice), 0);
        assertEq(_counted(provider), 0);

        assertEq(_stake(60e18), 60e18 - DEAD, "a share is a wei again");
        assertEq(_own(provider), 60e18 - DEAD);
        vm.expectRevert(abi.encodeWithSelector(IStakingManager.StakingManager_InsufficientShares.selector, 0, 1));
        vm.prank(alice);
        staking.unstake(provider, 1);

        vm.prank(owner);
        uint256 fresh = staking.unstake(provider, 60e18 - DEAD);
        vm.warp(vm.getBlockTimestamp() + UNBONDING);
        vm.prank(alice);
        assertEq(staking.withdraw(request), 0, "a voided request takes nothing of later ones");
        vm.prank(owner);
        assertEq(staking.withdraw(fresh), 60e18 - DEAD);
        assertEq(spon.balanceOf(address(staking)), DEAD);
    }

    /// A slash that all but empties the pool is a total loss: else a share's price would fall without end until a
    /// deposit's shares overflow.
    function test_slashToDust_isATotalLoss() public {
        for (uint256 i; i < 20; ++i) {
            _stake(40_000e18);
            assertEq(_slash(provider, 40_000e18 - 1e16), 40_000e18, "the dust goes with it");
            assertEq(staking.sharesOf(provider, owner), 0);
        }
        _stake(40_000e18);
        assertEq(_slash(provider, 39_000e18), 39_000e18);
        _near(_own(provider), 1000e18);
    }

    function test_slash_youngDelegationsInTheSameEra() public {
        _delegate(alice, provider, 100e18);
        assertEq(_slash(provider, 100e18), 100e18);
        assertEq(_counted(provider), 0);
        _stake(50e18);
        assertEq(_counted(provider), 50e18);
        uint256 shares = _delegate(alice, provider, 10e18);
        assertEq(_counted(provider), 50e18);
        vm.prank(alice);
        staking.unstake(provider, shares);
        assertEq(_counted(provider), 50e18);
    }

    // ---- Bars and topping up

    function test_bar_liftedWhenThePenaltyIsStakedAgain() public {
        _stake(1000e18);
        _slash(provider, 20e18);
        vm.prank(leaseBook);
        registry.bar(provider, 1);
        staking.sync(provider);
        _delegate(alice, provider, 500e18);
        vm.prank(bob);
        staking.addReward(provider, 500e18);
        _stake(19e18);
        assertTrue(_has(provider, ProfileFlags.BARRED), "not yet all");
        _stake(1e18);
        assertFalse(_has(provider, ProfileFlags.BARRED));
    }

    /// Bar first, slash later (or with nothing to slash): the next stake that suffices lifts it.
    function test_bar_withNothingLeftToSlash() public {
        _stake(60e18);
        _slash(provider, 60e18);
        vm.prank(leaseBook);
        registry.bar(provider, 1);
        _stake(49e18);
        assertTrue(_has(provider, ProfileFlags.BARRED));
        assertFalse(_has(provider, ProfileFlags.STAKED));
        _stake(1e18);
        assertFalse(_has(provider, ProfileFlags.BARRED));
        assertTrue(_has(provider, ProfileFlags.STAKED));
    }

    /// After a great loss the way back costs what the tier asks for, not all that was lost.
    function test_bar_oweAtMostTheTiersStake() public {
        _stake(10_000e18);
        _slash(provider, 9000e18);
        vm.prank(leaseBook);
        registry.bar(provider, 1);
        _stake(50e18);
        assertFalse(_has(provider, ProfileFlags.BARRED));
    }

    // ---- Share inflation

    /// The first staker cannot make a share so dear that another's deposit rounds to nothing, nor keep small ones out.
    function test_inflation_byReward() public {
        uint256 shares = _delegate(bob, provider, DEAD + 1);
        vm.prank(bob);
        staking.addReward(provider, 900_000e18);
        // A share costs 9e8 wei now; the owner loses less than one of them.
        _stake(1e18);
        assertApproxEqAbs(_own(provider), 1e18, 1e9);
        vm.prank(bob);
        staking.unstake(provider, shares);
        assertLt(_thawing(provider), 1e9, "and what he gave went to nobody");
    }

    function test_inflation_byPlainTransfer() public {
        _delegate(bob, provider, 1e18);
        vm.prank(bob);
        spon.transfer(address(staking), 900_000e18);
        assertEq(_delegate(alice, provider, 5e18), 5e18);
    }

    function testFuzz_roundingNeverPaysTheMover(uint256 first, uint256 second, uint256 slashed, uint256 reward) public {
        first = bound(first, 2 * DEAD, 900_000e18);
        second = bound(second, 1, 900_000e18);
        _delegate(bob, provider, first);
        reward = bound(reward, 1, 90_000e18);
        vm.prank(bob);
        staking.addReward(provider, reward);
        slashed = bound(slashed, 0, first * 9 / 10);
        _slash(provider, slashed);
        uint256 price = staking.tokensFor(provider, 1e15);
        vm.prank(alice);
        try staking.delegate(provider, second, 0) returns (uint256 shares) {
            assertLe(staking.tokensFor(provider, shares), second);
            assertGe(staking.tokensFor(provider, 1e15), price, "those who were there lose nothing");
            vm.prank(alice);
            uint256 request = staking.unstake(provider, shares);
            vm.warp(vm.getBlockTimestamp() + UNBONDING);
            vm.prank(alice);
            assertLe(staking.withdraw(request), second);
            assertGe(staking.tokensFor(provider, 1e15), price);
        } catch (bytes memory why) {
            assertEq(bytes4(why), IStakingManager.StakingManager_TooFewShares.selector);
        }
    }

    /// Any slash at any time takes exactly what was asked or all there is, dust aside.
    function testFuzz_slash_exact(uint256 own, uint256 delegated, uint256 thawed, uint256 slashed) public {
        own = bound(own, 2 * DEAD, 1_000_000e18);
        delegated = bound(delegated, DEAD, 1_000_000e18);
        _stake(own);
        _delegate(alice, provider, delegated);
        vm.prank(alice);
        staking.unstake(provider, bound(thawed, 1, delegated));
        uint256 supply = spon.totalSupply();
        uint256 taken = _slash(provider, slashed);
        uint256 all = own + delegated;
        if (slashed >= all) assertEq(taken, all);
        else assertApproxEqAbs(taken, slashed, all / 1e6 + 2);
        assertGe(taken, slashed < all ? slashed : all);
        assertEq(supply - spon.totalSupply(), taken);
        assertEq(spon.balanceOf(address(staking)), all - taken);
    }
}
