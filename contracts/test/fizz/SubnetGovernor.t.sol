// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {SubnetRules} from "../../src/fizz/SubnetRules.sol";
import {IFizzRegistry, SubnetTerms} from "../../src/interfaces/IFizzRegistry.sol";
import {ISubnetGovernor, SubnetAction, SubnetProposal} from "../../src/interfaces/ISubnetGovernor.sol";
import {Built} from "../Built.sol";
import {FizzBase} from "./FizzBase.sol";

/// @title  SubnetGovernor: who proposes, who votes with what, and what may be executed when (SP-38)
contract SubnetGovernorTest is FizzBase {
    SubnetTerms private wanted = _subnetTerms(7000, 50e18);

    /// @dev The gateway's owner holds 1000 of 1500 shares, Alice 300, Bob 200.
    function setUp() public override {
        super.setUp();
        _delegate(alice, GATEWAY, 300e18);
        _delegate(bob, GATEWAY, 200e18);
        _nextEra();
    }

    // ---------------------------------------------------------------- rules

    function test_rules() public {
        ISubnetGovernor.Rules memory r = votes.rules();
        assertEq(abi.encode(r), abi.encode(_rules()));
        _badRules("votingPeriod", ISubnetGovernor.Rules(0, 1, 1, 1));
        _badRules("votingPeriod", ISubnetGovernor.Rules(30 days + 1, 1, 1, 1));
        _badRules("grace", ISubnetGovernor.Rules(1, 0, 1, 1));
        _badRules("grace", ISubnetGovernor.Rules(1, 30 days + 1, 1, 1));
        _badRules("threshold", ISubnetGovernor.Rules(1, 1, 10_001, 1));
        _badRules("quorum", ISubnetGovernor.Rules(1, 1, 1, 0));
        _badRules("quorum", ISubnetGovernor.Rules(1, 1, 1, 10_001));
    }

    // ---------------------------------------------------------------- propose

    function test_propose() public {
        uint256 closes = block.timestamp + VOTING;
        uint256 era = clock.current() - 1;
        vm.expectEmit(address(votes));
        emit ISubnetGovernor.ProposalMade(1, GATEWAY, alice, SubnetAction.SetTerms, wanted, address(0), era, closes);
        vm.prank(alice);
        assertEq(votes.proposeTerms(GATEWAY, wanted), 1);
        SubnetProposal memory p = votes.proposalOf(1);
        assertEq(p.provider, GATEWAY);
        assertEq(p.snapshot, era);
        assertEq(p.closes, closes);
        assertEq(abi.encode(p.terms), abi.encode(wanted));
        (, uint256 shares,,) = staking.poolOf(GATEWAY);
        assertEq(p.total, shares);
        assertEq(votes.quorumOf(1), (shares * 3 + 9) / 10);
        assertEq(votes.powerOf(1, alice), staking.sharesOf(GATEWAY, alice));
        assertEq(votes.proposalCount(), 1);
    }

    function test_propose_needsAShareOfThePool() public {
        (, uint256 shares,,) = staking.poolOf(GATEWAY);
        _delegate(stranger, GATEWAY, shares / 100);
        _nextEra();
        (, shares,,) = staking.poolOf(GATEWAY);
        uint256 held = staking.sharesOf(GATEWAY, stranger);
        _tooFew(stranger, held, (shares + 99) / 100);
        _delegate(stranger, GATEWAY, shares / 100 + 1e18 - held);
        _tooFew(stranger, held, (shares + 99) / 100);
        _nextEra();
        vm.prank(stranger);
        votes.proposeTerms(GATEWAY, wanted);
    }

    function test_propose_withoutStake() public {
        vm.prank(_owner(3));
        (, uint256 provider) = registry.propose(_record(_hotKey(3)));
        vm.prank(_owner(3));
        fizzes.found(provider, wanted);
        vm.expectRevert(abi.encodeWithSelector(ISubnetGovernor.SubnetGovernor_TooFewShares.selector, 0, 1));
        vm.prank(_owner(3));
        votes.proposeTerms(provider, wanted);
    }

    function test_propose_inTheFirstEra() public {
        vm.warp(clock.startOf(1));
        vm.expectRevert(abi.encodeWithSelector(ISubnetGovernor.SubnetGovernor_TooFewShares.selector, 0, 1));
        vm.prank(alice);
        votes.proposeTerms(GATEWAY, wanted);
    }

    function test_propose_withoutASubnet() public {
        _provider(3);
        vm.expectRevert(abi.encodeWithSelector(IFizzRegistry.FizzRegistry_NoSubnet.selector, 3));
        votes.proposeTerms(3, wanted);
    }

    function test_propose_withinBounds() public {
        vm.startPrank(alice);
        vm.expectRevert(abi.encodeWithSelector(IFizzRegistry.FizzRegistry_BadTerms.selector, "share"));
        votes.proposeTerms(GATEWAY, _subnetTerms(SubnetRules.MAX_SHARE + 1, 0));
        vm.expectRevert(abi.encodeWithSelector(ISubnetGovernor.SubnetGovernor_BadMember.selector));
        votes.proposeExpulsion(GATEWAY, address(0));
        vm.expectRevert(abi.encodeWithSelector(ISubnetGovernor.SubnetGovernor_BadMember.selector));
        votes.proposeReadmission(GATEWAY, address(0));
        vm.stopPrank();
    }

    function test_propose_oneAtATime() public {
        uint256 closes = block.timestamp + VOTING;
        vm.startPrank(alice);
        votes.proposeTerms(GATEWAY, wanted);
        vm.warp(closes);
        vm.expectRevert(abi.encodeWithSelector(ISubnetGovernor.SubnetGovernor_OneAtATime.selector, closes));
        votes.proposeExpulsion(GATEWAY, bob);
        vm.warp(closes + 1);
        votes.proposeExpulsion(GATEWAY, bob);
        vm.stopPrank();
        vm.prank(bob);
        votes.proposeExpulsion(GATEWAY, alice);
    }

    // ---------------------------------------------------------------- vote

    function test_vote() public {
        uint256 proposal = _proposal();
        uint256 held = staking.sharesOf(GATEWAY, alice);
        vm.expectEmit(address(votes));
        emit ISubnetGovernor.VoteCast(proposal, alice, true, held);
        _vote(alice, proposal, true);
        _vote(bob, proposal, false);
        assertEq(votes.proposalOf(proposal).yes, held);
        assertEq(votes.proposalOf(proposal).no, staking.sharesOf(GATEWAY, bob));
        assertTrue(votes.hasVoted(proposal, alice));
    }

    function test_vote_once() public {
        uint256 proposal = _proposal();
        _vote(alice, proposal, true);
        vm.expectRevert(abi.encodeWithSelector(ISubnetGovernor.SubnetGovernor_HasVoted.selector, proposal, alice));
        _vote(alice, proposal, false);
    }

    function test_vote_withShares() public {
        uint256 proposal = _proposal();
        vm.expectRevert(abi.encodeWithSelector(ISubnetGovernor.SubnetGovernor_TooFewShares.selector, 0, 1));
        _vote(stranger, proposal, true);
        // Those of another subnet are none here.
        vm.expectRevert(abi.encodeWithSelector(ISubnetGovernor.SubnetGovernor_TooFewShares.selector, 0, 1));
        _vote(_owner(OTHER), proposal, true);
    }

    function test_vote_inTime() public {
        vm.expectRevert(abi.encodeWithSelector(ISubnetGovernor.SubnetGovernor_UnknownProposal.selector, 1));
        _vote(alice, 1, true);
        uint256 proposal = _proposal();
        uint256 closes = votes.proposalOf(proposal).closes;
        vm.warp(closes);
        _vote(alice, proposal, true);
        vm.warp(closes + 1);
        vm.expectRevert(abi.encodeWithSelector(ISubnetGovernor.SubnetGovernor_VoteClosed.selector, proposal, closes));
        _vote(bob, proposal, true);
    }

    // ---------------------------------------------------------------- execute

    function test_execute_terms() public {
        uint256 proposal = _proposal();
        _vote(_owner(GATEWAY), proposal, true);
        skip(VOTING + 1);
        vm.expectEmit(address(votes));
        emit ISubnetGovernor.ProposalExecuted(proposal);
        vm.prank(stranger);
        votes.execute(proposal);
        assertTrue(votes.proposalOf(proposal).executed);
        assertEq(abi.encode(fizzes.termsOf(GATEWAY)), abi.encode(_subnetTerms(SHARE, DELEGATION)));
        _nextEra();
        assertEq(abi.encode(fizzes.termsOf(GATEWAY)), abi.encode(wanted));
        assertEq(abi.encode(fizzes.termsOf(OTHER)), abi.encode(_subnetTerms(SHARE, DELEGATION)));
        vm.expectRevert(abi.encodeWithSelector(ISubnetGovernor.SubnetGovernor_Executed.selector, proposal));
        votes.execute(proposal);
    }

    function test_execute_membership() public {
        _expel(GATEWAY, alice);
        (, bool expelled) = fizzes.memberOf(GATEWAY, alice);
        assertTrue(expelled);
        vm.prank(bob);
        uint256 proposal = votes.proposeReadmission(GATEWAY, alice);
        _pass(GATEWAY, proposal);
        (, expelled) = fizzes.memberOf(GATEWAY, alice);
        assertFalse(expelled);
    }

    function test_execute_inTime() public {
        uint256 proposal = _proposal();
        _vote(_owner(GATEWAY), proposal, true);
        uint256 closes = votes.proposalOf(proposal).closes;
        vm.warp(closes);
        vm.expectRevert(abi.encodeWithSelector(ISubnetGovernor.SubnetGovernor_StillOpen.selector, proposal, closes));
        votes.execute(proposal);
        vm.warp(closes + GRACE + 1);
        vm.expectRevert(
            abi.encodeWithSelector(ISubnetGovernor.SubnetGovernor_Expired.selector, proposal, closes + GRACE)
        );
        votes.execute(proposal);
        vm.warp(closes + GRACE);
        votes.execute(proposal);
        vm.expectRevert(abi.encodeWithSelector(ISubnetGovernor.SubnetGovernor_UnknownProposal.selector, 9));
        votes.execute(9);
    }

    /// 300 of 1500 are a fifth: not enough, even if nobody is against it, and no more with the 200 that are.
    function test_execute_needsAQuorumOfYes() public {
        uint256 proposal = _proposal();
        _vote(alice, proposal, true);
        uint256 state = vm.snapshotState();
        skip(VOTING + 1);
        _notPassed(proposal);
        vm.revertToState(state);
        _vote(bob, proposal, false);
        skip(VOTING + 1);
        _notPassed(proposal);
    }

    /// Alice and Bob are a third; what they say is not undone by who stays away, only by who says no.
    function test_execute_needsMoreYesThanNo() public {
        uint256 proposal = _proposal();
        _vote(alice, proposal, true);
        _vote(bob, proposal, true);
        uint256 state = vm.snapshotState();
        skip(VOTING + 1);
        votes.execute(proposal);
        vm.revertToState(state);
        _vote(_owner(GATEWAY), proposal, false);
        skip(VOTING + 1);
        _notPassed(proposal);
    }

    function test_execute_notOnATie() public {
        uint256 third = _delegate(stranger, GATEWAY, staking.tokensFor(GATEWAY, staking.sharesOf(GATEWAY, alice)));
        _nextEra();
        uint256 shares = staking.sharesOf(GATEWAY, alice);
        assertEq(third, shares);
        // The gateway's owner leaves, so that Alice alone is a quorum.
        _unstakeAll(_owner(GATEWAY), GATEWAY);
        _nextEra();
        uint256 proposal = _proposal();
        _vote(alice, proposal, true);
        _vote(stranger, proposal, false);
        skip(VOTING + 1);
        _notPassed(proposal);
    }

    /// Two that pass: the older may still be executed before the newer, not after it.
    function test_execute_theNewerDecisionStands() public {
        uint256 older = _proposal();
        vm.prank(bob);
        uint256 newer = votes.proposeTerms(GATEWAY, _subnetTerms(8000, 0));
        vm.prank(_owner(GATEWAY));
        uint256 about = votes.proposeExpulsion(GATEWAY, stranger);
        _vote(_owner(GATEWAY), older, true);
        _vote(_owner(GATEWAY), newer, true);
        _vote(_owner(GATEWAY), about, true);
        skip(VOTING + 1);
        uint256 state = vm.snapshotState();
        votes.execute(older);
        votes.execute(newer);
        vm.revertToState(state);
        votes.execute(newer);
        vm.expectRevert(abi.encodeWithSelector(ISubnetGovernor.SubnetGovernor_Superseded.selector, older, newer));
        votes.execute(older);
        // Another subject.
        votes.execute(about);
        _nextEra();
        assertEq(fizzes.termsOf(GATEWAY).share, 8000);
    }

    /// What the foundation holds cannot vote, and keeps nobody from a quorum.
    function test_quorum_withoutWhoCannotVote() public {
        _delegate(silent, GATEWAY, 100_000e18);
        _nextEra();
        uint256 proposal = _proposal();
        (, uint256 shares,,) = staking.poolOf(GATEWAY);
        assertEq(votes.proposalOf(proposal).total, shares - staking.sharesOf(GATEWAY, silent));
        _pass(GATEWAY, proposal);
        // A part of it is slashed like everybody's.
        _slash(GATEWAY, 1000e18);
        _nextEra();
        _pass(GATEWAY, _proposal());
    }

    // ---------------------------------------------------------------- helpers

    function _proposal() private returns (uint256) {
        vm.prank(alice);
        return votes.proposeTerms(GATEWAY, wanted);
    }

    function _tooFew(address who, uint256 held, uint256 needed) private {
        vm.expectRevert(abi.encodeWithSelector(ISubnetGovernor.SubnetGovernor_TooFewShares.selector, held, needed));
        vm.prank(who);
        votes.proposeTerms(GATEWAY, wanted);
    }

    function _notPassed(uint256 proposal) private {
        SubnetProposal memory p = votes.proposalOf(proposal);
        uint256 quorum = votes.quorumOf(proposal);
        vm.expectRevert(
            abi.encodeWithSelector(ISubnetGovernor.SubnetGovernor_NotPassed.selector, proposal, p.yes, p.no, quorum)
        );
        votes.execute(proposal);
    }

    function _badRules(string memory what, ISubnetGovernor.Rules memory r) private {
        bytes memory args = abi.encode(fizzes, staking, clock, silent, r);
        vm.expectRevert(abi.encodeWithSelector(ISubnetGovernor.SubnetGovernor_BadRules.selector, what));
        this.make(args);
    }

    function make(bytes calldata args) external {
        Built.make("SubnetGovernor", args);
    }
}
