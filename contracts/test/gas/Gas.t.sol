// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {MessageHashUtils} from "@openzeppelin/contracts/utils/cryptography/MessageHashUtils.sol";

import {Spec, Terms} from "../../src/lib/Types.sol";
import {MarketBase} from "../market/MarketBase.sol";

/// @title  Gas: what each step costs as a whole transaction, held to its budget
/// @notice Runs isolated: every call is a transaction of its own with cold storage, its base cost and its refunds. As in
///         the field the second order of a funded wallet is measured, in a dollar of OpenZeppelin's ERC-20. The figures
///         go to snapshots/gas.json; FORGE_SNAPSHOT_CHECK=true fails when they differ.
/// forge-config: default.isolate = true
contract GasTest is MarketBase {
    /// Of the tenant who signs a permit.
    uint256 internal constant KEY = 0xA11CE;

    function setUp() public override {
        super.setUp();
        for (uint256 n = 1; n <= 8; ++n) {
            _provider(n);
        }
        // The first order: ledgers, payout addresses and nonces exist afterwards.
        uint256 lease = _create();
        _bid(1, lease, RATE);
        _resolve(lease);
        _confirm(lease);
        skip(2 hours);
        leases.settle(lease);
        escrow.cashOut(1, DOLLAR);
        skip(1 hours);
        leases.settle(lease);
    }

    function test_createOrder() public {
        _create();
        _spent("create_order", 125_000);
    }

    function test_placeBid() public {
        uint256 order = _create();
        _bid(1, order, RATE);
        _spent("place_bid", 62_000);
    }

    function test_placeBid_replacing() public {
        uint256 order = _create();
        _bid(1, order, RATE);
        _bid(1, order, RATE - 1);
        _spent("replace_bid", 45_000);
    }

    function test_resolve_threeBids() public {
        _match(3);
        _spent("resolve", 160_000);
    }

    function test_resolve_eightBids() public {
        _match(8);
        _spent("resolve_8_bids", 165_000);
    }

    function test_lifeOfALease() public {
        uint256 lease = _match(1);
        _confirm(lease);
        _spent("confirm", 42_000);
        skip(3 hours);
        vm.prank(keeper);
        leases.settle(lease);
        _spent("settle", 42_000);
        vm.prank(keeper);
        escrow.cashOut(1, DOLLAR);
        _spent("cash_out", 50_000);
        vm.prank(tenant);
        leases.close(lease);
        _spent("close", 55_000);
    }

    function test_permitAndCreate_emptyWallet() public {
        address signer = vm.addr(KEY);
        dollar.mint(signer, 10_000e6);
        uint256 empty = escrow.createWallet(signer);
        _permitAndCreate(signer, empty);
        _spent("permit_and_create", 185_000);
    }

    function test_permitAndCreate_newWallet() public {
        address signer = vm.addr(KEY);
        dollar.mint(signer, 10_000e6);
        _permitAndCreate(signer, 0);
        _spent("permit_and_create_with_wallet", 215_000);
    }

    function _permitAndCreate(address signer, uint256 from) private {
        Terms memory terms = _terms();
        terms.wallet = uint48(from);
        uint256 amount = 2000e6;
        uint256 deadline = block.timestamp + 1 hours;
        bytes32 permit = keccak256(
            abi.encode(
                keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)"),
                signer,
                address(escrow),
                amount,
                dollar.nonces(signer),
                deadline
            )
        );
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(KEY, MessageHashUtils.toTypedDataHash(dollar.DOMAIN_SEPARATOR(), permit));
        Spec memory spec = _spec();
        vm.prank(signer);
        orders.permitAndCreate(terms, spec, amount, deadline, v, r, s);
    }

    /// @dev An order with `count` bids, resolved.
    function _match(uint256 count) private returns (uint256 order) {
        order = _create();
        for (uint256 n = 1; n <= count; ++n) {
            _bid(n, order, RATE);
        }
        assertEq(orders.bidsOf(order).length, count, "two bids share a slot");
        _resolve(order);
    }

    function _spent(string memory name, uint256 budget) private {
        uint256 gas = vm.snapshotGasLastCall("gas", name);
        assertLe(gas, budget, name);
    }
}
