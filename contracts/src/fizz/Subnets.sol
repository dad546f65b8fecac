// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IFizzRegistry, SubnetTerms} from "../interfaces/IFizzRegistry.sol";
import {IProviderRegistry} from "../interfaces/IProviderRegistry.sol";
import {IStakingManager} from "../interfaces/IStakingManager.sol";
import {EraClock} from "../staking/EraClock.sol";
import {SubnetRules} from "./SubnetRules.sol";

/// @title  Subnets: terms and members of the subnets that providers found (SP-35, SP-38)
/// @notice Terms change from one era to the next, as delegations do, so that a light node sees what comes. A subnet is one
///         word, since every lease of a light node reads it.
abstract contract Subnets is IFizzRegistry {
    using SafeCast for uint256;

    struct Subnet {
        uint16 share;
        uint88 minDelegation;
        // What counts from era `from` on.
        uint16 nextShare;
        uint88 nextMinDelegation;
        uint32 from;
        bool founded;
        bool open;
    }

    struct Member {
        uint32 nodes;
        bool expelled;
    }

    /// What rounding may take of a delegation that was just enough, and an empty pool's first deposit leaves to nobody.
    uint256 private constant DUST = 1e15;

    IProviderRegistry private immutable PROVIDERS;
    IStakingManager private immutable STAKING;
    address private immutable GOVERNOR;
    /// The clock's own, kept here to ask for the era without a call.
    uint256 private immutable GENESIS;
    uint256 private immutable ERA_LENGTH;

    mapping(uint256 provider => Subnet) private _subnets;
    mapping(uint256 provider => mapping(address owner => Member)) private _members;

    modifier onlyGovernor() {
        if (msg.sender != GOVERNOR) revert FizzRegistry_NotGovernor(msg.sender);
        _;
    }

    constructor(IProviderRegistry providers, IStakingManager staking, EraClock clock, address governor) {
        (PROVIDERS, STAKING, GOVERNOR) = (providers, staking, governor);
        (GENESIS, ERA_LENGTH) = (clock.GENESIS(), clock.LENGTH());
    }

    /// @inheritdoc IFizzRegistry
    function found(uint256 provider, SubnetTerms calldata terms) external {
        if (msg.sender != PROVIDERS.ownerOf(provider)) revert FizzRegistry_NotProvider(provider, msg.sender);
        Subnet storage s = _subnets[provider];
        if (s.founded) revert FizzRegistry_Founded(provider);
        SubnetRules.check(terms);
        s.founded = true;
        _setNext(s, terms, _era());
        emit SubnetFounded(provider, terms);
    }

    /// @inheritdoc IFizzRegistry
    function setOpen(uint256 provider, bool open) external {
        _onlyProvider(provider);
        _founded(provider).open = open;
        emit SubnetOpened(provider, open);
    }

    /// @inheritdoc IFizzRegistry
    function setTerms(uint256 provider, SubnetTerms calldata terms) external onlyGovernor {
        SubnetRules.check(terms);
        Subnet storage s = _founded(provider);
        uint256 era = _era();
        if (s.from <= era) (s.share, s.minDelegation) = (s.nextShare, s.nextMinDelegation);
        _setNext(s, terms, era + 1);
        emit TermsChanged(provider, terms, era + 1);
    }

    /// @inheritdoc IFizzRegistry
    function setExpelled(uint256 provider, address member, bool expelled) external onlyGovernor {
        _members[provider][member].expelled = expelled;
        if (expelled) emit MemberExpelled(provider, member);
        else emit MemberReadmitted(provider, member);
    }

    /// @inheritdoc IFizzRegistry
    function termsOf(uint256 provider) public view returns (SubnetTerms memory) {
        Subnet storage s = _founded(provider);
        return _era() < s.from ? SubnetTerms(s.share, s.minDelegation) : SubnetTerms(s.nextShare, s.nextMinDelegation);
    }

    /// @inheritdoc IFizzRegistry
    function nextTermsOf(uint256 provider) external view returns (SubnetTerms memory terms, uint256 from) {
        Subnet storage s = _founded(provider);
        return (SubnetTerms(s.nextShare, s.nextMinDelegation), s.from);
    }

    /// @inheritdoc IFizzRegistry
    function isOpen(uint256 provider) public view returns (bool) {
        return _subnets[provider].open;
    }

    /// @inheritdoc IFizzRegistry
    function memberOf(uint256 provider, address owner) public view returns (uint256 nodes, bool expelled) {
        Member storage m = _members[provider][owner];
        return (m.nodes, m.expelled);
    }

    /// @inheritdoc IFizzRegistry
    function delegationOf(uint256 provider, address owner) external view returns (uint256 needed, uint256 held) {
        return (_needed(termsOf(provider), _members[provider][owner].nodes), _held(provider, owner));
    }

    /// @dev One delegation does not stand for two nodes: an owner's nodes stand and lapse together.
    function _hasDelegated(uint256 provider, address owner, SubnetTerms memory terms, uint256 nodes)
        internal
        view
        returns (bool)
    {
        return _held(provider, owner) + DUST >= _needed(terms, nodes);
    }

    function _countNode(uint256 provider, address owner) internal {
        ++_members[provider][owner].nodes;
    }

    function _discountNode(uint256 provider, address owner) internal {
        --_members[provider][owner].nodes;
    }

    function _onlyProvider(uint256 provider) internal view {
        if (msg.sender != PROVIDERS.hotKeyOf(provider) && msg.sender != PROVIDERS.ownerOf(provider)) {
            revert FizzRegistry_NotProvider(provider, msg.sender);
        }
    }

    function _founded(uint256 provider) private view returns (Subnet storage s) {
        s = _subnets[provider];
        if (!s.founded) revert FizzRegistry_NoSubnet(provider);
    }

    function _needed(SubnetTerms memory terms, uint256 nodes) private pure returns (uint256) {
        return terms.minDelegation * nodes;
    }

    function _held(uint256 provider, address owner) private view returns (uint256) {
        return STAKING.tokensFor(provider, STAKING.sharesOf(provider, owner));
    }

    function _setNext(Subnet storage s, SubnetTerms calldata terms, uint256 from) private {
        (s.nextShare, s.nextMinDelegation, s.from) = (terms.share, terms.minDelegation, from.toUint32());
    }

    function _era() private view returns (uint256) {
        return (block.timestamp - GENESIS) / ERA_LENGTH + 1;
    }
}
