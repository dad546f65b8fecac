// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IOrderBook} from "../../src/interfaces/IOrderBook.sol";
import {ProviderRecord} from "../../src/interfaces/IProviderRegistry.sol";
import {BidWord} from "../../src/lib/BidWord.sol";
import {OrderWord} from "../../src/lib/OrderWord.sol";
import {Bid, OrderFlags, Spec, Terms} from "../../src/lib/Types.sol";
import {MarketBase} from "./MarketBase.sol";

/// @title  OrderBook.placeBid: who may bid, and whose bid keeps a slot (SP-11)
contract PlaceBidTest is MarketBase {
    using BidWord for Bid;
    using OrderWord for uint256;

    function setUp() public override {
        super.setUp();
        _provider(1);
    }

    function test_storesTheBid() public {
        uint256 order = _create();
        uint256 slot = _slot(order, 1);
        Bid expected = BidWord.pack(registry.profileOf(_hotKey(1)), 0, RATE);
        vm.expectEmit(address(orders));
        emit IOrderBook.BidPlaced(order, 1, expected, 0);
        _bid(1, order, RATE);
        assertEq(Bid.unwrap(orders.bidAt(order, slot)), Bid.unwrap(expected));
        (, uint256 w1,) = orders.orderWords(order);
        assertEq(w1.occupancy(), 1 << slot);
        assertEq(orders.bidsOf(order).length, 1);
        assertEq(Bid.unwrap(orders.bidAt(order, 64)), 0);
    }

    // ---------------------------------------------------------------- when and how much

    function test_untilTheClosingBlock() public {
        uint256 order = _create();
        _mine(2);
        _bid(1, order, RATE);
        _mine(1);
        vm.expectRevert(abi.encodeWithSelector(IOrderBook.OrderBook_BiddingClosed.selector, order, block.number - 1));
        _bid(1, order, RATE);
    }

    function test_onlyForAnOpenOrder() public {
        vm.expectRevert(abi.encodeWithSelector(IOrderBook.OrderBook_NotOpen.selector, 5, 0));
        _bid(1, 5, RATE);
        uint256 order = _create();
        vm.prank(tenant);
        orders.cancel(order);
        vm.expectRevert(abi.encodeWithSelector(IOrderBook.OrderBook_NotOpen.selector, order, 3));
        _bid(1, order, RATE);
    }

    function test_overPriced() public {
        uint256 order = _create();
        vm.expectRevert(
            abi.encodeWithSelector(IOrderBook.OrderBook_RateTooHigh.selector, uint256(MAX_RATE) + 1, MAX_RATE)
        );
        _bid(1, order, uint256(MAX_RATE) + 1);
        vm.expectRevert(abi.encodeWithSelector(IOrderBook.OrderBook_BadTerms.selector, "rate: zero"));
        _bid(1, order, 0);
        _bid(1, order, MAX_RATE);
    }

    // ---------------------------------------------------------------- who

    function test_foreignKeys() public {
        uint256 order = _create();
        vm.expectRevert(abi.encodeWithSelector(IOrderBook.OrderBook_NotProvider.selector, stranger));
        vm.prank(stranger);
        orders.placeBid(order, RATE, 0);
        address owner = _owner(1); // cold: it does not bid
        vm.expectRevert(abi.encodeWithSelector(IOrderBook.OrderBook_NotProvider.selector, owner));
        vm.prank(owner);
        orders.placeBid(order, RATE, 0);
    }

    function test_withoutStake() public {
        _providerWith(2, _record(_hotKey(2)), 0);
        _ineligible(2, _create(), "stake below its tier's");
        _providerWith(3, _record(_hotKey(3)), 49e18);
        _ineligible(3, _create(), "stake below its tier's");
    }

    function test_barred() public {
        uint256 lease = _pending();
        skip(CONFIRM_WINDOW + 1);
        leases.expire(lease);
        _ineligible(1, _create(), "barred until its stake is topped up");
    }

    function test_draining() public {
        vm.prank(_hotKey(1));
        registry.setDraining(1, true);
        _ineligible(1, _create(), "draining");
    }

    function test_mode() public {
        Terms memory t = _terms();
        t.flags = OrderFlags.FIZZ;
        _ineligible(1, _create(t, _spec()), "order is for light nodes");

        uint256 order = _create();
        address hot = _hotKey(1);
        vm.expectRevert(
            abi.encodeWithSelector(IOrderBook.OrderBook_Ineligible.selector, order, 1, "order is not for light nodes")
        );
        vm.prank(hot);
        orders.placeBid(order, RATE, 5);

        t.flags = OrderFlags.FIZZ | OrderFlags.PROVIDER;
        order = _create(t, _spec());
        vm.expectRevert(
            abi.encodeWithSelector(IOrderBook.OrderBook_Ineligible.selector, order, 1, "no gateway of light nodes")
        );
        vm.prank(hot);
        orders.placeBid(order, RATE, 5);

        ProviderRecord memory gateway = _record(_hotKey(2));
        (gateway.offersOwn, gateway.offersFizz) = (false, true);
        _providerWith(2, gateway, 1000e18);
        _ineligible(2, order, "offers no machines of its own");
        _allowAnyFizz();
        vm.prank(_hotKey(2));
        orders.placeBid(order, RATE, 5);
        assertEq(orders.bidsOf(order)[0].fizz(), 5);
    }

    function test_token() public {
        ProviderRecord memory r = _record(_hotKey(2));
        r.tokens = 1;
        _providerWith(2, r, 1000e18);
        _ineligible(2, _create(), "does not take the token");
    }

    function test_region() public {
        Terms memory t = _terms();
        t.region = 0x0300;
        _bid(1, _create(t, _spec()), RATE); // a preference only
        t.flags = OrderFlags.PROVIDER | OrderFlags.STRICT_REGION;
        _ineligible(1, _create(t, _spec()), "region");
        t.region = 0x0204;
        _ineligible(1, _create(t, _spec()), "region");
        t.region = 0x0200;
        _bid(1, _create(t, _spec()), RATE);
        t.region = 0x0203;
        _bid(1, _create(t, _spec()), RATE);
    }

    /// The provider has: compute 2, storage 3, GPU 6, connectivity 2, SOC2.
    function test_attributes() public {
        _asks(2 | (3 << 2) | (6 << 4) | (2 << 8) | (1 << 11), true);
        _asks(1 | (1 << 2), true);
        _asks(3, false);
        _asks(7 << 4, false);
        _asks(3 << 8, false);
        _asks(2 << 11, false);
        _asks(3 << 11, false);
    }

    function test_trustTier() public {
        _asks(7 << 14, true); // a newcomer is of tier 7
        _asks(6 << 14, false);
        vm.prank(governor);
        registry.setTrustTier(1, 5);
        _asks(6 << 14, true);
        _asks(5 << 14, true);
        _asks(4 << 14, false);
    }

    function test_capacity() public {
        Terms memory t = _terms();
        t.duration = 60;
        _ineligible(1, _create(t, _specOf(17_000, 4096, 1024, 0, 0)), "no free units");
        _ineligible(1, _create(t, _specOf(1000, 4096, 1024, 5, 6)), "no free gpus");
        _bid(1, _create(t, _specOf(16_000, 4096, 1024, 4, 6)), RATE);
    }

    /// Leased units are not free for another order until the lease ends.
    function test_capacity_isCountedOnChain() public {
        Terms memory t = _terms();
        t.duration = 600;
        uint256 lease = _create(t, _specOf(16_000, 4096, 1024, 4, 6));
        _bid(1, lease, RATE);
        _resolve(lease);
        uint256 order = _create(t, _spec());
        _ineligible(1, order, "no free units");
        vm.prank(tenant);
        leases.close(lease);
        _bid(1, order, RATE);
    }

    function test_lists() public {
        _provider(2);
        Terms memory t = _terms();
        Spec memory s = _spec();
        s.providers = 9 | (2 << 32);
        t.flags = OrderFlags.PROVIDER | OrderFlags.ALLOW_LIST;
        uint256 order = _create(t, s);
        _bid(2, order, RATE);
        _ineligible(1, order, "not on the allow list");
        t.flags = OrderFlags.PROVIDER | OrderFlags.DENY_LIST;
        order = _create(t, s);
        _bid(1, order, RATE);
        _ineligible(2, order, "on the deny list");
    }

    /// Ids end at the first zero.
    function test_lists_areZeroTerminated() public {
        Terms memory t = _terms();
        Spec memory s = _spec();
        s.providers = 9 | (1 << 64);
        t.flags = OrderFlags.PROVIDER | OrderFlags.ALLOW_LIST;
        _ineligible(1, _create(t, s), "not on the allow list");
    }

    function test_lists_eightIds() public {
        Terms memory t = _terms();
        Spec memory s = _spec();
        s.providers = type(uint256).max << 32 | 2;
        s.providers = (s.providers & ~(uint256(0xffffffff) << 224)) | (1 << 224);
        t.flags = OrderFlags.PROVIDER | OrderFlags.ALLOW_LIST;
        _bid(1, _create(t, s), RATE);
    }

    // ---------------------------------------------------------------- slots

    function test_ownLaterBidReplaces() public {
        uint256 order = _create();
        _bid(1, order, RATE);
        vm.expectEmit(address(orders));
        emit IOrderBook.BidPlaced(order, 1, BidWord.pack(registry.profileOf(_hotKey(1)), 0, RATE), 1);
        _bid(1, order, RATE);
        _bid(1, order, RATE - 1);
        Bid[] memory bids = orders.bidsOf(order);
        assertEq(bids.length, 1);
        assertEq(bids[0].rate(), RATE - 1);
    }

    /// Else it could keep others out of its slot with a rate that it takes back at the close.
    function test_ownLaterBid_isNotDearer() public {
        (uint256 order, uint256 other) = _collision();
        _bid(1, order, 1);
        vm.expectRevert(abi.encodeWithSelector(IOrderBook.OrderBook_Outbid.selector, order, other, 1));
        _bid(other, order, RATE);
        vm.roll(vm.getBlockNumber() + 2);
        vm.expectRevert(abi.encodeWithSelector(IOrderBook.OrderBook_Outbid.selector, order, 1, 1));
        _bid(1, order, 2);
        assertEq(orders.bidsOf(order)[0].rate(), 1);
    }

    /// Two providers in one slot: only a strictly better static score takes it.
    function test_strictlyBetterTakesTheSlot() public {
        (uint256 order, uint256 other) = _collision();
        _bid(1, order, RATE);
        vm.expectRevert(abi.encodeWithSelector(IOrderBook.OrderBook_Outbid.selector, order, other, 1));
        _bid(other, order, RATE);
        _bid(other, order, RATE - RATE / 100);
        assertEq(orders.bidsOf(order).length, 1);
        assertEq(orders.bidsOf(order)[0].provider(), other);
        vm.expectRevert(abi.encodeWithSelector(IOrderBook.OrderBook_Outbid.selector, order, 1, other));
        _bid(1, order, RATE);
    }

    /// 64 worthless bids first, an honest one last: it gets its slot and wins.
    function test_aCrowdCannotShutOutAGoodBid() public {
        uint256 order = _create();
        for (uint256 n = 2; orders.bidsOf(order).length < 64; ++n) {
            _provider(n);
            try this.bidAs(n, order, MAX_RATE) {} catch {} // the slot may be taken by an equal
        }
        _bid(1, order, RATE);
        assertEq(_resolve(order), 1);
    }

    function bidAs(uint256 n, uint256 order, uint256 rate) external {
        _bid(n, order, rate);
    }

    // ---------------------------------------------------------------- helpers

    /// @dev An order in which provider 1 and another share a slot.
    function _collision() private returns (uint256 order, uint256 other) {
        _provider(2);
        do {
            order = _create(_short(), _spec());
        } while (_slot(order, 1) != _slot(order, 2));
        other = 2;
    }

    /// @dev Cheap enough for hundreds of them.
    function _short() private view returns (Terms memory t) {
        t = _terms();
        t.duration = 60;
    }

    function _asks(uint24 requirements, bool eligible) private {
        Terms memory t = _short();
        t.requirements = requirements;
        uint256 order = _create(t, _spec());
        if (eligible) _bid(1, order, RATE);
        else _ineligible(1, order, "attributes or trust tier");
    }

    function _ineligible(uint256 n, uint256 order, string memory why) private {
        vm.expectRevert(abi.encodeWithSelector(IOrderBook.OrderBook_Ineligible.selector, order, n, why));
        _bid(n, order, RATE);
    }

    function _slot(uint256 order, uint256 provider) private pure returns (uint256) {
        return uint256(keccak256(abi.encode(order, provider))) % 64;
    }
}
