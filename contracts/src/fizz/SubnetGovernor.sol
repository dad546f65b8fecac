// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IFizzRegistry, SubnetTerms} from "../interfaces/IFizzRegistry.sol";
import {IStakingManager} from "../interfaces/IStakingManager.sol";
import {ISubnetGovernor, SubnetAction, SubnetProposal} from "../interfaces/ISubnetGovernor.sol";
import {EraClock} from "../staking/EraClock.sol";
import {SubnetRules} from "./SubnetRules.sol";

/// @title  SubnetGovernor: proposals and votes of all subnets (SP-38)
/// @notice See ISubnetGovernor. Immutable code and rules; it moves no money and no stake, and all that it can change is a
///         subnet's terms, within SubnetRules, and whose nodes bids may name.
contract SubnetGovernor is ISubnetGovernor {
    using SafeCast for uint256;

    uint256 private constant BP = 10_000;
    uint256 private constant MAX_PERIOD = 30 days;

    IFizzRegistry private immutable REGISTRY;
    IStakingManager private immutable STAKING;
    EraClock private immutable CLOCK;
    /// Holds shares and has no way to vote: they count in no quorum.
    address private immutable SILENT;
    uint40 private immutable VOTING_PERIOD;
    uint40 private immutable GRACE;
    uint16 private immutable THRESHOLD;
    uint16 private immutable QUORUM;

    mapping(uint256 proposal => SubnetProposal) private _proposals;
    /// @inheritdoc ISubnetGovernor
    uint256 public proposalCount;
    /// @inheritdoc ISubnetGovernor
    mapping(uint256 proposal => mapping(address voter => bool)) public hasVoted;
    mapping(uint256 provider => mapping(address proposer => uint256)) private _closes;
    /// By member; the terms are under the zero address.
    mapping(uint256 provider => mapping(address member => uint256 proposal)) private _decided;

    /// @param silent FoundationDelegation, or zero
    constructor(
        IFizzRegistry registry,
        IStakingManager staking,
        EraClock clock,
        address silent,
        ISubnetGovernor.Rules memory r
    ) {
        if (r.votingPeriod == 0 || r.votingPeriod > MAX_PERIOD) {
            revert SubnetGovernor_BadRules("votingPeriod");
        }
        if (r.grace == 0 || r.grace > MAX_PERIOD) revert SubnetGovernor_BadRules("grace");
        if (r.threshold > BP) revert SubnetGovernor_BadRules("threshold");
        if (r.quorum == 0 || r.quorum > BP) revert SubnetGovernor_BadRules("quorum");
        (REGISTRY, STAKING, CLOCK, SILENT) = (registry, staking, clock, silent);
        (VOTING_PERIOD, GRACE, THRESHOLD, QUORUM) = (r.votingPeriod, r.grace, r.threshold, r.quorum);
    }

    // ---------------------------------------------------------------- proposals

    /// @inheritdoc ISubnetGovernor
    function proposeTerms(uint256 provider, SubnetTerms calldata terms) external returns (uint256 proposal) {
        SubnetRules.check(terms);
        return _propose(provider, SubnetAction.SetTerms, terms, address(0));
    }

    /// @inheritdoc ISubnetGovernor
    function proposeExpulsion(uint256 provider, address member) external returns (uint256 proposal) {
        return _proposeAbout(provider, SubnetAction.Expel, member);
    }

    /// @inheritdoc ISubnetGovernor
    function proposeReadmission(uint256 provider, address member) external returns (uint256 proposal) {
        return _proposeAbout(provider, SubnetAction.Readmit, member);
    }

    /// @inheritdoc ISubnetGovernor
    function vote(uint256 proposal, bool support) external {
        SubnetProposal storage p = _known(proposal);
        if (block.timestamp > p.closes) revert SubnetGovernor_VoteClosed(proposal, p.closes);
        if (hasVoted[proposal][msg.sender]) revert SubnetGovernor_HasVoted(proposal, msg.sender);
        uint256 shares = STAKING.sharesAt(p.provider, msg.sender, p.snapshot);
        if (shares == 0) revert SubnetGovernor_TooFewShares(0, 1);
        hasVoted[proposal][msg.sender] = true;
        if (support) p.yes += shares.toUint112();
        else p.no += shares.toUint112();
        emit VoteCast(proposal, msg.sender, support, shares);
    }

    /// @inheritdoc ISubnetGovernor
    function execute(uint256 proposal) external {
        SubnetProposal memory p = _known(proposal);
        if (p.executed) revert SubnetGovernor_Executed(proposal);
        if (block.timestamp <= p.closes) revert SubnetGovernor_StillOpen(proposal, p.closes);
        uint256 until = uint256(p.closes) + GRACE;
        if (block.timestamp > until) revert SubnetGovernor_Expired(proposal, until);
        uint256 needed = _quorum(p.total);
        if (p.yes <= p.no || p.yes < needed) revert SubnetGovernor_NotPassed(proposal, p.yes, p.no, needed);
        uint256 decided = _decided[p.provider][p.member];
        if (decided > proposal) revert SubnetGovernor_Superseded(proposal, decided);

        _proposals[proposal].executed = true;
        _decided[p.provider][p.member] = proposal;
        emit ProposalExecuted(proposal);
        if (p.action == SubnetAction.SetTerms) REGISTRY.setTerms(p.provider, p.terms);
        else REGISTRY.setExpelled(p.provider, p.member, p.action == SubnetAction.Expel);
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc ISubnetGovernor
    function proposalOf(uint256 proposal) external view returns (SubnetProposal memory) {
        return _proposals[proposal];
    }

    /// @inheritdoc ISubnetGovernor
    function powerOf(uint256 proposal, address voter) external view returns (uint256 shares) {
        SubnetProposal storage p = _known(proposal);
        return STAKING.sharesAt(p.provider, voter, p.snapshot);
    }

    /// @inheritdoc ISubnetGovernor
    function quorumOf(uint256 proposal) external view returns (uint256 yes) {
        return _quorum(_known(proposal).total);
    }

    /// @inheritdoc ISubnetGovernor
    function rules() external view returns (Rules memory) {
        return Rules(VOTING_PERIOD, GRACE, THRESHOLD, QUORUM);
    }

    // ---------------------------------------------------------------- internals

    function _proposeAbout(uint256 provider, SubnetAction action, address member) private returns (uint256) {
        if (member == address(0)) revert SubnetGovernor_BadMember();
        return _propose(provider, action, SubnetTerms(0, 0), member);
    }

    function _propose(uint256 provider, SubnetAction action, SubnetTerms memory terms, address member)
        private
        returns (uint256 proposal)
    {
        // Reverts where no subnet was founded.
        REGISTRY.termsOf(provider);
        // Of an era that is over, so that nobody can change it any more.
        uint256 snapshot = CLOCK.current() - 1;
        uint256 total = STAKING.totalSharesAt(provider, snapshot) - STAKING.sharesAt(provider, SILENT, snapshot);
        uint256 held = STAKING.sharesAt(provider, msg.sender, snapshot);
        uint256 needed = Math.max(Math.mulDiv(total, THRESHOLD, BP, Math.Rounding.Ceil), 1);
        if (held < needed) revert SubnetGovernor_TooFewShares(held, needed);
        if (block.timestamp <= _closes[provider][msg.sender]) {
            revert SubnetGovernor_OneAtATime(_closes[provider][msg.sender]);
        }
        uint256 closes = block.timestamp + VOTING_PERIOD;
        _closes[provider][msg.sender] = closes;

        proposal = ++proposalCount;
        SubnetProposal storage p = _proposals[proposal];
        (p.provider, p.snapshot, p.closes, p.action) =
        (provider.toUint32(), snapshot.toUint32(), closes.toUint40(), action);
        p.total = total.toUint112();
        if (action == SubnetAction.SetTerms) p.terms = terms;
        else p.member = member;
        emit ProposalMade(proposal, provider, msg.sender, action, terms, member, snapshot, closes);
    }

    function _known(uint256 proposal) private view returns (SubnetProposal storage p) {
        p = _proposals[proposal];
        if (p.closes == 0) revert SubnetGovernor_UnknownProposal(proposal);
    }

    function _quorum(uint256 total) private view returns (uint256) {
        return Math.mulDiv(total, QUORUM, BP, Math.Rounding.Ceil);
    }
}
