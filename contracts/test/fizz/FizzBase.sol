// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {FizzRegistry} from "../../src/fizz/FizzRegistry.sol";
import {SubnetGovernor} from "../../src/fizz/SubnetGovernor.sol";
import {FizzOffer, SubnetTerms} from "../../src/interfaces/IFizzRegistry.sol";
import {ProviderRecord} from "../../src/interfaces/IProviderRegistry.sol";
import {ISubnetGovernor} from "../../src/interfaces/ISubnetGovernor.sol";
import {ResourcesWord} from "../../src/lib/ResourcesWord.sol";
import {OrderFlags, Terms} from "../../src/lib/Types.sol";
import {Built} from "../Built.sol";
import {MarketBase} from "../market/MarketBase.sol";

/// @title  FizzBase: the market with two gateways, each with a subnet of its own, and owners of light nodes with SPON
abstract contract FizzBase is MarketBase {
    uint16 internal constant SHARE = 6000;
    uint88 internal constant DELEGATION = 100e18;
    bytes32 internal constant PIN = keccak256("pin");
    uint256 internal constant GATEWAY = 1;
    uint256 internal constant OTHER = 2;
    uint40 internal constant VOTING = 3 days;
    uint40 internal constant GRACE = 7 days;

    FizzRegistry internal fizzes;
    SubnetGovernor internal votes;
    address internal alice = makeAddr("alice");
    address internal bob = makeAddr("bob");
    address internal silent = makeAddr("foundation's delegation");
    address internal till = makeAddr("alice's till");

    function setUp() public virtual override {
        super.setUp();
        votes = SubnetGovernor(Built.make("SubnetGovernor", abi.encode(fizzShares, staking, clock, silent, _rules())));
        // At the address that order book and lease book know; it has no storage of its own yet.
        vm.etch(fizzShares, Built.make("FizzRegistry", abi.encode(registry, staking, clock, votes)).code);
        fizzes = FizzRegistry(fizzShares);
        for (uint256 n = GATEWAY; n <= OTHER; ++n) {
            ProviderRecord memory gateway = _record(_hotKey(n));
            gateway.offersFizz = true;
            _providerWith(n, gateway, 1000e18);
            vm.prank(_owner(n));
            fizzes.found(n, _subnetTerms(SHARE, DELEGATION));
        }
    }

    function _rules() internal pure virtual returns (ISubnetGovernor.Rules memory) {
        return ISubnetGovernor.Rules({votingPeriod: VOTING, grace: GRACE, threshold: 100, quorum: 3000});
    }

    function _subnetTerms(uint256 share, uint256 delegation) internal pure returns (SubnetTerms memory) {
        return SubnetTerms(uint16(share), uint88(delegation));
    }

    /// @dev 4 cores, 8 GiB, 100 GiB, no GPU.
    function _offer() internal pure returns (FizzOffer memory) {
        return FizzOffer(ResourcesWord.pack(4000, 8192, 102_400, 0, 0, 2, 0, ""), 1e6, 5e5, 1e4, 0);
    }

    /// @dev Not accepted yet.
    function _propose(address owner, uint256 provider) internal returns (uint256 fizz) {
        vm.prank(owner);
        return fizzes.register(provider, till, SHARE, PIN, _offer());
    }

    /// @dev A member without a delegation.
    function _join(address owner, uint256 provider) internal returns (uint256 fizz) {
        fizz = _propose(owner, provider);
        vm.prank(_hotKey(provider));
        fizzes.accept(fizz);
    }

    function _active(address owner, uint256 provider) internal returns (uint256 fizz) {
        fizz = _join(owner, provider);
        _delegate(owner, provider, DELEGATION);
    }

    function _delegate(address owner, uint256 provider, uint256 tokens) internal returns (uint256 shares) {
        vm.prank(governor);
        spon.transfer(owner, tokens);
        vm.startPrank(owner);
        spon.approve(address(staking), tokens);
        shares = staking.delegate(provider, tokens, 0);
        vm.stopPrank();
    }

    function _unstakeAll(address owner, uint256 provider) internal returns (uint256 request) {
        uint256 shares = staking.sharesOf(provider, owner);
        vm.prank(owner);
        return staking.unstake(provider, shares);
    }

    function _slash(uint256 provider, uint256 tokens) internal {
        vm.prank(address(leases));
        staking.slash(provider, tokens, "test");
    }

    function _nextEra() internal {
        vm.warp(clock.startOf(clock.current() + 1));
    }

    function _isActive(uint256 provider, uint256 fizz) internal view returns (bool) {
        return bytes(fizzes.whyNot(provider, fizz)).length == 0;
    }

    // ---------------------------------------------------------------- market

    function _fizzOrder() internal returns (uint256 order) {
        Terms memory t = _terms();
        t.flags = OrderFlags.FIZZ;
        return _create(t, _spec());
    }

    function _bidFor(uint256 provider, uint256 fizz) internal returns (uint256 order) {
        order = _fizzOrder();
        vm.prank(_hotKey(provider));
        orders.placeBid(order, RATE, uint32(fizz));
    }

    function _confirmBy(uint256 provider, uint256 lease) internal {
        vm.prank(_hotKey(provider));
        leases.confirm(lease);
    }

    // ---------------------------------------------------------------- votes

    function _vote(address voter, uint256 proposal, bool support) internal {
        vm.prank(voter);
        votes.vote(proposal, support);
    }

    /// @dev By the gateway's owner, whose stake decides alone unless others delegated much.
    function _decideTerms(uint256 provider, SubnetTerms memory terms) internal returns (uint256 proposal) {
        vm.prank(_owner(provider));
        proposal = votes.proposeTerms(provider, terms);
        _pass(provider, proposal);
    }

    function _expel(uint256 provider, address member) internal returns (uint256 proposal) {
        vm.prank(_owner(provider));
        proposal = votes.proposeExpulsion(provider, member);
        _pass(provider, proposal);
    }

    function _pass(uint256 provider, uint256 proposal) internal {
        _vote(_owner(provider), proposal, true);
        skip(VOTING + 1);
        votes.execute(proposal);
    }
}
