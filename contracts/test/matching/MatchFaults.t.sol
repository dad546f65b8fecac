// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IMatchTaskManager, Match, Result, Share} from "../../src/interfaces/IMatchTaskManager.sol";
import {IStakingManager} from "../../src/interfaces/IStakingManager.sol";
import {BidWord} from "../../src/lib/BidWord.sol";
import {LeaseWord} from "../../src/lib/LeaseWord.sol";
import {ProfileWord} from "../../src/lib/ProfileWord.sol";
import {Bid, CloseReason, LeaseState, Profile} from "../../src/lib/Types.sol";
import {MatchMessage} from "../../src/matching/MatchMessage.sol";
import {TaskBase} from "./TaskBase.sol";

/// @title  MatchFaultsTest: wrong matches are put right, who signed them pays, and who did not cannot be made to
contract MatchFaultsTest is TaskBase {
    using BidWord for Bid;
    using LeaseWord for uint256;
    using ProfileWord for Profile;

    uint256 private order;
    Bid private right;
    Bid private wrong;
    bytes32 private seed;

    function setUp() public override {
        super.setUp();
        order = _orders(1)[0];
        (right, wrong, seed) = (_best(order), _losing(order), _seed(order));
    }

    // ---------------------------------------------------------------- a wrong match

    /// A lease that nobody confirmed yet goes to whom it belongs.
    function test_challenge_PutsAPendingLeaseRight() public {
        (, bytes32 response) = _matchWrongly(0);
        assertEq(_w0(order).provider(), 2);
        uint256 free = _free();
        vm.expectEmit(address(tasks));
        emit IMatchTaskManager.MatchProvenWrong(order, wrong, right, true, 0);
        tasks.challenge(order, wrong, seed, response);

        assertEq(_w0(order).provider(), 1);
        assertEq(_w1(order).rate(), right.rate());
        assertEq(uint8(_state(order)), uint8(LeaseState.Pending));
        assertEq(_w1(order).end(), block.timestamp + CONFIRM_WINDOW);
        assertEq(_free() - free, _lock(wrong.rate(), DURATION) - _lock(right.rate(), DURATION));
        assertEq(leases.lockedOf(order), _lock(right.rate(), DURATION));
        _confirm(order);
        vm.expectRevert(abi.encodeWithSelector(IMatchTaskManager.MatchTasks_NotTheMatch.selector, order));
        tasks.challenge(order, wrong, seed, response);
    }

    /// The capacity of the two providers follows.
    function test_challenge_MovesTheCapacity() public {
        uint256 first = registry.profile(1).freeUnits();
        uint256 second = registry.profile(2).freeUnits();
        (, bytes32 response) = _matchWrongly(0);
        assertEq(registry.profile(2).freeUnits(), second - _w0(order).units());
        tasks.challenge(order, wrong, seed, response);
        assertEq(registry.profile(2).freeUnits(), second);
        assertEq(registry.profile(1).freeUnits(), first - _w0(order).units());
    }

    /// The right bid may be the dearer one (a better provider): the tenant pays for it out of what it had set aside.
    function test_challenge_ToADearerBid() public {
        (Bid best, Bid cheap) = _orderWithADearWinner();
        (, bytes32 response) = _matchAs(order, cheap, 0);
        uint256 free = _free();
        tasks.challenge(order, cheap, seed, response);
        assertEq(_w0(order).provider(), best.provider());
        assertEq(free - _free(), _lock(best.rate(), DURATION) - _lock(cheap.rate(), DURATION));
    }

    /// It has spent that meanwhile: the lease is off and everything refunded.
    function test_challenge_ToADearerBidThatCannotBePaid() public {
        (, Bid cheap) = _orderWithADearWinner();
        (, bytes32 response) = _matchAs(order, cheap, 0);
        uint256 free = _free();
        vm.prank(tenant);
        escrow.withdraw(wallet, DOLLAR, free, tenant);
        tasks.challenge(order, cheap, seed, response);
        assertEq(uint8(_state(order)), uint8(LeaseState.Closed));
        assertEq(uint8(_reason(order)), uint8(CloseReason.WrongMatch));
        assertEq(_free(), _lock(cheap.rate(), DURATION));
        assertEq(leases.lockedOf(order), 0);
    }

    /// A confirmed lease stands. The tenant is owed the difference, gets it out of the signers' stakes, and leaves freely.
    function test_challenge_OfAConfirmedLease() public {
        (bytes32 digest, bytes32 response) = _matchWrongly(1 << 5);
        vm.prank(_hotKey(2));
        leases.confirm(order);
        // In dollars of 6 decimals, and as SPON at a dollar, rounded to cents.
        uint256 loss = _lock(wrong.rate() - right.rate(), DURATION) / 1e4 * 1e16;
        vm.expectEmit(address(tasks));
        emit IMatchTaskManager.MatchProvenWrong(order, wrong, right, false, loss);
        vm.prank(reporter);
        tasks.challenge(order, wrong, seed, response);
        assertEq(_w0(order).provider(), 2);

        uint256[] memory signers = new uint256[](2);
        (signers[0], signers[1]) = (1, 2);
        uint256 era = _eraOf(order);
        bytes memory silent = _nonSigners(era, 1 << 5);
        vm.prank(reporter);
        tasks.punishSigners(order, digest, era, silent, signers);
        // Half of each stake is taken, half of that pays.
        assertEq(_staked(1), STAKE / 2);
        assertEq(spon.balanceOf(tenant) + spon.balanceOf(reporter), STAKE / 2);
        assertEq(spon.balanceOf(tenant), loss);
        assertEq(operators.ejectedIn(1), clock.current());

        vm.prank(tenant);
        leases.close(order);
        assertEq(uint8(_reason(order)), uint8(CloseReason.TenantClosed));
    }

    function test_challenge_RevertIf_TheMatchWasRight() public {
        Match[] memory matches = _matchesOf(order, right);
        (, bytes32 response) = _response(matches, 0);
        _respond(matches, 0);
        vm.expectRevert(abi.encodeWithSelector(IMatchTaskManager.MatchTasks_NoCase.selector, order));
        tasks.challenge(order, right, seed, response);
    }

    function test_challenge_RevertIf_ItIsAnotherMatch() public {
        (, bytes32 response) = _matchWrongly(0);
        bytes memory notTheMatch = abi.encodeWithSelector(IMatchTaskManager.MatchTasks_NotTheMatch.selector, order);
        vm.expectRevert(notTheMatch);
        tasks.challenge(order, right, seed, response);
        vm.expectRevert(notTheMatch);
        tasks.challenge(order, wrong, seed, keccak256("response"));
        vm.expectRevert(notTheMatch);
        tasks.challenge(order, wrong, keccak256("seed"), response);
    }

    /// What `resolve` decided has no response, and is right.
    function test_challenge_RevertIf_Resolved() public {
        orders.resolve(order);
        vm.expectRevert(abi.encodeWithSelector(IMatchTaskManager.MatchTasks_NotTheMatch.selector, order));
        tasks.challenge(order, right, seed, 0);
    }

    function test_challenge_RevertIf_Twice() public {
        (, bytes32 response) = _matchWrongly(0);
        vm.prank(_hotKey(2));
        leases.confirm(order);
        tasks.challenge(order, wrong, seed, response);
        vm.expectRevert(abi.encodeWithSelector(IMatchTaskManager.MatchTasks_NoCase.selector, order));
        tasks.challenge(order, wrong, seed, response);
    }

    // ---------------------------------------------------------------- who signed it

    function test_punishSigners_RevertIf_TheyDidNot() public {
        (bytes32 digest, bytes32 response) = _matchWrongly(1 << 5);
        tasks.challenge(order, wrong, seed, response);
        uint256 era = _eraOf(order);
        bytes memory silent = _nonSigners(era, 1 << 5);
        uint256[] memory one = new uint256[](1);
        one[0] = 5;
        vm.expectRevert(abi.encodeWithSelector(IMatchTaskManager.MatchTasks_NotSigned.selector, "a non-signer"));
        tasks.punishSigners(order, digest, era, silent, one);
        one[0] = 8;
        vm.expectRevert(abi.encodeWithSelector(IMatchTaskManager.MatchTasks_NotMember.selector, 8, era));
        tasks.punishSigners(order, digest, era, silent, one);
        // Nor can the one who was silent be left out of the list.
        one[0] = 5;
        vm.expectRevert(abi.encodeWithSelector(IMatchTaskManager.MatchTasks_NotTheMatch.selector, order));
        tasks.punishSigners(order, digest, era, "", one);
    }

    function test_punishSigners_RevertIf_NothingIsProven() public {
        (bytes32 digest,) = _matchWrongly(0);
        uint256 era = _eraOf(order);
        vm.expectRevert(abi.encodeWithSelector(IMatchTaskManager.MatchTasks_NotTheMatch.selector, order));
        tasks.punishSigners(order, digest, era, "", new uint256[](0));
    }

    // ---------------------------------------------------------------- a wrong share

    /// A single share is enough, whether or not a quorum came of it.
    function test_proveLie() public {
        Match[] memory lie = _matchesOf(order, wrong);
        Share memory share = _shareOf(4, lie);
        uint256 supply = spon.totalSupply();
        vm.expectEmit(address(operatorStaking));
        emit IStakingManager.StakeSlashed(4, STAKE / 2, address(tasks), bytes32(order));
        vm.expectEmit(address(tasks));
        emit IMatchTaskManager.OperatorPunished(4, bytes32(order), STAKE / 2, 0, reporter);
        vm.prank(reporter);
        tasks.proveLie(share, lie[0]);
        assertEq(_staked(4), STAKE / 2);
        assertEq(spon.balanceOf(reporter), STAKE / 4);
        assertEq(spon.totalSupply(), supply - STAKE / 4);
        assertEq(operators.ejectedIn(4), clock.current());

        vm.expectRevert(
            abi.encodeWithSelector(IMatchTaskManager.MatchTasks_AlreadyPunished.selector, 4, bytes32(order))
        );
        tasks.proveLie(share, lie[0]);
    }

    /// The lie is one of many leaves, the others of which are true.
    function test_proveLie_AmongMany() public {
        uint256[] memory ids = _orders(5);
        Match[] memory matches = _matches(ids);
        matches[3].bid = _losing(ids[3]);
        Share memory share = _shareOf(2, matches);
        for (uint256 i; i < 5; ++i) {
            if (i != 3) {
                vm.expectRevert(abi.encodeWithSelector(IMatchTaskManager.MatchTasks_NoCase.selector, ids[i]));
                tasks.proveLie(share, matches[i]);
            }
        }
        tasks.proveLie(share, matches[3]);
        assertEq(_staked(2), STAKE / 2);
    }

    /// Whatever became of the order in the end.
    function test_proveLie_AfterTheOrderWasResolved() public {
        Match[] memory lie = _matchesOf(order, wrong);
        Share memory share = _shareOf(4, lie);
        orders.resolve(order);
        _confirm(order);
        tasks.proveLie(share, lie[0]);
        assertEq(_staked(4), STAKE / 2);
    }

    function test_proveLie_RevertIf_ItIsTheTruth() public {
        Match[] memory truth = _matchesOf(order, right);
        Share memory share = _shareOf(4, truth);
        vm.expectRevert(abi.encodeWithSelector(IMatchTaskManager.MatchTasks_NoCase.selector, order));
        tasks.proveLie(share, truth[0]);
    }

    /// Nobody can put words into another's mouth.
    function test_proveLie_RevertIf_ItIsForged() public {
        Match[] memory lie = _matchesOf(order, wrong);
        Share memory share = _shareOf(4, lie);
        share.operator = 5;
        bytes memory notSigned = abi.encodeWithSelector(IMatchTaskManager.MatchTasks_NotSigned.selector, "root");
        vm.expectRevert(notSigned);
        tasks.proveLie(share, lie[0]);
        share.operator = 8;
        vm.expectRevert(abi.encodeWithSelector(IMatchTaskManager.MatchTasks_NotMember.selector, 8, _eraOf(order)));
        tasks.proveLie(share, lie[0]);

        Match[] memory truth = _matchesOf(order, right);
        share = _shareOf(4, truth);
        Match memory other = _matchesOf(order, wrong)[0];
        vm.expectRevert(abi.encodeWithSelector(IMatchTaskManager.MatchTasks_NotSigned.selector, "leaf"));
        tasks.proveLie(share, other);
        vm.chainId(block.chainid + 1);
        vm.expectRevert(notSigned);
        tasks.proveLie(share, truth[0]);
    }

    /// A root of one closing block or set says nothing of another's orders.
    function test_proveLie_RevertIf_ItIsOfAnotherBlock() public {
        uint256 later = _orders(1)[0];
        Match[] memory lie = _matchesOf(later, _losing(later));
        Share memory share = _shareOf(4, lie);
        lie[0].order = order;
        vm.expectRevert(abi.encodeWithSelector(IMatchTaskManager.MatchTasks_NotTheMatch.selector, order));
        tasks.proveLie(share, lie[0]);
    }

    /// What was right on a chain that a re-org took away is no lie on this one: the leaf names that chain's block.
    function test_proveLie_RevertIf_TheBlockWasReplaced() public {
        Match[] memory lie = _matchesOf(order, wrong);
        Share memory share = _shareOf(4, lie);
        vm.setBlockhash(_closeBlock(order), keccak256("another block"));
        vm.expectRevert(abi.encodeWithSelector(IMatchTaskManager.MatchTasks_NotSigned.selector, "leaf"));
        tasks.proveLie(share, lie[0]);
    }

    function test_proveLie_RevertIf_TheSeedWasReplaced() public {
        Match[] memory lie = _matchesOf(order, wrong);
        Share memory share = _shareOf(4, lie);
        vm.setBlockhash(_closeBlock(order) + 1, keccak256("another block"));
        vm.expectRevert(abi.encodeWithSelector(IMatchTaskManager.MatchTasks_NotSigned.selector, "leaf"));
        tasks.proveLie(share, lie[0]);
    }

    // ---------------------------------------------------------------- equivocation

    function test_proveEquivocation_OnAChainThatIsNoMore() public {
        Result memory r = _result(order);
        (r.closeHash, r.seed) = (keccak256("a block"), keccak256("its seed"));
        (Share memory a, Share memory b) = (_shareOfLeaf(6, r, 11), _shareOfLeaf(6, r, 12));
        tasks.proveEquivocation(a, b, r, [uint256(11), 12], new bytes32[](0), new bytes32[](0));
        assertEq(_staked(6), STAKE / 2);
        bytes32 matter = keccak256(abi.encode(r.orderHash));
        vm.expectRevert(abi.encodeWithSelector(IMatchTaskManager.MatchTasks_AlreadyPunished.selector, 6, matter));
        tasks.proveEquivocation(a, b, r, [uint256(11), 12], new bytes32[](0), new bytes32[](0));
    }

    /// Two results that differ in more than the bid are none: each can be true of its own chain.
    function testFuzz_proveEquivocation_RevertIf_MoreDiffers(uint256 field, bytes32 value) public {
        Result memory r = _result(order);
        Result memory other = _result(order);
        field %= 3;
        if (field == 0) other.closeHash = value;
        if (field == 1) other.seed = value;
        if (field == 2) other.policy = uint256(value);
        if (keccak256(abi.encode(r)) == keccak256(abi.encode(other))) return;
        Share memory a = _shareOfLeaf(6, r, 11);
        Share memory b = _shareOfLeaf(6, other, 12);
        vm.expectRevert(abi.encodeWithSelector(IMatchTaskManager.MatchTasks_NotSigned.selector, "leaf"));
        tasks.proveEquivocation(a, b, r, [uint256(11), 12], new bytes32[](0), new bytes32[](0));
    }

    function test_proveEquivocation_RevertIf_OneAndTheSame() public {
        Result memory r = _result(order);
        Share memory a = _shareOfLeaf(6, r, 11);
        vm.expectRevert(abi.encodeWithSelector(IMatchTaskManager.MatchTasks_NotSigned.selector, "two bids"));
        tasks.proveEquivocation(a, a, r, [uint256(11), 11], new bytes32[](0), new bytes32[](0));
        Share memory b = _shareOfLeaf(7, r, 12);
        vm.expectRevert(abi.encodeWithSelector(IMatchTaskManager.MatchTasks_NotSigned.selector, "one operator"));
        tasks.proveEquivocation(a, b, r, [uint256(11), 12], new bytes32[](0), new bytes32[](0));
    }

    // ---------------------------------------------------------------- helpers

    function _matchesOf(uint256 id, Bid bid) private pure returns (Match[] memory matches) {
        matches = new Match[](1);
        (matches[0].order, matches[0].bid) = (id, bid);
    }

    function _matchWrongly(uint256 silent) private returns (bytes32 digest, bytes32 response) {
        return _matchAs(order, wrong, silent);
    }

    function _matchAs(uint256 id, Bid bid, uint256 silent) private returns (bytes32 digest, bytes32 response) {
        Match[] memory matches = _matchesOf(id, bid);
        (digest, response) = _response(matches, silent);
        assertEq(_respond(matches, silent), 1);
    }

    /// @dev Provider 5 is of the best tier and bids a little more than provider 2.
    function _orderWithADearWinner() private returns (Bid best, Bid cheap) {
        uint256 provider = _provider(5);
        vm.prank(governor);
        registry.setTrustTier(provider, 1);
        order = _create();
        _bid(2, order, RATE);
        _bid(5, order, RATE + RATE / 50);
        _mine(4);
        (best, cheap, seed) = (_best(order), _losing(order), _seed(order));
        assertEq(best.provider(), provider);
    }

    /// @dev A root that is one leaf.
    function _shareOfLeaf(uint256 operator, Result memory r, uint256 bid) private view returns (Share memory share) {
        share.root = MatchMessage.leafOf(r, bid);
        (share.operator, share.setEra, share.closeBlock) = (uint32(operator), uint32(_eraOf(order)), 7);
        share.signature = _sign(_secretOf(operator), tasks.rootDigest(7, share.setEra, share.root));
    }
}
