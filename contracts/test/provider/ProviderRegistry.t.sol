// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IProviderRegistry, ProviderRecord} from "../../src/interfaces/IProviderRegistry.sol";
import {ProfileWord} from "../../src/lib/ProfileWord.sol";
import {ResourcesWord} from "../../src/lib/ResourcesWord.sol";
import {Profile, ProfileFlags, Resources} from "../../src/lib/Types.sol";
import {ProviderBase} from "./ProviderBase.sol";
import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";

/// @title  ProviderRegistryTest: proposals, records, pins and hot keys
contract ProviderRegistryTest is ProviderBase {
    using ProfileWord for Profile;

    // ---- Proposals

    function test_propose_registersAtOnceWithAutoApproval() public {
        ProviderRecord memory record = _record(hotKey);
        vm.expectEmit(address(registry));
        emit IProviderRegistry.ProviderProposed(1, owner, record);
        vm.expectEmit(address(registry));
        emit IProviderRegistry.ProviderRegistered(1, owner, registry.accountOf(1), 1);
        vm.prank(owner);
        (uint256 proposal, uint256 provider) = registry.propose(record);

        assertEq(proposal, 1);
        assertEq(provider, 1);
        assertEq(registry.providerCount(), 1);
        assertEq(registry.ownerOf(1), owner);
        assertEq(registry.hotKeyOf(1), hotKey);
        assertEq(keccak256(abi.encode(registry.record(1))), keccak256(abi.encode(record)));

        Profile p = registry.profileOf(hotKey);
        assertEq(Profile.unwrap(p), Profile.unwrap(registry.profile(1)));
        assertEq(p.id(), 1);
        assertEq(p.trustTier(), 7);
        assertEq(p.rating(), 0);
        assertEq(p.stake(), 0);
        assertEq(p.availability(), 255);
        assertEq(p.region(), record.region);
        assertEq(p.attributes(), record.attributes);
        assertEq(p.tokens(), record.tokens);
        assertEq(p.freeUnits(), 8);
        assertEq(p.totalUnits(), 8);
        assertEq(p.freeGpus(), 2);
        assertEq(p.flags(), ProfileFlags.ACTIVE | ProfileFlags.PROVIDER);
    }

    function test_propose_waitsForApprovalWhenSwitchedOff() public {
        vm.prank(governor);
        registry.setAutoApproval(false);
        vm.prank(owner);
        (uint256 proposal, uint256 provider) = registry.propose(_record(hotKey));
        assertEq(provider, 0);
        assertEq(Profile.unwrap(registry.profileOf(hotKey)), 0);

        vm.expectRevert(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, owner));
        vm.prank(owner);
        registry.approve(proposal);

        vm.prank(governor);
        provider = registry.approve(proposal);
        assertEq(registry.ownerOf(provider), owner);

        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.ProviderRegistry_UnknownProposal.selector, proposal));
        vm.prank(governor);
        registry.approve(proposal);
    }

    function test_reject_forgetsTheProposal() public {
        vm.startPrank(governor);
        registry.setAutoApproval(false);
        (uint256 proposal,) = registry.propose(_record(hotKey));
        vm.expectEmit(address(registry));
        emit IProviderRegistry.ProposalRejected(proposal);
        registry.reject(proposal);
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.ProviderRegistry_UnknownProposal.selector, proposal));
        registry.approve(proposal);
    }

    function test_approve_refusesAHotKeyTakenMeanwhile() public {
        vm.prank(governor);
        registry.setAutoApproval(false);
        vm.prank(owner);
        (uint256 first,) = registry.propose(_record(hotKey));
        (uint256 second,) = registry.propose(_record(hotKey));
        vm.startPrank(governor);
        registry.approve(first);
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.ProviderRegistry_HotKeyTaken.selector, hotKey));
        registry.approve(second);
    }

    function test_propose_refusesATakenHotKey() public {
        _register(owner, hotKey);
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.ProviderRegistry_HotKeyTaken.selector, hotKey));
        registry.propose(_record(hotKey));
        vm.prank(governor);
        registry.setAutoApproval(false);
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.ProviderRegistry_HotKeyTaken.selector, hotKey));
        registry.propose(_record(hotKey));
    }

    function test_governanceFunctionsAreRestricted() public {
        bytes memory refused = abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, address(this));
        vm.expectRevert(refused);
        registry.setAutoApproval(false);
        vm.expectRevert(refused);
        registry.reject(1);
        vm.expectRevert(refused);
        registry.setTrustTier(1, 1);
    }

    function test_ownerOf_unknown() public {
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.ProviderRegistry_UnknownProvider.selector, 1));
        registry.ownerOf(1);
        assertEq(Profile.unwrap(registry.profile(0)), 0);
    }

    // ---- Bad records

    function test_badRecords() public {
        ProviderRecord memory r = _record(address(0));
        _refused(r, "hot key");
        r = _record(hotKey);
        r.offersOwn = false;
        _refused(r, "offers nothing");
        r = _record(hotKey);
        r.tokens = 0;
        _refused(r, "tokens");
        r = _record(hotKey);
        r.pin = 0;
        _refused(r, "pin");
        r = _record(hotKey);
        r.endpoint = "";
        _refused(r, "endpoint");
        r.endpoint = string(new bytes(129));
        _refused(r, "endpoint");
        r = _record(hotKey);
        r.attributes = 1 << 14;
        _refused(r, "attributes");
        r.attributes = 11 << 4;
        _refused(r, "attributes: gpu");
        r.attributes = 5 << 8;
        _refused(r, "attributes: connectivity");
        r = _record(hotKey);
        r.capacity = ResourcesWord.pack(0, 1, 1, 0, 0, 0, 0, 0);
        _refused(r, "capacity");
        r.capacity = ResourcesWord.pack(1, 0, 1, 0, 0, 0, 0, 0);
        _refused(r, "capacity");
        r.capacity = ResourcesWord.pack(1, 1, 1, 1, 11, 0, 0, 0);
        _refused(r, "capacity: gpu tier");
        r.capacity = ResourcesWord.pack(1, 1, 1, 0, 0, 4, 0, 0);
        _refused(r, "capacity: storage class");
        r.capacity = ResourcesWord.pack(1, 1, 1, 0, 1, 0, 0, 0);
        _refused(r, "capacity: gpu tier without gpus");
    }

    function test_longestEndpoint() public {
        ProviderRecord memory r = _record(hotKey);
        r.endpoint = string(new bytes(128));
        (, uint256 provider) = registry.propose(r);
        assertEq(bytes(registry.record(provider).endpoint).length, 128);
    }

    // ---- setRecord

    function test_setRecord_changesWhatTheOwnerSays() public {
        uint256 provider = _register(owner, hotKey);
        ProviderRecord memory r = _record(hotKey);
        r.region = 0x0505;
        r.attributes = 1;
        r.tokens = 7;
        (r.offersOwn, r.offersFizz) = (false, true);
        r.capacity = ResourcesWord.pack(16_000, 4096, 65_536, 5, 1, 0, 0, "a100");
        r.endpoint = "elsewhere:1";
        vm.prank(owner);
        registry.setRecord(provider, r);

        Profile p = registry.profileOf(hotKey);
        assertEq(p.region(), 0x0505);
        assertEq(p.attributes(), 1);
        assertEq(p.tokens(), 7);
        assertEq(p.flags(), ProfileFlags.ACTIVE | ProfileFlags.FIZZ);
        assertEq(p.totalUnits(), 16);
        assertEq(p.freeUnits(), 16);
        assertEq(p.freeGpus(), 5);
        assertEq(p.trustTier(), 7);
        assertEq(keccak256(abi.encode(registry.record(provider))), keccak256(abi.encode(r)));
    }

    function test_setRecord_onlyOwner() public {
        uint256 provider = _register(owner, hotKey);
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.ProviderRegistry_NotOwner.selector, provider, hotKey));
        vm.prank(hotKey);
        registry.setRecord(provider, _record(hotKey));
    }

    function test_setRecord_movesTheProfileToANewHotKey() public {
        uint256 provider = _register(owner, hotKey);
        vm.prank(ratings);
        registry.setRating(provider, 451);
        address fresh = makeAddr("fresh");
        vm.prank(owner);
        registry.setRecord(provider, _record(fresh));
        assertEq(Profile.unwrap(registry.profileOf(hotKey)), 0);
        assertEq(registry.profileOf(fresh).rating(), 451);
        assertEq(registry.profileOf(fresh).id(), provider);
        assertEq(registry.hotKeyOf(provider), fresh);

        // The old key is free for another provider, the new one is not.
        _register(makeAddr("other"), hotKey);
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.ProviderRegistry_HotKeyTaken.selector, hotKey));
        vm.prank(owner);
        registry.setRecord(provider, _record(hotKey));
    }

    function test_setRecord_capacityMayNotFallBelowWhatIsLeased() public {
        uint256 provider = _register(owner, hotKey);
        vm.prank(leaseBook);
        registry.take(provider, 5, 1);

        ProviderRecord memory r = _record(hotKey);
        r.capacity = ResourcesWord.pack(4000, 4096, 1, 2, 4, 0, 0, 0);
        _refusedChange(provider, r, "capacity: leased");
        r.capacity = ResourcesWord.pack(5000, 4096, 1, 0, 0, 0, 0, 0);
        _refusedChange(provider, r, "capacity: gpus leased");

        r.capacity = ResourcesWord.pack(5000, 4096, 1, 1, 4, 0, 0, 0);
        vm.prank(owner);
        registry.setRecord(provider, r);
        Profile p = registry.profile(provider);
        assertEq(p.totalUnits(), 5);
        assertEq(p.freeUnits(), 0);
        assertEq(p.freeGpus(), 0);
        assertEq(p.availability(), 0);
    }

    // ---- Pins

    function test_rotatePin_keepsTwoPinsValid() public {
        uint256 provider = _register(owner, hotKey);
        bytes32 first = _record(hotKey).pin;
        assertEq(registry.nextPin(provider), 0);

        vm.expectEmit(address(registry));
        emit IProviderRegistry.PinRotated(provider, first, "second");
        vm.prank(hotKey);
        registry.rotatePin(provider, "second");
        assertEq(registry.record(provider).pin, first);
        assertEq(registry.nextPin(provider), "second");

        vm.prank(owner);
        registry.rotatePin(provider, "third");
        assertEq(registry.record(provider).pin, "second");
        assertEq(registry.nextPin(provider), "third");

        vm.prank(owner);
        registry.rotatePin(provider, 0);
        assertEq(registry.record(provider).pin, "third");
        assertEq(registry.nextPin(provider), 0);
    }

    function test_rotatePin_onlyOwnerOrHotKey() public {
        uint256 provider = _register(owner, hotKey);
        vm.expectRevert(
            abi.encodeWithSelector(IProviderRegistry.ProviderRegistry_NotHotKey.selector, provider, address(this))
        );
        registry.rotatePin(provider, "second");
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.ProviderRegistry_UnknownProvider.selector, 99));
        registry.rotatePin(99, "second");
    }

    function test_setRecord_newPinEndsARotation() public {
        uint256 provider = _register(owner, hotKey);
        vm.startPrank(owner);
        registry.rotatePin(provider, "second");
        registry.setRecord(provider, _record(hotKey));
        assertEq(registry.nextPin(provider), "second", "same pin: rotation goes on");
        ProviderRecord memory r = _record(hotKey);
        r.pin = "set";
        registry.setRecord(provider, r);
        assertEq(registry.record(provider).pin, "set");
        assertEq(registry.nextPin(provider), 0);
    }

    // ---- Draining, tier

    function test_setDraining() public {
        uint256 provider = _register(owner, hotKey);
        vm.prank(hotKey);
        registry.setDraining(provider, true);
        assertTrue(_has(provider, ProfileFlags.DRAINING));
        vm.prank(owner);
        registry.setDraining(provider, false);
        assertFalse(_has(provider, ProfileFlags.DRAINING));
        vm.expectRevert(
            abi.encodeWithSelector(IProviderRegistry.ProviderRegistry_NotHotKey.selector, provider, address(this))
        );
        registry.setDraining(provider, true);
    }

    function test_setTrustTier_checksTheStakeAtOnce() public {
        uint256 provider = _register(owner, hotKey);
        _fund(owner, 1000e18);
        vm.prank(owner);
        staking.stake(provider, 150e18);
        vm.startPrank(governor);
        registry.setTrustTier(provider, 5);
        assertEq(registry.profile(provider).trustTier(), 5);
        assertTrue(_has(provider, ProfileFlags.STAKED));
        registry.setTrustTier(provider, 4);
        assertFalse(_has(provider, ProfileFlags.STAKED));
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.ProviderRegistry_BadRecord.selector, "trust tier"));
        registry.setTrustTier(provider, 8);
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.ProviderRegistry_BadRecord.selector, "trust tier"));
        registry.setTrustTier(provider, 0);
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.ProviderRegistry_UnknownProvider.selector, 9));
        registry.setTrustTier(9, 1);
    }

    function _refused(ProviderRecord memory r, string memory what) private {
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.ProviderRegistry_BadRecord.selector, what));
        registry.propose(r);
    }

    function _refusedChange(uint256 provider, ProviderRecord memory r, string memory what) private {
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.ProviderRegistry_BadRecord.selector, what));
        vm.prank(owner);
        registry.setRecord(provider, r);
    }
}
