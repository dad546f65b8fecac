// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IProviderRegistry, ProviderRecord} from "../../src/interfaces/IProviderRegistry.sol";
import {ProfileWord} from "../../src/lib/ProfileWord.sol";
import {Profile} from "../../src/lib/Types.sol";
import {ProviderBase} from "../provider/ProviderBase.sol";

/// @title  HotKeyAttack: registering somebody else's hot key first, to keep a newcomer out or a stolen key in
contract HotKeyAttack is ProviderBase {
    using ProfileWord for Profile;

    address private attacker = makeAddr("attacker");
    address private stranger = makeAddr("stranger");

    /// The key shakes the squatter off, and is its owner's alone before anyone can register it again.
    function test_newcomerIsNotKeptOut() public {
        uint256 squat = _register(attacker, hotKey);
        _taken(owner, hotKey);
        vm.expectEmit(address(registry));
        emit IProviderRegistry.HotKeyAdmitted(hotKey, owner);
        vm.prank(hotKey);
        registry.admit(owner);
        _taken(attacker, hotKey);
        uint256 provider = _register(owner, hotKey);
        assertEq(registry.profileOf(hotKey).id(), provider);
        assertEq(registry.profile(provider).id(), provider);
        assertEq(registry.profile(squat).id(), squat, "the other one is still there");
    }

    /// Whoever stole the present key cannot stop the owner from naming a new one.
    function test_stolenKeyIsReplaced() public {
        uint256 provider = _register(owner, hotKey);
        address fresh = makeAddr("fresh");
        _register(attacker, fresh);
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.ProviderRegistry_HotKeyTaken.selector, fresh));
        _setKey(owner, provider, fresh);
        vm.prank(fresh);
        registry.admit(owner);
        _setKey(owner, provider, fresh);
        assertEq(registry.hotKeyOf(provider), fresh);
    }

    /// The provider whose key has left keeps record, capacity and leases; its owner names another key.
    function test_providerWithoutItsKey() public {
        uint256 provider = _register(owner, hotKey);
        vm.startPrank(leaseBook);
        registry.take(provider, 3, 1);
        vm.stopPrank();
        Profile before = registry.profile(provider);
        vm.prank(hotKey);
        registry.admit(stranger);
        address none = registry.hotKeyOf(provider);
        assertTrue(none != hotKey && none != address(0));
        assertEq(Profile.unwrap(registry.profileOf(hotKey)), 0);
        assertEq(Profile.unwrap(registry.profileOf(none)), Profile.unwrap(before));
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.ProviderRegistry_NotHotKey.selector, provider, hotKey));
        vm.prank(hotKey);
        registry.setDraining(provider, true);

        vm.prank(leaseBook);
        registry.give(provider, 3, 1);
        _setKey(owner, provider, makeAddr("fresh"));
        assertEq(registry.profile(provider).freeUnits(), 8);
        assertEq(registry.profile(provider).freeGpus(), 2);
    }

    function test_admit_ownProvider_changesNothing() public {
        uint256 provider = _register(owner, hotKey);
        vm.prank(hotKey);
        registry.admit(owner);
        assertEq(registry.hotKeyOf(provider), hotKey);
        assertEq(registry.admitted(hotKey), owner);
    }

    function test_admit_again() public {
        vm.startPrank(hotKey);
        registry.admit(owner);
        registry.admit(stranger);
        vm.stopPrank();
        _taken(owner, hotKey);
        vm.prank(hotKey);
        registry.admit(address(0));
        _register(owner, hotKey);
    }

    /// A proposal that waits is its proposer's, whoever approves it.
    function test_admit_withoutAutoApproval() public {
        vm.prank(governor);
        registry.setAutoApproval(false);
        vm.prank(attacker);
        (uint256 foreign,) = registry.propose(_record(hotKey));
        vm.prank(hotKey);
        registry.admit(owner);
        _taken(attacker, hotKey);
        vm.prank(owner);
        (uint256 own,) = registry.propose(_record(hotKey));
        vm.startPrank(governor);
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.ProviderRegistry_HotKeyTaken.selector, hotKey));
        registry.approve(foreign);
        uint256 provider = registry.approve(own);
        vm.stopPrank();
        assertEq(registry.ownerOf(provider), owner);
    }

    function _taken(address who, address key) private {
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.ProviderRegistry_HotKeyTaken.selector, key));
        vm.prank(who);
        registry.propose(_record(key));
    }

    function _setKey(address who, uint256 provider, address key) private {
        ProviderRecord memory r = _record(key);
        vm.prank(who);
        registry.setRecord(provider, r);
    }
}
