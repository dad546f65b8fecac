// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {SubnetRules} from "../../src/fizz/SubnetRules.sol";
import {Fizz, FizzState, SubnetTerms} from "../../src/interfaces/IFizzRegistry.sol";
import {SubnetProposal} from "../../src/interfaces/ISubnetGovernor.sol";
import {FizzBase} from "../fizz/FizzBase.sol";
import {FizzHandler} from "./FizzHandler.sol";

/// @title  FizzInvariants: what holds in subnets after any order of joining, leaving, staking, slashing and voting
/// @notice L1 an active light node is a member, not expelled, and its owner has delegated enough for all of its nodes
///         L2 an owner's nodes are counted as they are
///         L3 a share is at most SubnetRules.MAX_SHARE and never less than the node works for
///         L4 a node is paid where its owner said last
///         L5 what was voted is what the voters held at the snapshot, and never more than all there was
///         L6 what stakers held at the end of an era sums up to the pool's shares, and never changes once the era is over
///         L7 nothing that is possible reverts (fail-on-revert)
///         Most of it stays wrong once it is, and a look is dearer than a call: every fifth call and the last are looked at.
contract FizzInvariants is FizzBase {
    FizzHandler private handler;

    function setUp() public override {
        super.setUp();
        handler = new FizzHandler(fizzes, votes, staking, registry, clock, spon, address(leases));
        uint64 role = manager.ADMIN_ROLE();
        vm.prank(governor);
        manager.grantRole(role, address(handler), 0);
        targetContract(address(handler));
        // Some of the actors are there already; the rest come by themselves.
        for (uint256 i; i < 4; ++i) {
            _delegate(handler.actors(i), i % 2 + 1, 300e18);
            _join(handler.actors(i), i % 2 + 1);
        }
        _nextEra();
    }

    /// forge-config: default.invariant.fail-on-revert = true
    /// forge-config: default.invariant.runs = 100
    /// forge-config: default.invariant.check-interval = 5
    function invariant_subnets() public view {
        for (uint256 fizz = 1; fizz <= fizzes.fizzCount(); ++fizz) {
            _checkNode(fizz);
        }
    }

    /// @dev What only grows, or would stay wrong once it is, is looked at when a run is over.
    function afterInvariant() public view {
        assertTrue(handler.endsStand(), "L6");
        for (uint256 provider = GATEWAY; provider <= OTHER; ++provider) {
            for (uint256 i; i < handler.actorCount(); ++i) {
                (uint256 nodes,) = fizzes.memberOf(provider, handler.actors(i));
                assertEq(nodes, _count(provider, handler.actors(i)), "L2");
            }
            for (uint256 era = 1; era < clock.current(); ++era) {
                _checkEnd(provider, era);
            }
        }
        for (uint256 proposal = 1; proposal <= votes.proposalCount(); ++proposal) {
            SubnetProposal memory p = votes.proposalOf(proposal);
            assertEq(uint256(p.yes) + p.no, handler.cast(proposal), "L5");
            assertLe(uint256(p.yes) + p.no, p.total, "L5");
        }
    }

    function _checkNode(uint256 fizz) private view {
        Fizz memory n = fizzes.node(fizz);
        (address payee, uint256 share) = fizzes.shareOf(n.provider, fizz);
        if (n.state == FizzState.Member || n.state == FizzState.Left) {
            assertLe(share, SubnetRules.MAX_SHARE, "L3");
            assertGe(share, n.minShare, "L3");
            if (handler.payoutOf(fizz) != address(0)) assertEq(payee, handler.payoutOf(fizz), "L4");
        } else {
            assertEq(payee, address(0), "L3");
            assertEq(share, 0, "L3");
        }
        if (!_isActive(n.provider, fizz)) return;
        SubnetTerms memory terms = fizzes.termsOf(n.provider);
        (, bool expelled) = fizzes.memberOf(n.provider, n.owner);
        assertEq(uint8(n.state), uint8(FizzState.Member), "L1");
        assertFalse(expelled, "L1");
        assertGe(terms.share, n.minShare, "L1");
        uint256 held = staking.tokensFor(n.provider, staking.sharesOf(n.provider, n.owner));
        assertGe(held + staking.DEAD_SHARES(), terms.minDelegation * _count(n.provider, n.owner), "L1");
    }

    /// @dev All that is not the actors' is what an empty pool's first deposit left to nobody.
    function _checkEnd(uint256 provider, uint256 era) private view {
        uint256 sum;
        for (uint256 i; i < handler.actorCount(); ++i) {
            sum += staking.sharesAt(provider, handler.actors(i), era);
        }
        uint256 total = staking.totalSharesAt(provider, era);
        assertEq(total, total == 0 ? sum : sum + staking.DEAD_SHARES(), "L6");
    }

    function _count(uint256 provider, address owner) private view returns (uint256 count) {
        for (uint256 fizz = 1; fizz <= fizzes.fizzCount(); ++fizz) {
            Fizz memory n = fizzes.node(fizz);
            if (n.owner == owner && n.provider == provider && n.state == FizzState.Member) ++count;
        }
    }
}
