// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IFizzRegistry} from "../../src/interfaces/IFizzRegistry.sol";
import {IFizzShares} from "../../src/interfaces/IFizzShares.sol";
import {IOrderBook} from "../../src/interfaces/IOrderBook.sol";
import {LeaseWord} from "../../src/lib/LeaseWord.sol";
import {LeaseState} from "../../src/lib/Types.sol";
import {FizzBase} from "../fizz/FizzBase.sol";

/// @dev Stands where FizzRegistry is and answers LeaseBook with whatever hurts most.
contract HostileShares {
    enum Trick {
        Burn,
        Revert,
        Flood,
        Reenter
    }

    Trick private immutable TRICK;
    address private immutable ORDERS;

    constructor(Trick trick, address orders) {
        (TRICK, ORDERS) = (trick, orders);
    }

    function whyNot(uint256, uint256) external pure returns (string memory why) {}

    function shareOf(uint256, uint256 fizz) external returns (address, uint256) {
        if (TRICK == Trick.Burn) while (true) fizz = uint256(keccak256(abi.encode(fizz)));
        if (TRICK == Trick.Revert) revert("no");
        if (TRICK == Trick.Flood) {
            assembly {
                return(0, 1000000)
            }
        }
        IOrderBook(ORDERS).placeBid(fizz, 1, 0);
        return (address(this), 10_000);
    }
}

/// @title  FizzAttack: gateways that keep a light node's share, light nodes that take a gateway's, and who would stop both
contract FizzAttack is FizzBase {
    using LeaseWord for uint256;

    address private mallory = makeAddr("mallory");

    // ---------------------------------------------------------------- a gateway against its light node

    /// Everything that may happen to a node between bid and match: it is paid as it was named.
    function test_gateway_takesNoShareBetweenBidAndMatch() public {
        uint256 fizz = _active(alice, GATEWAY);
        uint256 order = _bidFor(GATEWAY, fizz);
        vm.startPrank(address(votes));
        fizzes.setExpelled(GATEWAY, alice, true);
        fizzes.setTerms(GATEWAY, _subnetTerms(0, 0));
        vm.stopPrank();
        _slash(GATEWAY, type(uint96).max);
        vm.prank(alice);
        fizzes.exit(fizz);
        // An era goes by within the seed's life: blocks are slow here.
        _nextEra();
        _resolve(order);
        assertEq(_w0(order).fizzShare(), SHARE);
        assertEq(leases.payeeOf(order), till);
    }

    /// Who resolves chooses the gas. With any amount of it the match fails as a whole or pays the node.
    function test_gateway_starvesNoQuestion() public {
        uint256 order = _bidFor(GATEWAY, _active(alice, GATEWAY));
        _mine(4);
        uint256 state = vm.snapshotState();
        uint256 matched;
        for (uint256 gas = 60_000; gas < 400_000; gas += 1500) {
            vm.prank(_hotKey(GATEWAY));
            try orders.resolve{gas: gas}(order) {
                assertEq(_w0(order).fizzShare(), SHARE, "matched without its share");
                ++matched;
                vm.revertToState(state);
            } catch {}
        }
        assertGt(matched, 10);
    }

    function test_gateway_namesNoStrangersNode() public {
        uint256 fizz = _active(alice, GATEWAY);
        uint256 order = _fizzOrder();
        vm.expectRevert(
            abi.encodeWithSelector(
                IOrderBook.OrderBook_Ineligible.selector, order, OTHER, "no light node of this provider"
            )
        );
        vm.prank(_hotKey(OTHER));
        orders.placeBid(order, RATE, uint32(fizz));
    }

    /// A hot key that leaks lets nodes in, which binds nobody; terms and members are out of its reach.
    function test_hotKey_reachesNoTerms() public {
        _active(alice, GATEWAY);
        _nextEra();
        address hot = _hotKey(GATEWAY);
        bytes[4] memory calls = [
            abi.encodeCall(IFizzRegistry.setTerms, (GATEWAY, _subnetTerms(0, 0))),
            abi.encodeCall(IFizzRegistry.setExpelled, (GATEWAY, alice, true)),
            abi.encodeCall(IFizzRegistry.setPayout, (1, hot)),
            abi.encodeCall(IFizzRegistry.exit, (1))
        ];
        for (uint256 i; i < calls.length; ++i) {
            vm.prank(hot);
            (bool ok,) = fizzShares.call(calls[i]);
            assertFalse(ok);
        }
        vm.expectRevert();
        vm.prank(hot);
        votes.proposeTerms(GATEWAY, _subnetTerms(0, 0));
    }

    // ---------------------------------------------------------------- a light node against its gateway

    /// A node cannot bind a gateway: unaccepted it is paid nothing and named by nobody.
    function test_node_bindsNoGateway() public {
        uint256 fizz = _propose(mallory, GATEWAY);
        _delegate(mallory, GATEWAY, 100 * uint256(DELEGATION));
        (address payee, uint256 share) = fizzes.shareOf(GATEWAY, fizz);
        assertEq(payee, address(0));
        assertEq(share, 0);
        assertFalse(_isActive(GATEWAY, fizz));
    }

    /// What it works for cannot rise after a bid, and it cannot be paid as a provider.
    function test_node_raisesNoShare() public {
        uint256 fizz = _active(alice, GATEWAY);
        uint256 order = _bidFor(GATEWAY, fizz);
        vm.startPrank(alice);
        vm.expectRevert(abi.encodeWithSelector(IFizzRegistry.FizzRegistry_BadShare.selector, 9000, SHARE));
        fizzes.lowerMinShare(fizz, 9000);
        vm.expectRevert(abi.encodeWithSelector(IFizzRegistry.FizzRegistry_BadRecord.selector, "payout"));
        fizzes.setPayout(fizz, address(uint160(OTHER)));
        vm.stopPrank();
        _resolve(order);
        assertEq(_w0(order).fizzShare(), SHARE);
    }

    // ---------------------------------------------------------------- strangers against both

    /// Any number of proposals, and of members where doors are open, costs nobody anything but who makes them.
    function test_stranger_registersByTheHundred() public {
        uint256 fizz = _active(alice, GATEWAY);
        for (uint256 i; i < 50; ++i) {
            _propose(mallory, GATEWAY);
        }
        vm.prank(_hotKey(GATEWAY));
        fizzes.setOpen(GATEWAY, true);
        for (uint256 i; i < 50; ++i) {
            _propose(mallory, GATEWAY);
        }
        uint256 before = gasleft();
        assertTrue(_isActive(GATEWAY, fizz));
        assertLt(before - gasleft(), 50_000);
        (uint256 nodes,) = fizzes.memberOf(GATEWAY, alice);
        assertEq(nodes, 1, "nobody adds to what another's delegation must stand for");
        assertFalse(_isActive(GATEWAY, fizz + 100), "a hundred nodes and no delegation");
        _bidFor(GATEWAY, fizz);
    }

    /// Who registers another's pin first keeps nobody out, and earns nothing of its key's holder's.
    function test_stranger_squatsAPin() public {
        uint256 squatted = _propose(mallory, GATEWAY);
        vm.prank(mallory);
        fizzes.setPayout(squatted, mallory);
        uint256 fizz = _active(alice, GATEWAY);
        assertEq(fizzes.node(fizz).pin, fizzes.node(squatted).pin);
        uint256 order = _bidFor(GATEWAY, fizz);
        _resolve(order);
        assertEq(leases.payeeOf(order), till);
    }

    // ---------------------------------------------------------------- a registry that turned hostile

    /// LeaseBook cannot be changed, so it must open leases whatever stands at the registry's address.
    function test_hostileRegistry_stopsNoMatch() public {
        for (uint8 i; i <= uint8(HostileShares.Trick.Reenter); ++i) {
            uint256 state = vm.snapshotState();
            vm.etch(fizzShares, address(new HostileShares(HostileShares.Trick(i), address(orders))).code);
            uint256 order = _bidFor(GATEWAY, 7);
            _mine(4);
            uint256 before = gasleft();
            vm.prank(keeper);
            orders.resolve(order);
            assertLt(before - gasleft(), 260_000);
            assertEq(uint8(_state(order)), uint8(LeaseState.Pending));
            assertEq(_w0(order).fizzShare(), 0);
            _confirmBy(GATEWAY, order);
            skip(2 * DURATION);
            leases.settle(order);
            assertEq(_net(GATEWAY), _gross(RATE, DURATION) * 7800 / 10_000);
            vm.revertToState(state);
        }
    }

    /// The real one asks no other contract, so there is nobody who could make it fail.
    function test_registry_asksNobodyAboutShares() public {
        uint256 fizz = _active(alice, GATEWAY);
        vm.etch(address(staking), hex"fe");
        vm.etch(address(registry), hex"fe");
        vm.etch(address(votes), hex"fe");
        vm.etch(address(clock), hex"fe");
        (address payee, uint256 share) = IFizzShares(fizzShares).shareOf(GATEWAY, fizz);
        assertEq(payee, till);
        assertEq(share, SHARE);
    }
}
