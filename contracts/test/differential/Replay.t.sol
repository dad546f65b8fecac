// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Test} from "forge-std/Test.sol";
import {Vm} from "forge-std/Vm.sol";

import {IOrderBook} from "../../src/interfaces/IOrderBook.sol";
import {Bid, Profile} from "../../src/lib/Types.sol";
import {OrderBook} from "../../src/market/OrderBook.sol";
import {Built} from "../Built.sol";

/// @title  Replay: random orders with their bids, placed and resolved by the order book itself
/// @notice `crates/matching/tests/differential` writes files of records and runs this test on each; without the files
///         that it names in the environment there is nothing to replay. A record is 32-byte words: weights, seed, word 0
///         and word 1 of the order, number of bids, then per bid its profile, rate << 32 | fizz and what becomes of it
///         (0 new, 1 replaces, 2 outbid), then the winner's word, its score, and the keccak256 of all stored bids in the
///         order of their slots. Anything that differs reverts with the order's number.
contract ReplayTest is Test {
    function test_ReplaysTheGivenFiles() external {
        string[] memory files = vm.envOr("REPLAY_FILES", ",", new string[](0));
        uint256 orders;
        for (uint256 i; i < files.length; ++i) {
            // A replayer of its own for each file, because memory is only freed with the call.
            orders += new Replayer().replay(files[i]);
        }
        assertEq(orders, vm.envOr("REPLAY_RECORDS", uint256(0)));
    }
}

/// @dev Stands in for the contracts around the order book, which only lend it their words here.
contract Replayer {
    error Differs(uint256 order, string what);

    Vm private constant VM = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    /// Storage slot of the order book's `_orders`.
    uint256 private constant ORDERS = 0;

    OrderBook private immutable _BOOK;

    uint256 public weightsOfPolicy;
    bytes32 private _seed;
    Profile private _profile;

    constructor() {
        IOrderBook.Wiring memory wiring;
        (wiring.registry, wiring.policies, wiring.randomness) = (address(this), address(this), address(this));
        wiring.fizz = address(this);
        wiring.clock = Built.make("EraClock", abi.encode(block.timestamp, 1 days));
        _BOOK = OrderBook(Built.make("OrderBook", abi.encode(wiring)));
    }

    function profileOf(address) external view returns (Profile) {
        return _profile;
    }

    /// @dev Every light node is active here: who may bid for what is EligibilityReplay's.
    function whyNot(uint256, uint256) external pure returns (string memory why) {}

    function weightsOf(uint256) external view returns (uint256) {
        return weightsOfPolicy;
    }

    function seedOf(uint256) external view returns (bytes32) {
        return _seed;
    }

    function replay(string calldata file) external returns (uint256 orders) {
        bytes memory data = VM.readFileBinary(file);
        uint256 offset = 32;
        while (offset < data.length + 32) {
            offset = _replayOne(data, offset, ++orders);
        }
    }

    function _replayOne(bytes memory data, uint256 offset, uint256 order) private returns (uint256) {
        weightsOfPolicy = _word(data, offset);
        _seed = bytes32(_word(data, offset + 0x20));
        bytes32 slot = keccak256(abi.encode(order, ORDERS));
        VM.store(address(_BOOK), slot, bytes32(_word(data, offset + 0x40)));
        VM.store(address(_BOOK), bytes32(uint256(slot) + 1), bytes32(_word(data, offset + 0x60)));
        uint256 bids = _word(data, offset + 0x80);
        offset += 0xa0;

        VM.roll(100);
        for (; bids != 0; --bids) {
            _profile = Profile.wrap(_word(data, offset));
            uint256 terms = _word(data, offset + 0x20);
            // The record packs rate 80 | fizz 32: the casts cut one from the other.
            // forge-lint: disable-next-line(unsafe-typecast)
            if (_place(order, uint80(terms >> 32), uint32(terms)) != _word(data, offset + 0x40)) {
                revert Differs(order, "what became of a bid");
            }
            offset += 0x60;
        }

        VM.roll(200);
        (Bid winner, uint256 score,) = _BOOK.winnerOf(order);
        if (Bid.unwrap(winner) != _word(data, offset)) revert Differs(order, "winner");
        if (score != _word(data, offset + 0x20)) revert Differs(order, "score");
        bytes32 stored = keccak256(abi.encodePacked(_BOOK.bidsOf(order)));
        if (stored != bytes32(_word(data, offset + 0x40))) revert Differs(order, "stored bids");
        return offset + 0x60;
    }

    function _place(uint256 order, uint80 rate, uint32 fizz) private returns (uint256 outcome) {
        (, uint256 before,) = _BOOK.orderWords(order);
        try _BOOK.placeBid(order, rate, fizz) {
            (, uint256 later,) = _BOOK.orderWords(order);
            return before == later ? 1 : 0;
        } catch (bytes memory why) {
            // The selector is what an error begins with.
            // forge-lint: disable-next-line(unsafe-typecast)
            if (bytes4(why) != bytes4(keccak256("OrderBook_Outbid(uint256,uint256,uint256)"))) {
                revert Differs(order, "a bid was refused for another reason");
            }
            return 2;
        }
    }

    function _word(bytes memory data, uint256 offset) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(add(data, offset))
        }
    }
}
