// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IMatchTaskManager, Match, Result, Share} from "../../src/interfaces/IMatchTaskManager.sol";
import {BidWord} from "../../src/lib/BidWord.sol";
import {LeaseWord} from "../../src/lib/LeaseWord.sol";
import {Bid, CloseReason} from "../../src/lib/Types.sol";
import {MatchMessage} from "../../src/matching/MatchMessage.sol";
import {TaskBase} from "./TaskBase.sol";

/// @title  MatchPenaltiesTest: the tenant comes first, and no liar does better by showing itself
contract MatchPenaltiesTest is TaskBase {
    using BidWord for Bid;
    using LeaseWord for uint256;

    uint256 private order;
    Bid private right;
    Bid private wrong;
    bytes32 private seed;
    bytes32 private digest;
    bytes32 private response;
    address private delegator = makeAddr("delegator");

    function setUp() public override {
        super.setUp();
        order = _orders(1)[0];
        (right, wrong, seed) = (_best(order), _losing(order), _seed(order));
    }

    // ---------------------------------------------------------------- the tenant comes first

    /// A liar that shows itself before anybody challenged would have its tenant's part as a reward.
    function test_proveLie_RevertIf_TheLieIsALeaseThatNobodyChallenged() public {
        Share memory share = _shareOf(1, _matchWrongly());
        bytes memory first = abi.encodeWithSelector(IMatchTaskManager.MatchTasks_ChallengeFirst.selector, order);
        vm.expectRevert(first);
        tasks.proveLie(share, _lie());
        vm.prank(_hotKey(2));
        leases.confirm(order);
        vm.expectRevert(first);
        tasks.proveLie(share, _lie());

        tasks.challenge(order, wrong, seed, response);
        vm.prank(reporter);
        tasks.proveLie(share, _lie());
        // It is owed more than half of what one signer loses, and has all of that half.
        assertGt(_loss(DURATION), STAKE / 4);
        assertEq(spon.balanceOf(tenant), STAKE / 4);
        assertEq(spon.balanceOf(reporter), 0);
    }

    /// What was put right, or decided by anyone else, stands in nobody's way.
    function test_proveLie_OnceTheLeaseIsRight() public {
        Share memory share = _shareOf(1, _matchWrongly());
        tasks.challenge(order, wrong, seed, response);
        vm.prank(reporter);
        tasks.proveLie(share, _lie());
        assertEq(spon.balanceOf(reporter), STAKE / 4);
    }

    /// A bid of nobody is a lie that no lease can be of.
    function test_proveLie_ABidOfNobody() public {
        Match[] memory matches = _lies();
        matches[0].bid = Bid.wrap(1 << 200);
        Share memory share = _shareOf(3, matches);
        tasks.proveLie(share, matches[0]);
        assertEq(_staked(3), STAKE / 2);
    }

    // ---------------------------------------------------------------- the signers

    /// A liar that is punished first, by itself or by its share, does not shield the others.
    function test_punishSigners_PassesOverWhoWasPunished() public {
        Share memory share = _shareOf(2, _matchWrongly());
        tasks.challenge(order, wrong, seed, response);
        tasks.proveLie(share, _lie());
        _punish(_list(1, 2, 3, 3));
        assertEq(_staked(1), STAKE / 2);
        assertEq(_staked(2), STAKE / 2);
        assertEq(_staked(3), STAKE / 2);
        assertEq(_staked(4), STAKE);
    }

    function test_punishSigners_RevertIf_NobodyIsLeft() public {
        _matchWrongly();
        tasks.challenge(order, wrong, seed, response);
        _punish(_list(1, 2, 3, 4));
        uint256 era = _eraOf(order);
        vm.expectRevert(abi.encodeWithSelector(IMatchTaskManager.MatchTasks_NoCase.selector, order));
        tasks.punishSigners(order, digest, era, "", _list(4, 3, 2, 1));
    }

    /// A liar that contradicts itself about something with the number of an order is not done with the order by that.
    function test_punishSigners_WhoContradictedItselfBefore() public {
        _matchWrongly();
        vm.prank(_hotKey(2));
        leases.confirm(order);
        tasks.challenge(order, wrong, seed, response);
        Result memory r = _result(order);
        r.orderHash = bytes32(order);
        (Share memory a, Share memory b) = (_shareOfLeaf(1, r, 11), _shareOfLeaf(1, r, 12));
        tasks.proveEquivocation(a, b, r, [uint256(11), 12], new bytes32[](0), new bytes32[](0));
        _punish(_list(1, 1, 1, 1));
        assertEq(_staked(1), STAKE / 4);
        assertEq(spon.balanceOf(tenant), STAKE / 8);
    }

    // ---------------------------------------------------------------- what it lost

    /// The provider that did not confirm in time missed it, and not the one whose it should have been.
    function test_challenge_OfALeaseThatIsOverdue() public {
        _matchWrongly();
        skip(CONFIRM_WINDOW + 1);
        _expectOwed(0);
        assertEq(_w0(order).provider(), wrong.provider());
        leases.expire(order);
        assertEq(uint8(_reason(order)), uint8(CloseReason.NotConfirmed));
    }

    /// Nobody confirmed, so nobody paid.
    function test_challenge_OfALeaseThatNeverRan() public {
        _matchWrongly();
        vm.prank(tenant);
        leases.close(order);
        _expectOwed(0);
    }

    function test_challenge_OfALeaseThatHasEnded() public {
        _matchWrongly();
        vm.prank(_hotKey(2));
        leases.confirm(order);
        skip(3 hours);
        vm.prank(tenant);
        leases.close(order);
        _expectOwed(_loss(3 hours));
    }

    /// Who extends it knows what it costs.
    function test_challenge_OfALeaseThatWasExtended() public {
        _matchWrongly();
        vm.prank(_hotKey(2));
        leases.confirm(order);
        vm.prank(tenant);
        leases.extend(order, 1 hours);
        _expectOwed(_loss(DURATION));
    }

    // ---------------------------------------------------------------- delegators

    /// An owner with a tenth of the stake that contradicts itself loses half of what is its own, of which it gets half
    /// back; its delegators' part is burnt, not paid to it.
    function test_reporter_DoesNotLiveOnDelegators() public {
        _delegate(1, 9 * STAKE);
        uint256 supply = spon.totalSupply();
        (Share memory a, Share memory b, Result memory result) = _contradiction(1);
        vm.prank(reporter);
        tasks.proveEquivocation(a, b, result, [uint256(11), 12], new bytes32[](0), new bytes32[](0));
        assertEq(_staked(1), 5 * STAKE);
        assertEq(spon.balanceOf(reporter), STAKE / 4);
        assertEq(spon.totalSupply(), supply - 5 * STAKE + STAKE / 4);
    }

    /// A liar cannot have its stake back as the reporter of one contradiction after another before its tenants come.
    function test_reporter_IsPaidForTheFirstFaultAlone() public {
        _matchWrongly();
        vm.prank(_hotKey(2));
        leases.confirm(order);
        Result memory r = _result(order);
        for (uint256 i; i < 3; ++i) {
            r.orderHash = bytes32(i);
            (Share memory a, Share memory b) = (_shareOfLeaf(1, r, 11), _shareOfLeaf(1, r, 12));
            vm.prank(reporter);
            tasks.proveEquivocation(a, b, r, [uint256(11), 12], new bytes32[](0), new bytes32[](0));
            assertEq(spon.balanceOf(reporter), STAKE / 4);
            assertEq(_staked(1), STAKE >> i + 1);
        }
        tasks.challenge(order, wrong, seed, response);
        _punish(_list(1, 1, 1, 1));
        assertEq(spon.balanceOf(reporter), STAKE / 4);
        assertEq(spon.balanceOf(tenant), STAKE / 32);
    }

    /// What is thawing may be anybody's: of that nobody is paid but a tenant.
    function test_reporter_OfAnOwnerThatLeft() public {
        _delegate(1, 9 * STAKE);
        address owner = _operatorOwner(1);
        uint256 shares = operatorStaking.sharesOf(1, owner);
        vm.prank(owner);
        operatorStaking.unstake(1, shares);
        (Share memory a, Share memory b, Result memory result) = _contradiction(1);
        vm.prank(reporter);
        tasks.proveEquivocation(a, b, result, [uint256(11), 12], new bytes32[](0), new bytes32[](0));
        assertEq(_staked(1), 5 * STAKE);
        assertLt(spon.balanceOf(reporter), 0.001e18);
    }

    /// The tenant's loss is paid in full, whoever's the stake is.
    function test_tenant_IsPaidOutOfDelegationsToo() public {
        address owner = _operatorOwner(1);
        uint256 shares = operatorStaking.sharesOf(1, owner);
        _delegate(1, STAKE);
        vm.prank(owner);
        operatorStaking.unstake(1, shares);
        _matchWrongly();
        vm.prank(_hotKey(2));
        leases.confirm(order);
        tasks.challenge(order, wrong, seed, response);
        _punish(_list(1, 1, 1, 1));
        assertEq(spon.balanceOf(tenant), _loss(DURATION));
        assertLt(spon.balanceOf(reporter), 0.001e18);
    }

    // ---------------------------------------------------------------- helpers

    function _lies() private view returns (Match[] memory matches) {
        matches = new Match[](1);
        (matches[0].order, matches[0].bid) = (order, wrong);
    }

    function _lie() private view returns (Match memory) {
        return _lies()[0];
    }

    function _matchWrongly() private returns (Match[] memory matches) {
        matches = _lies();
        (digest, response) = _response(matches, 0);
        assertEq(_respond(matches, 0), 1);
    }

    function _punish(uint256[] memory signers) private {
        uint256 era = _eraOf(order);
        vm.prank(reporter);
        tasks.punishSigners(order, digest, era, "", signers);
    }

    function _list(uint256 a, uint256 b, uint256 c, uint256 d) private pure returns (uint256[] memory list) {
        list = new uint256[](4);
        (list[0], list[1], list[2], list[3]) = (a, b, c, d);
    }

    /// @dev Dollars of 6 decimals as SPON at a dollar, rounded to cents.
    function _loss(uint256 secs) private view returns (uint256) {
        return _lock(wrong.rate() - right.rate(), secs) / 1e4 * 1e16;
    }

    function _expectOwed(uint256 owed) private {
        vm.expectEmit(address(tasks));
        emit IMatchTaskManager.MatchProvenWrong(order, wrong, right, false, owed);
        tasks.challenge(order, wrong, seed, response);
    }

    function _delegate(uint256 operator, uint256 tokens) private {
        vm.prank(governor);
        spon.transfer(delegator, tokens);
        vm.startPrank(delegator);
        spon.approve(address(operatorStaking), tokens);
        operatorStaking.delegate(operator, tokens, 0);
        vm.stopPrank();
    }

    /// @dev Two shares of one operator that differ in the bid.
    function _contradiction(uint256 operator) private view returns (Share memory a, Share memory b, Result memory r) {
        r = _result(order);
        (a, b) = (_shareOfLeaf(operator, r, 11), _shareOfLeaf(operator, r, 12));
    }

    function _shareOfLeaf(uint256 operator, Result memory r, uint256 bid) private view returns (Share memory share) {
        share.root = MatchMessage.leafOf(r, bid);
        (share.operator, share.setEra, share.closeBlock) = (uint32(operator), uint32(_eraOf(order)), 7);
        share.signature = _sign(_secretOf(operator), tasks.rootDigest(7, share.setEra, share.root));
    }
}
