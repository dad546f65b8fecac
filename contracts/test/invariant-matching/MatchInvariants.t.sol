// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {OrderWord} from "../../src/lib/OrderWord.sol";
import {OrderState} from "../../src/lib/Types.sol";
import {MatchActions} from "./MatchActions.sol";

/// @title  MatchInvariants: what holds whatever keepers, operators, liars and accusers do in whatever order
/// @notice X1 no order ever has two leases
///         X2 no honest history is slashable: no proof succeeds against who signed only what the bids say (in the
///            accuser), and at any time all of its stake is there and it is not ejected
///         X3 at the end, with no operator doing anything any more, every order ends matched, cancelled or refunded
contract MatchInvariants is MatchActions {
    function setUp() public virtual override {
        super.setUp();
        dollar.mint(tenant, 1e15);
        vm.startPrank(tenant);
        dollar.approve(address(escrow), 1e15);
        escrow.deposit(_terms().wallet, DOLLAR, 1e15);
        vm.stopPrank();
        targetContract(address(this));
        bytes4[] memory actions = new bytes4[](12);
        (actions[0], actions[1], actions[2], actions[3]) =
        (this.open.selector, this.wait.selector, this.nextEra.selector, this.resolve.selector);
        (actions[4], actions[5], actions[6], actions[7]) =
        (this.sign.selector, this.respond.selector, this.reorg.selector, this.exit.selector);
        (actions[8], actions[9], actions[10]) = (this.lie.selector, this.accuse.selector, this.enter.selector);
        actions[11] = this.close.selector;
        targetSelector(FuzzSelector({addr: address(this), selectors: actions}));
    }

    /// forge-config: default.invariant.fail-on-revert = true
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

    function _honest() internal view virtual returns (uint256) {
        return HONEST;
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
contract NoOperatorInvariants is MatchInvariants {
    function _operator(uint256) internal override {}

    function _honest() internal pure override returns (uint256) {
        return 0;
    }
}
