// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {ILeaseBook, Quote} from "../../src/interfaces/ILeaseBook.sol";
import {LeaseWord} from "../../src/lib/LeaseWord.sol";
import {ProfileWord} from "../../src/lib/ProfileWord.sol";
import {CloseReason, LeaseState, Profile, Spec} from "../../src/lib/Types.sol";
import {MarketBase} from "../market/MarketBase.sol";

/// @title  LeaseAttack: any order of everything that can happen to a lease, and quotes used twice or elsewhere
contract LeaseAttack is MarketBase {
    using LeaseWord for uint256;
    using ProfileWord for Profile;

    uint256 private constant DEPOSIT = 10_000e6;

    uint256 private key;
    address private hot;

    function setUp() public override {
        super.setUp();
        (hot, key) = makeAddrAndKey("hot 1");
    }

    // ---- Conservation

    /// Whatever happens in whatever order: no unit is made or lost, nothing pays beyond the lock, and in the end the
    /// lease holds nothing.
    function testFuzz_anyLife(uint256[30] memory moves) public {
        uint256 lease = _pending();
        for (uint256 i; i < moves.length; ++i) {
            _move(lease, moves[i]);
            _conserved(lease);
        }
        _end(lease);
    }

    /// The same, confirmed at once and mostly paused, resumed and refunded, where seconds may be given back twice.
    function testFuzz_pausesAndRefunds(uint256[40] memory moves) public {
        uint256 lease = _active();
        for (uint256 i; i < moves.length; ++i) {
            uint256 kinds = uint256(0x0c020304050601); // pass, settle, pause, resume, refund
            uint256 kind = (kinds >> (8 * (moves[i] % 7))) & 0xff;
            _move(lease, (moves[i] & ~uint256(0xff)) | kind);
            _conserved(lease);
        }
        _end(lease);
    }

    function _move(uint256 lease, uint256 seed) private {
        uint256 kind = (seed & 0xff) % 14;
        uint256 a = seed >> 8;
        uint256 now_ = vm.getBlockTimestamp();
        (bool byArbiter, uint256 past) = (a & 1 == 1, (a >> 1) % 4 hours);
        if (kind == 0) return _as(hot, abi.encodeCall(ILeaseBook.confirm, (lease)));
        if (kind == 1 || kind == 12) return vm.warp(now_ + (a % (kind == 1 ? 3 hours : 20 hours)));
        if (kind == 2) return _as(stranger, abi.encodeCall(ILeaseBook.settle, (lease)));
        if (kind == 3) return _as(byArbiter ? arbiter : hot, abi.encodeCall(ILeaseBook.pause, (lease, now_ - past)));
        if (kind == 4) return _as(byArbiter ? arbiter : hot, abi.encodeCall(ILeaseBook.resume, (lease)));
        if (kind == 5) return _as(arbiter, abi.encodeCall(ILeaseBook.refund, (lease, past)));
        if (kind == 6) {
            return _as(arbiter, abi.encodeCall(ILeaseBook.refund, (lease, a % 7 == 0 ? type(uint256).max : past)));
        }
        if (kind == 7) return _as(tenant, abi.encodeCall(ILeaseBook.extend, (lease, uint32(past))));
        if (kind == 8) return _update(lease, uint80(1 + a % MAX_RATE));
        if (kind == 9) return _as(tenant, abi.encodeCall(ILeaseBook.setManifestHash, (lease, bytes32(a))));
        if (kind == 10 && a % 4 == 0) return _as(tenant, abi.encodeCall(ILeaseBook.close, (lease)));
        if (kind == 11 && a % 4 == 0) {
            CloseReason reason = a & 8 == 0 ? CloseReason.ProviderClosed : CloseReason.CrashLoop;
            return _as(hot, abi.encodeCall(ILeaseBook.closeByProvider, (lease, reason)));
        }
        if (kind == 13) return _as(stranger, abi.encodeCall(ILeaseBook.expire, (lease)));
    }

    function _as(address who, bytes memory data) private {
        vm.prank(who);
        (bool ok, bytes memory why) = address(leases).call(data);
        // Refusals have names; a panic would be an accounting error.
        if (!ok) assertTrue(why.length >= 4 && bytes4(why) != bytes4(0x4e487b71), "panic");
    }

    function _update(uint256 lease, uint80 rate) private {
        Spec memory spec = _spec();
        Quote memory quote = _quote(lease, spec, rate);
        bytes memory signature = _sign(quote);
        _as(tenant, abi.encodeCall(ILeaseBook.update, (quote, spec, signature)));
    }

    function _conserved(uint256 lease) private view {
        uint256 locked = leases.lockedOf(lease);
        (uint256 net, uint256 fee) = escrow.ledgerOf(1, DOLLAR);
        assertEq(_free() + locked + net + fee + _net(uint160(keeper)), DEPOSIT, "conserved");
        assertEq(dollar.balanceOf(address(escrow)), DEPOSIT);
        uint256 w1 = _w1(lease);
        if (w1.state() == LeaseState.Closed) assertLe(w1.settledTo() + w1.unbilled(), w1.stoppedAt());
        else if (w1.settledTo() != 0) assertLe(w1.settledTo() + w1.unbilled(), w1.end());
        assertLe(leases.paidSeconds(lease), w1.settledTo());
    }

    /// @dev However it stands, it can be ended, and pays out to the last unit.
    function _end(uint256 lease) private {
        if (_state(lease) != LeaseState.Closed) {
            vm.prank(tenant);
            leases.close(lease);
        }
        vm.warp(vm.getBlockTimestamp() + HOLDBACK);
        uint256[] memory all = new uint256[](1);
        all[0] = lease;
        leases.settleMany(all);
        assertEq(leases.lockedOf(lease), 0, "nothing stays locked");
        _conserved(lease);
        assertEq(registry.profile(1).freeUnits(), 16, "capacity is back");

        uint256 free = _free();
        if (free != 0) {
            vm.prank(tenant);
            escrow.withdraw(wallet, DOLLAR, free, tenant);
        }
        if (_net(1) != 0) escrow.cashOut(1, DOLLAR);
        escrow.cashOut(uint160(keeper), DOLLAR);
        uint256[] memory payees = new uint256[](1);
        payees[0] = 1;
        escrow.collectFees(payees, DOLLAR);
        if (_net(uint160(foundation)) != 0) escrow.cashOut(uint160(foundation), DOLLAR);
        assertEq(dollar.balanceOf(address(escrow)), 0, "every unit went out");
    }

    // ---- Quotes

    function test_quote_servesOnce() public {
        uint256 lease = _active();
        Spec memory spec = _spec();
        Quote memory quote = _quote(lease, spec, RATE); // same rate: only the version tells
        bytes memory signature = _sign(quote);
        vm.startPrank(tenant);
        leases.update(quote, spec, signature);
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_QuoteMismatch.selector, "version"));
        leases.update(quote, spec, signature);
    }

    function test_quote_ofAnotherChainOrContract() public {
        vm.chainId(1);
        uint256 lease = _active();
        Spec memory spec = _spec();
        Quote memory quote = _quote(lease, spec, RATE / 2);
        vm.chainId(2);
        bytes memory elsewhere = _sign(quote);
        vm.chainId(1);
        _refused(quote, spec, elsewhere);

        bytes32 typeHash =
            keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
        bytes32 quoteType =
            keccak256("Quote(uint256 lease,uint16 version,uint80 oldRate,bytes32 specHash,uint80 rate,uint40 expiry)");
        bytes32 body = keccak256(abi.encode(quoteType, quote));
        _refused(quote, spec, _signBody(body, typeHash, "Ionosphere LeaseBook", "1", address(orders)));
        _refused(quote, spec, _signBody(body, typeHash, "Ionosphere LeaseBook", "2", address(leases)));
        _refused(quote, spec, _signBody(body, typeHash, "Ionosphere OrderBook", "1", address(leases)));
        // And the right domain, computed by hand, is the contract's.
        bytes memory right = _signBody(body, typeHash, "Ionosphere LeaseBook", "1", address(leases));
        vm.prank(tenant);
        leases.update(quote, spec, right);
    }

    function test_quote_ofAnotherLeaseOrProvider() public {
        uint256 lease = _active();
        Spec memory spec = _spec();
        Quote memory quote = _quote(lease, spec, RATE / 2);
        quote.lease = lease + 1;
        bytes memory signature = _sign(quote);
        quote.lease = lease;
        _refused(quote, spec, signature);

        (, uint256 foreign) = makeAddrAndKey("hot 2");
        quote = _quote(lease, spec, RATE / 2);
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(foreign, leases.quoteHash(quote));
        _refused(quote, spec, abi.encodePacked(r, s, v));
    }

    function testFuzz_quote_altered(uint8 field, uint256 by) public {
        uint256 lease = _active();
        Spec memory spec = _spec();
        Quote memory quote = _quote(lease, spec, RATE / 2);
        bytes memory signature = _sign(quote);
        by = bound(by, 1, 1000);
        if (field % 3 == 0) quote.rate -= uint80(by);
        else if (field % 3 == 1) quote.expiry += uint40(by);
        else (spec.manifestHash, quote.specHash) = (bytes32(by), bytes32(0));
        if (field % 3 == 2) quote.specHash = keccak256(abi.encode(spec));
        _refused(quote, spec, signature);
    }

    /// An old hot key signs nothing any more.
    function test_quote_ofAnOldHotKey() public {
        uint256 lease = _active();
        Spec memory spec = _spec();
        Quote memory quote = _quote(lease, spec, RATE / 2);
        bytes memory signature = _sign(quote);
        address owner = _owner(1);
        vm.startPrank(owner);
        registry.setRecord(1, _record(makeAddr("fresh")));
        vm.stopPrank();
        _refused(quote, spec, signature);
    }

    function test_quote_onlyTheTenantUsesIt() public {
        uint256 lease = _active();
        Spec memory spec = _spec();
        Quote memory quote = _quote(lease, spec, RATE / 2);
        bytes memory signature = _sign(quote);
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_NotTenant.selector, lease, hot));
        vm.prank(hot);
        leases.update(quote, spec, signature);
    }

    function _quote(uint256 lease, Spec memory spec, uint80 rate) private view returns (Quote memory) {
        (uint256 w0, uint256 w1) = leases.leaseWords(lease);
        return Quote({
            lease: lease,
            version: uint16(w0.version()),
            oldRate: uint80(w1.rate()),
            specHash: keccak256(abi.encode(spec)),
            rate: rate,
            expiry: uint40(vm.getBlockTimestamp())
        });
    }

    function _sign(Quote memory quote) private view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, leases.quoteHash(quote));
        return abi.encodePacked(r, s, v);
    }

    function _signBody(bytes32 body, bytes32 typeHash, string memory name, string memory version, address book)
        private
        view
        returns (bytes memory)
    {
        bytes32 domain = keccak256(
            abi.encode(typeHash, keccak256(bytes(name)), keccak256(bytes(version)), block.chainid, book)
        );
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, keccak256(abi.encodePacked(hex"1901", domain, body)));
        return abi.encodePacked(r, s, v);
    }

    function _refused(Quote memory quote, Spec memory spec, bytes memory signature) private {
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_QuoteMismatch.selector, "signature"));
        vm.prank(tenant);
        leases.update(quote, spec, signature);
    }
}
