// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

import {IEscrow} from "../../src/interfaces/IEscrow.sol";
import {Built} from "../Built.sol";
import {MarketBase} from "../market/MarketBase.sol";

/// @title  Escrow: wallets, deposits and withdrawals (SP-17, SP-18)
contract EscrowWalletsTest is MarketBase {
    uint256 internal constant SPON_TOKEN = 0;

    function test_constructor_refusesAZeroAddress() public {
        IEscrow.Wiring memory w = escrow.wiring();
        w.foundation = address(0);
        vm.expectRevert(IEscrow.Escrow_ZeroAddress.selector);
        Built.make("Escrow", abi.encode(w));
    }

    function test_wiring() public view {
        IEscrow.Wiring memory w = escrow.wiring();
        assertEq(w.orderBook, address(orders));
        assertEq(w.leaseBook, address(leases));
        assertEq(w.paymentTokens, address(tokens));
        assertEq(w.registry, address(registry));
        assertEq(escrow.foundation(), uint160(foundation));
        assertEq(w.homeToken, DOLLAR);
    }

    function test_createWallet_countsFromOne() public {
        assertEq(wallet, 1);
        vm.expectEmit(address(escrow));
        emit IEscrow.WalletCreated(2, stranger);
        assertEq(escrow.createWallet(stranger), 2);
        assertEq(escrow.ownerOf(2), stranger);
        assertEq(escrow.walletCount(), 2);
    }

    function test_createWallet_refusesTheZeroAddress() public {
        vm.expectRevert(IEscrow.Escrow_ZeroAddress.selector);
        escrow.createWallet(address(0));
    }

    function test_deposit_byAnyone() public {
        dollar.mint(stranger, 5e6);
        vm.startPrank(stranger);
        dollar.approve(address(escrow), 5e6);
        vm.expectEmit(address(escrow));
        emit IEscrow.Deposited(wallet, DOLLAR, stranger, 5e6);
        escrow.deposit(wallet, DOLLAR, 5e6);
        vm.stopPrank();
        assertEq(_free(), 10_005e6);
        assertEq(escrow.assetOf(DOLLAR), address(dollar));
    }

    function test_deposit_refusesAnUnknownWallet() public {
        vm.expectRevert(abi.encodeWithSelector(IEscrow.Escrow_UnknownWallet.selector, 9));
        vm.prank(tenant);
        escrow.deposit(9, DOLLAR, 1);
    }

    function test_deposit_refusesADisabledToken() public {
        vm.prank(governor);
        tokens.disableToken(DOLLAR);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.Escrow_TokenDisabled.selector, DOLLAR));
        vm.prank(tenant);
        escrow.deposit(wallet, DOLLAR, 1);
    }

    function test_deposit_refusesMoreThanItsFieldsHold() public {
        dollar.mint(tenant, type(uint96).max);
        uint256 held = uint256(type(uint96).max) + 10_000e6;
        vm.expectRevert(abi.encodeWithSelector(IEscrow.Escrow_TooMuch.selector, DOLLAR, held));
        vm.prank(tenant);
        escrow.deposit(wallet, DOLLAR, type(uint96).max);
    }

    function test_permitAndDeposit() public {
        (address signer, uint8 v, bytes32 r, bytes32 s) = _permit(7e6);
        vm.prank(signer);
        escrow.permitAndDeposit(wallet, DOLLAR, 7e6, 1_900_000_000, v, r, s);
        assertEq(_free(), 10_007e6);
        assertEq(dollar.allowance(signer, address(escrow)), 0);
    }

    /// Somebody spent the permit first: the allowance is there, so the deposit goes through.
    function test_permitAndDeposit_survivesAFrontRunPermit() public {
        (address signer, uint8 v, bytes32 r, bytes32 s) = _permit(7e6);
        dollar.permit(signer, address(escrow), 7e6, 1_900_000_000, v, r, s);
        vm.prank(signer);
        escrow.permitAndDeposit(wallet, DOLLAR, 7e6, 1_900_000_000, v, r, s);
        assertEq(_free(), 10_007e6);
    }

    function test_permitAndDeposit_withoutPermitOrAllowance() public {
        (address signer, uint8 v, bytes32 r, bytes32 s) = _permit(7e6);
        vm.expectRevert();
        vm.prank(signer);
        escrow.permitAndDeposit(wallet, DOLLAR, 7e6 + 1, 1_900_000_000, v, r, s);
    }

    function _permit(uint256 amount) private returns (address signer, uint8 v, bytes32 r, bytes32 s) {
        uint256 key;
        (signer, key) = makeAddrAndKey("signer");
        dollar.mint(signer, 100e6);
        bytes32 permit = keccak256(
            abi.encode(
                keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"),
                signer,
                address(escrow),
                amount,
                0,
                1_900_000_000
            )
        );
        (v, r, s) = vm.sign(key, MessageHashUtils.toTypedDataHash(dollar.DOMAIN_SEPARATOR(), permit));
    }

    function test_withdraw() public {
        vm.expectEmit(address(escrow));
        emit IEscrow.Withdrawn(wallet, DOLLAR, stranger, 4e6);
        vm.prank(tenant);
        escrow.withdraw(wallet, DOLLAR, 4e6, stranger);
        assertEq(dollar.balanceOf(stranger), 4e6);
        assertEq(_free(), 10_000e6 - 4e6);
        assertEq(escrow.ownerOf(wallet), tenant);
    }

    function test_withdraw_alsoOfADelistedToken() public {
        vm.prank(governor);
        tokens.disableToken(DOLLAR);
        vm.prank(tenant);
        escrow.withdraw(wallet, DOLLAR, 10_000e6, tenant);
        assertEq(dollar.balanceOf(tenant), 1_000_000e6);
    }

    function test_withdraw_onlyTheOwner() public {
        vm.expectRevert(abi.encodeWithSelector(IEscrow.Escrow_NotOwner.selector, wallet, stranger));
        vm.prank(stranger);
        escrow.withdraw(wallet, DOLLAR, 1, stranger);
    }

    function test_withdraw_atMostWhatIsFree() public {
        vm.expectRevert(
            abi.encodeWithSelector(IEscrow.Escrow_Insufficient.selector, wallet, DOLLAR, 10_000e6, 10_000e6 + 1)
        );
        vm.prank(tenant);
        escrow.withdraw(wallet, DOLLAR, 10_000e6 + 1, tenant);
    }

    function test_withdraw_notToTheZeroAddress() public {
        vm.expectRevert(IEscrow.Escrow_ZeroAddress.selector);
        vm.prank(tenant);
        escrow.withdraw(wallet, DOLLAR, 1, address(0));
    }

    function test_transferWallet_passesFundsOn() public {
        vm.expectEmit(address(escrow));
        emit IEscrow.WalletTransferred(wallet, tenant, stranger);
        vm.prank(tenant);
        escrow.transferWallet(wallet, stranger);
        assertEq(escrow.ownerOf(wallet), stranger);
        assertEq(_free(), 10_000e6);
        vm.prank(stranger);
        escrow.withdraw(wallet, DOLLAR, 10_000e6, stranger);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.Escrow_NotOwner.selector, wallet, tenant));
        vm.prank(tenant);
        escrow.transferWallet(wallet, tenant);
    }

    function test_transferWallet_notToTheZeroAddress() public {
        vm.expectRevert(IEscrow.Escrow_ZeroAddress.selector);
        vm.prank(tenant);
        escrow.transferWallet(wallet, address(0));
    }

    function test_books_only() public {
        vm.expectRevert(abi.encodeWithSelector(IEscrow.Escrow_NotBook.selector, stranger));
        vm.prank(stranger);
        escrow.reserve(wallet, DOLLAR, 1, tenant);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.Escrow_NotBook.selector, stranger));
        vm.prank(stranger);
        escrow.release(wallet, DOLLAR, 1);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.Escrow_NotBook.selector, stranger));
        vm.prank(stranger);
        escrow.releaseTo(wallet, DOLLAR, 1, tenant);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.Escrow_NotBook.selector, stranger));
        vm.prank(stranger);
        escrow.credit(1, DOLLAR, 1, 0);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.Escrow_NotBook.selector, address(leases)));
        vm.prank(address(leases));
        escrow.depositFrom(wallet, DOLLAR, 1, tenant);
    }

    function test_reserve_onlyFromTheCallersWallet() public {
        vm.expectRevert(abi.encodeWithSelector(IEscrow.Escrow_NotOwner.selector, wallet, stranger));
        vm.prank(address(orders));
        escrow.reserve(wallet, DOLLAR, 1, stranger);
        vm.prank(address(orders));
        assertEq(escrow.reserve(wallet, DOLLAR, 1, tenant), 10_000e6);
    }

    /// Home token or not makes no difference but gas.
    function testFuzz_balancesOfTwoTokensDoNotMix(uint256 dollars, uint256 spons, uint256 back) public {
        dollars = bound(dollars, 0, 990_000e6);
        spons = bound(spons, 0, 1_000_000e18);
        vm.prank(governor);
        spon.transfer(tenant, spons);
        vm.startPrank(tenant);
        spon.approve(address(escrow), spons);
        escrow.deposit(wallet, SPON_TOKEN, spons);
        escrow.deposit(wallet, DOLLAR, dollars);
        assertEq(escrow.balanceOf(wallet, SPON_TOKEN), spons);
        assertEq(_free(), 10_000e6 + dollars);
        back = bound(back, 0, spons);
        escrow.withdraw(wallet, SPON_TOKEN, back, tenant);
        vm.stopPrank();
        assertEq(escrow.balanceOf(wallet, SPON_TOKEN), spons - back);
        assertEq(_free(), 10_000e6 + dollars);
        assertEq(escrow.ownerOf(wallet), tenant);
    }
}

/// @title  Escrow: ledgers, cash-outs and fees (SP-19, SP-24)
contract EscrowPayeesTest is MarketBase {
    function setUp() public override {
        super.setUp();
        _provider(1);
        vm.startPrank(address(leases));
        escrow.reserve(wallet, DOLLAR, 100e6, tenant);
        escrow.credit(1, DOLLAR, 80e6, 15e6);
        escrow.credit(uint160(keeper), DOLLAR, 5e6, 0);
        vm.stopPrank();
    }

    function test_cashOut_paysTheProvidersAccount() public {
        address account = registry.accountOf(1);
        assertEq(escrow.payoutOf(1), account);
        vm.expectEmit(address(escrow));
        emit IEscrow.CashedOut(1, DOLLAR, account, 80e6);
        vm.prank(stranger);
        assertEq(escrow.cashOut(1, DOLLAR), 80e6);
        assertEq(dollar.balanceOf(account), 80e6);
        assertEq(_net(1), 0);
        assertEq(_fee(1), 15e6);
        assertEq(escrow.payoutOf(1), account);
    }

    function test_cashOut_paysAnAddressItself() public {
        escrow.cashOut(uint160(keeper), DOLLAR);
        assertEq(dollar.balanceOf(keeper), 5e6);
    }

    function test_cashOut_ofNothing() public {
        vm.expectRevert(abi.encodeWithSelector(IEscrow.Escrow_NothingToCashOut.selector, 7, DOLLAR));
        escrow.cashOut(7, DOLLAR);
    }

    function test_cashOut_afterDelisting() public {
        vm.prank(governor);
        tokens.disableToken(DOLLAR);
        assertEq(escrow.cashOut(1, DOLLAR), 80e6);
    }

    /// Once paid, a provider is paid without the registry.
    function test_cashOut_survivesABrokenRegistry() public {
        escrow.cashOut(1, DOLLAR);
        vm.prank(address(leases));
        escrow.credit(1, DOLLAR, 1e6, 0);
        vm.etch(address(registry), hex"fe");
        vm.etch(address(tokens), hex"fe");
        assertEq(escrow.cashOut(1, DOLLAR), 1e6);
    }

    function test_setPayout() public {
        vm.expectRevert(abi.encodeWithSelector(IEscrow.Escrow_NotProviderOwner.selector, 1, _hotKey(1)));
        vm.prank(_hotKey(1));
        escrow.setPayout(1, stranger);
        vm.expectRevert(IEscrow.Escrow_ZeroAddress.selector);
        vm.prank(_owner(1));
        escrow.setPayout(1, address(0));

        vm.expectEmit(address(escrow));
        emit IEscrow.PayoutSet(1, stranger);
        vm.prank(_owner(1));
        escrow.setPayout(1, stranger);
        assertEq(escrow.payoutOf(1), stranger);
        escrow.cashOut(1, DOLLAR);
        assertEq(dollar.balanceOf(stranger), 80e6);
    }

    function test_collectFees() public {
        uint256[] memory payees = new uint256[](3);
        (payees[0], payees[1], payees[2]) = (1, 1, uint160(keeper)); // one twice, one without fees
        vm.expectEmit(address(escrow));
        emit IEscrow.FeesCollected(1, DOLLAR, 15e6);
        assertEq(escrow.collectFees(payees, DOLLAR), 15e6);
        assertEq(_net(1), 80e6);
        assertEq(_fee(1), 0);
        assertEq(_net(uint160(foundation)), 15e6);
        escrow.cashOut(uint160(foundation), DOLLAR);
        assertEq(dollar.balanceOf(foundation), 15e6);
    }

    function test_collectFees_ofTheFoundationItself() public {
        vm.prank(address(leases));
        escrow.credit(uint160(foundation), DOLLAR, 1e6, 2e6);
        uint256[] memory payees = new uint256[](1);
        payees[0] = uint160(foundation);
        escrow.collectFees(payees, DOLLAR);
        assertEq(_net(uint160(foundation)), 3e6);
        assertEq(_fee(uint160(foundation)), 0);
    }

    function test_credit_overflowIsRefused() public {
        vm.startPrank(address(leases));
        vm.expectRevert(
            abi.encodeWithSelector(IEscrow.Escrow_LedgerOverflow.selector, 80e6 + uint256(type(uint128).max))
        );
        escrow.credit(1, DOLLAR, type(uint128).max, 0);
        vm.expectRevert(
            abi.encodeWithSelector(IEscrow.Escrow_LedgerOverflow.selector, 15e6 + uint256(type(uint128).max))
        );
        escrow.credit(1, DOLLAR, 0, type(uint128).max);
        vm.stopPrank();
    }
}
