// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IProviderRegistry, ProviderRecord} from "../../src/interfaces/IProviderRegistry.sol";
import {ProfileWord} from "../../src/lib/ProfileWord.sol";
import {ResourcesWord} from "../../src/lib/ResourcesWord.sol";
import {Profile, ProfileFlags} from "../../src/lib/Types.sol";
import {ProviderBase} from "./ProviderBase.sol";

/// @title  CapacityTest: what the peers change in a profile word
contract CapacityTest is ProviderBase {
    using ProfileWord for Profile;

    uint256 private provider;

    function setUp() public override {
        super.setUp();
        provider = _register(owner, hotKey);
    }

    function test_takeAndGive() public {
        vm.startPrank(leaseBook);
        registry.take(provider, 3, 1);
        _check(5, 1, 255 * 5 / uint256(8));
        registry.give(provider, 3, 1);
        _check(8, 2, 255);
    }

    function test_peersOnly() public {
        bytes memory refused = abi.encodeWithSelector(IProviderRegistry.ProviderRegistry_NotPeer.selector, owner);
        vm.startPrank(owner);
        vm.expectRevert(refused);
        registry.take(provider, 1, 0);
        vm.expectRevert(refused);
        registry.give(provider, 1, 0);
        vm.expectRevert(refused);
        registry.bar(provider, 1);
        vm.expectRevert(refused);
        registry.setStake(provider, 1, true, true, 0);
        vm.expectRevert(refused);
        registry.setRating(provider, 1);
    }

    function test_unknownProvider() public {
        bytes memory refused = abi.encodeWithSelector(IProviderRegistry.ProviderRegistry_UnknownProvider.selector, 2);
        vm.startPrank(leaseBook);
        vm.expectRevert(refused);
        registry.take(2, 1, 0);
        vm.expectRevert(refused);
        registry.bar(2, 1);
    }

    /// A provider that won more than it has: nothing reverts, and every unit comes back.
    function test_overbooked() public {
        vm.startPrank(leaseBook);
        registry.take(provider, 6, 1);
        registry.take(provider, 5, 2);
        _check(0, 0, 0);
        assertTrue(_has(provider, ProfileFlags.OVERBOOKED));
        registry.take(provider, 1, 0);
        registry.give(provider, 6, 1); // 6 leased of 8, all gpus leased
        _check(2, 0, 255 * 2 / uint256(8));
        assertFalse(_has(provider, ProfileFlags.OVERBOOKED));
        registry.give(provider, 5, 2);
        registry.give(provider, 1, 0);
        _check(8, 2, 255);
    }

    function test_overbooked_mayGrowButNotShrink() public {
        vm.prank(leaseBook);
        registry.take(provider, 10, 3);
        ProviderRecord memory r = _record(hotKey);
        r.endpoint = "same-capacity:1";
        vm.prank(owner);
        registry.setRecord(provider, r);
        assertTrue(_has(provider, ProfileFlags.OVERBOOKED));

        r.capacity = ResourcesWord.pack(7000, 4096, 1, 2, 4, 0, 0, 0);
        vm.expectRevert(
            abi.encodeWithSelector(IProviderRegistry.ProviderRegistry_BadRecord.selector, "capacity: leased")
        );
        vm.prank(owner);
        registry.setRecord(provider, r);

        r.capacity = ResourcesWord.pack(9000, 4096, 1, 3, 4, 0, 0, 0);
        vm.prank(owner);
        registry.setRecord(provider, r);
        _check(0, 0, 0);
        r.capacity = ResourcesWord.pack(12_000, 4096, 1, 4, 4, 0, 0, 0);
        vm.prank(owner);
        registry.setRecord(provider, r);
        _check(2, 1, 255 * 2 / uint256(12));
        assertFalse(_has(provider, ProfileFlags.OVERBOOKED));
        vm.prank(leaseBook);
        registry.give(provider, 10, 3);
        _check(12, 4, 255);
    }

    /// Any takes and gives in pairs end where they began, whatever the capacity.
    function testFuzz_everyUnitComesBack(uint16[8] memory units, uint8[8] memory gpus, uint256 order) public {
        vm.startPrank(leaseBook);
        uint256 taken;
        uint256 takenGpus;
        for (uint256 i; i < 8; ++i) {
            registry.take(provider, units[i], gpus[i]);
            taken += units[i];
            takenGpus += gpus[i];
            Profile p = registry.profile(provider);
            assertEq(p.freeUnits(), taken >= 8 ? 0 : 8 - taken);
            assertEq(p.freeGpus(), takenGpus >= 2 ? 0 : 2 - takenGpus);
            assertEq(_has(provider, ProfileFlags.OVERBOOKED), taken > 8 || takenGpus > 2);
        }
        for (uint256 i; i < 8; ++i) {
            uint256 index = (i + order % 8) % 8;
            registry.give(provider, units[index], gpus[index]);
            taken -= units[index];
            assertEq(registry.profile(provider).freeUnits(), taken >= 8 ? 0 : 8 - taken);
        }
        _check(8, 2, 255);
        assertFalse(_has(provider, ProfileFlags.OVERBOOKED));
    }

    function test_bar_untilToppedUp() public {
        vm.expectEmit(address(registry));
        emit IProviderRegistry.ProviderBarred(provider, 77);
        vm.prank(leaseBook);
        registry.bar(provider, 77);
        assertTrue(_has(provider, ProfileFlags.BARRED));
        vm.startPrank(address(staking));
        registry.setStake(provider, 60e18, true, false, 0);
        assertTrue(_has(provider, ProfileFlags.BARRED));
        registry.setStake(provider, 60e18, true, true, 0);
        assertFalse(_has(provider, ProfileFlags.BARRED));
    }

    function test_setStake_saturates() public {
        vm.startPrank(address(staking));
        registry.setStake(provider, 50e18 - 1, false, false, 3);
        Profile p = registry.profile(provider);
        assertEq(p.stake(), 49);
        assertEq(p.slashes(), 3);
        registry.setStake(provider, 1e18 << 24, true, false, 256);
        p = registry.profile(provider);
        assertEq(p.stake(), (1 << 24) - 1);
        assertEq(p.slashes(), 255);
        assertEq(p.id(), provider);
    }

    function test_setStake_saysNothingWhenNothingChanged() public {
        vm.startPrank(address(staking));
        registry.setStake(provider, 60e18, true, false, 0);
        vm.recordLogs();
        registry.setStake(provider, 60e18 + 1, true, false, 0);
        assertEq(vm.getRecordedLogs().length, 0);
    }

    function _check(uint256 units, uint256 gpus, uint256 availability) private view {
        Profile p = registry.profile(provider);
        assertEq(p.freeUnits(), units, "free units");
        assertEq(p.freeGpus(), gpus, "free gpus");
        assertEq(p.availability(), availability, "availability");
    }
}
