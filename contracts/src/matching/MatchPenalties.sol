// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

import {ILeaseBook} from "../interfaces/ILeaseBook.sol";
import {IOrderBook} from "../interfaces/IOrderBook.sol";
import {IPaymentTokens} from "../interfaces/IPaymentTokens.sol";
import {IStakingManager} from "../interfaces/IStakingManager.sol";
import {BidWord} from "../lib/BidWord.sol";
import {Bill} from "../lib/Bill.sol";
import {LeaseWord} from "../lib/LeaseWord.sol";
import {OrderWord} from "../lib/OrderWord.sol";
import {TokenWord} from "../lib/TokenWord.sol";
import {Bid, LeaseState} from "../lib/Types.sol";
import {MatchRewards} from "./MatchRewards.sol";

/// @title  MatchPenalties: what a proven fault costs, and who gets it (SP-15)
/// @notice Who signed a wrong result loses half its stake, once for each order. The tenant's loss is paid out of that
///         first, then who showed the first of its faults, together at most half of what was taken; the rest is burnt. Who
///         shows it gets at most half of what the operator's owner loses: an owner that shows itself does not live on its
///         delegators.
abstract contract MatchPenalties is MatchRewards {
    using BidWord for Bid;
    using OrderWord for uint256;
    using SafeERC20 for IERC20;

    uint256 internal constant SPON_ID = 0;
    /// Half the stake of who signed.
    uint256 internal constant SLASHED_PART = 2;
    /// Half of what the owner loses itself.
    uint256 private constant REPORTERS_PART = 2;

    struct Wrong {
        bytes32 response; // whose signers may be punished
        uint256 owed; // wei of SPON that the tenant is still to get
    }

    IOrderBook internal immutable ORDERS;
    ILeaseBook internal immutable LEASES;
    IStakingManager internal immutable STAKING;
    IPaymentTokens internal immutable PAYMENT_TOKENS;

    mapping(uint256 order => Wrong) internal _wrong;
    mapping(uint256 operator => mapping(bytes32 matter => bool)) internal _punished;

    constructor(Wiring memory w) MatchRewards(w.escrow, w.operators) {
        ORDERS = IOrderBook(w.orders);
        LEASES = ILeaseBook(w.leases);
        STAKING = IStakingManager(w.staking);
        PAYMENT_TOKENS = IPaymentTokens(w.paymentTokens);
    }

    /// @dev What the dearer bid costs the tenant, in wei of SPON: over the time that was ordered, or as long as a lease ran
    ///      that has ended, which is not at all when nobody confirmed it.
    function _lossOf(uint256 order, Bid bid, Bid best) internal view returns (uint256) {
        if (bid.rate() <= best.rate()) return 0;
        (uint256 ordered,,) = ORDERS.orderWords(order);
        (uint256 w0, uint256 w1) = LEASES.leaseWords(order);
        uint256 secs = ordered.duration();
        if (LeaseWord.isIn(w1, LeaseState.Closed)) {
            secs = Math.min(secs, LeaseWord.stoppedAt(w1) + LeaseWord.duration(w0) - LeaseWord.end(w1));
        }
        uint256 loss = Bill.lockOf(bid.rate() - best.rate(), secs, LeaseWord.decimals(w0), LeaseWord.payerFee(w0));
        return PAYMENT_TOKENS.unitsFor(SPON_ID, TokenWord.toCents(PAYMENT_TOKENS.tokenWord(LeaseWord.token(w0)), loss));
    }

    /// @dev A lie that became a lease is challenged before anybody is punished for it: that says what its tenant is owed,
    ///      and a liar that showed itself first would have the tenant's part.
    function _requireChallenged(uint256 order, Bid bid, Bid best) internal view {
        if (_wrong[order].response != 0 || bid.provider() == best.provider()) return;
        (uint256 w0, uint256 w1) = LEASES.leaseWords(order);
        if (!LeaseWord.isIn(w1, LeaseState.None) && LeaseWord.provider(w0) == bid.provider()) {
            revert MatchTasks_ChallengeFirst(order);
        }
    }

    /// @param matter what it is punished for, once
    /// @param order whose tenant may be owed something
    // slither-disable-next-line reentrancy-no-eth
    function _punish(uint256 operator, bytes32 matter, uint256 order) internal {
        if (_punished[operator][matter]) revert MatchTasks_AlreadyPunished(operator, matter);
        _punished[operator][matter] = true;
        (uint256 active,, uint256 thawing,) = STAKING.poolOf(operator);
        uint256 half = (active + thawing) / SLASHED_PART;
        uint256 owed = _wrong[order].owed;
        uint256 wanted = owed + _reportersPart(operator);
        (uint256 slashed, uint256 reward) = STAKING.slashForReward(operator, half, matter, wanted);
        uint256 toTenant = Math.min(reward, owed);
        if (toTenant != 0) {
            _wrong[order].owed = owed - toTenant;
            (uint256 w0,,) = ORDERS.orderWords(order);
            _pay(ESCROW.ownerOf(w0.wallet()), toTenant);
        }
        if (reward != toTenant) _pay(msg.sender, reward - toTenant);
        emit OperatorPunished(operator, matter, slashed, toTenant, msg.sender);
    }

    /// @dev Half of what the owner loses itself: of its stake that does not thaw, which is what can be told to be its own, and
    ///      of what its first deposit left to nobody. Only the fault that removes an operator is paid for, or a liar that
    ///      contradicts itself on and on would have its stake back before its tenants come.
    function _reportersPart(uint256 operator) private view returns (uint256) {
        if (OPERATORS.ejectedIn(operator) != 0) return 0;
        (uint256 own,) = STAKING.stakeOf(operator);
        return (own + STAKING.DEAD_SHARES()) / SLASHED_PART / REPORTERS_PART;
    }

    function _pay(address to, uint256 amount) private {
        IERC20(PAYMENT_TOKENS.assetOf(SPON_ID)).safeTransfer(to, amount);
    }
}
