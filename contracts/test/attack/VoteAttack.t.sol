// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {ISubnetGovernor} from "../../src/interfaces/ISubnetGovernor.sol";
import {FizzBase} from "../fizz/FizzBase.sol";

/// @title  VoteAttack: stake that comes for a vote, votes twice, or leaves before it bears what it decided (SP-38)
contract VoteAttack is FizzBase {
    uint256 private constant FORTUNE = 1_000_000e18;

    address private whale = makeAddr("whale");
    address private twin = makeAddr("twin");

    function setUp() public override {
        super.setUp();
        _delegate(alice, GATEWAY, 600e18);
        _nextEra();
    }

    /// In the proposal's own block, its era, and any later one.
    function test_stakeThatComesForAVote() public {
        uint256 proposal = _proposal(alice);
        _delegate(whale, GATEWAY, FORTUNE);
        _noVote(whale, proposal);
        _nextEra();
        _noVote(whale, proposal);
        assertEq(votes.powerOf(proposal, whale), 0);
        _pass(GATEWAY, proposal);
    }

    function test_stakeThatComesForAProposal() public {
        _delegate(whale, GATEWAY, FORTUNE);
        vm.expectRevert();
        vm.prank(whale);
        votes.proposeTerms(GATEWAY, _subnetTerms(0, 0));
    }

    /// In before the era ends, out right after: the votes count, but the stake stays bound, and slashable, until what it
    /// decided has been executed.
    function test_stakeThatLeavesAfterItsVote() public {
        vm.warp(clock.startOf(clock.current() + 1) - 1);
        _delegate(whale, GATEWAY, FORTUNE);
        skip(1);
        uint256 proposal = _proposal(whale);
        _vote(whale, proposal, true);
        uint256 request = _unstakeAll(whale, GATEWAY);
        skip(VOTING + 1);
        votes.execute(proposal);
        vm.expectRevert();
        vm.prank(whale);
        staking.withdraw(request);
        _slash(GATEWAY, FORTUNE);
        (,,, uint256 left,) = staking.requestOf(request);
        assertLt(left, FORTUNE / 100);
    }

    /// One share, one vote: what has voted votes nowhere else, by another's hand, or at all in the same proposal.
    function test_stakeThatMoves() public {
        uint256 proposal = _proposal(alice);
        _vote(alice, proposal, true);
        uint256 request = _unstakeAll(alice, GATEWAY);
        skip(VOTING - 1);
        // Even if unbonding took no time at all.
        vm.prank(governor);
        spon.transfer(twin, 600e18);
        _delegate(twin, GATEWAY, 600e18);
        _noVote(twin, proposal);
        skip(7 days);
        vm.startPrank(alice);
        staking.withdraw(request);
        spon.transfer(twin, 600e18 - 1);
        vm.stopPrank();
        assertEq(votes.powerOf(proposal, twin), 0);
        assertLe(votes.proposalOf(proposal).yes, votes.proposalOf(proposal).total);
    }

    /// What was redelegated away before the snapshot votes there no more, and at its target only once it has arrived.
    function test_stakeOnItsWay() public {
        uint256 shares = staking.sharesOf(GATEWAY, alice);
        vm.prank(alice);
        staking.redelegate(GATEWAY, OTHER, shares, 0);
        _nextEra();
        _noVote(alice, _proposal(_owner(GATEWAY)));
        vm.prank(_owner(OTHER));
        uint256 there = votes.proposeTerms(OTHER, _subnetTerms(0, 0));
        _noVote(alice, there);
    }

    /// After a total loss nobody decides with shares of the pool that is gone.
    function test_stakeThatIsLost() public {
        _slash(GATEWAY, type(uint96).max);
        _delegate(whale, GATEWAY, 10e18);
        _nextEra();
        uint256 proposal = _proposal(whale);
        _noVote(alice, proposal);
        _noVote(_owner(GATEWAY), proposal);
        _vote(whale, proposal, true);
        skip(VOTING + 1);
        votes.execute(proposal);
    }

    /// Proposals by the hundred: each proposer has one at a time, and needs its hundredth of the pool for it.
    function test_proposalsByTheHundred() public {
        vm.startPrank(alice);
        votes.proposeTerms(GATEWAY, _subnetTerms(0, 0));
        for (uint256 i; i < 5; ++i) {
            vm.expectRevert(
                abi.encodeWithSelector(ISubnetGovernor.SubnetGovernor_OneAtATime.selector, block.timestamp + VOTING)
            );
            votes.proposeExpulsion(GATEWAY, stranger);
        }
        vm.stopPrank();
    }

    /// Decisions of one subnet reach no other, and no executed one comes twice.
    function test_executedTwiceOrElsewhere() public {
        uint256 proposal = _proposal(alice);
        _pass(GATEWAY, proposal);
        bytes32 before = keccak256(abi.encode(fizzes.termsOf(OTHER)));
        _nextEra();
        assertEq(keccak256(abi.encode(fizzes.termsOf(OTHER))), before);
        vm.expectRevert(abi.encodeWithSelector(ISubnetGovernor.SubnetGovernor_Executed.selector, proposal));
        votes.execute(proposal);
    }

    function _proposal(address by) private returns (uint256) {
        vm.prank(by);
        return votes.proposeTerms(GATEWAY, _subnetTerms(1, 1));
    }

    function _noVote(address voter, uint256 proposal) private {
        vm.expectRevert(abi.encodeWithSelector(ISubnetGovernor.SubnetGovernor_TooFewShares.selector, 0, 1));
        _vote(voter, proposal, true);
    }
}
