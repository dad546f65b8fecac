// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IEscrow} from "../../src/interfaces/IEscrow.sol";
import {ILeaseAccess} from "../../src/interfaces/ILeaseAccess.sol";
import {LeaseAccess} from "../../src/market/LeaseAccess.sol";
import {Built} from "../Built.sol";
import {Test} from "forge-std/Test.sol";

/// @title  LeaseAccessTest: grants belong to their giver, expire, and are void after a transfer
contract LeaseAccessTest is Test {
    uint256 private constant WALLET = 3;

    address private escrow = makeAddr("escrow");
    address private owner = makeAddr("owner");
    address private buyer = makeAddr("buyer");
    address private helper = makeAddr("helper");
    LeaseAccess private leases;
    uint40 private later;

    function setUp() public {
        vm.warp(1_800_000_000);
        later = uint40(vm.getBlockTimestamp() + 1 days);
        leases = LeaseAccess(Built.make("LeaseAccess", abi.encode(IEscrow(escrow))));
        _own(WALLET, owner);
        _own(99, address(0));
    }

    function test_owner() public view {
        _check(owner, true, true);
        _check(helper, false, false);
        _check(address(0), false, false);
    }

    function test_delegate_readOrWrite() public {
        vm.expectEmit(address(leases));
        emit ILeaseAccess.DelegateSet(WALLET, helper, later, false);
        vm.prank(owner);
        leases.setDelegate(WALLET, helper, later, false);
        _check(helper, true, false);
        vm.prank(owner);
        leases.setDelegate(WALLET, helper, later, true);
        _check(helper, true, true);
        (uint256 until, bool write) = leases.delegateOf(WALLET, helper);
        assertEq(until, later);
        assertTrue(write);
    }

    function test_delegate_expires() public {
        vm.prank(owner);
        leases.setDelegate(WALLET, helper, later, true);
        vm.warp(later - 1);
        _check(helper, true, true);
        vm.warp(later);
        _check(helper, false, false);
    }

    function test_delegate_revoked() public {
        vm.startPrank(owner);
        leases.setDelegate(WALLET, helper, later, true);
        leases.setDelegate(WALLET, helper, 0, true);
        _check(helper, false, false);
    }

    function test_delegate_isOfOneWallet() public {
        _own(4, owner);
        vm.prank(owner);
        leases.setDelegate(WALLET, helper, later, true);
        (bool read,,) = leases.access(4, helper);
        assertFalse(read);
    }

    function test_transferVoidsGrants() public {
        vm.prank(owner);
        leases.setDelegate(WALLET, helper, later, true);
        _own(WALLET, buyer);
        _check(helper, false, false);
        _check(owner, false, false);
        _check(buyer, true, true);
        (uint256 until,) = leases.delegateOf(WALLET, helper);
        assertEq(until, 0);
        vm.prank(buyer);
        leases.setDelegate(WALLET, owner, later, false);
        _check(owner, true, false);
    }

    function test_onlyOwner() public {
        vm.startPrank(helper);
        vm.expectRevert(abi.encodeWithSelector(ILeaseAccess.LeaseAccess_NotOwner.selector, WALLET, helper));
        leases.setDelegate(WALLET, helper, later, true);
        vm.expectRevert(abi.encodeWithSelector(ILeaseAccess.LeaseAccess_NotOwner.selector, WALLET, helper));
        leases.revokeAuthorisations(WALLET);
        vm.expectRevert(abi.encodeWithSelector(ILeaseAccess.LeaseAccess_NotOwner.selector, 99, helper));
        leases.setDelegate(99, helper, later, true);
    }

    function test_revokeAuthorisations_raisesTheNonce() public {
        assertEq(leases.nonceOf(WALLET), 0);
        vm.expectEmit(address(leases));
        emit ILeaseAccess.AuthorisationsRevoked(WALLET, 1);
        vm.startPrank(owner);
        leases.revokeAuthorisations(WALLET);
        leases.revokeAuthorisations(WALLET);
        (,, uint256 nonce) = leases.access(WALLET, owner);
        assertEq(nonce, 2);
        (,, nonce) = leases.access(WALLET, helper);
        assertEq(nonce, 2);
    }

    function _own(uint256 wallet, address account) private {
        vm.mockCall(escrow, abi.encodeCall(IEscrow.ownerOf, (wallet)), abi.encode(account));
    }

    function _check(address account, bool read, bool write) private view {
        (bool r, bool w,) = leases.access(WALLET, account);
        assertEq(r, read, "read");
        assertEq(w, write, "write");
    }
}
