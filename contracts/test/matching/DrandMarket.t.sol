// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Match} from "../../src/interfaces/IMatchTaskManager.sol";
import {IRandomness} from "../../src/interfaces/IMatching.sol";
import {Quorum} from "../../src/interfaces/IOperatorRegistry.sol";
import {IOrderBook} from "../../src/interfaces/IOrderBook.sol";
import {BidWord} from "../../src/lib/BidWord.sol";
import {OrderWord} from "../../src/lib/OrderWord.sol";
import {Bid, OrderState} from "../../src/lib/Types.sol";
import {DrandRandomness} from "../../src/matching/DrandRandomness.sol";
import {Quicknet} from "./Quicknet.sol";
import {TaskBase} from "./TaskBase.sol";

/// @title  DrandMarketTest: a market whose seeds are drand's: orders wait for their round and for nothing else
contract DrandMarketTest is TaskBase, Quicknet {
    using BidWord for Bid;
    using OrderWord for uint256;

    uint256 private constant ROUND = 32_398_885;
    uint256 private constant INDEX = 4; // in the fixture

    DrandRandomness private drand;
    uint256 private order;
    uint256 private seedBlock;
    bytes private header;

    function setUp() public override {
        super.setUp();
        order = _orders(1)[0];
        seedBlock = _closeBlock(order) + 1;
        header = _header(seedBlock, _timeBefore(ROUND));
    }

    function _makeRandomness() internal override returns (IRandomness) {
        drand = _makeQuicknet();
        return drand;
    }

    /// However long the round is in coming, while the chain remembers the block.
    function test_resolve_WaitsForTheRound() public {
        for (uint256 i; i < 3; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IOrderBook.OrderBook_TooEarly.selector, order, seedBlock + 1));
            orders.resolve(order);
            _mine(80);
        }
        bytes32 seed = drand.submit(header, _signatureOf(INDEX));
        Bid best = orders.bestOf(order, seed);
        vm.expectEmit(address(orders));
        emit IOrderBook.OrderMatched(order, best.provider(), best, seed, keeper);
        vm.prank(keeper);
        assertEq(orders.resolve(order), best.provider());
    }

    function test_resolve_VoidsWhenTheBlockIsForgotten() public {
        uint256 free = _free();
        vm.setBlockhash(seedBlock, 0);
        vm.expectEmit(address(orders));
        emit IOrderBook.OrderVoided(order, orders.bidsOf(order).length);
        assertEq(orders.resolve(order), 0);
        assertEq(uint8(_orderState()), uint8(OrderState.Void));
        assertGt(_free(), free);
    }

    /// Who would rather have no match cannot wait until the seed is gone, once anybody brought it.
    function test_resolve_AfterTheBlockIsForgotten() public {
        drand.submit(header, _signatureOf(INDEX));
        vm.setBlockhash(seedBlock, 0);
        assertNotEq(orders.resolve(order), 0);
    }

    function test_respond_WaitsForTheRound() public {
        uint256 era = _eraOf(order);
        Quorum memory q = _quorum(era, tasks.rootDigest(seedBlock - 1, era, 0), 0);
        vm.expectRevert(abi.encodeWithSelector(IRandomness.Randomness_NotYet.selector, seedBlock));
        tasks.respondBatch(seedBlock - 1, 0, q, new Match[](0));

        drand.submit(header, _signatureOf(INDEX));
        uint256[] memory ids = new uint256[](1);
        ids[0] = order;
        assertEq(_respond(_matches(ids), 0), 1);
        assertEq(uint8(_orderState()), uint8(OrderState.Matched));
    }

    function _orderState() private view returns (OrderState) {
        (uint256 w0,,) = orders.orderWords(order);
        return w0.state();
    }
}
