// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {SubnetRules} from "../../src/fizz/SubnetRules.sol";
import {IFizzRegistry, SubnetTerms} from "../../src/interfaces/IFizzRegistry.sol";
import {IProviderRegistry} from "../../src/interfaces/IProviderRegistry.sol";
import {FizzBase} from "./FizzBase.sol";

/// @title  Subnets: founding, terms from era to era, expulsion, and the delegation that keeps a node active (SP-35, SP-38)
contract SubnetsTest is FizzBase {
    // ---------------------------------------------------------------- founding

    function test_found() public {
        _provider(3);
        vm.expectEmit(address(fizzes));
        emit IFizzRegistry.SubnetFounded(3, _subnetTerms(500, 7e18));
        vm.prank(_owner(3));
        fizzes.found(3, _subnetTerms(500, 7e18));
        _terms(3, 500, 7e18);
        assertFalse(fizzes.isOpen(3));
    }

    function test_found_once() public {
        vm.expectRevert(abi.encodeWithSelector(IFizzRegistry.FizzRegistry_Founded.selector, GATEWAY));
        vm.prank(_owner(GATEWAY));
        fizzes.found(GATEWAY, _subnetTerms(0, 0));
    }

    function test_found_byTheProvidersOwner() public {
        _provider(3);
        address[3] memory others = [stranger, _hotKey(3), _owner(GATEWAY)];
        for (uint256 i; i < others.length; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IFizzRegistry.FizzRegistry_NotProvider.selector, 3, others[i]));
            vm.prank(others[i]);
            fizzes.found(3, _subnetTerms(0, 0));
        }
        vm.expectRevert(abi.encodeWithSelector(IProviderRegistry.ProviderRegistry_UnknownProvider.selector, 9));
        fizzes.found(9, _subnetTerms(0, 0));
    }

    function test_found_withinBounds() public {
        _provider(3);
        vm.startPrank(_owner(3));
        vm.expectRevert(abi.encodeWithSelector(IFizzRegistry.FizzRegistry_BadTerms.selector, "share"));
        fizzes.found(3, _subnetTerms(SubnetRules.MAX_SHARE + 1, 0));
        vm.expectRevert(abi.encodeWithSelector(IFizzRegistry.FizzRegistry_BadTerms.selector, "minDelegation"));
        fizzes.found(3, _subnetTerms(0, SubnetRules.MAX_DELEGATION + 1));
        fizzes.found(3, _subnetTerms(SubnetRules.MAX_SHARE, SubnetRules.MAX_DELEGATION));
        vm.stopPrank();
    }

    function test_withoutASubnet() public {
        _provider(3);
        bytes memory none = abi.encodeWithSelector(IFizzRegistry.FizzRegistry_NoSubnet.selector, 3);
        vm.expectRevert(none);
        fizzes.termsOf(3);
        vm.expectRevert(none);
        fizzes.nextTermsOf(3);
        vm.expectRevert(none);
        vm.prank(_hotKey(3));
        fizzes.setOpen(3, true);
        vm.expectRevert(none);
        vm.prank(address(votes));
        fizzes.setTerms(3, _subnetTerms(0, 0));
    }

    function test_setOpen_byTheProvider() public {
        vm.expectRevert(abi.encodeWithSelector(IFizzRegistry.FizzRegistry_NotProvider.selector, GATEWAY, stranger));
        vm.prank(stranger);
        fizzes.setOpen(GATEWAY, true);
    }

    // ---------------------------------------------------------------- terms

    function test_setTerms_fromTheNextEra() public {
        uint256 era = clock.current();
        vm.startPrank(address(votes));
        vm.expectEmit(address(fizzes));
        emit IFizzRegistry.TermsChanged(GATEWAY, _subnetTerms(5000, 5e18), era + 1);
        fizzes.setTerms(GATEWAY, _subnetTerms(5000, 5e18));
        _terms(GATEWAY, SHARE, DELEGATION);
        (SubnetTerms memory next, uint256 from) = fizzes.nextTermsOf(GATEWAY);
        assertEq(next.share, 5000);
        assertEq(from, era + 1);
        // The last one of an era is what comes.
        fizzes.setTerms(GATEWAY, _subnetTerms(4000, 4e18));
        _terms(GATEWAY, SHARE, DELEGATION);
        _nextEra();
        _terms(GATEWAY, 4000, 4e18);
        fizzes.setTerms(GATEWAY, _subnetTerms(3000, 3e18));
        _terms(GATEWAY, 4000, 4e18);
        skip(10 days);
        _terms(GATEWAY, 3000, 3e18);
        vm.stopPrank();
        _terms(OTHER, SHARE, DELEGATION);
    }

    function test_governorsOnly() public {
        vm.startPrank(_owner(GATEWAY));
        bytes memory refused = abi.encodeWithSelector(IFizzRegistry.FizzRegistry_NotGovernor.selector, _owner(GATEWAY));
        vm.expectRevert(refused);
        fizzes.setTerms(GATEWAY, _subnetTerms(0, 0));
        vm.expectRevert(refused);
        fizzes.setExpelled(GATEWAY, alice, true);
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(IFizzRegistry.FizzRegistry_BadTerms.selector, "share"));
        vm.prank(address(votes));
        fizzes.setTerms(GATEWAY, _subnetTerms(SubnetRules.MAX_SHARE + 1, 0));
    }

    // ---------------------------------------------------------------- expulsion

    function test_expelled() public {
        uint256 fizz = _active(alice, GATEWAY);
        uint256 second = _propose(alice, GATEWAY);
        uint256 elsewhere = _active(alice, OTHER);
        vm.prank(address(votes));
        vm.expectEmit(address(fizzes));
        emit IFizzRegistry.MemberExpelled(GATEWAY, alice);
        fizzes.setExpelled(GATEWAY, alice, true);
        assertEq(fizzes.whyNot(GATEWAY, fizz), "light node: expelled");
        assertTrue(_isActive(OTHER, elsewhere), "another subnet decides for itself");
        bytes memory expelled = abi.encodeWithSelector(IFizzRegistry.FizzRegistry_Expelled.selector, GATEWAY, alice);
        vm.expectRevert(expelled);
        vm.prank(_hotKey(GATEWAY));
        fizzes.accept(second);
        vm.expectRevert(expelled);
        vm.prank(alice);
        fizzes.register(GATEWAY, till, SHARE, PIN, _offer());

        vm.prank(address(votes));
        vm.expectEmit(address(fizzes));
        emit IFizzRegistry.MemberReadmitted(GATEWAY, alice);
        fizzes.setExpelled(GATEWAY, alice, false);
        assertTrue(_isActive(GATEWAY, fizz));
    }

    function test_expelled_mayLeaveAndWithdraw() public {
        uint256 fizz = _active(alice, GATEWAY);
        vm.prank(address(votes));
        fizzes.setExpelled(GATEWAY, alice, true);
        vm.prank(alice);
        fizzes.exit(fizz);
        uint256 request = _unstakeAll(alice, GATEWAY);
        skip(7 days);
        vm.prank(alice);
        assertApproxEqAbs(staking.withdraw(request), DELEGATION, 1);
    }

    // ---------------------------------------------------------------- the delegation

    function test_active_withTheDelegation() public {
        uint256 fizz = _join(alice, GATEWAY);
        string memory small = "light node: its owner's delegation is too small";
        assertEq(fizzes.whyNot(GATEWAY, fizz), small);
        _delegate(alice, OTHER, DELEGATION);
        _delegate(bob, GATEWAY, DELEGATION);
        assertEq(fizzes.whyNot(GATEWAY, fizz), small, "neither elsewhere nor another's");
        _delegate(alice, GATEWAY, DELEGATION - 1e15 - 1);
        assertEq(fizzes.whyNot(GATEWAY, fizz), small);
        _delegate(alice, GATEWAY, 1e15 + 1);
        assertTrue(_isActive(GATEWAY, fizz), "at once");
        assertEq(fizzes.whyNot(OTHER, fizz), "no light node of this provider");
        assertEq(fizzes.whyNot(0, 0), "no light node of this provider");
    }

    function test_lapses_withTheDelegation() public {
        uint256 fizz = _active(alice, GATEWAY);
        vm.prank(alice);
        staking.unstake(GATEWAY, 1e18);
        assertFalse(_isActive(GATEWAY, fizz));
        _delegate(alice, GATEWAY, 1e18);
        assertTrue(_isActive(GATEWAY, fizz), "and comes back");

        _slash(GATEWAY, 1100e18 / 10);
        assertFalse(_isActive(GATEWAY, fizz), "slashed with its provider");
        _delegate(alice, GATEWAY, 10e18);
        assertTrue(_isActive(GATEWAY, fizz));

        _slash(GATEWAY, type(uint96).max);
        assertFalse(_isActive(GATEWAY, fizz), "all is lost");
    }

    function test_lapses_withRedelegation() public {
        uint256 fizz = _active(alice, GATEWAY);
        uint256 other = _join(alice, OTHER);
        uint256 shares = staking.sharesOf(GATEWAY, alice);
        vm.prank(alice);
        staking.redelegate(GATEWAY, OTHER, shares, 0);
        assertFalse(_isActive(GATEWAY, fizz));
        assertFalse(_isActive(OTHER, other), "on its way it stands for neither");
    }

    function test_oneDelegationIsForOneNode() public {
        uint256 first = _active(alice, GATEWAY);
        uint256 second = _join(alice, GATEWAY);
        assertFalse(_isActive(GATEWAY, first));
        assertFalse(_isActive(GATEWAY, second));
        (uint256 needed, uint256 held) = fizzes.delegationOf(GATEWAY, alice);
        assertEq(needed, 2 * uint256(DELEGATION));
        assertEq(held, DELEGATION);
        _delegate(alice, GATEWAY, DELEGATION);
        assertTrue(_isActive(GATEWAY, first));
        assertTrue(_isActive(GATEWAY, second));
        uint256 shares = staking.sharesOf(GATEWAY, alice) / 2;
        vm.startPrank(alice);
        staking.unstake(GATEWAY, shares);
        assertFalse(_isActive(GATEWAY, first));
        fizzes.exit(second);
        vm.stopPrank();
        assertTrue(_isActive(GATEWAY, first));
    }

    function test_higherDelegation_fromTheNextEra() public {
        uint256 fizz = _active(alice, GATEWAY);
        vm.prank(address(votes));
        fizzes.setTerms(GATEWAY, _subnetTerms(SHARE, 2 * DELEGATION));
        assertTrue(_isActive(GATEWAY, fizz));
        _nextEra();
        assertFalse(_isActive(GATEWAY, fizz));
        _delegate(alice, GATEWAY, DELEGATION);
        assertTrue(_isActive(GATEWAY, fizz));
    }

    function test_noDelegationAsked() public {
        vm.prank(address(votes));
        fizzes.setTerms(GATEWAY, _subnetTerms(SHARE, 0));
        uint256 fizz = _join(alice, GATEWAY);
        _nextEra();
        assertTrue(_isActive(GATEWAY, fizz));
    }

    /// What is asked is enough, whatever rounding and slashes made of the price of a share.
    function testFuzz_whatIsAskedIsEnough(uint256 slashed, uint256 asked) public {
        _slash(GATEWAY, bound(slashed, 0, 1000e18));
        asked = bound(asked, 1, SubnetRules.MAX_DELEGATION);
        vm.prank(address(votes));
        fizzes.setTerms(GATEWAY, _subnetTerms(SHARE, asked));
        _nextEra();
        uint256 fizz = _join(alice, GATEWAY);
        (, uint256 shares,,) = staking.poolOf(GATEWAY);
        // A pool that is empty again takes a thousandth of a SPON of its first deposit.
        vm.assume(shares != 0 || asked > staking.DEAD_SHARES());
        _delegate(alice, GATEWAY, asked);
        assertTrue(_isActive(GATEWAY, fizz));
    }

    function _terms(uint256 provider, uint256 share, uint256 delegation) private view {
        SubnetTerms memory terms = fizzes.termsOf(provider);
        assertEq(terms.share, share);
        assertEq(terms.minDelegation, delegation);
    }
}
