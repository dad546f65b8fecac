// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Blockhash} from "@openzeppelin/contracts/utils/Blockhash.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

import {IMatchTaskManager, Match, Result, Share} from "../interfaces/IMatchTaskManager.sol";
import {IRandomness} from "../interfaces/IMatching.sol";
import {IOperatorRegistry} from "../interfaces/IOperatorRegistry.sol";
import {LeaseWord} from "../lib/LeaseWord.sol";
import {OrderWord} from "../lib/OrderWord.sol";
import {Bid, LeaseState} from "../lib/Types.sol";
import {EraClock} from "../staking/EraClock.sol";
import {Bls} from "../verify/Bls.sol";
import {G2} from "../verify/G2.sol";
import {MatchLimit} from "./MatchLimit.sol";
import {MatchMessage} from "./MatchMessage.sol";
import {MatchPenalties} from "./MatchPenalties.sol";

/// @title  MatchFaults: wrong results, and who signed them, proven (SP-15)
/// @notice What is a fault is computed here from the stored bids, never judged: the best bid of an order is a function of
///         storage and seed.
abstract contract MatchFaults is MatchPenalties, MatchLimit, EIP712 {
    using OrderWord for uint256;

    uint256 private constant NON_SIGNER_BYTES = 4 + G2.LENGTH;

    IRandomness internal immutable RANDOMNESS;
    /// How much of a signer's weight is at least its own stake: all of it, or with a restaking source half.
    uint256 private immutable STAKED_PART;

    constructor(Wiring memory w)
        MatchPenalties(w)
        MatchLimit(w.challengeWindow)
        EIP712("Ionosphere MatchTaskManager", "1")
    {
        RANDOMNESS = IRandomness(w.randomness);
        IOperatorRegistry.Wiring memory o = OPERATORS.wiring();
        STAKED_PART = o.restaking == address(0) ? 1 : 2;
        // Stake that left its set must still be there while what it matched can be challenged.
        uint256 exposed = (o.responseEras + 1) * EraClock(o.clock).LENGTH() + w.challengeWindow;
        uint256 unbonding = STAKING.unbondingTime();
        if (unbonding <= exposed) revert MatchTasks_BadUnbondingTime(unbonding, exposed);
    }

    // ---------------------------------------------------------------- a wrong match

    /// @inheritdoc IMatchTaskManager
    function challenge(uint256 order, Bid bid, bytes32 seed, bytes32 response) external {
        (,, bytes32 digest) = ORDERS.orderWords(order);
        if (digest != keccak256(abi.encode(order, bid, seed, response))) revert MatchTasks_NotTheMatch(order);
        if (_wrong[order].response != 0) revert MatchTasks_NoCase(order);
        Bid best = _requireWrong(order, bid, seed);
        _wrong[order].response = response;
        bool amended;
        uint256 owed;
        (, uint256 w1) = LEASES.leaseWords(order);
        if (LeaseWord.isIn(w1, LeaseState.Pending)) {
            // One that nobody confirmed in time is to expire: it is not for another to have missed it.
            if (block.timestamp <= LeaseWord.end(w1)) amended = ORDERS.amend(order, best);
        } else {
            owed = _lossOf(order, bid, best);
            _wrong[order].owed = owed;
        }
        emit MatchProvenWrong(order, bid, best, amended, owed);
    }

    /// @inheritdoc IMatchTaskManager
    function punishSigners(
        uint256 order,
        bytes32 digest,
        uint256 setEra,
        bytes calldata nonSigners,
        uint256[] calldata operators
    ) external {
        bytes32 response = _wrong[order].response;
        if (response == 0 || response != _responseOf(digest, setEra, nonSigners)) revert MatchTasks_NotTheMatch(order);
        bytes32[] memory silent = _keyHashesOf(nonSigners);
        uint256 punished;
        for (uint256 i; i < operators.length; ++i) {
            _requireMember(operators[i], setEra);
            bytes32 keyHash = OPERATORS.keyHashOf(operators[i]);
            for (uint256 j; j < silent.length; ++j) {
                if (silent[j] == keyHash) revert MatchTasks_NotSigned("a non-signer");
            }
            // Who was punished for it before does not shield the others.
            if (_punished[operators[i]][bytes32(order)]) continue;
            _punish(operators[i], bytes32(order), order);
            ++punished;
        }
        if (punished == 0) revert MatchTasks_NoCase(order);
    }

    // ---------------------------------------------------------------- a wrong share

    /// @inheritdoc IMatchTaskManager
    function proveLie(Share calldata share, Match calldata m) external {
        _requireSigned(share);
        (uint256 w0, uint256 w1,) = ORDERS.orderWords(m.order);
        if (w0.closeBlock() != share.closeBlock || w0.setEra() != share.setEra) {
            revert MatchTasks_NotTheMatch(m.order);
        }
        Result memory result;
        (result.closeHash, result.seed) = _anchor(share.closeBlock);
        result.orderHash = MatchMessage.orderHash(m.order, w0, w1);
        (result.policy, result.setEra) = (w0.policy(), share.setEra);
        _requireLeaf(m.proof, share.root, MatchMessage.leafOf(result, Bid.unwrap(m.bid)));
        _requireChallenged(m.order, m.bid, _requireWrong(m.order, m.bid, result.seed));
        _punish(share.operator, bytes32(m.order), m.order);
    }

    /// @inheritdoc IMatchTaskManager
    function proveEquivocation(
        Share calldata a,
        Share calldata b,
        Result calldata result,
        uint256[2] calldata bids,
        bytes32[] calldata proofA,
        bytes32[] calldata proofB
    ) external {
        if (a.operator != b.operator) revert MatchTasks_NotSigned("one operator");
        if (bids[0] == bids[1]) revert MatchTasks_NotSigned("two bids");
        _requireSigned(a);
        _requireSigned(b);
        _requireLeaf(proofA, a.root, MatchMessage.leafOf(result, bids[0]));
        _requireLeaf(proofB, b.root, MatchMessage.leafOf(result, bids[1]));
        // Hashed: an order's hash is what the reporter says, and could be the number of an order that it lied about.
        _punish(a.operator, keccak256(abi.encode(result.orderHash)), 0);
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc IMatchTaskManager
    function rootDigest(uint256 closeBlock, uint256 setEra, bytes32 root) public view returns (bytes32) {
        return _hashTypedDataV4(MatchMessage.rootHash(closeBlock, setEra, root));
    }

    /// @inheritdoc IMatchTaskManager
    function spentInWindow() external view returns (uint256) {
        return _spentInWindow();
    }

    /// @inheritdoc IMatchTaskManager
    function wiring() external view returns (Wiring memory) {
        return Wiring({
            orders: address(ORDERS),
            leases: address(LEASES),
            operators: address(OPERATORS),
            staking: address(STAKING),
            escrow: address(ESCROW),
            paymentTokens: address(PAYMENT_TOKENS),
            randomness: address(RANDOMNESS),
            // forge-lint: disable-next-line(unsafe-typecast)
            challengeWindow: uint40(CHALLENGE_WINDOW)
        });
    }

    // ---------------------------------------------------------------- for the manager

    /// @dev Hash and seed of the orders that close in a block, which must be one of this chain's last 8,191.
    function _anchor(uint256 closeBlock) internal view returns (bytes32 closeHash, bytes32 seed) {
        closeHash = Blockhash.blockHash(closeBlock);
        if (closeHash == 0) revert MatchTasks_BlockGone(closeBlock);
        seed = RANDOMNESS.seedOf(closeBlock + 1);
    }

    function _responseOf(bytes32 digest, uint256 setEra, bytes calldata nonSigners) internal pure returns (bytes32) {
        return keccak256(abi.encode(digest, setEra, keccak256(nonSigners)));
    }

    function _keyHashesOf(bytes calldata nonSigners) internal pure returns (bytes32[] memory hashes) {
        hashes = new bytes32[](nonSigners.length / NON_SIGNER_BYTES);
        for (uint256 i; i < hashes.length; ++i) {
            uint256 from = i * NON_SIGNER_BYTES;
            hashes[i] = keccak256(nonSigners[from + 4:from + NON_SIGNER_BYTES]);
        }
    }

    /// @return wei of SPON that signers of so much weight lose at least when they are proven wrong
    function _slashable(uint256 signed) internal view returns (uint256) {
        return signed / STAKED_PART / SLASHED_PART;
    }

    // ---------------------------------------------------------------- internals

    function _requireWrong(uint256 order, Bid bid, bytes32 seed) private view returns (Bid best) {
        best = ORDERS.bestOf(order, seed);
        if (Bid.unwrap(best) == Bid.unwrap(bid)) revert MatchTasks_NoCase(order);
    }

    function _requireMember(uint256 operator, uint256 setEra) private view {
        (, uint256 weight) = OPERATORS.weightAt(operator, setEra);
        if (weight == 0) revert MatchTasks_NotMember(operator, setEra);
    }

    /// @dev A member of the set signed the root.
    function _requireSigned(Share calldata share) private view {
        _requireMember(share.operator, share.setEra);
        bytes32 digest = rootDigest(share.closeBlock, share.setEra, share.root);
        bytes memory key = OPERATORS.keyOf(share.operator);
        if (!Bls.verify(key, bytes.concat(digest), share.signature)) revert MatchTasks_NotSigned("root");
    }

    function _requireLeaf(bytes32[] calldata proof, bytes32 root, bytes32 leaf) private pure {
        if (!MerkleProof.verifyCalldata(proof, root, leaf)) revert MatchTasks_NotSigned("leaf");
    }
}
