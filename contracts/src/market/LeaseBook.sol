// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IEscrow} from "../interfaces/IEscrow.sol";
import {ILeaseBook, Quote} from "../interfaces/ILeaseBook.sol";
import {IPaymentTokens} from "../interfaces/IPaymentTokens.sol";
import {BidWord} from "../lib/BidWord.sol";
import {Bill} from "../lib/Bill.sol";
import {Bracket} from "../lib/Bracket.sol";
import {LeaseWord} from "../lib/LeaseWord.sol";
import {OrderWord} from "../lib/OrderWord.sol";
import {SpecRules} from "../lib/SpecRules.sol";
import {TermsWord} from "../lib/TermsWord.sol";
import {Bid, CloseReason, LeaseState, Spec} from "../lib/Types.sol";
import {LeaseQuotes} from "./LeaseQuotes.sol";
import {LeaseWiring} from "./LeaseWiring.sol";

/// @title  LeaseBook: running leases and their bills (SP-14, SP-19 to SP-24)
/// @notice See ILeaseBook for the accounting. Every function reads the lease's words, computes how many seconds stay
///         payable, writes the words, and moves the difference of two `lockOf` in Escrow. Immutable code, wired by
///         constructor; what it tells registry and staking when a lease ends cannot make the ending fail.
contract LeaseBook is LeaseWiring, LeaseQuotes {
    using BidWord for Bid;
    using LeaseWord for uint256;

    uint256 private constant MAX_DURATION = 180 days;
    uint256 private constant TIER_1 = 1;

    struct Lease {
        uint256 word0;
        uint256 word1;
        /// Of the light node's share; written only for a light node's lease.
        address payee;
        /// From which second on `paidSeconds` counts; 0 while that is the start.
        uint40 countedFrom;
    }

    mapping(uint256 lease => Lease) private _leases;

    constructor(Wiring memory wiring) LeaseWiring(wiring) {}

    // ---------------------------------------------------------------- a lease's start

    /// @inheritdoc ILeaseBook
    function open(uint256 lease, uint256 orderWord0, uint256 orderWord1, Bid bid) external returns (uint256 locked) {
        if (msg.sender != ORDER_BOOK) revert LeaseBook_NotBook(msg.sender);
        (uint256 w0, uint256 w1) = _begin(lease, orderWord0, orderWord1, bid);
        emit LeaseCreated(lease, w0.wallet(), w0.provider(), w0, w1);
        REGISTRY.take(w0.provider(), w0.units(), w0.gpus());
        return _lockOf(w0, w1, w0.duration());
    }

    /// @inheritdoc ILeaseBook
    function reopen(uint256 lease, uint256 orderWord0, uint256 orderWord1, Bid bid) external returns (bool stands) {
        if (msg.sender != ORDER_BOOK) revert LeaseBook_NotBook(msg.sender);
        (uint256 w0, uint256 w1) = _load(lease);
        if (w1.state() != LeaseState.Pending) revert LeaseBook_WrongState(lease, w1.state());
        uint256 needed = Bill.lockOf(bid.rate(), w0.duration(), w0.decimals(), w0.payerFee());
        uint256 held = _lockOf(w0, w1, w0.duration());
        if (needed > held + ESCROW.balanceOf(w0.wallet(), w0.token())) {
            _close(lease, w0, w1, CloseReason.WrongMatch);
            return false;
        }
        _giveCapacity(w0.provider(), w0.units(), w0.gpus());
        delete _leases[lease].payee;
        (w0, w1) = _begin(lease, orderWord0, orderWord1, bid);
        emit LeaseReopened(lease, w0.provider(), w0, w1);
        REGISTRY.take(w0.provider(), w0.units(), w0.gpus());
        if (needed > held) {
            ESCROW.reserve(w0.wallet(), w0.token(), needed - held, ESCROW.ownerOf(w0.wallet()));
        } else if (held > needed) {
            ESCROW.release(w0.wallet(), w0.token(), held - needed);
        }
        return true;
    }

    /// @inheritdoc ILeaseBook
    function confirm(uint256 lease) external {
        (uint256 w0, uint256 w1) = _load(lease);
        if (w1.state() != LeaseState.Pending) revert LeaseBook_WrongState(lease, w1.state());
        _onlyProvider(lease, w0);
        if (block.timestamp > w1.end()) revert LeaseBook_ConfirmTooLate(lease, w1.end());
        uint256 end = block.timestamp + w0.duration();
        _leases[lease].word1 = w1.active().withEnd(end).withSettled(block.timestamp, 0);
        emit LeaseConfirmed(lease, w0.provider(), block.timestamp, end);
    }

    // ---------------------------------------------------------------- billing

    /// @inheritdoc ILeaseBook
    function settle(uint256 lease) external returns (uint256 net) {
        bool moved;
        (moved, net) = _settleUntil(lease, block.timestamp - HOLDBACK);
        if (!moved) revert LeaseBook_NothingToSettle(lease);
    }

    /// @inheritdoc ILeaseBook
    function settleMany(uint256[] calldata leases) external {
        for (uint256 i; i < leases.length; ++i) {
            _settleUntil(leases[i], block.timestamp - HOLDBACK);
        }
    }

    /// @inheritdoc ILeaseBook
    function pause(uint256 lease, uint256 since) external {
        (uint256 w0, uint256 w1) = _load(lease);
        if (w1.state() != LeaseState.Active) revert LeaseBook_WrongState(lease, w1.state());
        uint256 by = _pauser(lease, w0);
        uint256 latest = _min(block.timestamp, w1.end());
        if (since < w1.settledTo() || since > latest) revert LeaseBook_BadSince(since, w1.settledTo(), latest);
        _leases[lease].word1 = w1.paused(since, by);
        emit LeasePaused(lease, since);
    }

    /// @inheritdoc ILeaseBook
    function resume(uint256 lease) external {
        (uint256 w0, uint256 w1) = _load(lease);
        if (w1.state() != LeaseState.Paused) revert LeaseBook_WrongState(lease, w1.state());
        uint256 by = _pauser(lease, w0);
        if (by != w1.pausedBy()) revert LeaseBook_NotPauser(lease, msg.sender);
        uint256 secs = _min(_min(block.timestamp, w1.end()) - w1.stoppedAt(), _payable(w0, w1));
        uint256 refunded = _giveBack(lease, w0, w1.active(), secs);
        emit LeaseResumed(lease, secs, refunded);
    }

    /// @inheritdoc ILeaseBook
    function refund(uint256 lease, uint256 secs) external returns (uint256 amount) {
        if (msg.sender != ARBITER) revert LeaseBook_NotArbiter(msg.sender);
        (uint256 w0, uint256 w1) = _load(lease);
        if (w1.state() == LeaseState.None || w1.state() == LeaseState.Pending) {
            revert LeaseBook_WrongState(lease, w1.state());
        }
        // At most what has run and is not settled.
        uint256 run = _billedTo(w1, block.timestamp) - w1.settledTo();
        secs = _min(secs, run > w1.unbilled() ? run - w1.unbilled() : 0);
        amount = _giveBack(lease, w0, w1, secs);
        emit LeaseRefunded(lease, secs, amount);
    }

    // ---------------------------------------------------------------- changes

    /// @inheritdoc ILeaseBook
    function extend(uint256 lease, uint32 secs) external {
        (uint256 w0, uint256 w1) = _load(lease);
        _requireRunning(lease, w1);
        uint256 end = w1.end() + secs;
        // Counted from the last settlement, so that seconds given back always fit their field.
        if (end - w1.settledTo() > MAX_DURATION) revert LeaseBook_TooLong(end - w1.settledTo(), MAX_DURATION);
        uint256 before = _payable(w0, w1);
        uint256 amount = _released(w0, w1, before + secs, before);
        _leases[lease].word0 = w0.withDuration(w0.duration() + secs);
        _leases[lease].word1 = w1.withEnd(end);
        emit LeaseExtended(lease, end, amount);
        ESCROW.reserve(w0.wallet(), w0.token(), amount, msg.sender);
    }

    /// @inheritdoc ILeaseBook
    // slither-disable-next-line reentrancy-no-eth
    function update(Quote calldata quote, Spec calldata spec, bytes calldata signature) external {
        uint256 lease = quote.lease;
        (uint256 w0, uint256 w1) = _load(lease);
        if (w1.state() != LeaseState.Active) revert LeaseBook_WrongState(lease, w1.state());
        _requireRunning(lease, w1);
        _onlyTenant(lease, w0);
        _checkQuote(quote, spec, w0.version(), w1.rate(), REGISTRY.hotKeyOf(w0.provider()), signature);

        // Old terms are paid up to now: nothing of them is left to hold back.
        _settleUntil(lease, block.timestamp);
        w1 = _leases[lease].word1;
        uint256 held = _lockOf(w0, w1, _payable(w0, w1));

        (uint256 units, uint256 gpus) = SpecRules.check(spec);
        REGISTRY.give(w0.provider(), w0.units(), w0.gpus());
        REGISTRY.take(w0.provider(), units, gpus);
        w0 = w0.withUnits(units, gpus).nextVersion();
        w1 = w1.withRate(quote.rate);
        _leases[lease].countedFrom = uint40(w1.settledTo() + w1.unbilled());
        _leases[lease].word0 = w0;
        _leases[lease].word1 = w1;
        emit LeaseUpdated(lease, quote.rate, w0.version(), spec);

        uint256 needed = _lockOf(w0, w1, _payable(w0, w1));
        uint256 free = ESCROW.balanceOf(w0.wallet(), w0.token());
        _checkBracket(spec, w0.token(), free + held);
        if (needed > held) ESCROW.reserve(w0.wallet(), w0.token(), needed - held, msg.sender);
        else if (held > needed) ESCROW.release(w0.wallet(), w0.token(), held - needed);
    }

    /// @inheritdoc ILeaseBook
    function setManifestHash(uint256 lease, bytes32 manifestHash) external {
        (uint256 w0, uint256 w1) = _load(lease);
        if (w1.state() == LeaseState.None || w1.state() == LeaseState.Closed) {
            revert LeaseBook_WrongState(lease, w1.state());
        }
        _onlyTenant(lease, w0);
        w0 = w0.nextVersion();
        _leases[lease].word0 = w0;
        emit ManifestChanged(lease, manifestHash, w0.version());
    }

    // ---------------------------------------------------------------- a lease's end

    /// @inheritdoc ILeaseBook
    function close(uint256 lease) external {
        (uint256 w0, uint256 w1) = _load(lease);
        // Proven down, and the tenant left: its provider's fault.
        bool lost = w1.pausedBy() == LeaseWord.BY_ARBITER;
        uint256 amount;
        (, amount) = _end(lease, w0, w1, lost ? CloseReason.ProviderLost : CloseReason.TenantClosed);
        ESCROW.releaseTo(w0.wallet(), w0.token(), amount, msg.sender);
        _giveCapacity(w0.provider(), w0.units(), w0.gpus());
    }

    /// @inheritdoc ILeaseBook
    function closeByProvider(uint256 lease, CloseReason reason) external {
        (uint256 w0, uint256 w1) = _load(lease);
        _onlyProvider(lease, w0);
        bool tenantsFault = reason == CloseReason.ImageUnavailable || reason == CloseReason.CrashLoop
            || reason == CloseReason.ManifestMissing || reason == CloseReason.PolicyViolation;
        // A lease that never ran has no fault of the tenant's.
        if (reason != CloseReason.ProviderClosed && (!tenantsFault || w1.state() == LeaseState.Pending)) {
            revert LeaseBook_BadReason(reason);
        }
        if (_close(lease, w0, w1, reason) == CloseReason.ProviderClosed) _punish(w0.provider(), reason);
    }

    /// @inheritdoc ILeaseBook
    function expire(uint256 lease) external {
        (uint256 w0, uint256 w1) = _load(lease);
        LeaseState state = w1.state();
        if (state == LeaseState.Pending) {
            if (block.timestamp <= w1.end()) revert LeaseBook_ConfirmStillOpen(lease, w1.end());
            _close(lease, w0, w1, CloseReason.NotConfirmed);
            _bar(w0.provider(), lease);
            _punish(w0.provider(), CloseReason.NotConfirmed);
        } else if (state == LeaseState.None || state == LeaseState.Closed) {
            revert LeaseBook_WrongState(lease, state);
        } else if (block.timestamp >= w1.end()) {
            _close(lease, w0, w1, CloseReason.Expired);
        } else if (state == LeaseState.Paused && block.timestamp > w1.stoppedAt() + MAX_PAUSE) {
            _close(lease, w0, w1, CloseReason.ProviderLost);
        } else {
            revert LeaseBook_NotExpired(lease, w1.end());
        }
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc ILeaseBook
    function leaseWords(uint256 lease) external view returns (uint256 word0, uint256 word1) {
        return _load(lease);
    }

    /// @inheritdoc ILeaseBook
    function lockedOf(uint256 lease) external view returns (uint256 amount) {
        (uint256 w0, uint256 w1) = _load(lease);
        return _lockOf(w0, w1, _payable(w0, w1));
    }

    /// @inheritdoc ILeaseBook
    function paidSeconds(uint256 lease) external view returns (uint256) {
        (uint256 w0, uint256 w1) = _load(lease);
        uint256 from = _countedFrom(lease, w0, w1);
        uint256 to = w1.settledTo() == 0 ? 0 : w1.settledTo() + w1.unbilled();
        return to > from ? to - from : 0;
    }

    /// @inheritdoc ILeaseBook
    function payeeOf(uint256 lease) external view returns (address) {
        return _leases[lease].payee;
    }

    // ---------------------------------------------------------------- internals

    function _begin(uint256 lease, uint256 orderWord0, uint256 orderWord1, Bid bid)
        private
        returns (uint256 w0, uint256 w1)
    {
        w0 = _firstWord(lease, orderWord0, orderWord1, bid);
        w1 = LeaseWord.pending(bid.rate(), block.timestamp + CONFIRM_WINDOW);
        Lease storage l = _leases[lease];
        l.word0 = w0;
        l.word1 = w1;
    }

    /// @dev The order's terms with the winner's, the tier 1 rebate taken off the fee (SP-6).
    function _firstWord(uint256 lease, uint256 orderWord0, uint256 orderWord1, Bid bid) private returns (uint256 w0) {
        uint256 fizzShare;
        if (bid.fizz() != 0) (_leases[lease].payee, fizzShare) = _fizzShare(bid.provider(), bid.fizz());
        uint256 fee = OrderWord.fee(orderWord1);
        if (bid.trustTier() == TIER_1) fee -= fee * TermsWord.tier1Rebate(PAYMENT_TOKENS.termsWord()) / Bill.BP;

        w0 = LeaseWord.packParties(
            OrderWord.wallet(orderWord0), OrderWord.token(orderWord0), bid.provider(), bid.fizz()
        );
        w0 |= LeaseWord.packTerms(fee, OrderWord.payerFee(orderWord1), fizzShare, OrderWord.duration(orderWord0));
        w0 |= LeaseWord.packSize(
            OrderWord.units(orderWord0), OrderWord.gpus(orderWord0), OrderWord.decimals(orderWord0)
        );
    }

    function _load(uint256 lease) private view returns (uint256 w0, uint256 w1) {
        Lease storage l = _leases[lease];
        return (l.word0, l.word1);
    }

    function _onlyTenant(uint256 lease, uint256 w0) private view {
        if (ESCROW.ownerOf(w0.wallet()) != msg.sender) revert LeaseBook_NotTenant(lease, msg.sender);
    }

    function _onlyProvider(uint256 lease, uint256 w0) private view {
        if (REGISTRY.hotKeyOf(w0.provider()) != msg.sender) revert LeaseBook_NotProvider(lease, msg.sender);
    }

    function _pauser(uint256 lease, uint256 w0) private view returns (uint256) {
        if (msg.sender == ARBITER) return LeaseWord.BY_ARBITER;
        _onlyProvider(lease, w0);
        return LeaseWord.BY_PROVIDER;
    }

    /// @dev Active or paused, and its time has not run out.
    function _requireRunning(uint256 lease, uint256 w1) private view {
        LeaseState state = w1.state();
        bool started = state == LeaseState.Active || state == LeaseState.Paused;
        if (!started || block.timestamp >= w1.end()) revert LeaseBook_WrongState(lease, state);
    }

    /// @dev Seconds that the lease still holds money for.
    function _payable(uint256 w0, uint256 w1) private pure returns (uint256) {
        if (w1.isIn(LeaseState.Pending)) return w0.duration();
        uint256 until = w1.isIn(LeaseState.Closed) ? w1.stoppedAt() : w1.end();
        return until - w1.settledTo() - w1.unbilled();
    }

    /// @dev The moment up to which the lease costs something, at most `time`.
    function _billedTo(uint256 w1, uint256 time) private pure returns (uint256) {
        uint256 stopped = w1.stoppedAt();
        return _min(time, stopped == 0 ? w1.end() : stopped);
    }

    /// @dev The start, moved by the seconds given back since, or by an update to its moment.
    function _countedFrom(uint256 lease, uint256 w0, uint256 w1) private view returns (uint256 from) {
        from = _leases[lease].countedFrom;
        if (from == 0) from = w1.end() - w0.duration();
    }

    /// @dev What `before` payable seconds lock beyond `left` of them.
    function _released(uint256 w0, uint256 w1, uint256 before, uint256 left) private pure returns (uint256) {
        (uint256 from, uint256 to) = Bill.between(w1.rate(), before, left, w0.decimals());
        return from - to + Bill.part(from, to, w0.payerFee());
    }

    function _lockOf(uint256 w0, uint256 w1, uint256 secs) private pure returns (uint256) {
        return Bill.lockOf(w1.rate(), secs, w0.decimals(), w0.payerFee());
    }

    /// @dev Pays what accrued until `time`. Seconds given back are skipped first.
    /// @return moved false when there was nothing to settle
    function _settleUntil(uint256 lease, uint256 time) private returns (bool moved, uint256 net) {
        (uint256 w0, uint256 w1) = _load(lease);
        if (w1.settledTo() == 0) return (false, 0);
        uint256 until = _billedTo(w1, time);
        uint256 from = w1.settledTo();
        if (until <= from) return (false, 0);
        uint256 before = _payable(w0, w1);
        uint256 unbilled = w1.unbilled();
        uint256 skipped;
        uint256 secs;
        unchecked {
            skipped = _min(unbilled, until - from);
            secs = until - from - skipped;
            unbilled -= skipped;
        }
        _leases[lease].word1 = w1.withSettled(until, unbilled);
        net = _pay(lease, w0, w1.rate(), before, before - secs, until);
        return (true, net);
    }

    /// @dev Moves the bill from `before` to `left` payable seconds to the payees' ledgers.
    function _pay(uint256 lease, uint256 w0, uint256 rate, uint256 before, uint256 left, uint256 until)
        private
        returns (uint256 net)
    {
        (uint256 from, uint256 to) = Bill.between(rate, before, left, w0.decimals());
        uint256 fee = Bill.part(from, to, w0.payerFee());
        uint256 share;
        unchecked {
            // Amounts stay below 2^128, shares at most at 10,000.
            uint256 kept = Bill.BP - w0.fee();
            net = Bill.part(from, to, kept);
            fee += from - to - net;
            share = Bill.part(from * kept / Bill.BP, to * kept / Bill.BP, w0.fizzShare());
            net -= share;
        }
        emit LeaseSettled(lease, w0.provider(), until, net, fee, share);
        ESCROW.credit(w0.provider(), w0.token(), net, fee);
        if (share != 0) ESCROW.credit(uint160(_leases[lease].payee), w0.token(), share, 0);
    }

    /// @dev Refunds `secs` payable seconds and stores `w1` with them unbilled.
    function _giveBack(uint256 lease, uint256 w0, uint256 w1, uint256 secs) private returns (uint256 amount) {
        uint256 before = _payable(w0, w1);
        amount = _released(w0, w1, before, before - secs);
        // Within the lease's time, which fits 40 bits.
        // forge-lint: disable-next-line(unsafe-typecast)
        _leases[lease].countedFrom = uint40(_countedFrom(lease, w0, w1) + secs);
        _leases[lease].word1 = w1.withUnbilled(w1.unbilled() + secs);
        if (amount != 0) ESCROW.release(w0.wallet(), w0.token(), amount);
    }

    /// @dev Ends a lease now by somebody else than its tenant.
    /// @return why it ended
    function _close(uint256 lease, uint256 w0, uint256 w1, CloseReason reason) private returns (CloseReason why) {
        uint256 amount;
        (why, amount) = _end(lease, w0, w1, reason);
        if (amount != 0) ESCROW.release(w0.wallet(), w0.token(), amount);
        _giveCapacity(w0.provider(), w0.units(), w0.gpus());
    }

    /// @dev What is payable until now stays for `settle`, the rest is to go back.
    function _end(uint256 lease, uint256 w0, uint256 w1, CloseReason reason)
        private
        returns (CloseReason, uint256 amount)
    {
        LeaseState state = w1.state();
        if (state == LeaseState.None || state == LeaseState.Closed) revert LeaseBook_WrongState(lease, state);
        uint256 before = _payable(w0, w1);
        uint256 until = block.timestamp;
        if (state == LeaseState.Pending) {
            // Never ran, as if it had started now: nothing is payable.
            w1 = w1.withEnd(until + w0.duration()).withSettled(until, 0);
        } else {
            if (until >= w1.end()) reason = CloseReason.Expired;
            until = _billedTo(w1, until);
            w1 = w1.withUnbilled(_min(w1.unbilled(), until - w1.settledTo()));
        }
        w1 = w1.closed(until, reason);
        amount = _released(w0, w1, before, _payable(w0, w1));
        _leases[lease].word1 = w1;
        emit LeaseClosed(lease, w0.wallet(), w0.provider(), reason, until, amount);
        return (reason, amount);
    }

    function _checkBracket(Spec calldata spec, uint256 token, uint256 amount) private view {
        (uint256 tokenWord, uint256 termsWord) = PAYMENT_TOKENS.quote(token);
        (uint256 needed, uint256 held) = Bracket.centsOf(spec.resources, amount, tokenWord, termsWord);
        if (held < needed) revert LeaseBook_BeyondBracket(needed, held);
    }

    function _min(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }
}
