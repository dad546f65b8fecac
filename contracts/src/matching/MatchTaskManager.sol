// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";

import {IMatchTaskManager, Match, Result} from "../interfaces/IMatchTaskManager.sol";
import {Quorum} from "../interfaces/IOperatorRegistry.sol";
import {BidWord} from "../lib/BidWord.sol";
import {Bill} from "../lib/Bill.sol";
import {OrderWord} from "../lib/OrderWord.sol";
import {TokenWord} from "../lib/TokenWord.sol";
import {Bid, OrderState} from "../lib/Types.sol";
import {MatchFaults} from "./MatchFaults.sol";
import {MatchMessage} from "./MatchMessage.sol";

/// @title  MatchTaskManager: results of a quorum become leases (SP-13, SP-14)
/// @notice See IMatchTaskManager. Immutable code, wired by constructor.
contract MatchTaskManager is MatchFaults {
    using BidWord for Bid;
    using OrderWord for uint256;

    /// What one batch is checked against, and what it has come to.
    struct Batch {
        uint256 closeBlock;
        bytes32 root;
        Result result; // order and policy are the present match's
        bytes32 response;
        uint256 limit; // cents that may still be matched
        uint256 value; // cents matched
        uint256 matched;
        // Of the matches since the payment token last changed:
        uint256 token;
        uint256 tokenWord;
        uint256 fees;
        uint256 matchedInToken;
    }

    constructor(Wiring memory w) MatchFaults(w) {}

    /// @inheritdoc IMatchTaskManager
    // slither-disable-next-line reentrancy-no-eth
    function respondBatch(uint256 closeBlock, bytes32 root, Quorum calldata quorum, Match[] calldata matches)
        external
        returns (uint256)
    {
        bytes32 digest = rootDigest(closeBlock, quorum.era, root);
        (uint256 signed,) = OPERATORS.checkQuorum(digest, quorum);
        Batch memory batch;
        (batch.closeBlock, batch.root, batch.result.setEra) = (closeBlock, root, quorum.era);
        (batch.result.closeHash, batch.result.seed) = _anchor(closeBlock);
        batch.response = _responseOf(digest, quorum.era, quorum.nonSigners);
        batch.limit = _limitOf(signed);
        batch.token = type(uint256).max;

        bytes32[] memory silent = _keyHashesOf(quorum.nonSigners);
        for (uint256 i; i < matches.length; ++i) {
            _take(batch, matches[i], signed, silent);
        }
        _payOut(batch, signed, silent);
        _spend(batch.value);
        emit BatchResponded(batch.response, closeBlock, batch.result.setEra, root, batch.matched, signed, silent);
        return batch.matched;
    }

    // ---------------------------------------------------------------- internals

    /// @dev One match of the batch becomes a lease, or is left out.
    function _take(Batch memory batch, Match calldata m, uint256 signed, bytes32[] memory silent) private {
        (uint256 w0, uint256 w1,) = ORDERS.orderWords(m.order);
        if (w0.state() != OrderState.Open) return _skip(m.order, Skip.NotOpen);
        if (w0.closeBlock() != batch.closeBlock || w0.setEra() != batch.result.setEra) {
            return _skip(m.order, Skip.OtherBatch);
        }
        Result memory result = batch.result;
        (result.orderHash, result.policy) = (MatchMessage.orderHash(m.order, w0, w1), w0.policy());
        bytes32 leaf = MatchMessage.leafOf(result, Bid.unwrap(m.bid));
        if (!MerkleProof.verifyCalldata(m.proof, batch.root, leaf)) return _skip(m.order, Skip.NotSigned);

        if (w0.token() != batch.token) {
            _payOut(batch, signed, silent);
            batch.token = w0.token();
            batch.tokenWord = PAYMENT_TOKENS.tokenWord(batch.token);
        }
        uint256 lock = Bill.lockOf(m.bid.rate(), w0.duration(), w0.decimals(), w1.payerFee());
        uint256 value = TokenWord.toCents(batch.tokenWord, lock);
        if (batch.value + value > batch.limit) return _skip(m.order, Skip.OverLimit);
        try ORDERS.award(m.order, m.bid, batch.result.seed, batch.response) {
            batch.value += value;
            ++batch.matched;
            ++batch.matchedInToken;
            batch.fees += w1.matchFee();
        } catch {
            _skip(m.order, Skip.Refused);
        }
    }

    function _skip(uint256 order, Skip reason) private {
        emit MatchSkipped(order, reason);
    }

    /// @dev Shares the fees of the token that the batch was at.
    function _payOut(Batch memory batch, uint256 signed, bytes32[] memory silent) private {
        if (batch.matchedInToken == 0) return;
        _share(batch.result.setEra, batch.token, batch.fees, batch.matchedInToken, signed, silent);
        (batch.fees, batch.matchedInToken) = (0, 0);
    }

    /// @dev Cents that a quorum of so much weight may still match in this window.
    function _limitOf(uint256 signed) private view returns (uint256) {
        uint256 atStake = TokenWord.toCents(PAYMENT_TOKENS.tokenWord(SPON_ID), _slashable(signed));
        uint256 spent = _spentInWindow();
        return atStake > spent ? atStake - spent : 0;
    }
}
