// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Bid} from "../lib/Types.sol";
import {Quorum} from "./IOperatorRegistry.sol";

/// @notice One order's result within a signed batch.
struct Match {
    uint256 order;
    Bid bid;
    bytes32[] proof; // Merkle path of its leaf, hashes of a pair sorted
}

/// @notice What one operator signed: the root of all results of one closing block and one set.
struct Share {
    uint32 operator;
    uint32 setEra;
    uint40 closeBlock;
    bytes32 root;
    bytes signature; // 128 bytes
}

/// @notice A leaf's fields but for the bid.
struct Result {
    bytes32 orderHash;
    bytes32 closeHash;
    bytes32 seed;
    uint256 policy;
    uint256 setEra;
}

/// @title  MatchTaskManager: results signed by a quorum of operators, and what follows when they are wrong (SP-13 to SP-15)
/// @notice Operators score an order's bids off chain, as `OrderBook.resolve` does on chain, and sign one Merkle root for all
///         orders that share a closing block and a set (EIP-712, domain "Ionosphere MatchTaskManager" "1"):
///
///         MatchRoot(uint256 closeBlock,uint256 setEra,bytes32 root)
///         Match(bytes32 order,bytes32 closeHash,bytes32 seed,uint256 bid,uint256 policy,uint256 setEra)
///
///         A leaf is the struct hash of a Match; `order` there is keccak(order id, words 0 and 1 as while it was open).
///         A leaf names the hash of its closing block, so what was signed on a chain that a re-org took away is about
///         that chain alone and never punishable on this one.
///         Nobody needs the quorum: `OrderBook.resolve` decides any order at any time. Nobody trusts it: who signed a bid
///         that is not the best loses half its stake to whoever shows it, by its share alone.
interface IMatchTaskManager {
    /// @notice Fixed for good.
    struct Wiring {
        address orders;
        address leases;
        address operators; // OperatorRegistry
        address staking; // the operators' StakingManager
        address escrow;
        address paymentTokens;
        address randomness;
        uint40 challengeWindow; // seconds
    }

    /// Why a match of a batch was left out.
    enum Skip {
        NotOpen,
        OtherBatch, // another closing block or another set
        NotSigned, // its proof does not lead to the root
        OverLimit, // more value than what the signers can lose
        Refused // by OrderBook
    }

    /// `silent` has the hashes of the keys of members that did not sign: whoever finds a match wrong can name the others,
    /// through whatever contract the batch came.
    event BatchResponded(
        bytes32 indexed response,
        uint256 closeBlock,
        uint256 setEra,
        bytes32 root,
        uint256 matched,
        uint256 signed,
        bytes32[] silent
    );
    event MatchSkipped(uint256 indexed order, Skip reason);
    /// `owed` wei of SPON to the tenant out of the signers' stakes.
    event MatchProvenWrong(uint256 indexed order, Bid wrong, Bid right, bool amended, uint256 owed);
    /// `matter` is the order, or for two results that contradict each other the hash of the order's hash in them.
    event OperatorPunished(
        uint256 indexed operator, bytes32 indexed matter, uint256 slashed, uint256 toTenant, address reporter
    );
    event RewardClaimed(uint256 indexed operator, uint256 indexed era, uint256 indexed token, uint256 amount);

    /// Operators could take their stake before what they matched is beyond a challenge. Both in seconds.
    error MatchTasks_BadUnbondingTime(uint256 unbondingTime, uint256 exposed);
    error MatchTasks_BadWindow();
    error MatchTasks_BlockGone(uint256 blockNumber);
    error MatchTasks_NoCase(uint256 order);
    error MatchTasks_NotTheMatch(uint256 order);
    /// The lie is what the order was matched by: what its tenant is owed comes first.
    error MatchTasks_ChallengeFirst(uint256 order);
    error MatchTasks_NotSigned(string what);
    error MatchTasks_NotMember(uint256 operator, uint256 era);
    error MatchTasks_AlreadyPunished(uint256 operator, bytes32 matter);
    error MatchTasks_NothingToClaim(uint256 operator, uint256 era, uint256 token);

    /// @notice Anyone submits: the signatures speak. A match that is not possible is left out and said so.
    /// @param matches best by payment token, since each change of token costs a store
    /// @return matched how many became leases
    function respondBatch(uint256 closeBlock, bytes32 root, Quorum calldata quorum, Match[] calldata matches)
        external
        returns (uint256 matched);

    /// @notice Anyone shows that a quorum's match is not the best stored bid. A pending lease goes to the right bid at once,
    ///         unless its time to be confirmed has passed; a confirmed one stands, and its tenant, who may close it free of
    ///         charge as ever, is owed the difference in price, over as long as it ran if it has ended. A challenge without
    ///         a case reverts.
    /// @param response of the batch that made the match
    function challenge(uint256 order, Bid bid, bytes32 seed, bytes32 response) external;
    /// @notice After `challenge`: each of the operators loses half its stake for having signed, unless it did already.
    /// @param digest of the root that the quorum signed
    function punishSigners(
        uint256 order,
        bytes32 digest,
        uint256 setEra,
        bytes calldata nonSigners,
        uint256[] calldata operators
    ) external;
    /// @notice A single share with a leaf for a losing bid is enough, whether or not it was ever used. Where a quorum made
    ///         that bid a lease, only after `challenge`.
    function proveLie(Share calldata share, Match calldata result) external;
    /// @notice Two results that differ in nothing but the bid, on whatever chain.
    function proveEquivocation(
        Share calldata a,
        Share calldata b,
        Result calldata result,
        uint256[2] calldata bids,
        bytes32[] calldata proofA,
        bytes32[] calldata proofB
    ) external;

    /// @notice Pays an operator's owner its part of an era's match fees; anyone may call.
    function claim(uint256 operator, uint256 era, uint256 token) external returns (uint256 amount);

    function rootDigest(uint256 closeBlock, uint256 setEra, bytes32 root) external view returns (bytes32);
    /// @return matched orders of a token that an era's sets matched
    /// @return missed how many of them the operator did not sign
    /// @return unclaimed token units that it earned
    function performanceOf(uint256 operator, uint256 era, uint256 token)
        external
        view
        returns (uint256 matched, uint256 missed, uint256 unclaimed);
    /// @return spent cents of dollars matched within the challenge window, at least
    function spentInWindow() external view returns (uint256 spent);
    function wiring() external view returns (Wiring memory);
}
