// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {ProviderRegistry} from "../../src/provider/ProviderRegistry.sol";
import {EraClock} from "../../src/staking/EraClock.sol";
import {FoundationDelegation} from "../../src/staking/FoundationDelegation.sol";
import {StakingManager} from "../../src/staking/StakingManager.sol";
import {SPON} from "../../src/token/SPON.sol";
import {Test} from "forge-std/Test.sol";

/// @title  StakeHandler: any order of stake, delegate, unstake, redelegate, withdraw, slash, reward, reclaim and time
/// @notice Nothing it does may revert: every amount is bounded to what is possible. It books what came in and went out. It
///         acts as the lease book too, which slashes and leases capacity.
contract StakeHandler is Test {
    uint256 private constant MAX = 100_000e18;

    SPON private immutable SPON_;
    StakingManager private immutable STAKING;
    EraClock private immutable CLOCK;
    ProviderRegistry private immutable REGISTRY;
    FoundationDelegation private immutable SUPPORT;
    address private immutable LEASE_BOOK;

    uint256[2] public providers;
    address[2] public owners;
    address[6] public stakers; // the owners, three delegators, and what holds the foundation's delegations
    uint256[2] public leased;

    uint256 public cameIn;
    uint256 public wentOut;
    uint256 public slashed;
    uint256[] public open;

    constructor(
        SPON spon,
        StakingManager staking,
        EraClock clock,
        ProviderRegistry registry,
        FoundationDelegation support,
        address leaseBook,
        uint256[2] memory providers_,
        address[6] memory stakers_
    ) {
        (SPON_, STAKING, CLOCK, REGISTRY, SUPPORT, LEASE_BOOK) = (spon, staking, clock, registry, support, leaseBook);
        (providers, stakers, owners) = (providers_, stakers_, [stakers_[0], stakers_[1]]);
    }

    function stake(uint256 seed, uint256 tokens) external {
        uint256 provider = providers[seed % 2];
        tokens = bound(tokens, 2e15, MAX);
        if (!_buys(provider, tokens)) return;
        vm.prank(owners[seed % 2]);
        STAKING.stake(provider, tokens);
        cameIn += tokens;
    }

    function delegate(uint256 seed, uint256 tokens) external {
        uint256 provider = providers[seed % 2];
        tokens = bound(tokens, 2e15, MAX);
        if (!_buys(provider, tokens)) return;
        vm.prank(stakers[(seed >> 8) % 5]);
        STAKING.delegate(provider, tokens, 0);
        cameIn += tokens;
    }

    function unstake(uint256 seed, uint256 shares) external {
        uint256 provider = providers[seed % 2];
        address staker = stakers[(seed >> 8) % 5];
        uint256 held = STAKING.sharesOf(provider, staker);
        if (held == 0) return;
        vm.prank(staker);
        open.push(STAKING.unstake(provider, seed % 3 == 0 ? held : bound(shares, 1, held)));
    }

    function redelegate(uint256 seed, uint256 shares, uint256 minShares) external {
        address staker = stakers[(seed >> 8) % 5];
        uint256 held = STAKING.sharesOf(providers[seed % 2], staker);
        if (held == 0) return;
        vm.prank(staker);
        open.push(
            STAKING.redelegate(
                providers[seed % 2], providers[1 - seed % 2], bound(shares, 1, held), seed % 5 == 0 ? minShares : 0
            )
        );
    }

    /// Every request can be withdrawn once its time has come.
    function withdraw(uint256 seed) external {
        if (open.length == 0) return;
        uint256 index = seed % open.length;
        (address staker,,,, uint256 until) = STAKING.requestOf(open[index]);
        if (vm.getBlockTimestamp() < until) vm.warp(until);
        bool foundations = staker == address(SUPPORT);
        address paid = foundations ? SUPPORT.foundation() : staker;
        uint256 before = SPON_.balanceOf(paid);
        if (foundations) {
            SUPPORT.withdraw(open[index]);
        } else {
            vm.prank(staker);
            STAKING.withdraw(open[index]);
        }
        wentOut += SPON_.balanceOf(paid) - before;
        open[index] = open[open.length - 1];
        open.pop();
    }

    function slash(uint256 seed, uint256 tokens) external {
        uint256 provider = providers[seed % 2];
        (uint256 active,, uint256 thawing,) = STAKING.poolOf(provider);
        uint256 all = active + thawing;
        // Mostly a part; now and then all but dust, or more than there is.
        if (seed % 7 == 0) tokens = all > 1e9 ? all - bound(tokens, 0, 1e9) : all;
        else if (seed % 11 == 0) tokens = type(uint256).max - tokens;
        else tokens = bound(tokens, 0, all / 4);
        uint256 supply = SPON_.totalSupply();
        vm.prank(LEASE_BOOK);
        uint256 taken = STAKING.slash(provider, tokens, "invariant");
        slashed += taken;
        uint256 due = tokens < all ? tokens : all;
        assertGe(taken, due, "I4: takes what was asked, or all");
        assertLe(taken, due + all / 1e5 + 2, "I4: and of the rest at most dust");
        assertEq(supply - SPON_.totalSupply(), taken, "I4: and burns it");
    }

    function addReward(uint256 seed, uint256 tokens) external {
        uint256 provider = providers[seed % 2];
        (, uint256 shares,,) = STAKING.poolOf(provider);
        if (shares == 0) return;
        tokens = bound(tokens, 1, 1000e18);
        vm.prank(stakers[2]);
        STAKING.addReward(provider, tokens);
        cameIn += tokens;
    }

    function supportProvider(uint256 seed, uint256 tokens) external {
        uint256 provider = providers[seed % 2];
        tokens = bound(tokens, 2e15, MAX);
        if (!_buys(provider, tokens)) return;
        vm.prank(SUPPORT.foundation());
        SUPPORT.delegate(provider, tokens, 0);
        cameIn += tokens;
    }

    /// Succeeds if and only if the provider has come far enough or the term is over.
    function reclaim(uint256 seed, uint256 shares) external {
        uint256 provider = providers[seed % 2];
        uint256 held = STAKING.sharesOf(provider, address(SUPPORT));
        if (held == 0) return;
        shares = bound(shares, 1, held);
        uint256 utilisation = leased[seed % 2] < 8 ? leased[seed % 2] * 10_000 / 8 : 10_000;
        bool due = utilisation >= SUPPORT.threshold() || vm.getBlockTimestamp() >= SUPPORT.committedUntil(provider);
        vm.prank(SUPPORT.foundation());
        try SUPPORT.reclaim(provider, shares) returns (uint256 request) {
            assertTrue(due, "I10: taken away too early");
            open.push(request);
        } catch {
            assertFalse(due, "I10: kept too long");
        }
    }

    /// Of the 8 units that a provider has, or beyond.
    function lease(uint256 seed, uint256 units) external {
        uint256 now_ = leased[seed % 2];
        units = bound(units, 0, 10);
        vm.startPrank(LEASE_BOOK);
        if (units > now_) REGISTRY.take(providers[seed % 2], units - now_, 0);
        else REGISTRY.give(providers[seed % 2], now_ - units, 0);
        vm.stopPrank();
        leased[seed % 2] = units;
    }

    function pass(uint256 secs) external {
        vm.warp(vm.getBlockTimestamp() + bound(secs, 1, CLOCK.LENGTH()));
    }

    function openCount() external view returns (uint256) {
        return open.length;
    }

    /// @dev Whether the tokens buy a share at all; they do unless rewards made it dear.
    function _buys(uint256 provider, uint256 tokens) private view returns (bool) {
        (uint256 active, uint256 shares,,) = STAKING.poolOf(provider);
        return shares == 0 || tokens * shares >= active;
    }
}
