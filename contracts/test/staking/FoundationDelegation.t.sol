// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IFoundationDelegation} from "../../src/interfaces/IFoundationDelegation.sol";
import {ProviderRecord} from "../../src/interfaces/IProviderRegistry.sol";
import {IStakingManager} from "../../src/interfaces/IStakingManager.sol";
import {ResourcesWord} from "../../src/lib/ResourcesWord.sol";
import {Built} from "../Built.sol";
import {StakeBase} from "./StakeBase.sol";

/// @title  FoundationDelegation: delegated like by anyone, kept until the provider has come far enough (SP-4)
/// @notice The provider has 8 units and 2 GPUs; the threshold is half of it, the term 90 days.
contract FoundationDelegationTest is StakeBase {
    uint256 private constant AMOUNT = 1000e18;

    uint256 private shares;

    function setUp() public override {
        super.setUp();
        vm.prank(foundation);
        shares = support.delegate(provider, AMOUNT, 0);
    }

    // ---- Delegation

    function test_delegate_countsFromTheNextEra() public {
        assertEq(shares, AMOUNT - DEAD);
        assertEq(_all(provider, address(support)), shares);
        assertEq(_counted(provider), DEAD, "what nobody owns counts at once");
        assertEq(support.committedUntil(provider), vm.getBlockTimestamp() + TERM);
        _nextEra();
        assertEq(_counted(provider), AMOUNT);
        assertEq(spon.balanceOf(address(support)), 0);
    }

    function test_delegate_event_and_minShares() public {
        uint256 expected = AMOUNT / 2;
        vm.startPrank(foundation);
        vm.expectRevert(
            abi.encodeWithSelector(IStakingManager.StakingManager_TooFewShares.selector, expected, expected + 1)
        );
        support.delegate(provider, expected, expected + 1);
        vm.expectEmit(address(support));
        emit IFoundationDelegation.FoundationDelegated(provider, expected, expected, vm.getBlockTimestamp() + TERM);
        support.delegate(provider, expected, expected);
        vm.stopPrank();
    }

    function test_delegate_unknownProvider() public {
        vm.expectRevert(abi.encodeWithSelector(IStakingManager.StakingManager_UnknownProvider.selector, 99));
        vm.prank(foundation);
        support.delegate(99, AMOUNT, 0);
    }

    function test_onlyTheFoundation() public {
        bytes memory refused =
            abi.encodeWithSelector(IFoundationDelegation.FoundationDelegation_NotFoundation.selector, governor);
        _lease(8, 0);
        vm.startPrank(governor);
        vm.expectRevert(refused);
        support.delegate(provider, AMOUNT, 0);
        vm.expectRevert(refused);
        support.reclaim(provider, shares);
        vm.stopPrank();
    }

    // ---- Reclaim

    function test_reclaim_belowTheThreshold() public {
        _refused(0);
        _lease(3, 0);
        _refused(3750);
    }

    function test_reclaim_atTheThreshold() public {
        _lease(4, 0);
        vm.expectEmit(address(support));
        emit IFoundationDelegation.FoundationReclaimed(provider, 1, shares, THRESHOLD);
        assertEq(_reclaim(), 1);
        assertEq(_all(provider, address(support)), 0);
    }

    /// The scarcer of the two decides: a provider of GPUs is full when they are.
    function test_reclaim_byGpus() public {
        _lease(1, 1);
        assertEq(support.utilisationOf(provider), 5000);
        _reclaim();
    }

    function test_reclaim_ofAnOverbookedProvider() public {
        _lease(12, 3);
        assertEq(support.utilisationOf(provider), 10_000);
        _reclaim();
    }

    /// It counts what is leased now: once was is not enough.
    function test_reclaim_afterTheLeasesEnded() public {
        _lease(8, 2);
        vm.prank(leaseBook);
        registry.give(provider, 8, 2);
        _refused(0);
    }

    /// More capacity than it can lease keeps a provider below the threshold until the term is over, no longer.
    function test_reclaim_whenTheTermIsOver() public {
        ProviderRecord memory r = _record(hotKey);
        r.capacity = ResourcesWord.pack(1_000_000, 1, 1, 200, 4, 3, 0, "rtx4090");
        vm.prank(owner);
        registry.setRecord(provider, r);
        _lease(8, 2);
        vm.warp(support.committedUntil(provider) - 1);
        _refused(100);
        vm.warp(support.committedUntil(provider));
        _reclaim();
    }

    function test_delegate_renewsTheTerm() public {
        uint256 first = support.committedUntil(provider);
        skip(30 days);
        vm.prank(foundation);
        support.delegate(provider, AMOUNT, 0);
        assertEq(support.committedUntil(provider), first + 30 days);
        vm.warp(first);
        _refused(0);
    }

    function test_reclaim_inParts() public {
        _lease(4, 0);
        vm.startPrank(foundation);
        support.reclaim(provider, shares / 4);
        assertEq(_all(provider, address(support)), shares - shares / 4);
        vm.expectRevert(
            abi.encodeWithSelector(
                IStakingManager.StakingManager_InsufficientShares.selector, shares - shares / 4, shares
            )
        );
        support.reclaim(provider, shares);
        vm.stopPrank();
    }

    /// A provider that the foundation never delegated to, and one that is not there.
    function test_reclaim_whereNothingIs() public {
        bytes memory nothing = abi.encodeWithSelector(IStakingManager.StakingManager_InsufficientShares.selector, 0, 1);
        vm.startPrank(foundation);
        vm.expectRevert(nothing);
        support.reclaim(other, 1);
        assertEq(support.utilisationOf(99), 0);
        vm.expectRevert();
        support.reclaim(99, 1);
        vm.stopPrank();
    }

    // ---- What was reclaimed unbonds like anybody's

    function test_withdraw_paysTheFoundationWhoeverCalls() public {
        _lease(4, 0);
        uint256 request = _reclaim();
        (,,,, uint256 until) = staking.requestOf(request);
        assertEq(until, vm.getBlockTimestamp() + UNBONDING);
        vm.expectRevert(abi.encodeWithSelector(IStakingManager.StakingManager_StillUnbonding.selector, request, until));
        support.withdraw(request);
        vm.warp(until);
        uint256 before = spon.balanceOf(foundation);
        vm.expectEmit(address(support));
        emit IFoundationDelegation.FoundationRepaid(request, AMOUNT - DEAD);
        vm.prank(alice);
        assertEq(support.withdraw(request), AMOUNT - DEAD);
        assertEq(spon.balanceOf(foundation) - before, AMOUNT - DEAD);
        assertEq(spon.balanceOf(address(support)), 0);
        vm.expectRevert(abi.encodeWithSelector(IStakingManager.StakingManager_UnknownRequest.selector, request));
        support.withdraw(request);
    }

    function test_withdraw_ofAnothersRequest() public {
        vm.startPrank(alice);
        staking.delegate(provider, AMOUNT, 0);
        uint256 request = staking.unstake(provider, AMOUNT / 2);
        vm.stopPrank();
        skip(UNBONDING);
        vm.expectRevert(abi.encodeWithSelector(IStakingManager.StakingManager_UnknownRequest.selector, request));
        support.withdraw(request);
    }

    /// Reclaiming is no way out of a slash.
    function test_reclaimed_staysSlashable() public {
        _lease(4, 0);
        uint256 request = _reclaim();
        _slash(provider, AMOUNT / 2);
        skip(UNBONDING);
        assertApproxEqAbs(support.withdraw(request), AMOUNT / 2, DEAD);
    }

    function test_rewardsComeBackToo() public {
        vm.prank(alice);
        staking.addReward(provider, 10e18);
        _lease(4, 0);
        uint256 request = _reclaim();
        skip(UNBONDING);
        assertApproxEqAbs(support.withdraw(request), AMOUNT + 10e18, 2 * DEAD);
    }

    /// After a total loss nothing is left, and a new delegation is one like the first.
    function test_totalLoss() public {
        _slash(provider, type(uint256).max);
        assertEq(_all(provider, address(support)), 0);
        vm.prank(foundation);
        shares = support.delegate(provider, AMOUNT, 0);
        assertEq(_all(provider, address(support)), shares);
    }

    // ---- Construction

    function test_constructor() public {
        assertEq(support.foundation(), foundation);
        assertEq(support.threshold(), THRESHOLD);
        assertEq(support.term(), TERM);
        _bad(address(0), 1);
        _bad(foundation, 0);
        _bad(foundation, 10_001);
    }

    function _bad(address account, uint256 threshold) private {
        vm.expectRevert(IFoundationDelegation.FoundationDelegation_BadParameters.selector);
        Built.make("FoundationDelegation", abi.encode(spon, staking, registry, account, threshold, TERM));
    }

    function _lease(uint256 units, uint256 gpus) private {
        vm.prank(leaseBook);
        registry.take(provider, units, gpus);
    }

    function _reclaim() private returns (uint256) {
        vm.prank(foundation);
        return support.reclaim(provider, shares);
    }

    function _refused(uint256 utilisation) private {
        vm.expectRevert(
            abi.encodeWithSelector(
                IFoundationDelegation.FoundationDelegation_Committed.selector,
                provider,
                utilisation,
                THRESHOLD,
                support.committedUntil(provider)
            )
        );
        vm.prank(foundation);
        support.reclaim(provider, 1);
    }
}
