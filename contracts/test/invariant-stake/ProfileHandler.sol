// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {ProviderRecord} from "../../src/interfaces/IProviderRegistry.sol";
import {ResourcesWord} from "../../src/lib/ResourcesWord.sol";
import {ProviderRegistry} from "../../src/provider/ProviderRegistry.sol";
import {StakingManager} from "../../src/staking/StakingManager.sol";
import {Test} from "forge-std/Test.sol";

/// @title  ProfileHandler: everybody who changes a profile word, in any order; it keeps its own books of the same facts
contract ProfileHandler is Test {
    struct Lease {
        uint256 units;
        uint256 gpus;
    }

    ProviderRegistry private immutable REGISTRY;
    StakingManager private immutable STAKING;
    address private immutable LEASE_BOOK;
    address private immutable RATINGS;
    address private immutable OWNER;
    uint256 private immutable PROVIDER;

    Lease[] public leases;
    ProviderRecord private _record;
    bool public draining;
    bool public barred;
    uint256 public owed; // before the bar can be lifted
    uint256 public rating;
    uint256 public slashes;
    uint256 private _keys;

    constructor(
        ProviderRegistry registry,
        StakingManager staking,
        address leaseBook,
        address ratings,
        address owner,
        uint256 provider
    ) {
        (REGISTRY, STAKING, LEASE_BOOK, RATINGS, OWNER, PROVIDER) =
        (registry, staking, leaseBook, ratings, owner, provider);
        _record = registry.record(provider);
    }

    function take(uint256 units, uint256 gpus) external {
        Lease memory lease = Lease(bound(units, 0, 12), bound(gpus, 0, 3));
        vm.prank(LEASE_BOOK);
        REGISTRY.take(PROVIDER, lease.units, lease.gpus);
        leases.push(lease);
    }

    function give(uint256 seed) external {
        if (leases.length == 0) return;
        uint256 index = seed % leases.length;
        Lease memory lease = leases[index];
        vm.prank(LEASE_BOOK);
        REGISTRY.give(PROVIDER, lease.units, lease.gpus);
        leases[index] = leases[leases.length - 1];
        leases.pop();
    }

    function setRecord(uint256 seed, uint256 units, uint256 gpus) external {
        ProviderRecord memory r = _record;
        units = bound(units, 1, 60);
        gpus = bound(gpus, 0, 16);
        r.capacity = ResourcesWord.pack(units * 1000, 1, 1, gpus, gpus == 0 ? 0 : 5, 0, 0, 0);
        r.region = uint16(seed);
        r.attributes = uint24(seed >> 16) & 0x38ff;
        if ((r.attributes >> 4) & 15 > 10) r.attributes &= ~uint24(0xf0);
        r.tokens = uint48(seed >> 40) | 1;
        r.offersOwn = seed % 3 != 0;
        r.offersFizz = seed % 3 != 1;
        if (seed % 4 == 0) r.hotKey = address(uint160(0xabc000 + ++_keys));
        vm.prank(OWNER);
        try REGISTRY.setRecord(PROVIDER, r) {
            _record = r;
        } catch {
            (uint256 leased, uint256 leasedGpus) = leasedNow();
            assertTrue(units < leased || gpus < leasedGpus, "P2: refused although nothing leased is in the way");
        }
    }

    /// The hot key leaves for another owner, or says once more that it stays.
    function admit(uint256 seed) external {
        vm.prank(_record.hotKey);
        REGISTRY.admit(seed % 8 == 0 ? address(this) : OWNER);
        _record.hotKey = REGISTRY.record(PROVIDER).hotKey;
    }

    function setDraining(bool on) external {
        vm.prank(_record.hotKey);
        REGISTRY.setDraining(PROVIDER, on);
        draining = on;
    }

    function miss(uint256 tokens) external {
        vm.startPrank(LEASE_BOOK);
        REGISTRY.bar(PROVIDER, 1);
        uint256 taken = STAKING.slash(PROVIDER, bound(tokens, 0, 80e18), "miss");
        vm.stopPrank();
        barred = true;
        if (taken == 0) return;
        ++slashes;
        owed = owed + taken < 50e18 ? owed + taken : 50e18;
    }

    function stake(uint256 tokens) external {
        tokens = bound(tokens, 2e15, 60e18);
        vm.prank(OWNER);
        STAKING.stake(PROVIDER, tokens);
        owed = owed > tokens ? owed - tokens : 0;
        (, uint256 counted) = STAKING.stakeOf(PROVIDER);
        if (owed == 0 && counted >= 50e18) barred = false;
    }

    function unstake(uint256 shares) external {
        uint256 held = STAKING.sharesOf(PROVIDER, OWNER);
        if (held == 0) return;
        vm.prank(OWNER);
        STAKING.unstake(PROVIDER, bound(shares, 1, held));
    }

    function rate(uint256 rating_) external {
        rating = bound(rating_, 1, 501);
        vm.prank(RATINGS);
        REGISTRY.setRating(PROVIDER, rating);
    }

    function leasedNow() public view returns (uint256 units, uint256 gpus) {
        for (uint256 i; i < leases.length; ++i) {
            units += leases[i].units;
            gpus += leases[i].gpus;
        }
    }

    function record() external view returns (ProviderRecord memory) {
        return _record;
    }
}
