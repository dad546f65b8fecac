// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {FoundationDelegation} from "../../src/staking/FoundationDelegation.sol";
import {Built} from "../Built.sol";
import {ProviderBase} from "../provider/ProviderBase.sol";

/// @title  StakeBase: two providers, their owners, two delegators and the foundation, all with SPON
abstract contract StakeBase is ProviderBase {
    /// What an empty pool's first deposit leaves to nobody.
    uint256 internal constant DEAD = 1e15;
    /// Of the foundation's delegations: half of the capacity, in bp.
    uint256 internal constant THRESHOLD = 5000;
    uint256 internal constant TERM = 90 days;

    uint256 internal provider;
    uint256 internal other;
    address internal otherOwner = makeAddr("other owner");
    address internal alice = makeAddr("alice");
    address internal bob = makeAddr("bob");
    address internal foundation = makeAddr("foundation");
    FoundationDelegation internal support;

    function setUp() public virtual override {
        super.setUp();
        provider = _register(owner, hotKey);
        other = _register(otherOwner, makeAddr("other hot key"));
        _fund(owner, 1_000_000e18);
        _fund(otherOwner, 1_000_000e18);
        _fund(alice, 1_000_000e18);
        _fund(bob, 1_000_000e18);
        support = FoundationDelegation(
            Built.make("FoundationDelegation", abi.encode(spon, staking, registry, foundation, THRESHOLD, TERM))
        );
        _fund(foundation, 1_000_000e18);
        vm.prank(foundation);
        spon.approve(address(support), type(uint256).max);
    }

    function _stake(uint256 tokens) internal returns (uint256 shares) {
        vm.prank(owner);
        return staking.stake(provider, tokens);
    }

    function _delegate(address who, uint256 to, uint256 tokens) internal returns (uint256 shares) {
        vm.prank(who);
        return staking.delegate(to, tokens, 0);
    }

    function _slash(uint256 of_, uint256 tokens) internal returns (uint256) {
        vm.prank(leaseBook);
        return staking.slash(of_, tokens, "test");
    }

    function _counted(uint256 of_) internal view returns (uint256 counted) {
        (, counted) = staking.stakeOf(of_);
    }

    function _own(uint256 of_) internal view returns (uint256 own) {
        (own,) = staking.stakeOf(of_);
    }

    function _thawing(uint256 of_) internal view returns (uint256 thawing) {
        (,, thawing,) = staking.poolOf(of_);
    }

    /// @dev All that `who` holds.
    function _all(uint256 of_, address who) internal view returns (uint256) {
        return staking.sharesOf(of_, who);
    }

    /// @dev Equal but for what first deposits leave to nobody.
    function _near(uint256 a, uint256 b) internal pure {
        assertApproxEqAbs(a, b, 2 * DEAD);
    }

    function _nextEra() internal {
        vm.warp(clock.startOf(clock.current() + 1));
    }
}
