// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Fizz, FizzOffer, FizzState, IFizzRegistry} from "../../src/interfaces/IFizzRegistry.sol";
import {Resources} from "../../src/lib/Types.sol";
import {FizzBase} from "./FizzBase.sol";

/// @title  FizzRegistry: registration, acceptance, exit, pins and payouts of light nodes (SP-35)
contract FizzRegistryTest is FizzBase {
    // ---------------------------------------------------------------- register

    function test_register() public {
        vm.expectEmit(address(fizzes));
        emit IFizzRegistry.FizzRegistered(1, GATEWAY, alice, till, SHARE, PIN, _offer());
        uint256 fizz = _propose(alice, GATEWAY);
        assertEq(fizz, 1);
        assertEq(fizzes.fizzCount(), 1);
        Fizz memory n = fizzes.node(fizz);
        assertEq(n.owner, alice);
        assertEq(n.provider, GATEWAY);
        assertEq(n.minShare, SHARE);
        assertEq(uint8(n.state), uint8(FizzState.Proposed));
        assertEq(n.payout, till);
        assertEq(n.pin, PIN);
        assertEq(n.nextPin, 0);
        assertEq(fizzes.whyNot(GATEWAY, fizz), "light node: not accepted yet");
        assertEq(_propose(bob, OTHER), 2, "ids are the network's");
    }

    function test_register_withoutSubnet() public {
        uint256 plain = _provider(3);
        vm.expectRevert(abi.encodeWithSelector(IFizzRegistry.FizzRegistry_NoSubnet.selector, plain));
        fizzes.register(plain, till, 0, PIN, _offer());
    }

    function test_register_forMoreThanTheSubnetGives() public {
        vm.expectRevert(abi.encodeWithSelector(IFizzRegistry.FizzRegistry_BadShare.selector, SHARE + 1, SHARE));
        fizzes.register(GATEWAY, till, SHARE + 1, PIN, _offer());
    }

    function test_register_badRecords() public {
        _refused("payout", address(0), PIN, _offer());
        _refused("payout", address(uint160(type(uint32).max)), PIN, _offer());
        _refused("pin", till, 0, _offer());
        FizzOffer memory nothing = _offer();
        nothing.capacity = Resources.wrap(uint256(8192) << 32);
        _refused("capacity", till, PIN, nothing);
        nothing.capacity = Resources.wrap(4000);
        _refused("capacity", till, PIN, nothing);
        fizzes.register(GATEWAY, address(uint160(1) << 32), SHARE, PIN, _offer());
    }

    function test_register_whereDoorsAreOpen() public {
        vm.prank(_hotKey(GATEWAY));
        vm.expectEmit(address(fizzes));
        emit IFizzRegistry.SubnetOpened(GATEWAY, true);
        fizzes.setOpen(GATEWAY, true);
        vm.expectEmit(address(fizzes));
        emit IFizzRegistry.FizzJoined(1, GATEWAY);
        uint256 fizz = _propose(alice, GATEWAY);
        assertEq(uint8(fizzes.node(fizz).state), uint8(FizzState.Member));

        vm.prank(_owner(GATEWAY));
        fizzes.setOpen(GATEWAY, false);
        assertFalse(fizzes.isOpen(GATEWAY));
        assertEq(uint8(fizzes.node(_propose(alice, GATEWAY)).state), uint8(FizzState.Proposed));
    }

    // ---------------------------------------------------------------- accept

    function test_accept_byOwnerOrHotKey() public {
        uint256 first = _propose(alice, GATEWAY);
        uint256 second = _propose(alice, GATEWAY);
        vm.expectEmit(address(fizzes));
        emit IFizzRegistry.FizzJoined(first, GATEWAY);
        vm.prank(_hotKey(GATEWAY));
        fizzes.accept(first);
        vm.prank(_owner(GATEWAY));
        fizzes.accept(second);
        (uint256 nodes, bool expelled) = fizzes.memberOf(GATEWAY, alice);
        assertEq(nodes, 2);
        assertFalse(expelled);
    }

    function test_accept_byNobodyElse() public {
        uint256 fizz = _propose(alice, GATEWAY);
        address[4] memory others = [alice, stranger, _hotKey(OTHER), _owner(OTHER)];
        for (uint256 i; i < others.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IFizzRegistry.FizzRegistry_NotProvider.selector, GATEWAY, others[i]));
            vm.prank(others[i]);
            fizzes.accept(fizz);
        }
    }

    function test_accept_onlyProposals() public {
        _wrongState(9, FizzState.None);
        uint256 fizz = _join(alice, GATEWAY);
        _wrongState(fizz, FizzState.Member);
        vm.prank(alice);
        fizzes.exit(fizz);
        _wrongState(fizz, FizzState.Left);
    }

    /// The share fell below what the node works for: it does not become a member against its will.
    function test_accept_forLessThanAsked() public {
        uint256 fizz = _propose(alice, GATEWAY);
        _nextEra();
        _decideTerms(GATEWAY, _subnetTerms(SHARE - 1, DELEGATION));
        _nextEra();
        vm.expectRevert(abi.encodeWithSelector(IFizzRegistry.FizzRegistry_BadShare.selector, SHARE, SHARE - 1));
        vm.prank(_hotKey(GATEWAY));
        fizzes.accept(fizz);
        vm.prank(alice);
        fizzes.lowerMinShare(fizz, SHARE - 1);
        vm.prank(_hotKey(GATEWAY));
        fizzes.accept(fizz);
    }

    // ---------------------------------------------------------------- exit

    function test_exit_ofAMember() public {
        uint256 fizz = _active(alice, GATEWAY);
        vm.expectEmit(address(fizzes));
        emit IFizzRegistry.FizzLeft(fizz, GATEWAY);
        vm.prank(alice);
        fizzes.exit(fizz);
        assertEq(fizzes.whyNot(GATEWAY, fizz), "light node: has left");
        (uint256 nodes,) = fizzes.memberOf(GATEWAY, alice);
        assertEq(nodes, 0);
        vm.expectRevert(abi.encodeWithSelector(IFizzRegistry.FizzRegistry_WrongState.selector, fizz, FizzState.Left));
        vm.prank(alice);
        fizzes.exit(fizz);
    }

    function test_exit_ofAProposal() public {
        uint256 fizz = _propose(alice, GATEWAY);
        vm.prank(alice);
        fizzes.exit(fizz);
        assertEq(fizzes.node(fizz).owner, address(0));
        assertEq(fizzes.whyNot(GATEWAY, fizz), "no light node of this provider");
        (uint256 nodes,) = fizzes.memberOf(GATEWAY, alice);
        assertEq(nodes, 0);
        assertEq(_propose(alice, GATEWAY), fizz + 1, "no id is given twice");
    }

    function test_nodesFrom() public {
        assertEq(fizzes.nodesFrom(1, 10).length, 0);
        uint256 taken = _propose(alice, GATEWAY);
        _propose(alice, GATEWAY);
        uint256 last = _propose(bob, GATEWAY);
        vm.prank(alice);
        fizzes.exit(taken);

        Fizz[] memory page = fizzes.nodesFrom(1, 2);
        assertEq(page.length, 2);
        assertEq(uint8(page[0].state), uint8(FizzState.None), "taken back");
        assertEq(page[1].owner, alice);
        page = fizzes.nodesFrom(last, type(uint256).max);
        assertEq(page.length, 1);
        assertEq(page[0].owner, bob);
        assertEq(fizzes.nodesFrom(last + 1, 10).length, 0);
        assertEq(fizzes.nodesFrom(type(uint256).max, type(uint256).max).length, 0);
        assertEq(fizzes.nodesFrom(0, 10).length, 4, "the first is nobody's");
    }

    // ---------------------------------------------------------------- an owner's settings

    function test_ownersOnly() public {
        uint256 fizz = _active(alice, GATEWAY);
        address[3] memory others = [stranger, _owner(GATEWAY), _hotKey(GATEWAY)];
        bytes[5] memory calls = [
            abi.encodeCall(IFizzRegistry.exit, (fizz)),
            abi.encodeCall(IFizzRegistry.announce, (fizz, _offer())),
            abi.encodeCall(IFizzRegistry.rotatePin, (fizz, PIN)),
            abi.encodeCall(IFizzRegistry.setPayout, (fizz, stranger)),
            abi.encodeCall(IFizzRegistry.lowerMinShare, (fizz, 0))
        ];
        for (uint256 i; i < others.length; ++i) {
            for (uint256 k; k < calls.length; ++k) {
                vm.prank(others[i]);
                (bool ok, bytes memory why) = address(fizzes).call(calls[k]);
                assertFalse(ok);
                assertEq(why, abi.encodeWithSelector(IFizzRegistry.FizzRegistry_NotOwner.selector, fizz, others[i]));
            }
        }
    }

    function test_announce() public {
        uint256 fizz = _join(alice, GATEWAY);
        FizzOffer memory offer = _offer();
        offer.core = 7;
        vm.expectEmit(address(fizzes));
        emit IFizzRegistry.FizzOffered(fizz, offer);
        vm.startPrank(alice);
        fizzes.announce(fizz, offer);
        offer.capacity = Resources.wrap(0);
        vm.expectRevert(abi.encodeWithSelector(IFizzRegistry.FizzRegistry_BadRecord.selector, "capacity"));
        fizzes.announce(fizz, offer);
        vm.stopPrank();
    }

    function test_rotatePin() public {
        uint256 fizz = _join(alice, GATEWAY);
        _rotate(fizz, "b", PIN, "b");
        _rotate(fizz, "c", "b", "c");
        // Twice drops the key before.
        _rotate(fizz, 0, "c", 0);
        _rotate(fizz, "d", "c", "d");
    }

    function test_setPayout() public {
        uint256 fizz = _join(alice, GATEWAY);
        vm.expectEmit(address(fizzes));
        emit IFizzRegistry.FizzPayoutSet(fizz, bob);
        vm.startPrank(alice);
        fizzes.setPayout(fizz, bob);
        vm.expectRevert(abi.encodeWithSelector(IFizzRegistry.FizzRegistry_BadRecord.selector, "payout"));
        fizzes.setPayout(fizz, address(uint160(GATEWAY)));
        vm.stopPrank();
        (address payee,) = fizzes.shareOf(GATEWAY, fizz);
        assertEq(payee, bob);
    }

    function test_lowerMinShare() public {
        uint256 fizz = _join(alice, GATEWAY);
        vm.startPrank(alice);
        vm.expectRevert(abi.encodeWithSelector(IFizzRegistry.FizzRegistry_BadShare.selector, SHARE + 1, SHARE));
        fizzes.lowerMinShare(fizz, SHARE + 1);
        vm.expectEmit(address(fizzes));
        emit IFizzRegistry.FizzMinShareSet(fizz, 100);
        fizzes.lowerMinShare(fizz, 100);
        vm.stopPrank();
        assertEq(fizzes.node(fizz).minShare, 100);
    }

    // ---------------------------------------------------------------- shareOf

    function test_shareOf() public {
        _share(GATEWAY, 1, address(0), 0);
        uint256 fizz = _propose(alice, GATEWAY);
        _share(GATEWAY, fizz, address(0), 0);
        vm.prank(_hotKey(GATEWAY));
        fizzes.accept(fizz);
        _share(GATEWAY, fizz, till, SHARE);
        _share(OTHER, fizz, address(0), 0);
        _share(0, 0, address(0), 0);
        _share(0, fizz, address(0), 0);
        // A bid that named it while it was active still pays it.
        vm.prank(alice);
        fizzes.exit(fizz);
        _share(GATEWAY, fizz, till, SHARE);
    }

    /// A vote for a lower share: bids made before pay what the node works for, new ones may not name it.
    function test_shareOf_neverBelowTheNodesOwn() public {
        uint256 fizz = _active(alice, GATEWAY);
        _nextEra();
        _decideTerms(GATEWAY, _subnetTerms(1000, DELEGATION));
        assertTrue(_isActive(GATEWAY, fizz), "not before the next era");
        _nextEra();
        assertEq(fizzes.whyNot(GATEWAY, fizz), "light node: works for a higher share only");
        _share(GATEWAY, fizz, till, SHARE);
        vm.prank(alice);
        fizzes.lowerMinShare(fizz, 1000);
        assertTrue(_isActive(GATEWAY, fizz));
        _share(GATEWAY, fizz, till, 1000);
    }

    // ---------------------------------------------------------------- helpers

    function _refused(string memory what, address payout, bytes32 pin, FizzOffer memory offer) private {
        vm.expectRevert(abi.encodeWithSelector(IFizzRegistry.FizzRegistry_BadRecord.selector, what));
        fizzes.register(GATEWAY, payout, SHARE, pin, offer);
    }

    function _wrongState(uint256 fizz, FizzState state) private {
        vm.expectRevert(abi.encodeWithSelector(IFizzRegistry.FizzRegistry_WrongState.selector, fizz, state));
        vm.prank(_hotKey(GATEWAY));
        fizzes.accept(fizz);
    }

    function _rotate(uint256 fizz, bytes32 to, bytes32 current, bytes32 next) private {
        vm.expectEmit(address(fizzes));
        emit IFizzRegistry.FizzPinRotated(fizz, current, next);
        vm.prank(alice);
        fizzes.rotatePin(fizz, to);
        assertEq(fizzes.node(fizz).pin, current);
        assertEq(fizzes.node(fizz).nextPin, next);
    }

    function _share(uint256 provider, uint256 fizz, address payee, uint256 share) private view {
        (address payee_, uint256 share_) = fizzes.shareOf(provider, fizz);
        assertEq(payee_, payee);
        assertEq(share_, share);
    }
}
