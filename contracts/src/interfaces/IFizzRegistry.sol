// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Resources} from "../lib/Types.sol";
import {IFizzShares} from "./IFizzShares.sol";

/// @notice What a subnet asks of a light node and gives it (SP-35, SP-37).
struct SubnetTerms {
    uint16 share; // bp of the net of a lease that the light node serves
    uint88 minDelegation; // wei of SPON for each light node, delegated to the provider by the node's owner
}

/// @notice What a light node offers. Events alone carry it: the gateway keeps what holds at the moment (SP-34).
struct FizzOffer {
    Resources capacity; // what its owner lends at most
    // 1e-8 dollars an hour
    uint64 core;
    uint64 gibMemory;
    uint64 gibStorage;
    uint64 gpu;
}

enum FizzState {
    None,
    Proposed, // by its owner; the provider has not accepted it
    Member,
    Left // for good: who comes back registers anew
}

/// @notice A light node. Its id names owner and provider for good.
struct Fizz {
    address owner;
    uint32 provider;
    uint16 minShare; // bp: for less than that it does not work
    FizzState state;
    address payout;
    bytes32 pin; // SHA-256 of the lease API's SubjectPublicKeyInfo
    bytes32 nextPin; // valid beside it; 0 for none
}

/// @title  FizzRegistry: light nodes, and the subnets that they form with a provider as their gateway (SP-35, SP-37, SP-38)
/// @notice An owner registers a node with a provider that has founded a subnet, and the provider accepts it, by its open
///         terms or by name: neither binds the other. A member is active, which means that bids may name it, while its
///         owner has delegated to the provider what the subnet asks for; that is read from the stakes whenever it matters,
///         so a node lapses with its delegation and comes back with it, and nobody has to say so.
///         A node's id belongs to one provider for good, and what it is paid does not depend on its state: bids name active
///         nodes only, and whatever happens between bid and match takes no share away.
///         Pins are not unique here, since nobody proves a key to a chain: a node is looked up by its id, and whoever
///         claims another's pin lacks the key.
interface IFizzRegistry is IFizzShares {
    event SubnetFounded(uint256 indexed provider, SubnetTerms terms);
    /// Whether it accepts by itself who registers.
    event SubnetOpened(uint256 indexed provider, bool open);
    event TermsChanged(uint256 indexed provider, SubnetTerms terms, uint256 fromEra);
    event MemberExpelled(uint256 indexed provider, address indexed member);
    event MemberReadmitted(uint256 indexed provider, address indexed member);
    event FizzRegistered(
        uint256 indexed fizz,
        uint256 indexed provider,
        address indexed owner,
        address payout,
        uint256 minShare,
        bytes32 pin,
        FizzOffer offer
    );
    event FizzJoined(uint256 indexed fizz, uint256 indexed provider);
    /// Also a proposal that is taken back.
    event FizzLeft(uint256 indexed fizz, uint256 indexed provider);
    event FizzOffered(uint256 indexed fizz, FizzOffer offer);
    event FizzPinRotated(uint256 indexed fizz, bytes32 current, bytes32 next);
    event FizzPayoutSet(uint256 indexed fizz, address payout);
    event FizzMinShareSet(uint256 indexed fizz, uint256 minShare);

    error FizzRegistry_NotOwner(uint256 fizz, address caller);
    error FizzRegistry_NotProvider(uint256 provider, address caller);
    error FizzRegistry_NotGovernor(address caller);
    error FizzRegistry_NoSubnet(uint256 provider);
    error FizzRegistry_Founded(uint256 provider);
    error FizzRegistry_Expelled(uint256 provider, address member);
    error FizzRegistry_WrongState(uint256 fizz, FizzState state);
    error FizzRegistry_BadTerms(string what);
    error FizzRegistry_BadRecord(string what);
    /// The subnet gives less than the node works for; or a node asks for more than it did.
    error FizzRegistry_BadShare(uint256 asked, uint256 given);

    /// @notice Provider's owner: light nodes may register from now on. Terms change by vote from then on.
    function found(uint256 provider, SubnetTerms calldata terms) external;
    /// @notice Provider's owner or hot key: whether whoever registers is accepted at once.
    function setOpen(uint256 provider, bool open) external;
    /// @notice SubnetGovernor only: terms of leases that open, and of delegations, from the next era on.
    function setTerms(uint256 provider, SubnetTerms calldata terms) external;
    /// @notice SubnetGovernor only: no bids for the member's nodes and no new ones of it, until it is readmitted.
    function setExpelled(uint256 provider, address member, bool expelled) external;

    /// @notice The caller owns the new node.
    /// @param minShare bp, at most what the subnet gives now. Nobody can lower it but the owner: should a vote do so, the
    ///        node is named in no bid, and bids that named it pay it still
    function register(uint256 provider, address payout, uint256 minShare, bytes32 pin, FizzOffer calldata offer)
        external
        returns (uint256 fizz);
    /// @notice Provider's owner or hot key.
    function accept(uint256 fizz) external;
    /// @notice Owner: no more bids for it, or a proposal taken back. Its leases go on and are paid.
    function exit(uint256 fizz) external;
    /// @notice Owner: another capacity or price.
    function announce(uint256 fizz, FizzOffer calldata offer) external;
    /// @notice Owner: as a provider's (IProviderRegistry). Twice in a row drops a key that is lost.
    function rotatePin(uint256 fizz, bytes32 next) external;
    /// @notice Owner: who is paid by leases that open from now on.
    function setPayout(uint256 fizz, address payout) external;
    /// @notice Owner: works for less.
    function lowerMinShare(uint256 fizz, uint256 minShare) external;

    /// @return why a bid may not name the node; empty when it is active
    function whyNot(uint256 provider, uint256 fizz) external view returns (string memory why);
    function node(uint256 fizz) external view returns (Fizz memory);
    /// @notice Light nodes of all providers by id, from `first` on: `most` of them, or as many as there are. One whose
    ///         proposal was taken back has the state None.
    function nodesFrom(uint256 first, uint256 most) external view returns (Fizz[] memory page);
    function fizzCount() external view returns (uint256);
    /// @return terms of this era
    function termsOf(uint256 provider) external view returns (SubnetTerms memory terms);
    /// @return terms of the era `from` on, which may be past
    function nextTermsOf(uint256 provider) external view returns (SubnetTerms memory terms, uint256 from);
    function isOpen(uint256 provider) external view returns (bool);
    /// @return nodes that joined and did not leave; what their owner has delegated must be enough for all of them
    function memberOf(uint256 provider, address owner) external view returns (uint256 nodes, bool expelled);
    /// @return needed wei that `owner` must have delegated for its nodes
    /// @return held wei that it has delegated
    function delegationOf(uint256 provider, address owner) external view returns (uint256 needed, uint256 held);
}
