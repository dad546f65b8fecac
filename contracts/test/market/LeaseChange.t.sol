// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";

import {IEscrow} from "../../src/interfaces/IEscrow.sol";
import {ILeaseBook, Quote} from "../../src/interfaces/ILeaseBook.sol";
import {IOrderBook} from "../../src/interfaces/IOrderBook.sol";
import {ProviderRecord} from "../../src/interfaces/IProviderRegistry.sol";
import {LeaseWord} from "../../src/lib/LeaseWord.sol";
import {ProfileWord} from "../../src/lib/ProfileWord.sol";
import {LeaseState, Profile, Spec} from "../../src/lib/Types.sol";
import {MarketBase} from "./MarketBase.sol";

/// @notice A provider's hot key may be a contract.
contract ContractKey is IERC1271 {
    bytes32 public approved;

    function approve(bytes32 hash) external {
        approved = hash;
    }

    function isValidSignature(bytes32 hash, bytes calldata) external view returns (bytes4) {
        return hash == approved ? IERC1271.isValidSignature.selector : bytes4(0);
    }
}

/// @title  LeaseBook: extend, update on a quote, another manifest (SP-22, SP-23)
contract LeaseChangeTest is MarketBase {
    using LeaseWord for uint256;
    using ProfileWord for Profile;

    uint256 internal constant NEW_RATE = 0.012e18;

    uint256 internal lease;
    uint256 internal start;

    function setUp() public override {
        super.setUp();
        lease = _active();
        start = vm.getBlockTimestamp();
    }

    // ---------------------------------------------------------------- extend

    function test_extend_locksMoreAtTheBidPrice() public {
        skip(1000);
        uint256 free = _free();
        uint256 amount = _lock(RATE, DURATION + 500) - _lock(RATE, DURATION);
        vm.expectEmit(address(leases));
        emit ILeaseBook.LeaseExtended(lease, start + DURATION + 500, amount);
        vm.prank(tenant);
        leases.extend(lease, 500);
        assertEq(free - _free(), amount);
        assertEq(_w1(lease).end(), start + DURATION + 500);
        assertEq(_w0(lease).duration(), DURATION + 500);
        assertEq(leases.lockedOf(lease), _lock(RATE, DURATION + 500));
    }

    function test_extend_onlyTheTenant() public {
        vm.expectRevert(abi.encodeWithSelector(IEscrow.Escrow_NotOwner.selector, wallet, stranger));
        vm.prank(stranger);
        leases.extend(lease, 500);
    }

    function test_extend_withoutMoney() public {
        uint256 free = _free();
        vm.prank(tenant);
        escrow.withdraw(wallet, DOLLAR, free, tenant);
        vm.expectPartialRevert(IEscrow.Escrow_Insufficient.selector);
        vm.prank(tenant);
        leases.extend(lease, 500);
    }

    function test_extend_atMost180DaysAhead() public {
        uint32 secs = uint32(180 days - DURATION);
        vm.expectRevert(
            abi.encodeWithSelector(ILeaseBook.LeaseBook_TooLong.selector, uint256(180 days) + 1, uint256(180 days))
        );
        vm.prank(tenant);
        leases.extend(lease, secs + 1);
    }

    function test_extend_notAfterTheEnd() public {
        skip(DURATION);
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_WrongState.selector, lease, LeaseState.Active));
        vm.prank(tenant);
        leases.extend(lease, 500);
        uint256 pending = _pending();
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_WrongState.selector, pending, LeaseState.Pending));
        vm.prank(tenant);
        leases.extend(pending, 500);
    }

    // ---------------------------------------------------------------- update

    function test_update_changesPriceAndSize() public {
        skip(1000); // within the holdback: the old terms are paid all the same
        Spec memory spec = _specOf(4000, 8192, STORAGE, 0, 0);
        Quote memory q = _quote(spec);
        bytes memory signature = _sign(q);
        uint256 all = _free() + leases.lockedOf(lease);
        vm.expectEmit(address(leases));
        emit ILeaseBook.LeaseUpdated(lease, NEW_RATE, 1, spec);
        vm.prank(tenant);
        leases.update(q, spec, signature);

        assertEq(_w1(lease).rate(), NEW_RATE);
        assertEq(_w1(lease).settledTo(), start + 1000);
        assertEq(_w1(lease).end(), start + DURATION);
        assertEq(_w0(lease).version(), 1);
        assertEq(_w0(lease).units(), 4);
        assertEq(registry.profileOf(_hotKey(1)).freeUnits(), 12);
        assertEq(leases.lockedOf(lease), _lock(NEW_RATE, DURATION - 1000));
        assertEq(_net(1) + _fee(1), _lock(RATE, DURATION) - _lock(RATE, DURATION - 1000));
        assertEq(_free() + leases.lockedOf(lease) + _net(1) + _fee(1), all);
    }

    function test_update_cheaperGivesBack() public {
        Spec memory spec = _specOf(1000, 1024, STORAGE, 0, 0);
        Quote memory q = _quote(spec);
        q.rate = RATE / 2;
        bytes memory signature = _sign(q);
        uint256 free = _free();
        vm.prank(tenant);
        leases.update(q, spec, signature);
        assertEq(_free() - free, _lock(RATE, DURATION) - _lock(RATE / 2, DURATION));
    }

    function test_update_onlyOnce() public {
        Spec memory spec = _spec();
        Quote memory q = _quote(spec);
        bytes memory signature = _sign(q);
        vm.startPrank(tenant);
        leases.update(q, spec, signature);
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_QuoteMismatch.selector, "version"));
        leases.update(q, spec, signature);
        vm.stopPrank();
    }

    function test_update_quoteExpired() public {
        Quote memory q = _quote(_spec());
        bytes memory signature = _sign(q);
        skip(301);
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_QuoteExpired.selector, q.expiry));
        vm.prank(tenant);
        leases.update(q, _spec(), signature);
    }

    function test_update_quoteForOtherTerms() public {
        Quote memory q = _quote(_spec());
        q.oldRate = RATE + 1;
        _mismatch(q, _spec(), _sign(q), "rate");
        q = _quote(_spec());
        _mismatch(q, _specOf(4000, 8192, STORAGE, 0, 0), _sign(q), "spec");
        q.rate = 0;
        _mismatch(q, _spec(), _sign(q), "new rate is zero");
        q = _quote(_spec());
        bytes memory signature = _sign(q);
        q.rate -= 1; // not what was signed
        _mismatch(q, _spec(), signature, "signature");
    }

    function test_update_quoteForAnotherLease() public {
        uint256 other = _active();
        Quote memory q = _quote(_spec());
        bytes memory signature = _sign(q);
        q.lease = other;
        _mismatch(q, _spec(), signature, "signature");
    }

    function test_update_quoteFromAnotherProvider() public {
        _provider(2);
        Quote memory q = _quote(_spec());
        (, uint256 key) = makeAddrAndKey("hot 2");
        _mismatch(q, _spec(), _signBy(q, key), "signature");
        _mismatch(q, _spec(), "", "signature");
    }

    function test_update_quoteByAContractKey() public {
        ContractKey key = new ContractKey();
        ProviderRecord memory record = _record(address(key));
        vm.prank(_owner(1));
        registry.setRecord(1, record);
        Quote memory q = _quote(_spec());
        _mismatch(q, _spec(), "", "signature");
        key.approve(leases.quoteHash(q));
        vm.prank(tenant);
        leases.update(q, _spec(), "");
        assertEq(_w1(lease).rate(), NEW_RATE);
    }

    function test_update_onlyTheTenant() public {
        Quote memory q = _quote(_spec());
        bytes memory signature = _sign(q);
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_NotTenant.selector, lease, stranger));
        vm.prank(stranger);
        leases.update(q, _spec(), signature);
    }

    function test_update_onlyWhileItRuns() public {
        Quote memory q = _quote(_spec());
        q.expiry = uint40(start + 10 days);
        bytes memory signature = _sign(q);
        vm.prank(_hotKey(1));
        leases.pause(lease, start);
        _wrongState(q, signature, LeaseState.Paused);
        vm.prank(_hotKey(1));
        leases.resume(lease);
        skip(DURATION);
        _wrongState(q, signature, LeaseState.Active);
    }

    /// Beyond what the wallet and the lease hold together.
    function test_update_checksTheBracketAgain() public {
        uint256 held = leases.lockedOf(lease);
        uint256 free = _free();
        vm.prank(tenant);
        escrow.withdraw(wallet, DOLLAR, free, tenant);
        Spec memory spec = _specOf(16_000, 4096, STORAGE, 4, 10);
        Quote memory q = _quote(spec);
        q.rate = RATE;
        bytes memory signature = _sign(q);
        assertLt(held, 16 * 40e6);
        // 16 steps of 15 dollars are fewer than the lease holds; at a dearer dollar they are not.
        vm.prank(tenant);
        uint256 state = vm.snapshotState();
        leases.update(q, spec, signature);
        vm.revertToState(state);
        vm.startPrank(governor);
        tokens.setPrice(DOLLAR, 0.5e8);
        skip(1 days - 600);
        vm.stopPrank();
        q.expiry = uint40(vm.getBlockTimestamp() + 1);
        signature = _sign(q);
        vm.startPrank(tenant);
        vm.expectPartialRevert(ILeaseBook.LeaseBook_BeyondBracket.selector);
        leases.update(q, spec, signature);
        vm.stopPrank();
    }

    function test_update_checksTheSpec() public {
        Spec memory spec = _spec();
        spec.groups = "";
        Quote memory q = _quote(spec);
        bytes memory signature = _sign(q);
        vm.expectRevert(abi.encodeWithSelector(IOrderBook.OrderBook_BadTerms.selector, "groups: length"));
        vm.prank(tenant);
        leases.update(q, spec, signature);
    }

    // ---------------------------------------------------------------- manifest

    function test_setManifestHash() public {
        vm.expectEmit(address(leases));
        emit ILeaseBook.ManifestChanged(lease, "new", 1);
        vm.prank(tenant);
        leases.setManifestHash(lease, "new");
        assertEq(_w0(lease).version(), 1);
    }

    function test_setManifestHash_onlyTheTenantOfALiveLease() public {
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_NotTenant.selector, lease, stranger));
        vm.prank(stranger);
        leases.setManifestHash(lease, "new");
        vm.startPrank(tenant);
        leases.close(lease);
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_WrongState.selector, lease, LeaseState.Closed));
        leases.setManifestHash(lease, "new");
        vm.stopPrank();
    }

    /// A quote is for one present state: another manifest makes it void.
    function test_setManifestHash_voidsQuotes() public {
        Quote memory q = _quote(_spec());
        bytes memory signature = _sign(q);
        vm.prank(tenant);
        leases.setManifestHash(lease, "new");
        _mismatch(q, _spec(), signature, "version");
    }

    // ---------------------------------------------------------------- helpers

    function _quote(Spec memory spec) private view returns (Quote memory) {
        return Quote({
            lease: lease,
            version: uint16(_w0(lease).version()),
            oldRate: RATE,
            specHash: keccak256(abi.encode(spec)),
            rate: uint80(NEW_RATE),
            expiry: uint40(vm.getBlockTimestamp() + 300)
        });
    }

    function _sign(Quote memory q) private returns (bytes memory) {
        (, uint256 key) = makeAddrAndKey("hot 1");
        return _signBy(q, key);
    }

    function _signBy(Quote memory q, uint256 key) private view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, leases.quoteHash(q));
        return abi.encodePacked(r, s, v);
    }

    function _mismatch(Quote memory q, Spec memory spec, bytes memory signature, string memory what) private {
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_QuoteMismatch.selector, what));
        vm.prank(tenant);
        leases.update(q, spec, signature);
    }

    function _wrongState(Quote memory q, bytes memory signature, LeaseState state) private {
        vm.expectRevert(abi.encodeWithSelector(ILeaseBook.LeaseBook_WrongState.selector, lease, state));
        vm.prank(tenant);
        leases.update(q, _spec(), signature);
    }
}
