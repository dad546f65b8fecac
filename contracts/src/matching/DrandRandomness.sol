// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Blockhash} from "@openzeppelin/contracts/utils/Blockhash.sol";
import {Memory} from "@openzeppelin/contracts/utils/Memory.sol";
import {RLP} from "@openzeppelin/contracts/utils/RLP.sol";

import {IDrandRandomness} from "../interfaces/IDrandRandomness.sol";
import {IRandomness} from "../interfaces/IMatching.sol";
import {Bls} from "../verify/Bls.sol";

/// @title  DrandRandomness: seeds that no block builder can grind
/// @notice See IDrandRandomness. For chains whose builders would gain by choosing among block hashes; elsewhere
///         BlockHashRandomness needs nobody to bring anything.
contract DrandRandomness is IDrandRandomness {
    /// Places in a block's header, the same since the first.
    uint256 private constant NUMBER = 8;
    uint256 private constant TIMESTAMP = 11;

    uint40 private immutable GENESIS;
    uint40 private immutable PERIOD;
    uint40 private immutable DELAY;
    bytes private _key;

    /// Hash of the signature of a round that was verified.
    mapping(uint256 round => bytes32) private _rounds;
    mapping(uint256 blockNumber => bytes32) private _seeds;

    constructor(Network memory n) {
        if (n.key.length != 256 || n.period == 0) revert Drand_BadNetwork();
        (GENESIS, PERIOD, DELAY) = (n.genesis, n.period, n.delay);
        _key = n.key;
    }

    /// @inheritdoc IDrandRandomness
    function submit(bytes calldata header, bytes calldata signature) external returns (bytes32 seed) {
        (uint256 blockNumber, uint256 timestamp) = _read(header);
        if (_seeds[blockNumber] != 0) revert Drand_SeedKnown(blockNumber);
        uint256 round = roundOf(timestamp);
        bytes32 known = _rounds[round];
        if (known == 0) {
            // forge-lint: disable-next-line(unsafe-typecast)
            bytes32 message = sha256(abi.encodePacked(uint64(round)));
            if (!Bls.verifyPlain(_key, bytes.concat(message), signature)) revert Drand_BadRound(round);
            known = keccak256(signature);
            _rounds[round] = known;
            emit RoundVerified(round, signature);
        }
        seed = keccak256(abi.encode(known, blockNumber));
        _seeds[blockNumber] = seed;
        emit SeedStored(blockNumber, round, seed);
    }

    /// @inheritdoc IRandomness
    function seedOf(uint256 blockNumber) external view returns (bytes32 seed) {
        seed = _seeds[blockNumber];
        if (seed == 0) {
            if (isGone(blockNumber)) revert Randomness_Gone(blockNumber);
            revert Randomness_NotYet(blockNumber);
        }
    }

    /// @inheritdoc IRandomness
    function isGone(uint256 blockNumber) public view returns (bool) {
        return blockNumber < block.number && _seeds[blockNumber] == 0 && Blockhash.blockHash(blockNumber) == 0;
    }

    /// @inheritdoc IDrandRandomness
    function roundOf(uint256 timestamp) public view returns (uint256) {
        uint256 after_ = timestamp + DELAY;
        return after_ < GENESIS ? 1 : (after_ - GENESIS) / PERIOD + 2;
    }

    /// @inheritdoc IDrandRandomness
    function network() external view returns (Network memory) {
        return Network({key: _key, genesis: GENESIS, period: PERIOD, delay: DELAY});
    }

    /// @dev Number and time of a block that the chain remembers.
    function _read(bytes calldata header) private view returns (uint256 blockNumber, uint256 timestamp) {
        Memory.Slice[] memory fields = RLP.decodeList(header);
        if (fields.length <= TIMESTAMP) revert Drand_BadHeader();
        blockNumber = RLP.readUint256(fields[NUMBER]);
        timestamp = RLP.readUint256(fields[TIMESTAMP]);
        // Nobody finds other bytes of the same hash, so what was read is what the chain has.
        if (Blockhash.blockHash(blockNumber) != keccak256(header)) revert Drand_BadHeader();
    }
}
