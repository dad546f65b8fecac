// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";
import {LibBit} from "solady/utils/LibBit.sol";

import {IEscrow} from "../interfaces/IEscrow.sol";
import {IFizzRegistry} from "../interfaces/IFizzRegistry.sol";
import {ILeaseBook} from "../interfaces/ILeaseBook.sol";
import {IMatchPolicy, IRandomness} from "../interfaces/IMatching.sol";
import {IOrderBook} from "../interfaces/IOrderBook.sol";
import {IPaymentTokens} from "../interfaces/IPaymentTokens.sol";
import {IProviderRegistry} from "../interfaces/IProviderRegistry.sol";
import {BidWord} from "../lib/BidWord.sol";
import {Bill} from "../lib/Bill.sol";
import {Bracket} from "../lib/Bracket.sol";
import {Eligibility} from "../lib/Eligibility.sol";
import {OrderWord} from "../lib/OrderWord.sol";
import {ProfileWord} from "../lib/ProfileWord.sol";
import {SpecRules} from "../lib/SpecRules.sol";
import {TermsWord} from "../lib/TermsWord.sol";
import {TokenWord} from "../lib/TokenWord.sol";
import {Bid, OrderFlags, OrderState, Profile, Spec, Terms} from "../lib/Types.sol";
import {Score} from "../matching/Score.sol";
import {EraClock} from "../staking/EraClock.sol";

/// @title  OrderBook: orders, bids and their match (SP-10 to SP-13)
/// @notice See IOrderBook. A provider's bid lives in slot keccak256(abi.encode(order, provider)) mod 64. Only a strictly
///         better static score takes a held slot, and nobody raises its own bid, so that neither a crowd of worthless
///         bids nor one that is not meant can shut out a good one.
///         Immutable code, wired by constructor.
contract OrderBook is IOrderBook {
    using BidWord for Bid;
    using OrderWord for uint256;
    using ProfileWord for Profile;

    uint256 private constant MAX_DURATION = 180 days;
    uint256 private constant SLOTS = 64;
    uint8 private constant KNOWN_FLAGS = 31;

    struct Order {
        uint256 word0;
        uint256 word1;
        /// The spec's; once a quorum matched the order, its match digest.
        bytes32 hash;
        /// Ids that a list flag speaks of; written only with such a flag.
        uint256 providers;
    }

    IEscrow private immutable ESCROW;
    ILeaseBook private immutable LEASE_BOOK;
    IPaymentTokens private immutable PAYMENT_TOKENS;
    IProviderRegistry private immutable REGISTRY;
    IMatchPolicy private immutable POLICIES;
    IRandomness private immutable RANDOMNESS;
    address private immutable TASKS;
    IFizzRegistry private immutable FIZZ;
    EraClock private immutable CLOCK;
    /// The clock's own, kept here to ask for the era without a call.
    uint256 private immutable GENESIS;
    uint256 private immutable ERA_LENGTH;

    mapping(uint256 order => Order) private _orders;
    /// Key: order << 6 | slot.
    mapping(uint256 key => Bid) private _bids;
    /// Versions of weights that were needed before: they never change, so each is fetched once.
    mapping(uint256 policy => uint256) private _weights;
    /// @inheritdoc IOrderBook
    uint256 public orderCount;

    constructor(Wiring memory w) {
        ESCROW = IEscrow(w.escrow);
        LEASE_BOOK = ILeaseBook(w.leaseBook);
        PAYMENT_TOKENS = IPaymentTokens(w.paymentTokens);
        REGISTRY = IProviderRegistry(w.registry);
        POLICIES = IMatchPolicy(w.policies);
        RANDOMNESS = IRandomness(w.randomness);
        TASKS = w.tasks;
        FIZZ = IFizzRegistry(w.fizz);
        CLOCK = EraClock(w.clock);
        GENESIS = CLOCK.GENESIS();
        ERA_LENGTH = CLOCK.LENGTH();
    }

    // ---------------------------------------------------------------- tenants

    /// @inheritdoc IOrderBook
    function createOrder(Terms calldata terms, Spec calldata spec) external returns (uint256 order) {
        return _create(terms.wallet, terms, spec);
    }

    /// @inheritdoc IOrderBook
    function permitAndCreate(
        Terms calldata terms,
        Spec calldata spec,
        uint256 amount,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external returns (uint256 order) {
        address asset = ESCROW.assetOf(terms.token);
        // Whoever sees a permit may spend it first: then the allowance is there already.
        try IERC20Permit(asset).permit(msg.sender, address(ESCROW), amount, deadline, v, r, s) {} catch {}
        return _create(ESCROW.depositFrom(terms.wallet, terms.token, amount, msg.sender), terms, spec);
    }

    /// @inheritdoc IOrderBook
    function cancel(uint256 order) external {
        uint256 w0 = _open(order);
        if (block.number > w0.closeBlock()) revert OrderBook_BiddingClosed(order, w0.closeBlock());
        _orders[order].word0 = w0.withState(OrderState.Cancelled);
        emit OrderCancelled(order);
        ESCROW.releaseTo(w0.wallet(), w0.token(), _reserveOf(w0, _orders[order].word1), msg.sender);
    }

    // ---------------------------------------------------------------- providers

    /// @inheritdoc IOrderBook
    function placeBid(uint256 order, uint80 rate, uint32 fizz) external {
        uint256 w0 = _open(order);
        if (block.number > w0.closeBlock()) revert OrderBook_BiddingClosed(order, w0.closeBlock());
        Bid bid = BidWord.pack(_eligible(order, w0, fizz), fizz, rate);
        uint256 w1 = _orders[order].word1;
        if (rate == 0) revert OrderBook_BadTerms("rate: zero");
        if (rate > w1.maxRate()) revert OrderBook_RateTooHigh(rate, w1.maxRate());
        uint256 replaced = _hold(order, w0, w1, bid);
        emit BidPlaced(order, bid.provider(), bid, replaced);
    }

    // ---------------------------------------------------------------- anyone

    /// @inheritdoc IOrderBook
    function resolve(uint256 order) external returns (uint256 provider) {
        uint256 w0 = _open(order);
        uint256 w1 = _orders[order].word1;
        (bytes32 seed, bool gone) = _seed(order, w0);
        if (gone || w1.occupancy() == 0) {
            _orders[order].word0 = w0.withState(OrderState.Void);
            emit OrderVoided(order, LibBit.popCount(w1.occupancy()));
            ESCROW.release(w0.wallet(), w0.token(), _reserveOf(w0, w1));
            return 0;
        }
        (Bid bid,) = _select(order, w0, w1, _weightsOf(w0.policy()), seed);
        _match(order, w0, w1, bid, seed);
        return bid.provider();
    }

    // ---------------------------------------------------------------- the quorum of operators

    /// @inheritdoc IOrderBook
    function award(uint256 order, Bid bid, bytes32 seed, bytes32 response) external {
        _onlyTasks();
        uint256 w0 = _open(order);
        if (!_isStored(order, bid)) revert OrderBook_NoSuchBid(order, bid);
        _orders[order].hash = keccak256(abi.encode(order, bid, seed, response));
        _match(order, w0, _orders[order].word1, bid, seed);
    }

    /// @inheritdoc IOrderBook
    function amend(uint256 order, Bid bid) external returns (bool stands) {
        _onlyTasks();
        Order storage o = _orders[order];
        delete o.hash;
        emit OrderAmended(order, bid.provider(), bid);
        return LEASE_BOOK.reopen(order, o.word0, o.word1, bid);
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc IOrderBook
    function wiring() external view returns (Wiring memory) {
        return Wiring(
            address(ESCROW),
            address(LEASE_BOOK),
            address(PAYMENT_TOKENS),
            address(REGISTRY),
            address(POLICIES),
            address(RANDOMNESS),
            TASKS,
            address(CLOCK),
            address(FIZZ)
        );
    }

    /// @inheritdoc IOrderBook
    function orderWords(uint256 order) external view returns (uint256 word0, uint256 word1, bytes32 hash) {
        Order storage o = _orders[order];
        return (o.word0, o.word1, o.hash);
    }

    /// @inheritdoc IOrderBook
    function bidAt(uint256 order, uint256 slot) external view returns (Bid) {
        return slot < SLOTS ? _bids[(order << 6) | slot] : Bid.wrap(0);
    }

    /// @inheritdoc IOrderBook
    function bidsOf(uint256 order) external view returns (Bid[] memory bids) {
        uint256 left = _orders[order].word1.occupancy();
        bids = new Bid[](LibBit.popCount(left));
        for (uint256 i; left != 0; ++i) {
            bids[i] = _bids[(order << 6) | LibBit.ffs(left)];
            left &= left - 1;
        }
    }

    /// @inheritdoc IOrderBook
    function winnerOf(uint256 order) external view returns (Bid bid, uint256 score, bytes32 seed) {
        uint256 w0 = _open(order);
        uint256 w1 = _orders[order].word1;
        bool gone;
        (seed, gone) = _seed(order, w0);
        if (!gone && w1.occupancy() != 0) (bid, score) = _select(order, w0, w1, POLICIES.weightsOf(w0.policy()), seed);
    }

    /// @inheritdoc IOrderBook
    function bestOf(uint256 order, bytes32 seed) external view returns (Bid bid) {
        uint256 w0 = _orders[order].word0;
        (bid,) = _select(order, w0, _orders[order].word1, POLICIES.weightsOf(w0.policy()), seed);
    }

    // ---------------------------------------------------------------- internals

    function _create(uint256 wallet, Terms calldata terms, Spec calldata spec) private returns (uint256 order) {
        _check(terms, spec.providers);
        (uint256 token, uint256 market) = PAYMENT_TOKENS.quote(terms.token);
        if (!TokenWord.isEnabled(token)) revert OrderBook_TokenDisabled(terms.token);
        uint256 w0 = OrderWord.packTerms(wallet, terms) | _size(spec)
            | OrderWord.packMarket(
                block.number + TermsWord.bidBlocks(market),
                TermsWord.policy(market),
                (block.timestamp - GENESIS) / ERA_LENGTH + 1,
                TokenWord.decimals(token)
            );
        uint256 w1 = _price(terms.maxRate, token, market);

        order = ++orderCount;
        Order storage o = _orders[order];
        o.word0 = w0;
        o.word1 = w1;
        o.hash = keccak256(abi.encode(spec));
        if (spec.providers != 0) o.providers = spec.providers;
        emit OrderCreated(order, wallet, w0, w1, spec);

        uint256 free = ESCROW.reserve(wallet, terms.token, _reserveOf(w0, w1), msg.sender);
        if (free < TokenWord.minDeposit(token)) {
            revert OrderBook_BelowMinimumDeposit(free, TokenWord.minDeposit(token));
        }
        (uint256 needed, uint256 held) = Bracket.centsOf(spec.resources, free, token, market);
        if (held < needed) revert OrderBook_BeyondBracket(needed, held);
    }

    function _size(Spec calldata spec) private pure returns (uint256) {
        (uint256 units, uint256 gpus) = SpecRules.check(spec);
        return OrderWord.packSize(units, gpus);
    }

    /// @dev Maximum rate and fees as they are now; SPON pays neither payer's nor receiver's fee (SP-24).
    function _price(uint256 maxRate, uint256 token, uint256 market) private pure returns (uint256) {
        uint256 fee = TermsWord.commission(market);
        uint256 payerFee;
        if (!TokenWord.isSpon(token)) {
            fee += TermsWord.receiverFee(market);
            payerFee = TermsWord.payerFee(market);
        }
        return OrderWord.pack1(maxRate, fee, payerFee, TokenWord.matchFee(token));
    }

    function _check(Terms calldata terms, uint256 providers) private pure {
        if (terms.duration == 0 || terms.duration > MAX_DURATION) revert OrderBook_BadTerms("duration");
        if (terms.maxRate == 0) revert OrderBook_BadTerms("maxRate");
        uint8 flags = terms.flags;
        if (flags > KNOWN_FLAGS || flags & (OrderFlags.PROVIDER | OrderFlags.FIZZ) == 0) {
            revert OrderBook_BadTerms("flags");
        }
        if (terms.requirements >> 18 != 0 || terms.requirements >> 14 > 7) revert OrderBook_BadTerms("requirements");
        if (flags & OrderFlags.STRICT_REGION != 0 && terms.region >> 8 == 0) revert OrderBook_BadTerms("region");
        uint8 lists = flags & (OrderFlags.ALLOW_LIST | OrderFlags.DENY_LIST);
        // Both lists at once, a list without ids, or ids without a list.
        if (lists == OrderFlags.ALLOW_LIST | OrderFlags.DENY_LIST || (lists != 0) != (providers & 0xffffffff != 0)) {
            revert OrderBook_BadTerms("providers");
        }
    }

    /// @dev The winner's lease, what it does not lock back to the wallet, and the match fee to who brought the match.
    function _match(uint256 order, uint256 w0, uint256 w1, Bid bid, bytes32 seed) private {
        _orders[order].word0 = w0.withState(OrderState.Matched);
        emit OrderMatched(order, bid.provider(), bid, seed, msg.sender);

        uint256 locked = LEASE_BOOK.open(order, w0, w1, bid);
        uint256 matchFee = w1.matchFee();
        ESCROW.release(w0.wallet(), w0.token(), _reserveOf(w0, w1) - locked - matchFee);
        if (matchFee != 0) ESCROW.credit(uint160(msg.sender), w0.token(), matchFee, 0);
    }

    function _onlyTasks() private view {
        if (msg.sender != TASKS) revert OrderBook_NotTaskManager(msg.sender);
    }

    function _isStored(uint256 order, Bid bid) private view returns (bool) {
        uint256 provider = bid.provider();
        Bid stored = _bids[(order << 6) | _slotOf(order, provider)];
        return provider != 0 && Bid.unwrap(stored) == Bid.unwrap(bid);
    }

    function _open(uint256 order) private view returns (uint256 w0) {
        w0 = _orders[order].word0;
        OrderState state = w0.state();
        if (state != OrderState.Open) revert OrderBook_NotOpen(order, state);
    }

    /// @return profile the caller's, who may bid
    function _eligible(uint256 order, uint256 w0, uint256 fizz) private view returns (Profile profile) {
        profile = REGISTRY.profileOf(msg.sender);
        if (profile.id() == 0) revert OrderBook_NotProvider(msg.sender);
        bool lists = w0.flags() & (OrderFlags.ALLOW_LIST | OrderFlags.DENY_LIST) != 0;
        string memory why = Eligibility.whyNot(w0, lists ? _orders[order].providers : 0, profile, fizz);
        if (bytes(why).length != 0) revert OrderBook_Ineligible(order, profile.id(), why);
        if (fizz != 0) _requireActive(order, profile.id(), fizz);
    }

    /// @dev Here and not at the match: a lease then names a light node that serves it, and no match can fail over one.
    function _requireActive(uint256 order, uint256 provider, uint256 fizz) private view {
        string memory why = FIZZ.whyNot(provider, fizz);
        if (bytes(why).length != 0) revert OrderBook_Ineligible(order, provider, why);
    }

    /// @dev Puts a bid into its slot.
    /// @return replaced whose bid was there, 0 for nobody's
    function _hold(uint256 order, uint256 w0, uint256 w1, Bid bid) private returns (uint256 replaced) {
        uint256 provider = bid.provider();
        uint256 slot = _slotOf(order, provider);
        uint256 key = (order << 6) | slot;
        uint256 bit = 1 << (slot + OrderWord.OCCUPANCY);
        if (w1 & bit == 0) {
            _orders[order].word1 = w1 | bit;
        } else {
            Bid held = _bids[key];
            replaced = held.provider();
            // A dearer one of its own would let it keep others out with a rate that it takes back at the close.
            if (replaced == provider ? bid.rate() > held.rate() : !_beats(w0, w1, bid, held)) {
                revert OrderBook_Outbid(order, provider, replaced);
            }
        }
        _bids[key] = bid;
    }

    /// @dev Maximum bill and match fee: what an open order holds.
    function _reserveOf(uint256 w0, uint256 w1) private pure returns (uint256) {
        return Bill.lockOf(w1.maxRate(), w0.duration(), w0.decimals(), w1.payerFee()) + w1.matchFee();
    }

    /// @dev `gone`: the seed can never be had any more.
    function _seed(uint256 order, uint256 w0) private view returns (bytes32 seed, bool gone) {
        uint256 seedBlock = w0.closeBlock() + 1;
        if (block.number <= seedBlock) revert OrderBook_TooEarly(order, seedBlock + 1);
        try RANDOMNESS.seedOf(seedBlock) returns (bytes32 seed_) {
            return (seed_, false);
        } catch {
            // Not a lack of gas, nor a seed yet to come: only what is gone for good voids an order.
            if (!RANDOMNESS.isGone(seedBlock)) revert OrderBook_TooEarly(order, seedBlock + 1);
            return (0, true);
        }
    }

    /// @dev The best of the stored bids: a pure function of storage and seed.
    function _select(uint256 order, uint256 w0, uint256 w1, uint256 weights, bytes32 seed)
        private
        view
        returns (Bid best, uint256 bestScore)
    {
        uint256 maxRate = w1.maxRate();
        uint256 region = w0.region();
        uint256 bestTicket;
        uint256 left = w1.occupancy();
        unchecked {
            while (left != 0) {
                Bid bid = _bids[(order << 6) | LibBit.ffs(left)];
                left &= left - 1;
                uint256 ticket = Score.ticketOf(seed, bid.provider());
                uint256 score = Score.staticScore(weights, maxRate, region, bid) + Score.randomScore(weights, ticket);
                if (score > bestScore || (score == bestScore && ticket >= bestTicket)) {
                    (best, bestScore, bestTicket) = (bid, score, ticket);
                }
            }
        }
    }

    function _weightsOf(uint256 policy) private returns (uint256 weights) {
        weights = _weights[policy];
        if (weights == 0) {
            weights = POLICIES.weightsOf(policy);
            _weights[policy] = weights;
        }
    }

    function _beats(uint256 w0, uint256 w1, Bid bid, Bid held) private returns (bool) {
        uint256 weights = _weightsOf(w0.policy());
        return Score.staticScore(weights, w1.maxRate(), w0.region(), bid)
            > Score.staticScore(weights, w1.maxRate(), w0.region(), held);
    }

    function _slotOf(uint256 order, uint256 provider) private pure returns (uint256) {
        return uint256(keccak256(abi.encode(order, provider))) % SLOTS;
    }
}
