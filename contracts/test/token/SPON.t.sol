// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {SPON} from "../../src/token/SPON.sol";
import {Built} from "../Built.sol";
import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";
import {ERC20Capped} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Capped.sol";
import {ERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {Test} from "forge-std/Test.sol";

/// @title  SPONTest: who mints, the cap, permits, votes and burning
contract SPONTest is Test {
    uint64 private constant MINTER = 7;

    AccessManager private manager;
    SPON private spon;
    address private minter = makeAddr("minter");
    address private holder;
    uint256 private key;

    function setUp() public {
        vm.warp(1_800_000_000);
        (holder, key) = makeAddrAndKey("holder");
        manager = new AccessManager(address(this));
        spon = SPON(Built.make("SPON", abi.encode(address(manager))));
        bytes4[] memory selectors = new bytes4[](1);
        selectors[0] = SPON.mint.selector;
        manager.setTargetFunctionRole(address(spon), selectors, MINTER);
        manager.grantRole(MINTER, minter, 0);
    }

    function test_onlyTheMinterRoleMints() public {
        vm.prank(minter);
        spon.mint(holder, 5e18);
        assertEq(spon.totalSupply(), 5e18);
        vm.expectRevert(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, holder));
        vm.prank(holder);
        spon.mint(holder, 1);
    }

    function test_cap() public {
        uint256 cap = spon.CAP();
        vm.startPrank(minter);
        spon.mint(holder, cap);
        vm.expectRevert(abi.encodeWithSelector(ERC20Capped.ERC20ExceededCap.selector, cap + 1, cap));
        spon.mint(holder, 1);
        vm.stopPrank();
        vm.prank(holder);
        spon.burn(1);
        vm.prank(minter);
        spon.mint(holder, 1);
        assertEq(spon.totalSupply(), cap);
    }

    function test_permit() public {
        uint256 deadline = block.timestamp + 1 hours;
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, _permitDigest(address(this), 3e18, 0, deadline));
        spon.permit(holder, address(this), 3e18, deadline, v, r, s);
        assertEq(spon.allowance(holder, address(this)), 3e18);
        assertEq(spon.nonces(holder), 1);

        vm.expectRevert();
        spon.permit(holder, address(this), 3e18, deadline, v, r, s);

        (v, r, s) = vm.sign(key, _permitDigest(address(this), 3e18, 1, block.timestamp - 1));
        vm.expectRevert(abi.encodeWithSelector(ERC20Permit.ERC2612ExpiredSignature.selector, block.timestamp - 1));
        spon.permit(holder, address(this), 3e18, block.timestamp - 1, v, r, s);
    }

    function test_votesByTime() public {
        vm.prank(minter);
        spon.mint(holder, 4e18);
        assertEq(spon.CLOCK_MODE(), "mode=timestamp");
        assertEq(spon.clock(), block.timestamp);
        vm.prank(holder);
        spon.delegate(holder);
        uint256 before = vm.getBlockTimestamp();
        vm.warp(before + 10);
        vm.prank(holder);
        spon.transfer(minter, 1e18);
        vm.warp(before + 20);
        assertEq(spon.getPastVotes(holder, before), 4e18);
        assertEq(spon.getPastVotes(holder, before + 10), 3e18);
        assertEq(spon.getPastTotalSupply(before), 4e18);
    }

    function _permitDigest(address spender, uint256 value, uint256 nonce, uint256 deadline)
        private
        view
        returns (bytes32)
    {
        bytes32 typeHash =
            keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        bytes32 structHash = keccak256(abi.encode(typeHash, holder, spender, value, nonce, deadline));
        return keccak256(abi.encodePacked(hex"1901", spon.DOMAIN_SEPARATOR(), structHash));
    }
}
