// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {ProfileWord} from "../../src/lib/ProfileWord.sol";
import {Profile, ProfileFlags} from "../../src/lib/Types.sol";
import {StakeBase} from "../staking/StakeBase.sol";
import {StakeHandler} from "./StakeHandler.sol";

/// @title  StakeInvariants: what holds after any order of stake, delegate, redelegate, slash, unbond, reclaim and withdraw
/// @notice I1  the contract's SPON = Σ active + Σ thawing, to the wei
///         I2  all that came in = what went out + what was slashed + what is there
///         I3  Σ holders' shares + nobody's = the pool's shares
///         I4  a slash takes what was asked or all there is, at most dust more, and burns it (in the handler)
///         I5  Σ open requests ≤ thawing tokens, and what is left over is roundings alone
///         I6  what counts ≤ active tokens, and all of it counts one era later
///         I7  shares ≤ 10^6 × tokens, so nothing can overflow
///         I8  stake and sufficiency in the profile word = what a synchronisation now would write
///         I9  nothing that is possible reverts (fail-on-revert)
///         I10 the foundation reclaims when utilisation or term allow it and never else (in the handler), and what it gets
///             back does not stop on the way
contract StakeInvariants is StakeBase {
    using ProfileWord for Profile;

    StakeHandler private handler;

    function setUp() public override {
        super.setUp();
        address carol = makeAddr("carol");
        address[6] memory stakers = [owner, otherOwner, alice, bob, carol, address(support)];
        for (uint256 i; i < 5; ++i) {
            _fund(stakers[i], 150_000_000e18);
        }
        _fund(foundation, 150_000_000e18);
        vm.prank(foundation);
        spon.approve(address(support), type(uint256).max);
        handler = new StakeHandler(spon, staking, clock, registry, support, leaseBook, [provider, other], stakers);
        targetContract(address(handler));
    }

    /// forge-config: default.invariant.fail-on-revert = true
    function invariant_stake() public {
        uint256[2] memory ids = [provider, other];
        uint256 held;
        uint256[2] memory thawing;
        for (uint256 p; p < 2; ++p) {
            (uint256 tokens, uint256 shares, uint256 thawing_, uint256 thawingShares) = staking.poolOf(ids[p]);
            thawing[p] = thawing_;
            held += tokens + thawing_;

            uint256 sum = shares == 0 ? 0 : DEAD;
            for (uint256 i; i < 6; ++i) {
                sum += staking.sharesOf(ids[p], handler.stakers(i));
            }
            assertEq(sum, shares, "I3");
            assertLe(_counted(ids[p]), tokens, "I6");
            assertLe(shares, tokens * 1e6, "I7");
            assertLe(thawingShares, thawing_ * 1e6, "I7");
        }
        assertEq(spon.balanceOf(address(staking)), held, "I1");
        assertEq(handler.cameIn(), handler.wentOut() + handler.slashed() + held, "I2");

        assertEq(spon.balanceOf(address(support)), 0, "I10");

        uint256 count = handler.openCount();
        for (uint256 i; i < count; ++i) {
            (, uint256 source,, uint256 tokens,) = staking.requestOf(handler.open(i));
            thawing[source == provider ? 0 : 1] -= tokens; // I5: would underflow
        }
        assertLe(thawing[0] + thawing[1], 2 * (count + 200), "I5");
    }

    function afterInvariant() public {
        for (uint256 p; p < 2; ++p) {
            uint256 id = p == 0 ? provider : other;
            _nextEra();
            (uint256 tokens,,,) = staking.poolOf(id);
            assertEq(_counted(id), tokens, "I6");
            staking.sync(id);
            Profile profile = registry.profile(id);
            assertEq(profile.stake(), tokens / 1e18, "I8");
            assertEq(profile.flags() & ProfileFlags.STAKED != 0, tokens >= 50e18, "I8");
        }
    }
}
