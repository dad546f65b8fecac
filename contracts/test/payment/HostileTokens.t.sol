// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {IEscrow} from "../../src/interfaces/IEscrow.sol";
import {ProviderRecord} from "../../src/interfaces/IProviderRegistry.sol";
import {Terms} from "../../src/lib/Types.sol";
import {MarketBase} from "../market/MarketBase.sol";
import {FeeToken, MoodyToken, RebasingToken, ReentrantToken} from "./HostileTokens.sol";

/// @title  Hostile tokens: what they do stays with those who used them
contract HostileTokensTest is MarketBase {
    uint256 internal constant AMOUNT = 100e18;

    function _enable(address asset) private returns (uint256 token) {
        vm.prank(governor);
        return tokens.enableToken(asset, 1e8);
    }

    function test_feeOnTransfer_isRefused() public {
        FeeToken t = new FeeToken();
        uint256 token = _enable(address(t));
        t.mint(tenant, AMOUNT);
        vm.startPrank(tenant);
        t.approve(address(escrow), AMOUNT);
        vm.expectRevert(
            abi.encodeWithSelector(IEscrow.Escrow_TransferMismatch.selector, token, AMOUNT, AMOUNT * 99 / 100)
        );
        escrow.deposit(wallet, token, AMOUNT);
        vm.stopPrank();
    }

    /// A token whose transfer grows what lies here does not credit the growth.
    function test_rebasing_growthDuringADepositIsRefused() public {
        RebasingToken t = new RebasingToken();
        uint256 token = _enable(address(t));
        t.mint(tenant, 3 * AMOUNT);
        vm.startPrank(tenant);
        t.approve(address(escrow), type(uint256).max);
        escrow.deposit(wallet, token, AMOUNT);
        t.rebase(50);
        // 100 more arrive as 50.
        vm.expectRevert(abi.encodeWithSelector(IEscrow.Escrow_TransferMismatch.selector, token, AMOUNT, AMOUNT / 2));
        escrow.deposit(wallet, token, AMOUNT);
        vm.stopPrank();
    }

    /// A negative rebase harms its own token only.
    function test_rebasing_otherTokensStayWhole() public {
        RebasingToken t = new RebasingToken();
        uint256 token = _enable(address(t));
        t.mint(tenant, AMOUNT);
        vm.startPrank(tenant);
        t.approve(address(escrow), AMOUNT);
        escrow.deposit(wallet, token, AMOUNT);
        t.rebase(0);
        escrow.withdraw(wallet, DOLLAR, 10_000e6, tenant);
        vm.stopPrank();
        assertEq(dollar.balanceOf(tenant), 1_000_000e6);
    }

    function test_reverting_changesNothing() public {
        (MoodyToken t, uint256 token) = _moody();
        t.setMood(MoodyToken.Mood.Reverts);
        vm.prank(tenant);
        vm.expectRevert("not today");
        escrow.withdraw(wallet, token, 1, tenant);
        t.setMood(MoodyToken.Mood.ReturnsFalse);
        vm.prank(tenant);
        vm.expectRevert(abi.encodeWithSelector(SafeERC20.SafeERC20FailedOperation.selector, address(t)));
        escrow.withdraw(wallet, token, 1, tenant);
        assertEq(escrow.balanceOf(wallet, token), AMOUNT);
    }

    /// Orders and leases move no tokens, so they begin and end whatever the token does.
    function test_reverting_doesNotHoldALease() public {
        (MoodyToken t, uint256 token) = _moody();
        _providerWith(1, _recordFor(token), 1000e18);
        Terms memory terms = _terms();
        terms.token = uint16(token);
        terms.maxRate = 1e14;
        uint256 lease = _create(terms, _spec());
        _bid(1, lease, 1e14);
        t.setMood(MoodyToken.Mood.BurnsGas);
        _resolve(lease);
        _confirm(lease);
        skip(2 hours);
        leases.settle(lease);
        vm.prank(tenant);
        leases.close(lease);
        skip(2 hours);
        leases.settle(lease);
        t.setMood(MoodyToken.Mood.Good);
        escrow.cashOut(1, token);
        vm.startPrank(tenant);
        escrow.withdraw(wallet, token, escrow.balanceOf(wallet, token), tenant);
        vm.stopPrank();
    }

    function test_blacklist_stopsItsVictimAlone() public {
        (MoodyToken t, uint256 token) = _moody();
        _provider(1);
        vm.startPrank(address(leases));
        escrow.reserve(wallet, token, 20e18, tenant);
        escrow.credit(1, token, 10e18, 0);
        escrow.credit(uint160(keeper), token, 10e18, 0);
        vm.stopPrank();
        t.block_(registry.accountOf(1));

        vm.expectRevert(abi.encodeWithSelector(MoodyToken.Blocked.selector, registry.accountOf(1)));
        escrow.cashOut(1, token);
        escrow.cashOut(uint160(keeper), token);
        assertEq(t.balanceOf(keeper), 10e18);
        // The provider's owner names another address and loses nothing.
        vm.prank(_owner(1));
        escrow.setPayout(1, stranger);
        escrow.cashOut(1, token);
        assertEq(t.balanceOf(stranger), 10e18);
    }

    function test_reentrant_depositInADeposit() public {
        (ReentrantToken t, uint256 token, uint256 own) = _reentrant();
        _depositReentrant(t, token, abi.encodeCall(IEscrow.deposit, (own, token, 1e18)));
        _guarded(t);
        assertEq(escrow.balanceOf(own, token), AMOUNT);
    }

    function test_reentrant_withdrawInADeposit() public {
        (ReentrantToken t, uint256 token, uint256 own) = _reentrant();
        _depositReentrant(t, token, abi.encodeCall(IEscrow.withdraw, (own, token, 1e18, address(t))));
        _guarded(t);
    }

    function test_reentrant_cashOutInAWithdrawal() public {
        (ReentrantToken t, uint256 token, uint256 own) = _reentrant();
        vm.startPrank(address(leases));
        escrow.reserve(own, token, 10e18, address(t));
        escrow.credit(uint160(address(t)), token, 10e18, 0);
        vm.stopPrank();
        t.arm(address(escrow), abi.encodeCall(IEscrow.cashOut, (uint160(address(t)), token)));
        vm.prank(address(t));
        escrow.withdraw(own, token, 1e18, stranger);
        _guarded(t);
        assertEq(t.balanceOf(stranger), 1e18);
        // Afterwards it works once.
        assertEq(escrow.cashOut(uint160(address(t)), token), 10e18);
        vm.expectRevert();
        escrow.cashOut(uint160(address(t)), token);
    }

    /// What needs no guard may be called, and sees the money as it is.
    function test_reentrant_transferWalletInAWithdrawal() public {
        (ReentrantToken t, uint256 token, uint256 own) = _reentrant();
        t.arm(address(escrow), abi.encodeCall(IEscrow.transferWallet, (own, stranger)));
        vm.prank(address(t));
        escrow.withdraw(own, token, 10e18, address(t));
        assertTrue(t.reentered());
        assertEq(escrow.ownerOf(own), stranger);
        assertEq(escrow.balanceOf(own, token), AMOUNT - 10e18);
    }

    function _guarded(ReentrantToken t) private view {
        assertFalse(t.reentered());
        assertEq(bytes4(t.answer()), ReentrancyGuardTransient.ReentrancyGuardReentrantCall.selector);
    }

    function _depositReentrant(ReentrantToken t, uint256 token, bytes memory inside) private {
        t.mint(tenant, AMOUNT);
        t.arm(address(escrow), inside);
        vm.startPrank(tenant);
        t.approve(address(escrow), AMOUNT);
        escrow.deposit(wallet, token, AMOUNT);
        vm.stopPrank();
        assertEq(escrow.balanceOf(wallet, token), AMOUNT);
    }

    function _reentrant() private returns (ReentrantToken t, uint256 token, uint256 own) {
        t = new ReentrantToken();
        token = _enable(address(t));
        own = t.openWallet(escrow);
        t.approveEscrow(escrow);
        t.mint(address(t), AMOUNT);
        vm.prank(address(t));
        escrow.deposit(own, token, AMOUNT);
    }

    function _moody() private returns (MoodyToken t, uint256 token) {
        t = new MoodyToken();
        token = _enable(address(t));
        t.mint(tenant, AMOUNT);
        vm.startPrank(tenant);
        t.approve(address(escrow), AMOUNT);
        escrow.deposit(wallet, token, AMOUNT);
        vm.stopPrank();
    }

    function _recordFor(uint256 token) private returns (ProviderRecord memory record) {
        record = _record(_hotKey(1));
        record.tokens = uint48(1 << token);
    }
}
