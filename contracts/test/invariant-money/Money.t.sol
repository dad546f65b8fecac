// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";

import {Bill} from "../../src/lib/Bill.sol";
import {LeaseWord} from "../../src/lib/LeaseWord.sol";
import {OrderWord} from "../../src/lib/OrderWord.sol";
import {ProfileWord} from "../../src/lib/ProfileWord.sol";
import {CloseReason, LeaseState, OrderState, Profile} from "../../src/lib/Types.sol";
import {MarketBase} from "../market/MarketBase.sol";
import {Handler} from "./Handler.sol";

/// @title  Invariants of money; the numbers are those of README.md
/// @notice What is wrong in the books stays wrong, and each look goes through all orders: every fifth call and the last are
///         looked at.
/// forge-config: default.invariant.fail-on-revert = true
/// forge-config: default.invariant.check-interval = 5
contract MoneyInvariants is MarketBase {
    using LeaseWord for uint256;
    using ProfileWord for Profile;

    Handler internal handler;
    address[] internal tenants;
    address[] internal hotKeys;

    function setUp() public override {
        super.setUp();
        vm.prank(tenant);
        escrow.withdraw(wallet, DOLLAR, 10_000e6, tenant);
        for (uint256 n = 1; n <= 4; ++n) {
            _provider(n);
            hotKeys.push(_hotKey(n));
        }
        tenants.push(tenant);
        tenants.push(stranger);
        tenants.push(makeAddr("third tenant"));
        for (uint256 i; i < tenants.length; ++i) {
            dollar.mint(tenants[i], 1_000_000e6);
            vm.prank(governor);
            spon.transfer(tenants[i], 1_000_000e18);
            vm.startPrank(tenants[i]);
            dollar.approve(address(escrow), type(uint256).max);
            spon.approve(address(escrow), type(uint256).max);
            vm.stopPrank();
            if (i != 0) escrow.createWallet(tenants[i]);
        }
        handler = new Handler(escrow, orders, leases, tokens, keeper, arbiter, address(tasks), tenants, hotKeys);
        // Something to act on from the first call.
        for (uint256 w = 1; w <= 3; ++w) {
            handler.deposit(w - 1, DOLLAR, 50_000e6);
            handler.deposit(w - 1, 0, 50_000e18);
        }
        targetContract(address(handler));
    }

    /// 1, 2, 3 and 4 in one pass, since each needs all orders and leases.
    function invariant_books() public view {
        uint256[2] memory booked;
        uint256[5] memory units;
        uint256 count = orders.orderCount();
        for (uint256 id = 1; id <= count; ++id) {
            (uint256 w0, uint256 w1,) = orders.orderWords(id);
            if (OrderWord.state(w0) == OrderState.Open) {
                booked[
                    w0.token()
                ] += Bill.lockOf(
                    OrderWord.maxRate(w1), OrderWord.duration(w0), OrderWord.decimals(w0), OrderWord.payerFee(w1)
                ) + OrderWord.matchFee(w1);
            }
            if (OrderWord.state(w0) == OrderState.Matched) _checkLease(id, booked, units);
        }
        for (uint256 token; token < 2; ++token) {
            for (uint256 w = 1; w <= escrow.walletCount(); ++w) {
                booked[token] += escrow.balanceOf(w, token);
            }
            for (uint256 i; i < handler.PAYEES(); ++i) {
                (uint256 net, uint256 fee) = escrow.ledgerOf(handler.payeeAt(i), token);
                booked[token] += net + fee;
            }
            uint256 balance = IERC20(tokens.assetOf(token)).balanceOf(address(escrow));
            assertEq(balance, booked[token], "1: balance");
            assertEq(balance, handler.inEscrow(token), "5: what left");
        }
        for (uint256 n = 1; n <= 4; ++n) {
            Profile p = registry.profileOf(hotKeys[n - 1]);
            // An overbooked provider has leased more than it has.
            uint256 free = units[n] < p.totalUnits() ? p.totalUnits() - units[n] : 0;
            assertEq(p.freeUnits(), free, "4: capacity");
        }
    }

    function _checkLease(uint256 id, uint256[2] memory booked, uint256[5] memory units) private view {
        (uint256 w0, uint256 w1) = leases.leaseWords(id);
        uint256 locked = leases.lockedOf(id);
        booked[LeaseWord.token(w0)] += locked;
        assertEq(locked + handler.takenOut(id), handler.lockedIn(id), "2: a lease's lock");
        LeaseState state = LeaseWord.state(w1);
        if (state != LeaseState.Closed) units[LeaseWord.provider(w0)] += LeaseWord.units(w0);
        if (state == LeaseState.Pending) return;
        uint256 until = state == LeaseState.Closed ? w1.stoppedAt() : w1.end();
        assertLe(w1.settledTo() + w1.unbilled(), until, "3: seconds");
    }

    /// 6: every exit succeeds from every state, and afterwards nothing is left.
    function afterInvariant() public {
        uint256 count = orders.orderCount();
        for (uint256 id = 1; id <= count; ++id) {
            (uint256 w0,,) = orders.orderWords(id);
            if (OrderWord.state(w0) == OrderState.Open) _leaveOrder(id, w0);
        }
        for (uint256 id = 1; id <= count; ++id) {
            LeaseState state = _state(id);
            if (state != LeaseState.None && state != LeaseState.Closed) _leaveLease(id);
        }
        skip(HOLDBACK + 1);
        for (uint256 id = 1; id <= count; ++id) {
            uint256[] memory one = new uint256[](1);
            one[0] = id;
            leases.settleMany(one);
            assertEq(leases.lockedOf(id), 0, "6: a lock is left");
        }
        for (uint256 token; token < 2; ++token) {
            _emptyLedgers(token);
            for (uint256 w = 1; w <= escrow.walletCount(); ++w) {
                uint256 free = escrow.balanceOf(w, token);
                if (free == 0) continue;
                address owner = escrow.ownerOf(w);
                vm.prank(owner);
                escrow.withdraw(w, token, free, owner);
            }
            assertEq(IERC20(tokens.assetOf(token)).balanceOf(address(escrow)), 0, "6: something is left");
        }
    }

    /// @dev By its tenant while bids come in, else by anyone.
    function _leaveOrder(uint256 id, uint256 w0) private {
        if (vm.getBlockNumber() <= OrderWord.closeBlock(w0)) {
            vm.prank(escrow.ownerOf(w0.wallet()));
            orders.cancel(id);
        } else {
            uint256 ready = OrderWord.closeBlock(w0) + 2;
            if (vm.getBlockNumber() < ready) vm.roll(ready);
            orders.resolve(id);
        }
    }

    /// @dev By time, by its tenant, or by its provider.
    function _leaveLease(uint256 id) private {
        uint256 w0 = _w0(id);
        if (vm.getBlockTimestamp() > _w1(id).end()) {
            leases.expire(id);
        } else if (id % 2 == 0) {
            vm.prank(escrow.ownerOf(LeaseWord.wallet(w0)));
            leases.close(id);
        } else {
            vm.prank(hotKeys[LeaseWord.provider(w0) - 1]);
            leases.closeByProvider(id, CloseReason.ProviderClosed);
        }
    }

    function _emptyLedgers(uint256 token) private {
        uint256[] memory payees = new uint256[](4);
        for (uint256 i; i < 4; ++i) {
            payees[i] = i + 1;
        }
        escrow.collectFees(payees, token);
        for (uint256 i; i < handler.PAYEES(); ++i) {
            uint256 payee = handler.payeeAt(i);
            (uint256 net,) = escrow.ledgerOf(payee, token);
            if (net != 0) escrow.cashOut(payee, token);
        }
        (uint256 own,) = escrow.ledgerOf(uint160(address(this)), token); // as the keeper of the last orders
        if (own != 0) escrow.cashOut(uint160(address(this)), token);
    }
}
