// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {OperatorBase} from "../operator/OperatorBase.sol";
import {OperatorHandler} from "./OperatorHandler.sol";

/// @title  OperatorInvariants: what holds after any order of stake, entry, exit, eviction, slashing and eras
/// @notice O1 a set's weight = Σ its members' weights
///         O2 a set's key = the sum of its members' keys
///         O3 a set has at most `capacity` members, each of at least `minWeight`, none of them ejected when its era begins
///         O4 a slash takes at most what is staked, and all that was staked = slashed + withdrawn + there
///         O5 no set changes once its era has begun
///         O6 nothing that is possible reverts (fail-on-revert)
contract OperatorInvariants is OperatorBase {
    uint256 private constant COUNT = 6;
    OperatorHandler private handler;

    function _capacity() internal pure override returns (uint32) {
        return 4;
    }

    function setUp() public override {
        super.setUp();
        for (uint256 i; i < COUNT; ++i) {
            _register();
        }
        handler = new OperatorHandler(operators, staking, spon, restaking, judge, COUNT);
        manager.grantRole(manager.ADMIN_ROLE(), address(handler), 0);
        targetContract(address(handler));
    }

    /// forge-config: default.invariant.fail-on-revert = true
    function invariant_operators() public view {
        _checkSet(operators.currentEra() + 1);

        uint256 held;
        for (uint256 operator = 1; operator <= COUNT; ++operator) {
            (uint256 active,, uint256 thawing,) = staking.poolOf(operator);
            held += active + thawing;
        }
        assertEq(handler.staked(), handler.slashed() + handler.withdrawn() + held, "O4");
    }

    /// @dev Every set became the present one unchanged, so it is checked once for all.
    function afterInvariant() public view {
        assertTrue(handler.setsStand(), "O5");
    }

    function _checkSet(uint256 era) private view {
        (, uint256 total, uint256 size, bytes32 keyHash) = operators.setAt(era);
        uint256 sum;
        uint256 members;
        for (uint256 operator = 1; operator <= COUNT; ++operator) {
            (, uint256 weight) = operators.weightAt(operator, era);
            if (weight == 0) continue;
            sum += weight;
            ++members;
            assertGe(weight, MIN_WEIGHT, "O3");
            assertEq(operators.ejectedIn(operator), 0, "O3");
        }
        assertEq(sum, total, "O1");
        assertEq(members, size, "O3");
        assertLe(size, _capacity(), "O3");
        assertEq(keyHash, keccak256(_sumOfKeys(era)), "O2");
    }
}
