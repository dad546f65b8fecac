// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Bid, OrderState, Spec, Terms} from "../lib/Types.sol";

/// @title  OrderBook: orders, bids and their match (SP-10 to SP-14)
/// @notice Order made in block n; bids until its closing block n + bidBlocks; the seed is that of block close + 1, so
///         `resolve` works from close + 2 on and until the seed's block hash is gone (8,191 blocks): then the order is
///         void and refunded. The winner is a pure function of storage and seed: the caller of `resolve` cannot choose.
interface IOrderBook {
    /// @notice Fixed for good.
    struct Wiring {
        address escrow;
        address leaseBook;
        address paymentTokens;
        address registry;
        address policies;
        address randomness;
        address tasks; // MatchTaskManager
        address clock; // EraClock
        address fizz; // FizzRegistry
    }

    /// `word0` and `word1` are the stored ones (contracts/src/lib/Types.sol). The paper's PROVIDER_LOOKUP.
    event OrderCreated(uint256 indexed order, uint256 indexed wallet, uint256 word0, uint256 word1, Spec spec);
    /// `replaced` is the provider id whose bid this one took the slot of, or 0.
    event BidPlaced(uint256 indexed order, uint256 indexed provider, Bid bid, uint256 replaced);
    event OrderMatched(uint256 indexed order, uint256 indexed provider, Bid bid, bytes32 seed, address keeper);
    /// The match was proven wrong before its lease was confirmed: `bid` is the right one.
    event OrderAmended(uint256 indexed order, uint256 indexed provider, Bid bid);
    event OrderCancelled(uint256 indexed order);
    /// `bids` is 0 when nobody bid; else the seed had expired.
    event OrderVoided(uint256 indexed order, uint256 bids);

    error OrderBook_NotOpen(uint256 order, OrderState state);
    error OrderBook_BiddingClosed(uint256 order, uint256 closeBlock);
    error OrderBook_TooEarly(uint256 order, uint256 readyBlock);
    error OrderBook_BadTerms(string what);
    error OrderBook_TokenDisabled(uint256 token);
    error OrderBook_BelowMinimumDeposit(uint256 free, uint256 minimum);
    /// Dollars (cents) that the resources ask for and that the wallet holds (SP-25).
    error OrderBook_BeyondBracket(uint256 neededCents, uint256 heldCents);
    error OrderBook_NotProvider(address caller);
    error OrderBook_Ineligible(uint256 order, uint256 provider, string why);
    error OrderBook_NotTaskManager(address caller);
    error OrderBook_NoSuchBid(uint256 order, Bid bid);
    error OrderBook_RateTooHigh(uint256 rate, uint256 maxRate);
    /// Its slot holds a bid with at least as good a static score, or a cheaper one of its own.
    error OrderBook_Outbid(uint256 order, uint256 provider, uint256 holder);

    /// @notice Reserves maxRate × duration, the payer fee and the match fee from a wallet that the caller owns.
    function createOrder(Terms calldata terms, Spec calldata spec) external returns (uint256 order);
    /// @notice Deposits `amount` by permit (tolerating a failed one) and creates the order: one signature.
    ///         `terms.wallet` 0 opens a wallet.
    function permitAndCreate(
        Terms calldata terms,
        Spec calldata spec,
        uint256 amount,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external returns (uint256 order);
    /// @notice By a provider's hot key; `fizz` is 0 for its own machines, else an active light node of its subnet. A
    ///         provider's later bid replaces its earlier one, unless it is dearer.
    function placeBid(uint256 order, uint80 rate, uint32 fizz) external;
    /// @notice Scores the stored bids with the seed; creates the lease, or voids the order. Pays the match fee to the caller.
    function resolve(uint256 order) external returns (uint256 provider);
    /// @notice Owner of the wallet, while bidding is open.
    function cancel(uint256 order) external;

    /// @notice MatchTaskManager only: a stored bid wins by the word of a quorum, which stays to be challenged by the match
    ///         digest of its `response`. The match fee is credited to the caller.
    function award(uint256 order, Bid bid, bytes32 seed, bytes32 response) external;
    /// @notice MatchTaskManager only: the right bid takes the place of a proven wrong one whose lease is pending.
    /// @return stands false when the tenant's wallet cannot pay for it: the lease is closed and refunded
    function amend(uint256 order, Bid bid) external returns (bool stands);

    function wiring() external view returns (Wiring memory);
    function orderWords(uint256 order) external view returns (uint256 word0, uint256 word1, bytes32 hash);
    function bidAt(uint256 order, uint256 slot) external view returns (Bid);
    /// @notice All stored bids, by slot.
    function bidsOf(uint256 order) external view returns (Bid[] memory);
    /// @notice What `resolve` would decide now; provider 0 when there is no bid. Reverts like `resolve`.
    function winnerOf(uint256 order) external view returns (Bid bid, uint256 score, bytes32 seed);
    /// @notice The best of an order's stored bids by this seed, whatever became of the order; 0 without bids.
    function bestOf(uint256 order, bytes32 seed) external view returns (Bid bid);
    function orderCount() external view returns (uint256);
}
