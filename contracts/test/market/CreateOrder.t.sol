// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

import {IEscrow} from "../../src/interfaces/IEscrow.sol";
import {IOrderBook} from "../../src/interfaces/IOrderBook.sol";
import {OrderWord} from "../../src/lib/OrderWord.sol";
import {ResourcesWord} from "../../src/lib/ResourcesWord.sol";
import {OrderFlags, OrderState, Resources, Spec, Terms} from "../../src/lib/Types.sol";
import {MoodyToken} from "../payment/HostileTokens.sol";
import {MarketBase} from "./MarketBase.sol";

/// @title  OrderBook.createOrder and permitAndCreate (SP-10, SP-25)
contract CreateOrderTest is MarketBase {
    using OrderWord for uint256;

    uint256 internal constant KEY = 0xA11CE;

    // ---------------------------------------------------------------- what is stored

    function test_storesTermsAndReservesTheMaximum() public {
        Terms memory terms = _terms();
        terms.region = 0x0203;
        terms.requirements = (2 << 14) | 5;
        terms.flags = OrderFlags.PROVIDER | OrderFlags.FIZZ | OrderFlags.STRICT_REGION;
        uint256 order = _create(terms, _spec());
        (uint256 w0, uint256 w1, bytes32 specHash) = orders.orderWords(order);
        assertEq(order, 1);
        assertEq(w0.wallet(), wallet);
        assertEq(w0.token(), DOLLAR);
        assertEq(w0.closeBlock(), block.number + 2);
        assertEq(w0.duration(), DURATION);
        assertTrue(w0.state() == OrderState.Open);
        assertEq(w0.policy(), 1);
        assertEq(w0.decimals(), 6);
        assertEq(w0.region(), 0x0203);
        assertEq(w0.requirements(), (2 << 14) | 5);
        assertEq(w0.flags(), terms.flags);
        assertEq(w0.units(), 2);
        assertEq(w0.gpus(), 0);
        assertEq(w1.maxRate(), MAX_RATE);
        assertEq(w1.fee(), 2200);
        assertEq(w1.payerFee(), 200);
        assertEq(w1.matchFee(), 0.05e6);
        assertEq(w1.occupancy(), 0);
        assertEq(specHash, keccak256(abi.encode(_spec())));
        assertEq(_free(), 10_000e6 - _lock(MAX_RATE, DURATION) - 0.05e6);
    }

    function test_emitsWhatAProviderNeeds() public {
        vm.recordLogs();
        uint256 order = _create();
        (uint256 w0, uint256 w1,) = orders.orderWords(order);
        vm.expectEmit(address(orders));
        emit IOrderBook.OrderCreated(order + 1, wallet, w0, w1, _spec());
        _create();
    }

    /// SPON pays neither the payer's nor the receiver's fee (SP-24).
    function test_sponPaysTheCommissionOnly() public {
        vm.prank(governor);
        spon.transfer(tenant, 2000e18);
        vm.startPrank(tenant);
        spon.approve(address(escrow), 2000e18);
        escrow.deposit(wallet, 0, 2000e18);
        Terms memory terms = _terms();
        terms.token = 0;
        uint256 order = orders.createOrder(terms, _spec());
        vm.stopPrank();
        (uint256 w0, uint256 w1,) = orders.orderWords(order);
        assertEq(w1.fee(), 2000);
        assertEq(w1.payerFee(), 0);
        assertEq(w0.decimals(), 18);
        assertEq(escrow.balanceOf(wallet, 0), 2000e18 - uint256(MAX_RATE) * DURATION - 0.05e18);
    }

    // ---------------------------------------------------------------- bad terms

    function test_badTerms() public {
        Terms memory t = _terms();
        t.duration = 0;
        _bad(t, "duration");
        t.duration = 180 days + 1;
        _bad(t, "duration");
        t = _terms();
        t.maxRate = 0;
        _bad(t, "maxRate");
        t = _terms();
        t.flags = OrderFlags.STRICT_REGION;
        _bad(t, "flags");
        t.flags = 32 | OrderFlags.PROVIDER;
        _bad(t, "flags");
        t = _terms();
        t.requirements = 1 << 18;
        _bad(t, "requirements");
        t.requirements = 8 << 14; // there are seven tiers
        _bad(t, "requirements");
        t = _terms();
        t.flags = OrderFlags.PROVIDER | OrderFlags.STRICT_REGION; // no region to be strict about
        _bad(t, "region");
    }

    function test_badProviderLists() public {
        Terms memory t = _terms();
        Spec memory s = _spec();
        s.providers = 7;
        _bad(t, s, "providers"); // a list nobody asked for
        t.flags = OrderFlags.PROVIDER | OrderFlags.ALLOW_LIST | OrderFlags.DENY_LIST;
        _bad(t, s, "providers");
        t.flags = OrderFlags.PROVIDER | OrderFlags.ALLOW_LIST;
        s.providers = 0;
        _bad(t, s, "providers");
    }

    function test_badResources() public {
        Terms memory t = _terms();
        _bad(t, _specOf(65_536_000, 1, 1, 0, 0), "resources: too large");
        _bad(t, _specOf(1000, 1, 1, 1, 0), "resources: gpu tier");
        _bad(t, _specOf(1000, 1, 1, 0, 1), "resources: gpu tier");
        _bad(t, _specOf(1000, 1, 1, 1, 11), "resources: gpu tier");
        Spec memory s = _spec();
        s.resources = _withStorageClass(4);
        _bad(t, s, "resources: storage class");
    }

    function test_badGroups() public {
        Terms memory t = _terms();
        Spec memory s = _spec();
        s.groups = "";
        _bad(t, s, "groups: length");
        s.groups = new bytes(17);
        _bad(t, s, "groups: length");
        s.groups = new bytes(13 * 16);
        _bad(t, s, "groups: length");
        s.groups = _group(0, CPU, MEMORY, STORAGE, 0);
        _bad(t, s, "groups: count");
        s.groups = _group(2, CPU, MEMORY, STORAGE, 0);
        _bad(t, s, "groups: do not sum to the resources");
        s.groups = _group(1, CPU, MEMORY, STORAGE, 1);
        _bad(t, s, "groups: do not sum to the resources");
    }

    function test_groupsSumOverReplicas() public {
        Spec memory s = _specOf(CPU * 3, MEMORY * 3, STORAGE * 3, 0, 0);
        s.groups = bytes.concat(_group(2, CPU, MEMORY, STORAGE, 0), _group(1, CPU, MEMORY, STORAGE, 0));
        assertEq(_create(_terms(), s), 1);
    }

    function test_disabledToken() public {
        vm.prank(governor);
        tokens.disableToken(DOLLAR);
        vm.expectRevert(abi.encodeWithSelector(IOrderBook.OrderBook_TokenDisabled.selector, DOLLAR));
        _create();
        Terms memory t = _terms();
        t.token = 40;
        vm.expectRevert(abi.encodeWithSelector(IOrderBook.OrderBook_TokenDisabled.selector, 40));
        _create(t, _spec());
    }

    // ---------------------------------------------------------------- money

    function test_withoutMoney() public {
        Terms memory t = _terms();
        t.duration = 30 days;
        uint256 needed = _lock(MAX_RATE, 30 days) + 0.05e6;
        vm.expectRevert(abi.encodeWithSelector(IEscrow.Escrow_Insufficient.selector, wallet, DOLLAR, 10_000e6, needed));
        _create(t, _spec());
    }

    function test_fromAnothersWallet() public {
        vm.expectRevert(abi.encodeWithSelector(IEscrow.Escrow_NotOwner.selector, wallet, stranger));
        vm.prank(stranger);
        orders.createOrder(_terms(), _spec());
    }

    function test_belowTheMinimumDeposit() public {
        vm.startPrank(tenant);
        escrow.withdraw(wallet, DOLLAR, 10_000e6 - 4.99e6, tenant);
        Terms memory t = _terms();
        t.duration = 60;
        vm.expectRevert(abi.encodeWithSelector(IOrderBook.OrderBook_BelowMinimumDeposit.selector, 4.99e6, uint256(5e6)));
        orders.createOrder(t, _spec());
        vm.stopPrank();
    }

    /// 15 dollars: 8 CPU, 32 GiB, 512 GiB, or a GPU of the third price band with 32 CPU, 128 GiB, 1 TiB (SP-25).
    function test_bracket() public {
        vm.prank(tenant);
        escrow.withdraw(wallet, DOLLAR, 10_000e6 - 15e6, tenant);
        _withinBracket(_specOf(8000, 32_768, 524_288, 0, 0));
        _withinBracket(_specOf(32_000, 131_072, 1_048_576, 1, 6));
        _beyondBracket(_specOf(8001, 32_768, 524_288, 0, 0), 3000);
        _beyondBracket(_specOf(8000, 32_769, 524_288, 0, 0), 3000);
        _beyondBracket(_specOf(8000, 32_768, 524_289, 0, 0), 3000);
        _beyondBracket(_specOf(32_001, 131_072, 1_048_576, 1, 6), 3000);
        _beyondBracket(_specOf(1000, 1024, 1024, 2, 6), 3000);
        _beyondBracket(_specOf(1000, 1024, 1024, 1, 7), 3000);
        _beyondBracket(_specOf(1000, 1024, 1024, 1, 9), 6000);
        _beyondBracket(_specOf(1000, 1024, 1024, 2, 10), 12_000);
    }

    function _withinBracket(Spec memory s) private {
        uint256 state = vm.snapshotState();
        Terms memory t = _terms();
        t.duration = 60;
        _create(t, s);
        vm.revertToState(state);
    }

    function _beyondBracket(Spec memory s, uint256 needed) private {
        Terms memory t = _terms();
        t.duration = 60;
        vm.expectRevert(abi.encodeWithSelector(IOrderBook.OrderBook_BeyondBracket.selector, needed, uint256(1500)));
        _create(t, s);
    }

    // ---------------------------------------------------------------- permitAndCreate

    function test_permitAndCreate_opensAWallet() public {
        address signer = _funded();
        Terms memory t = _terms();
        t.wallet = 0;
        uint256 order = _permitAndCreate(t, 2000e6, KEY);
        (uint256 w0,,) = orders.orderWords(order);
        assertEq(w0.wallet(), 2);
        assertEq(escrow.ownerOf(2), signer);
        assertEq(escrow.balanceOf(2, DOLLAR), 2000e6 - _lock(MAX_RATE, DURATION) - 0.05e6);
        assertEq(dollar.balanceOf(signer), 3000e6);
        assertEq(dollar.allowance(signer, address(escrow)), 0);
    }

    function test_permitAndCreate_intoAnOwnWallet() public {
        address signer = _funded();
        uint256 own = escrow.createWallet(signer);
        Terms memory t = _terms();
        t.wallet = uint48(own);
        _permitAndCreate(t, 2000e6, KEY);
        assertEq(escrow.walletCount(), 2);
    }

    /// The deposit would be welcome, the order is not.
    function test_permitAndCreate_intoAnothersWallet() public {
        address signer = _funded();
        Terms memory t = _terms();
        bytes memory call = _call(t, 2000e6, KEY);
        vm.expectRevert(abi.encodeWithSelector(IEscrow.Escrow_NotOwner.selector, wallet, signer));
        _raw(signer, call);
    }

    /// Somebody took the permit out of the mempool and spent it first.
    function test_permitAndCreate_survivesAFrontRunPermit() public {
        address signer = _funded();
        Terms memory t = _terms();
        t.wallet = 0;
        bytes memory call = _call(t, 2000e6, KEY);
        (uint8 v, bytes32 r, bytes32 s) = _permit(2000e6, KEY);
        vm.prank(stranger);
        dollar.permit(signer, address(escrow), 2000e6, 1_900_000_000, v, r, s);
        _raw(signer, call);
        assertEq(orders.orderCount(), 1);
    }

    function test_permitAndCreate_withABadPermitAndNoAllowance() public {
        address signer = _funded();
        Terms memory t = _terms();
        t.wallet = 0;
        bytes memory call = _call(t, 2000e6, KEY + 1); // somebody else's signature
        vm.expectRevert();
        _raw(signer, call);
    }

    /// Tokens without permits use an allowance.
    function test_permitAndCreate_ofATokenWithoutPermit() public {
        MoodyToken plain = new MoodyToken();
        vm.prank(governor);
        uint256 token = tokens.enableToken(address(plain), 1e8);
        plain.mint(stranger, 2000e18);
        Terms memory t = _terms();
        (t.wallet, t.token) = (0, uint16(token));
        vm.startPrank(stranger);
        plain.approve(address(escrow), 2000e18);
        uint256 order = orders.permitAndCreate(t, _spec(), 2000e18, 0, 0, 0, 0);
        vm.stopPrank();
        assertEq(order, 1);
        assertEq(escrow.ownerOf(2), stranger);
    }

    function testFuzz_reservesExactly(uint80 rate, uint32 duration) public {
        duration = uint32(bound(duration, 1, 180 days));
        rate = uint80(bound(rate, 1, 9000e18 / duration));
        Terms memory t = _terms();
        (t.maxRate, t.duration) = (rate, duration);
        uint256 order = _create(t, _spec());
        uint256 reserved = 10_000e6 - _free();
        assertEq(reserved, _lock(rate, duration) + 0.05e6);
        vm.prank(tenant);
        orders.cancel(order);
        assertEq(_free(), 10_000e6);
    }

    // ---------------------------------------------------------------- helpers

    function _bad(Terms memory t, string memory what) private {
        _bad(t, _spec(), what);
    }

    function _bad(Terms memory t, Spec memory s, string memory what) private {
        vm.expectRevert(abi.encodeWithSelector(IOrderBook.OrderBook_BadTerms.selector, what));
        _create(t, s);
    }

    function _withStorageClass(uint256 class) private pure returns (Resources) {
        return ResourcesWord.pack(CPU, MEMORY, STORAGE, 0, 0, class, 1, 0);
    }

    function _funded() private returns (address signer) {
        signer = vm.addr(KEY);
        dollar.mint(signer, 5000e6);
    }

    function _permit(uint256 amount, uint256 key) private view returns (uint8 v, bytes32 r, bytes32 s) {
        bytes32 permit = keccak256(
            abi.encode(
                keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"),
                vm.addr(KEY),
                address(escrow),
                amount,
                dollar.nonces(vm.addr(KEY)),
                1_900_000_000
            )
        );
        return vm.sign(key, MessageHashUtils.toTypedDataHash(dollar.DOMAIN_SEPARATOR(), permit));
    }

    function _call(Terms memory t, uint256 amount, uint256 key) private view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = _permit(amount, key);
        return abi.encodeCall(IOrderBook.permitAndCreate, (t, _spec(), amount, 1_900_000_000, v, r, s));
    }

    function _raw(address from, bytes memory call) private returns (uint256 order) {
        vm.prank(from);
        (bool ok, bytes memory answer) = address(orders).call(call);
        if (!ok) {
            assembly {
                revert(add(answer, 0x20), mload(answer))
            }
        }
        return abi.decode(answer, (uint256));
    }

    function _permitAndCreate(Terms memory t, uint256 amount, uint256 key) private returns (uint256 order) {
        return _raw(vm.addr(KEY), _call(t, amount, key));
    }
}
