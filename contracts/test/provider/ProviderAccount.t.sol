// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IProviderAccount, IProviderRegistry} from "../../src/interfaces/IProviderRegistry.sol";
import {ProviderAccount} from "../../src/provider/ProviderAccount.sol";
import {Built} from "../Built.sol";
import {ProviderBase} from "./ProviderBase.sol";

/// @title  ProviderAccountTest: ownership in two steps, and who may take money out
contract ProviderAccountTest is ProviderBase {
    IProviderAccount private account;
    uint256 private provider;
    address private buyer = makeAddr("buyer");

    function setUp() public override {
        super.setUp();
        provider = _register(owner, hotKey);
        account = IProviderAccount(registry.accountOf(provider));
    }

    function test_registration() public view {
        assertEq(account.owner(), owner);
        assertEq(account.provider(), provider);
    }

    function test_initialize_onlyRegistry() public {
        vm.expectRevert(abi.encodeWithSelector(IProviderAccount.ProviderAccount_NotRegistry.selector, address(this)));
        account.initialize(5, address(this));
        ProviderAccount code = ProviderAccount(Built.make("ProviderAccount", ""));
        vm.expectRevert(abi.encodeWithSelector(IProviderAccount.ProviderAccount_NotRegistry.selector, owner));
        vm.prank(owner);
        code.initialize(5, owner);
    }

    function test_ownershipPassesInTwoSteps() public {
        vm.expectRevert(abi.encodeWithSelector(IProviderAccount.ProviderAccount_NotOwner.selector, buyer));
        vm.prank(buyer);
        account.offerOwnership(buyer);

        vm.prank(owner);
        account.offerOwnership(buyer);
        assertEq(registry.ownerOf(provider), owner);
        vm.expectRevert(abi.encodeWithSelector(IProviderAccount.ProviderAccount_NotOffered.selector, owner));
        vm.prank(owner);
        account.acceptOwnership();

        vm.expectEmit(address(account));
        emit IProviderAccount.OwnershipTransferred(owner, buyer);
        vm.prank(buyer);
        account.acceptOwnership();
        assertEq(registry.ownerOf(provider), buyer);

        vm.expectRevert(abi.encodeWithSelector(IProviderAccount.ProviderAccount_NotOffered.selector, buyer));
        vm.prank(buyer);
        account.acceptOwnership();
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.ProviderRegistry_NotOwner.selector, provider, owner));
        vm.prank(owner);
        registry.setRecord(provider, _record(hotKey));
    }

    function test_offerCanBeTakenBack() public {
        vm.startPrank(owner);
        account.offerOwnership(buyer);
        account.offerOwnership(address(0));
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(IProviderAccount.ProviderAccount_NotOffered.selector, buyer));
        vm.prank(buyer);
        account.acceptOwnership();
    }

    function test_sweep() public {
        vm.prank(governor);
        spon.mint(address(account), 7e18);
        vm.expectRevert(abi.encodeWithSelector(IProviderAccount.ProviderAccount_NotOwner.selector, hotKey));
        vm.prank(hotKey);
        account.sweep(address(spon), hotKey);

        vm.expectEmit(address(account));
        emit IProviderAccount.Swept(address(spon), buyer, 7e18);
        vm.prank(owner);
        assertEq(account.sweep(address(spon), buyer), 7e18);
        assertEq(spon.balanceOf(buyer), 7e18);
        assertEq(spon.balanceOf(address(account)), 0);
    }
}
