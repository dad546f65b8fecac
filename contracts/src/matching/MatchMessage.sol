// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Result} from "../interfaces/IMatchTaskManager.sol";
import {OrderWord} from "../lib/OrderWord.sol";
import {OrderState} from "../lib/Types.sol";

/// @title  MatchMessage: the leaves and the root that operators sign (types in IMatchTaskManager); `crates/quorum` is its twin
library MatchMessage {
    using OrderWord for uint256;

    bytes32 private constant ROOT = keccak256("MatchRoot(uint256 closeBlock,uint256 setEra,bytes32 root)");
    bytes32 private constant MATCH =
        keccak256("Match(bytes32 order,bytes32 closeHash,bytes32 seed,uint256 bid,uint256 policy,uint256 setEra)");

    /// @notice What an order was when it was open. The rest of it, and its bids, are in the block whose hash a leaf has.
    function orderHash(uint256 order, uint256 word0, uint256 word1) internal pure returns (bytes32) {
        return keccak256(abi.encode(order, word0.withState(OrderState.Open), word1));
    }

    function leafOf(Result memory r, uint256 bid) internal pure returns (bytes32) {
        return keccak256(abi.encode(MATCH, r.orderHash, r.closeHash, r.seed, bid, r.policy, r.setEra));
    }

    /// @return the struct hash, to be hashed with the domain
    function rootHash(uint256 closeBlock, uint256 setEra, bytes32 root) internal pure returns (bytes32) {
        return keccak256(abi.encode(ROOT, closeBlock, setEra, root));
    }
}
