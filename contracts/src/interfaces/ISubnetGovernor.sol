// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {SubnetTerms} from "./IFizzRegistry.sol";

enum SubnetAction {
    SetTerms,
    Expel,
    Readmit
}

/// @notice A subnet's proposal and its votes, in shares of the provider's pool.
struct SubnetProposal {
    uint32 provider;
    uint32 snapshot; // era; shares held at its end vote
    uint40 closes; // unix seconds; the last moment to vote
    SubnetAction action;
    bool executed;
    SubnetTerms terms; // of SetTerms
    address member; // of Expel and Readmit
    uint112 total; // all shares that may vote
    uint112 yes;
    uint112 no;
}

/// @title  SubnetGovernor: the delegated stake of a subnet decides on its terms and members (SP-38)
/// @notice Votes are shares of the provider's pool: the provider's own stake, its light nodes' delegations and everybody
///         else's, as they were held at the end of the era before the proposal. So nobody votes with stake that came for the
///         vote, and none votes twice by moving. A proposal passes with more yes than no, when the yes are a quorum of
///         all shares that may vote: those who say no never help to reach it. Anyone executes what has passed, and a
///         newer decision on the same subject (the terms, or a member) cannot be undone by an older one.
interface ISubnetGovernor {
    /// @notice Fixed for good.
    struct Rules {
        uint40 votingPeriod; // seconds
        uint40 grace; // seconds after the vote in which it may be executed
        uint16 threshold; // bp of all shares that the proposer holds
        uint16 quorum; // bp of all shares that say yes
    }

    event ProposalMade(
        uint256 indexed proposal,
        uint256 indexed provider,
        address indexed proposer,
        SubnetAction action,
        SubnetTerms terms,
        address member,
        uint256 snapshot,
        uint256 closes
    );
    event VoteCast(uint256 indexed proposal, address indexed voter, bool support, uint256 shares);
    event ProposalExecuted(uint256 indexed proposal);

    error SubnetGovernor_BadRules(string what);
    error SubnetGovernor_BadMember();
    error SubnetGovernor_TooFewShares(uint256 held, uint256 needed);
    /// The proposer's earlier proposal in this subnet is still voted on.
    error SubnetGovernor_OneAtATime(uint256 closes);
    error SubnetGovernor_UnknownProposal(uint256 proposal);
    error SubnetGovernor_VoteClosed(uint256 proposal, uint256 closes);
    error SubnetGovernor_HasVoted(uint256 proposal, address voter);
    error SubnetGovernor_StillOpen(uint256 proposal, uint256 closes);
    error SubnetGovernor_Expired(uint256 proposal, uint256 until);
    error SubnetGovernor_NotPassed(uint256 proposal, uint256 yes, uint256 no, uint256 quorum);
    error SubnetGovernor_Executed(uint256 proposal);
    /// Decided anew since.
    error SubnetGovernor_Superseded(uint256 proposal, uint256 by);

    function proposeTerms(uint256 provider, SubnetTerms calldata terms) external returns (uint256 proposal);
    /// @notice An expelled owner's nodes are named in no bid and it registers no others; running leases go on and are paid.
    function proposeExpulsion(uint256 provider, address member) external returns (uint256 proposal);
    function proposeReadmission(uint256 provider, address member) external returns (uint256 proposal);
    /// @notice All of the caller's shares, once, for good.
    function vote(uint256 proposal, bool support) external;
    /// @notice Anyone, after the vote and within the grace.
    function execute(uint256 proposal) external;

    function proposalOf(uint256 proposal) external view returns (SubnetProposal memory);
    function proposalCount() external view returns (uint256);
    function hasVoted(uint256 proposal, address voter) external view returns (bool);
    /// @return shares that `voter` may vote with on this proposal
    function powerOf(uint256 proposal, address voter) external view returns (uint256 shares);
    /// @return yes votes that the proposal needs
    function quorumOf(uint256 proposal) external view returns (uint256 yes);
    function rules() external view returns (Rules memory);
}
