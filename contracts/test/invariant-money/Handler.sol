// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {CommonBase} from "forge-std/Base.sol";
import {StdCheats} from "forge-std/StdCheats.sol";
import {StdUtils} from "forge-std/StdUtils.sol";

import {Quote} from "../../src/interfaces/ILeaseBook.sol";
import {Bill} from "../../src/lib/Bill.sol";
import {LeaseWord} from "../../src/lib/LeaseWord.sol";
import {OrderWord} from "../../src/lib/OrderWord.sol";
import {ResourcesWord} from "../../src/lib/ResourcesWord.sol";
import {Bid, CloseReason, LeaseState, OrderFlags, OrderState, Spec, Terms} from "../../src/lib/Types.sol";
import {LeaseBook} from "../../src/market/LeaseBook.sol";
import {OrderBook} from "../../src/market/OrderBook.sol";
import {Escrow} from "../../src/payment/Escrow.sol";
import {PaymentTokens} from "../../src/payment/PaymentTokens.sol";

/// @title  Handler: what tenants, providers, keeper, arbiter and time do at random
/// @notice Calls are steered to where they may succeed; a call that cannot be made does something else. What moves is
///         booked here a second time, to be compared with the contracts.
contract Handler is CommonBase, StdCheats, StdUtils {
    using LeaseWord for uint256;

    uint256 public constant TOKENS = 2;
    uint256 public constant PROVIDERS = 4;
    uint256 public constant TENANTS = 3;
    /// The providers, the foundation, the keeper and the quorum.
    uint256 public constant PAYEES = PROVIDERS + 3;

    Escrow public immutable escrow;
    OrderBook public immutable orders;
    LeaseBook public immutable leases;
    PaymentTokens public immutable tokens;
    address public immutable keeper;
    address public immutable arbiter;
    address public immutable quorum; // MatchTaskManager
    address[] public tenants;
    address[] public hotKeys;

    /// What went into a lease's lock and came out of it as refunds or bills.
    mapping(uint256 lease => uint256) public lockedIn;
    mapping(uint256 lease => uint256) public takenOut;
    /// Deposited less withdrawn and cashed out.
    mapping(uint256 token => uint256) public inEscrow;

    constructor(
        Escrow escrow_,
        OrderBook orders_,
        LeaseBook leases_,
        PaymentTokens tokens_,
        address keeper_,
        address arbiter_,
        address quorum_,
        address[] memory tenants_,
        address[] memory hotKeys_
    ) {
        (escrow, orders, leases, tokens) = (escrow_, orders_, leases_, tokens_);
        (keeper, arbiter, quorum) = (keeper_, arbiter_, quorum_);
        tenants = tenants_;
        hotKeys = hotKeys_;
    }

    // ---------------------------------------------------------------- tenants

    function deposit(uint256 wallet, uint256 token, uint256 amount) external {
        (wallet, token) = (_wallet(wallet), token % TOKENS);
        address owner = escrow.ownerOf(wallet);
        IERC20 asset = IERC20(tokens.assetOf(token));
        amount = bound(amount, 0, asset.balanceOf(owner));
        vm.prank(owner);
        escrow.deposit(wallet, token, amount);
        inEscrow[token] += amount;
    }

    function withdraw(uint256 wallet, uint256 token, uint256 amount) external {
        (wallet, token) = (_wallet(wallet), token % TOKENS);
        amount = bound(amount, 0, escrow.balanceOf(wallet, token) / 10);
        if (amount == 0) return;
        address owner = escrow.ownerOf(wallet);
        vm.prank(owner);
        escrow.withdraw(wallet, token, amount, owner);
        inEscrow[token] -= amount;
    }

    function transferWallet(uint256 wallet, uint256 to) external {
        wallet = _wallet(wallet);
        vm.prank(escrow.ownerOf(wallet));
        escrow.transferWallet(wallet, tenants[to % TENANTS]);
    }

    function createOrder(uint256 wallet, uint256 token, uint256 rate, uint256 duration, uint256 size)
        public
        returns (uint256 order)
    {
        (wallet, token) = (_wallet(wallet), token % TOKENS);
        uint256 free = escrow.balanceOf(wallet, token);
        Terms memory terms = Terms({
            wallet: uint48(wallet),
            token: uint16(token),
            duration: uint32(bound(duration, 1, 3 days)),
            maxRate: uint80(bound(rate, 1e9, 1e15)),
            region: 0,
            requirements: 0,
            flags: OrderFlags.PROVIDER
        });
        uint256 worth = _worth(token, free);
        uint256 cost = uint256(terms.maxRate) * terms.duration / 1e18;
        if (worth < 16 || worth < cost * 103 / 100 + 2) return 0;
        vm.prank(escrow.ownerOf(wallet));
        order = orders.createOrder(terms, _spec(size));
    }

    /// @notice An order that becomes a running lease at once, so that most calls find one.
    function rent(uint256 wallet, uint256 token, uint256 rate, uint256 duration, uint256 size, uint256 provider)
        external
    {
        uint256 order = createOrder(wallet, token, rate, duration, size);
        if (order == 0) return;
        for (uint256 i; i < 3; ++i) {
            _placeBid(order, provider >> (8 * i), rate >> i);
        }
        uint256 winner = _resolve(order);
        if (winner == 0) return;
        vm.prank(hotKeys[winner - 1]);
        leases.confirm(order);
    }

    function cancel(uint256 order) external {
        order = _order(order);
        if (order == 0) return;
        (uint256 w0,,) = orders.orderWords(order);
        if (OrderWord.state(w0) != OrderState.Open || vm.getBlockNumber() > OrderWord.closeBlock(w0)) return;
        vm.prank(escrow.ownerOf(w0.wallet()));
        orders.cancel(order);
    }

    function extend(uint256 lease, uint256 secs) external {
        (uint256 w0, uint256 w1) = _lease(lease);
        lease = _order(lease);
        if (!_running(w1)) return;
        secs = bound(secs, 1, 10 days);
        if (w1.end() + secs - w1.settledTo() > 180 days) return;
        uint256 locked = leases.lockedOf(lease);
        uint256 needed = Bill.lockOf(w1.rate(), secs + 1, w0.decimals(), w0.payerFee()) + 2;
        if (escrow.balanceOf(w0.wallet(), w0.token()) < needed) return;
        vm.prank(escrow.ownerOf(w0.wallet()));
        leases.extend(lease, uint32(secs));
        lockedIn[lease] += leases.lockedOf(lease) - locked;
    }

    /// @notice A quoted change of rate and size: the old terms are paid up to now and what is left is locked anew.
    function update(uint256 lease, uint256 rate, uint256 size) external {
        (uint256 w0, uint256 w1) = _lease(lease);
        lease = _order(lease);
        if (w1.state() != LeaseState.Active || !_running(w1)) return;
        rate = bound(rate, 1e9, 1e15);
        uint256 needed = Bill.lockOf(rate, w1.end() - w1.settledTo(), w0.decimals(), w0.payerFee());
        uint256 free = escrow.balanceOf(w0.wallet(), w0.token());
        if (free < needed || _worth(w0.token(), free) < 16) return;
        Spec memory spec = _spec(size);
        Quote memory quote = Quote({
            lease: lease,
            version: uint16(w0.version()),
            oldRate: uint80(w1.rate()),
            specHash: keccak256(abi.encode(spec)),
            rate: uint80(rate),
            expiry: uint40(vm.getBlockTimestamp())
        });
        uint256 locked = leases.lockedOf(lease);
        bytes memory signature = _signBy(w0.provider(), leases.quoteHash(quote));
        vm.prank(escrow.ownerOf(w0.wallet()));
        leases.update(quote, spec, signature);
        takenOut[lease] += locked;
        lockedIn[lease] += leases.lockedOf(lease);
    }

    function setManifestHash(uint256 lease, bytes32 manifestHash) external {
        (uint256 w0, uint256 w1) = _lease(lease);
        if (!_live(w1)) return;
        lease = _order(lease);
        vm.prank(escrow.ownerOf(w0.wallet()));
        leases.setManifestHash(lease, manifestHash);
    }

    function close(uint256 lease) external {
        (uint256 w0, uint256 w1) = _lease(lease);
        if (!_live(w1)) return;
        lease = _order(lease);
        uint256 locked = leases.lockedOf(lease);
        vm.prank(escrow.ownerOf(w0.wallet()));
        leases.close(lease);
        takenOut[lease] += locked - leases.lockedOf(lease);
    }

    // ---------------------------------------------------------------- providers

    function placeBid(uint256 order, uint256 provider, uint256 rate) external {
        order = _order(order);
        if (order != 0) _placeBid(order, provider, rate);
    }

    function _placeBid(uint256 order, uint256 provider, uint256 rate) private {
        (uint256 w0, uint256 w1,) = orders.orderWords(order);
        if (OrderWord.state(w0) != OrderState.Open || vm.getBlockNumber() > OrderWord.closeBlock(w0)) return;
        rate = bound(rate, 1, OrderWord.maxRate(w1));
        vm.prank(hotKeys[provider % PROVIDERS]);
        try orders.placeBid(order, uint80(rate), 0) {} catch {} // no capacity left, barred, or outbid
    }

    function confirm(uint256 lease) external {
        (uint256 w0, uint256 w1) = _lease(lease);
        if (w1.state() != LeaseState.Pending || vm.getBlockTimestamp() > w1.end()) return;
        lease = _order(lease);
        vm.prank(hotKeys[w0.provider() - 1]);
        leases.confirm(lease);
    }

    function pause(uint256 lease, uint256 since, bool byArbiter) external {
        (uint256 w0, uint256 w1) = _lease(lease);
        if (w1.state() != LeaseState.Active) return;
        lease = _order(lease);
        since = bound(since, w1.settledTo(), _min(vm.getBlockTimestamp(), w1.end()));
        vm.prank(byArbiter ? arbiter : hotKeys[w0.provider() - 1]);
        leases.pause(lease, since);
    }

    function resume(uint256 lease) external {
        (uint256 w0, uint256 w1) = _lease(lease);
        if (w1.state() != LeaseState.Paused) return;
        lease = _order(lease);
        uint256 locked = leases.lockedOf(lease);
        vm.prank(w1.pausedBy() == LeaseWord.BY_ARBITER ? arbiter : hotKeys[w0.provider() - 1]);
        leases.resume(lease);
        takenOut[lease] += locked - leases.lockedOf(lease);
    }

    function closeByProvider(uint256 lease, bool fault) external {
        (uint256 w0, uint256 w1) = _lease(lease);
        if (!_live(w1)) return;
        lease = _order(lease);
        uint256 locked = leases.lockedOf(lease);
        bool pending = w1.state() == LeaseState.Pending;
        vm.prank(hotKeys[w0.provider() - 1]);
        leases.closeByProvider(lease, fault && !pending ? CloseReason.CrashLoop : CloseReason.ProviderClosed);
        takenOut[lease] += locked - leases.lockedOf(lease);
    }

    // ---------------------------------------------------------------- arbiter, keeper, time

    function refund(uint256 lease, uint256 secs) external {
        (, uint256 w1) = _lease(lease);
        if (w1.state() == LeaseState.None || w1.state() == LeaseState.Pending) return;
        lease = _order(lease);
        uint256 locked = leases.lockedOf(lease);
        vm.prank(arbiter);
        uint256 amount = leases.refund(lease, bound(secs, 0, 2 days));
        require(locked - leases.lockedOf(lease) == amount, "refund is not what left the lock");
        takenOut[lease] += amount;
    }

    function resolve(uint256 order) external {
        order = _order(order);
        if (order != 0) _resolve(order);
    }

    function _resolve(uint256 order) private returns (uint256 winner) {
        (uint256 w0,,) = orders.orderWords(order);
        if (OrderWord.state(w0) != OrderState.Open) return 0;
        uint256 ready = OrderWord.closeBlock(w0) + 2;
        if (vm.getBlockNumber() < ready) vm.roll(ready);
        vm.prank(keeper);
        winner = orders.resolve(order);
        if (winner != 0) lockedIn[order] = leases.lockedOf(order);
    }

    /// @notice A quorum that takes any of the bids.
    function award(uint256 order, uint256 pick) external {
        order = _order(order);
        (uint256 w0,,) = orders.orderWords(order);
        Bid[] memory bids = orders.bidsOf(order);
        if (OrderWord.state(w0) != OrderState.Open || bids.length == 0) return;
        uint256 ready = OrderWord.closeBlock(w0) + 2;
        if (vm.getBlockNumber() < ready) vm.roll(ready);
        vm.prank(quorum);
        orders.award(order, bids[pick % bids.length], "seed", "response");
        lockedIn[order] = leases.lockedOf(order);
    }

    /// @notice A pending lease goes to any of the bids, or is closed when its wallet cannot pay for that.
    function amend(uint256 order, uint256 pick) external {
        (, uint256 w1) = _lease(order);
        if (w1.state() != LeaseState.Pending) return;
        order = _order(order);
        Bid[] memory bids = orders.bidsOf(order);
        takenOut[order] += leases.lockedOf(order);
        vm.prank(quorum);
        orders.amend(order, bids[pick % bids.length]);
        lockedIn[order] += leases.lockedOf(order);
    }

    function settle(uint256 lease) external {
        uint256[] memory one = new uint256[](1);
        one[0] = _order(lease);
        if (one[0] == 0) return;
        uint256 locked = leases.lockedOf(one[0]);
        leases.settleMany(one);
        takenOut[one[0]] += locked - leases.lockedOf(one[0]);
    }

    function expire(uint256 lease) external {
        (, uint256 w1) = _lease(lease);
        if (!_live(w1) || vm.getBlockTimestamp() <= w1.end()) return;
        lease = _order(lease);
        uint256 locked = leases.lockedOf(lease);
        leases.expire(lease);
        takenOut[lease] += locked - leases.lockedOf(lease);
    }

    function cashOut(uint256 payee, uint256 token) external {
        token = token % TOKENS;
        payee = payeeAt(payee % PAYEES);
        (uint256 net,) = escrow.ledgerOf(payee, token);
        if (net == 0) return;
        inEscrow[token] -= escrow.cashOut(payee, token);
    }

    function collectFees(uint256 provider, uint256 token) external {
        uint256[] memory one = new uint256[](1);
        one[0] = provider % PROVIDERS + 1;
        escrow.collectFees(one, token % TOKENS);
    }

    function wait(uint256 blocks, uint256 secs) external {
        vm.roll(vm.getBlockNumber() + bound(blocks, 1, 3));
        skip(bound(secs, 1, secs % 5 == 0 ? 5 days : 50));
    }

    // ---------------------------------------------------------------- views

    /// @return a provider's id, the foundation, the keeper or the quorum
    function payeeAt(uint256 index) public view returns (uint256) {
        if (index < PROVIDERS) return index + 1;
        if (index == PROVIDERS) return escrow.foundation();
        return uint160(index == PROVIDERS + 1 ? keeper : quorum);
    }

    /// @return dollars
    function _worth(uint256 token, uint256 amount) private pure returns (uint256) {
        return token == 0 ? amount / 1e18 : amount / 1e6;
    }

    function _spec(uint256 size) private pure returns (Spec memory) {
        uint256 cpu = bound(size, 1, 8) * 1000;
        return Spec({
            resources: ResourcesWord.pack(cpu, 1024, 1024, 0, 0, 0, 0, 0),
            manifestHash: "manifest",
            providers: 0,
            groups: abi.encodePacked(uint16(1), uint24(cpu), uint24(1024), uint24(1024), uint24(0), uint16(0))
        });
    }

    /// @dev With the hot key that MarketBase made.
    function _signBy(uint256 provider, bytes32 hash) private returns (bytes memory) {
        (, uint256 key) = makeAddrAndKey(string.concat("hot ", vm.toString(provider)));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, hash);
        return abi.encodePacked(r, s, v);
    }

    function _wallet(uint256 seed) private view returns (uint256) {
        return seed % escrow.walletCount() + 1;
    }

    /// @dev Mostly one of the last orders, where something can happen.
    function _order(uint256 seed) private view returns (uint256) {
        uint256 count = orders.orderCount();
        if (count == 0) return 0;
        uint256 recent = count < 4 ? count : 4;
        return seed % 4 == 0 ? (seed / 4) % count + 1 : count - (seed / 4) % recent;
    }

    function _lease(uint256 seed) private view returns (uint256 w0, uint256 w1) {
        (w0, w1) = leases.leaseWords(_order(seed));
    }

    function _live(uint256 w1) private pure returns (bool) {
        LeaseState s = w1.state();
        return s == LeaseState.Pending || s == LeaseState.Active || s == LeaseState.Paused;
    }

    function _running(uint256 w1) private view returns (bool) {
        LeaseState s = w1.state();
        return (s == LeaseState.Active || s == LeaseState.Paused) && vm.getBlockTimestamp() < w1.end();
    }

    function _min(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }
}
