// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Test} from "forge-std/Test.sol";

import {FizzRegistry} from "../../src/fizz/FizzRegistry.sol";
import {SubnetGovernor} from "../../src/fizz/SubnetGovernor.sol";
import {SubnetRules} from "../../src/fizz/SubnetRules.sol";
import {Fizz, FizzOffer, FizzState, SubnetTerms} from "../../src/interfaces/IFizzRegistry.sol";
import {SubnetProposal} from "../../src/interfaces/ISubnetGovernor.sol";
import {Resources} from "../../src/lib/Types.sol";
import {ProviderRegistry} from "../../src/provider/ProviderRegistry.sol";
import {EraClock} from "../../src/staking/EraClock.sol";
import {StakingManager} from "../../src/staking/StakingManager.sol";
import {SPON} from "../../src/token/SPON.sol";

/// @title  FizzHandler: any order of registration, acceptance, exit, delegation, slashes, votes and eras in two subnets
/// @notice Calls that are not possible are left out; what is left must not revert. It keeps what owners said of their
///         payouts, what was voted, and for every era what was held at its end.
contract FizzHandler is Test {
    uint256 private constant MAX = 2000e18;
    uint256 private constant PROVIDERS = 2;
    /// Enough for several of one owner; each is looked at after every call.
    uint256 private constant MAX_NODES = 12;

    FizzRegistry private immutable FIZZES;
    SubnetGovernor private immutable VOTES;
    StakingManager private immutable STAKING;
    ProviderRegistry private immutable REGISTRY;
    EraClock private immutable CLOCK;
    SPON private immutable SPON_;
    address private immutable JUDGE;

    /// Owners of light nodes, then those of the providers.
    address[] public actors;
    mapping(uint256 fizz => address) public payoutOf;
    mapping(uint256 proposal => uint256) public cast;
    mapping(uint256 provider => mapping(address proposer => uint256)) public closes;
    mapping(uint256 provider => mapping(address member => uint256 proposal)) public decided;
    uint256[] private _eras;
    mapping(uint256 era => bytes32) private _ends;

    constructor(
        FizzRegistry fizzes,
        SubnetGovernor votes,
        StakingManager staking,
        ProviderRegistry registry,
        EraClock clock,
        SPON spon,
        address judge
    ) {
        (FIZZES, VOTES, STAKING, REGISTRY) = (fizzes, votes, staking, registry);
        (CLOCK, SPON_, JUDGE) = (clock, spon, judge);
        for (uint256 i; i < 4; ++i) {
            actors.push(makeAddr(string.concat("actor ", vm.toString(i))));
        }
        for (uint256 provider = 1; provider <= PROVIDERS; ++provider) {
            actors.push(registry.ownerOf(provider));
        }
    }

    // ---------------------------------------------------------------- nodes

    function register(uint256 who, uint256 provider, uint256 minShare, FizzOffer calldata offer) external {
        (address owner, uint256 to) = (_actor(who), _provider(provider));
        (, bool expelled) = FIZZES.memberOf(to, owner);
        if (expelled || FIZZES.fizzCount() == MAX_NODES) return;
        FizzOffer memory some = offer;
        some.capacity = Resources.wrap(4000 | (8192 << 32));
        minShare = bound(minShare, 0, FIZZES.termsOf(to).share);
        vm.prank(owner);
        uint256 fizz = FIZZES.register(to, _payout(who), minShare, bytes32(uint256(1)), some);
        payoutOf[fizz] = _payout(who);
    }

    function accept(uint256 seed) external {
        (uint256 fizz, Fizz memory n) = _node(seed);
        if (n.state != FizzState.Proposed || FIZZES.termsOf(n.provider).share < n.minShare) return;
        (, bool expelled) = FIZZES.memberOf(n.provider, n.owner);
        if (expelled) return;
        vm.prank(seed % 2 == 0 ? REGISTRY.hotKeyOf(n.provider) : REGISTRY.ownerOf(n.provider));
        FIZZES.accept(fizz);
    }

    function exit(uint256 seed) external {
        (uint256 fizz, Fizz memory n) = _node(seed);
        if (seed % 3 != 0 || (n.state != FizzState.Proposed && n.state != FizzState.Member)) return;
        vm.prank(n.owner);
        FIZZES.exit(fizz);
        if (n.state == FizzState.Proposed) delete payoutOf[fizz];
    }

    function setPayout(uint256 seed, uint256 to) external {
        (uint256 fizz, Fizz memory n) = _node(seed);
        if (n.owner == address(0)) return;
        vm.prank(n.owner);
        FIZZES.setPayout(fizz, _payout(to));
        payoutOf[fizz] = _payout(to);
    }

    function lowerMinShare(uint256 seed, uint256 minShare) external {
        (uint256 fizz, Fizz memory n) = _node(seed);
        if (n.owner == address(0)) return;
        vm.prank(n.owner);
        FIZZES.lowerMinShare(fizz, bound(minShare, 0, n.minShare));
    }

    function setOpen(uint256 provider, bool open) external {
        provider = _provider(provider);
        vm.prank(REGISTRY.hotKeyOf(provider));
        FIZZES.setOpen(provider, open);
    }

    // ---------------------------------------------------------------- stakes

    function delegate(uint256 who, uint256 provider, uint256 tokens) external {
        (address owner, uint256 to) = (_actor(who), _provider(provider));
        tokens = bound(tokens, 1e18, MAX);
        SPON_.mint(owner, tokens);
        vm.startPrank(owner);
        SPON_.approve(address(STAKING), tokens);
        STAKING.delegate(to, tokens, 0);
        vm.stopPrank();
    }

    function unstake(uint256 who, uint256 provider, uint256 shares) external {
        (address owner, uint256 from) = (_actor(who), _provider(provider));
        uint256 held = STAKING.sharesOf(from, owner);
        if (held == 0) return;
        vm.prank(owner);
        STAKING.unstake(from, bound(shares, 1, held));
    }

    /// @dev Seldom, and mostly a part.
    function slash(uint256 seed, uint256 tokens) external {
        if (seed % 8 != 0) return;
        vm.prank(JUDGE);
        STAKING.slash(_provider(seed >> 8), seed % 64 == 0 ? type(uint96).max : bound(tokens, 0, MAX), "");
    }

    // ---------------------------------------------------------------- votes

    function propose(uint256 who, uint256 provider, uint256 kind, SubnetTerms calldata terms) external {
        (address proposer, uint256 in_) = (_actor(who), _provider(provider));
        uint256 era = CLOCK.current() - 1;
        uint256 held = STAKING.sharesAt(in_, proposer, era);
        if (held == 0 || held * 10_000 < STAKING.totalSharesAt(in_, era) * VOTES.rules().threshold) return;
        if (closes[in_][proposer] >= block.timestamp) return;
        vm.startPrank(proposer);
        uint256 proposal;
        if (kind % 3 == 0) proposal = VOTES.proposeTerms(in_, _bounded(terms));
        else if (kind % 3 == 1) proposal = VOTES.proposeExpulsion(in_, _actor(kind >> 8));
        else proposal = VOTES.proposeReadmission(in_, _actor(kind >> 8));
        vm.stopPrank();
        closes[in_][proposer] = VOTES.proposalOf(proposal).closes;
    }

    /// @dev More often for than against, and by one or all: some are to pass.
    function vote(uint256 who, uint256 seed, bool all) external {
        uint256 proposal = _proposal(seed);
        if (proposal == 0 || VOTES.proposalOf(proposal).closes < block.timestamp) return;
        for (uint256 i; i < (all ? actors.length : 1); ++i) {
            address voter = _actor(who % actors.length + i);
            uint256 power = VOTES.powerOf(proposal, voter);
            if (power == 0 || VOTES.hasVoted(proposal, voter)) continue;
            vm.prank(voter);
            VOTES.vote(proposal, (seed >> 8) % 4 != 0);
            cast[proposal] += power;
        }
    }

    function execute(uint256 seed) external {
        uint256 proposal = _proposal(seed);
        if (proposal == 0) return;
        SubnetProposal memory p = VOTES.proposalOf(proposal);
        if (p.executed || p.yes <= p.no || p.yes < VOTES.quorumOf(proposal)) return;
        if (decided[p.provider][p.member] > proposal) return;
        if (block.timestamp > uint256(p.closes) + VOTES.rules().grace) return;
        if (block.timestamp <= p.closes) vm.warp(uint256(p.closes) + 1 + seed % 2 days);
        _recordEnd();
        VOTES.execute(proposal);
        decided[p.provider][p.member] = proposal;
    }

    function wait(uint256 secs) external {
        vm.warp(block.timestamp + bound(secs, 1 hours, 2 days));
        _recordEnd();
    }

    // ---------------------------------------------------------------- what is kept

    /// @return whether what was held at every era's end is what it was when the era was over
    function endsStand() external view returns (bool) {
        for (uint256 i; i < _eras.length; ++i) {
            if (_ends[_eras[i]] != endOf(_eras[i])) return false;
        }
        return true;
    }

    function endOf(uint256 era) public view returns (bytes32) {
        bytes memory all;
        for (uint256 provider = 1; provider <= PROVIDERS; ++provider) {
            all = bytes.concat(all, abi.encode(STAKING.totalSharesAt(provider, era)));
            for (uint256 i; i < actors.length; ++i) {
                all = bytes.concat(all, abi.encode(STAKING.sharesAt(provider, actors[i], era)));
            }
        }
        return keccak256(all);
    }

    function actorCount() external view returns (uint256) {
        return actors.length;
    }

    function _recordEnd() private {
        uint256 era = CLOCK.current() - 1;
        if (era == 0 || _ends[era] != 0) return;
        _ends[era] = endOf(era);
        _eras.push(era);
    }

    function _bounded(SubnetTerms memory terms) private pure returns (SubnetTerms memory) {
        return SubnetTerms(
            uint16(bound(terms.share, 0, SubnetRules.MAX_SHARE)),
            uint88(bound(terms.minDelegation, 0, SubnetRules.MAX_DELEGATION / 10))
        );
    }

    function _actor(uint256 seed) private view returns (address) {
        return actors[seed % actors.length];
    }

    function _provider(uint256 seed) private pure returns (uint256) {
        return seed % PROVIDERS + 1;
    }

    /// @dev One of the last four.
    function _proposal(uint256 seed) private view returns (uint256 proposal) {
        proposal = VOTES.proposalCount();
        if (proposal > 4) proposal -= seed % 4;
    }

    function _payout(uint256 seed) private pure returns (address) {
        return address(uint160(bound(seed, 1 << 32, type(uint160).max)));
    }

    function _node(uint256 seed) private view returns (uint256 fizz, Fizz memory n) {
        uint256 count = FIZZES.fizzCount();
        fizz = count == 0 ? 0 : (seed >> 8) % count + 1;
        n = FIZZES.node(fizz);
    }
}
