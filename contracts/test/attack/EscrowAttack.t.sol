// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IEscrow} from "../../src/interfaces/IEscrow.sol";
import {IOrderBook} from "../../src/interfaces/IOrderBook.sol";
import {Terms} from "../../src/lib/Types.sol";
import {MarketBase} from "../market/MarketBase.sol";
import {HookToken} from "./HookToken.sol";
import {Reentrant} from "./Reentrant.sol";

/// @title  EscrowAttack: calling back from inside a transfer, and money that is not one's own
contract EscrowAttack is MarketBase {
    HookToken private hook;
    Reentrant private thief;
    uint256 private id;
    uint256 private bag;

    function setUp() public override {
        super.setUp();
        hook = new HookToken();
        vm.prank(governor);
        id = tokens.enableToken(address(hook), 1e8);
        thief = new Reentrant(escrow, hook);
        hook.mint(address(thief), 1000e6);
        hook.mint(tenant, 1000e6);
        bag = escrow.createWallet(address(thief));
        vm.startPrank(tenant);
        hook.approve(address(escrow), type(uint256).max);
        escrow.deposit(wallet, id, 1000e6);
        vm.stopPrank();
        assertTrue(thief.run(address(escrow), abi.encodeCall(IEscrow.deposit, (bag, id, 500e6))));
    }

    function test_reenter_fromWithdraw() public {
        bytes memory again = abi.encodeCall(IEscrow.withdraw, (bag, id, 500e6, address(thief)));
        _try(abi.encodeCall(IEscrow.withdraw, (bag, id, 500e6, address(thief))), address(escrow), again);
        assertFalse(thief.succeeded());
        _books(1000e6, 0);
        assertEq(hook.balanceOf(address(thief)), 1000e6);
    }

    function test_reenter_depositFromWithdraw() public {
        bytes memory back = abi.encodeCall(IEscrow.deposit, (bag, id, 100e6));
        _try(abi.encodeCall(IEscrow.withdraw, (bag, id, 500e6, address(thief))), address(escrow), back);
        assertFalse(thief.succeeded());
        _books(1000e6, 0);
    }

    /// In a deposit, tokens sent past it would be booked as the deposit's.
    function test_reenter_transferInsideDeposit() public {
        bytes memory past = abi.encodeCall(hook.transfer, (address(escrow), 100e6));
        thief.arm(address(hook), past);
        assertFalse(thief.run(address(escrow), abi.encodeCall(IEscrow.deposit, (bag, id, 100e6))), "the balance tells");
        _books(1000e6, 500e6);
    }

    function test_reenter_withdrawInsideDeposit() public {
        bytes memory out = abi.encodeCall(IEscrow.withdraw, (bag, id, 100e6, address(thief)));
        _try(abi.encodeCall(IEscrow.deposit, (bag, id, 100e6)), address(escrow), out);
        assertFalse(thief.succeeded());
        _books(1000e6, 600e6);
    }

    /// An order may be made from inside a withdrawal: what leaves is booked out by then.
    function test_reenter_orderInsideWithdraw() public {
        Terms memory terms = _terms();
        (terms.wallet, terms.token, terms.duration) = (uint48(bag), uint16(id), 3600);
        bytes memory order = abi.encodeCall(IOrderBook.createOrder, (terms, _spec()));
        _try(abi.encodeCall(IEscrow.withdraw, (bag, id, 480e6, address(thief))), address(orders), order);
        assertFalse(thief.succeeded(), "what is withdrawn cannot be reserved");
        _books(1000e6, 20e6);
        _try(abi.encodeCall(IEscrow.withdraw, (bag, id, 1, address(thief))), address(orders), order);
        assertFalse(thief.succeeded());
        _books(1000e6, 20e6 - 1);
    }

    /// A wallet given away inside a transfer takes along only what is left in it.
    function test_reenter_transferWalletInsideWithdraw() public {
        bytes memory away = abi.encodeCall(IEscrow.transferWallet, (bag, stranger));
        _try(abi.encodeCall(IEscrow.withdraw, (bag, id, 200e6, address(thief))), address(escrow), away);
        assertTrue(thief.succeeded());
        _books(1000e6, 300e6);
        assertEq(escrow.ownerOf(bag), stranger);
    }

    function test_foreignWallet() public {
        vm.startPrank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.Escrow_NotOwner.selector, wallet, stranger));
        escrow.withdraw(wallet, DOLLAR, 1, stranger);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.Escrow_NotOwner.selector, wallet, stranger));
        escrow.transferWallet(wallet, stranger);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.Escrow_NotOwner.selector, wallet, stranger));
        orders.createOrder(_terms(), _spec());
        // A permitted deposit into another's wallet gives no right to order from it.
        dollar.mint(stranger, 100e6);
        dollar.approve(address(escrow), 100e6);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.Escrow_NotOwner.selector, wallet, stranger));
        orders.permitAndCreate(_terms(), _spec(), 100e6, 0, 0, 0, 0);
    }

    function test_onlyTheBooksMoveMoney() public {
        bytes memory refused = abi.encodeWithSelector(IEscrow.Escrow_NotBook.selector, tenant);
        vm.startPrank(tenant);
        vm.expectRevert(refused);
        escrow.reserve(wallet, DOLLAR, 1, tenant);
        vm.expectRevert(refused);
        escrow.release(wallet, DOLLAR, 1);
        vm.expectRevert(refused);
        escrow.credit(1, DOLLAR, 1, 0);
        vm.expectRevert(refused);
        escrow.depositFrom(wallet, DOLLAR, 1, keeper);
    }

    /// Someone's allowance to Escrow can be drawn only by themselves.
    function test_anothersAllowance() public {
        dollar.mint(keeper, 50e6);
        vm.prank(keeper);
        dollar.approve(address(escrow), 50e6);
        uint256 own = escrow.createWallet(stranger);
        vm.startPrank(stranger);
        vm.expectRevert();
        escrow.deposit(own, DOLLAR, 50e6);
        Terms memory terms = _terms();
        terms.wallet = 0;
        vm.expectRevert();
        orders.permitAndCreate(terms, _spec(), 50e6, 0, 0, 0, 0);
        assertEq(dollar.balanceOf(keeper), 50e6);
    }

    /// After a sale the new owner cancels and gets what was reserved; the seller gets nothing.
    function test_walletSoldWithAnOpenOrder() public {
        uint256 order = _create();
        vm.prank(tenant);
        escrow.transferWallet(wallet, stranger);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.Escrow_NotOwner.selector, wallet, tenant));
        vm.prank(tenant);
        orders.cancel(order);
        vm.startPrank(stranger);
        orders.cancel(order);
        escrow.withdraw(wallet, DOLLAR, 10_000e6, stranger);
        assertEq(dollar.balanceOf(stranger), 10_000e6);
    }

    function _try(bytes memory first, address target, bytes memory inside) private {
        thief.arm(target, inside);
        assertTrue(thief.run(address(escrow), first));
        assertTrue(thief.reached());
    }

    /// @dev Every token that is here belongs to one of the two wallets.
    function _books(uint256 tenants, uint256 thiefs) private view {
        assertEq(escrow.balanceOf(wallet, id), tenants);
        assertEq(escrow.balanceOf(bag, id), thiefs);
        assertEq(hook.balanceOf(address(escrow)), tenants + thiefs);
    }
}
