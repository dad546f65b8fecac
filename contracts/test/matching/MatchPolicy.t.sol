// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";

import {IMatchPolicy} from "../../src/interfaces/IMatching.sol";
import {MarketBase} from "../market/MarketBase.sol";

/// @title  MatchPolicy: versions are checked and never change
contract MatchPolicyTest is MarketBase {
    function test_firstVersion() public view {
        assertEq(policies.latest(), 1);
        assertEq(policies.weightsOf(1), WEIGHTS);
    }

    function test_unknownVersion() public {
        vm.expectRevert(abi.encodeWithSelector(IMatchPolicy.MatchPolicy_Unknown.selector, 0));
        policies.weightsOf(0);
        vm.expectRevert(abi.encodeWithSelector(IMatchPolicy.MatchPolicy_Unknown.selector, 2));
        policies.weightsOf(2);
    }

    function test_addVersion() public {
        uint256 weights = 10_000 | (1 << 128);
        vm.expectEmit(address(policies));
        emit IMatchPolicy.VersionAdded(2, weights);
        vm.prank(governor);
        assertEq(policies.addVersion(weights), 2);
        assertEq(policies.weightsOf(1), WEIGHTS);
        assertEq(policies.weightsOf(2), weights);
    }

    function test_addVersion_onlyGovernance() public {
        vm.expectRevert(abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, stranger));
        vm.prank(stranger);
        policies.addVersion(WEIGHTS);
    }

    function test_addVersion_badWeights() public {
        _bad(9999 | (1 << 128), "the weights must sum to 10000");
        _bad(10_001 | (1 << 128), "the weights must sum to 10000");
        _bad(9499 | (501 << 112) | (1 << 128), "random is at most 500");
        _bad(10_000, "the stake cap is zero");
        _bad(10_000 | (1 << 128) | (1 << 160), "spare bits are set");
    }

    function _bad(uint256 weights, string memory what) private {
        vm.expectRevert(abi.encodeWithSelector(IMatchPolicy.MatchPolicy_BadWeights.selector, what));
        vm.prank(governor);
        policies.addVersion(weights);
    }
}
