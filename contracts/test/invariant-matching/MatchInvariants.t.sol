// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {OrderWord} from "../../src/lib/OrderWord.sol";
import {OrderState} from "../../src/lib/Types.sol";
import {WrongActions} from "./WrongActions.sol";

/// @title  MatchInvariants: what holds whatever keepers, operators, liars and accusers do in whatever order
/// @notice X1 no order ever has two leases, whether `resolve`, a quorum or the challenge of a wrong match made it one
///         X2 no honest history is slashable: no proof succeeds against who signed only what the bids say (in Accuser), and
///            at any time all of its stake is there and it is not ejected
///         X3 at the end, with no operator doing anything any more, every order ends matched, cancelled or refunded
///         X4 a challenge gives a pending lease to the best bid and leaves any other as it is (in WrongActions)
///         X5 who signed a wrong match loses half its stake at least, whatever else it was punished for (in WrongActions)
/// forge-config: default.invariant.fail-on-revert = true
contract MatchInvariants is WrongActions {
    function setUp() public virtual override {
        super.setUp();
        dollar.mint(tenant, 1e15);
        vm.startPrank(tenant);
        dollar.approve(address(escrow), 1e15);
        escrow.deposit(_terms().wallet, DOLLAR, 1e15);
        vm.stopPrank();
        targetContract(address(this));
        targetSelector(FuzzSelector({addr: address(this), selectors: _actions()}));
    }

    function _actions() internal pure virtual returns (bytes4[] memory actions) {
        actions = new bytes4[](15);
        (actions[0], actions[1], actions[2]) = (this.open.selector, this.close.selector, this.wait.selector);
        (actions[3], actions[4], actions[5]) = (this.nextEra.selector, this.resolve.selector, this.sign.selector);
        (actions[6], actions[7]) = (this.signElsewhere.selector, this.reorg.selector);
        (actions[8], actions[9], actions[10]) = (this.respond.selector, this.exit.selector, this.enter.selector);
        (actions[11], actions[12]) = (this.lie.selector, this.accuseOfALie.selector);
        (actions[13], actions[14]) = (this.accuseOfContradiction.selector, this.accuseOfAWrongMatch.selector);
    }

    function invariant_matching() public view {
        // Only the last groups can have changed; all are looked at in the end.
        _checkGroups(groups.length > 4 ? groups.length - 4 : 0);
        for (uint256 n = 1; n <= _honest(); ++n) {
            assertEq(_staked(n), STAKE, "X2");
            assertEq(operators.ejectedIn(n), 0, "X2");
        }
    }

    function afterInvariant() public {
        _checkGroups(0);
        _mine(4);
        for (uint256 g; g < groups.length; ++g) {
            for (uint256 i; i < groups[g].length; ++i) {
                _end(groups[g][i]);
            }
        }
    }

    function _honest() internal view virtual override returns (uint256) {
        return 5;
    }

    function _end(uint256 order) private {
        if (_isOpen(order)) orders.resolve(order);
        (uint256 w0,,) = orders.orderWords(order);
        OrderState state = OrderWord.state(w0);
        bool ended = state == OrderState.Matched || state == OrderState.Void || state == OrderState.Cancelled;
        assertTrue(ended, "X3");
    }

    function _checkGroups(uint256 from) private view {
        for (uint256 g = from; g < groups.length; ++g) {
            for (uint256 i; i < groups[g].length; ++i) {
                assertLe(leasesOf[groups[g][i]], 1, "X1");
            }
        }
    }
}

/// @title  NoOperatorInvariants: the same market where nobody ever became an operator
/// forge-config: default.invariant.fail-on-revert = true
contract NoOperatorInvariants is MatchInvariants {
    function _operator(uint256) internal override {}

    function _honest() internal pure override returns (uint256) {
        return 0;
    }

    function _actions() internal pure override returns (bytes4[] memory actions) {
        actions = new bytes4[](6);
        (actions[0], actions[1], actions[2]) = (this.open.selector, this.close.selector, this.wait.selector);
        (actions[3], actions[4], actions[5]) = (this.nextEra.selector, this.resolve.selector, this.reorg.selector);
    }
}

/// @title  LyingQuorumInvariants: the same market where liars are a quorum, until enough of them were punished
/// forge-config: default.invariant.fail-on-revert = true
contract LyingQuorumInvariants is MatchInvariants {
    function _operator(uint256 n) internal override {
        super._operator(n);
        if (n > _honest()) _stakeOperator(n, LIARS_STAKE);
    }

    function _honest() internal pure override returns (uint256) {
        return 2;
    }

    function _actions() internal pure override returns (bytes4[] memory actions) {
        actions = new bytes4[](16);
        (actions[0], actions[1], actions[2]) = (this.open.selector, this.close.selector, this.wait.selector);
        (actions[3], actions[4], actions[5]) = (this.nextEra.selector, this.resolve.selector, this.sign.selector);
        (actions[6], actions[7], actions[8]) =
        (this.reorg.selector, this.respond.selector, this.respondWrongly.selector);
        (actions[9], actions[10], actions[11]) = (this.confirm.selector, this.challenge.selector, this.punish.selector);
        (actions[12], actions[13]) = (this.accuseOfAWrongMatch.selector, this.accuseOfSigning.selector);
        (actions[14], actions[15]) = (this.exit.selector, this.contradict.selector);
    }
}
