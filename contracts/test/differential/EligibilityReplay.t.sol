// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Test} from "forge-std/Test.sol";

import {Eligibility} from "../../src/lib/Eligibility.sol";
import {Profile} from "../../src/lib/Types.sol";

/// @title  EligibilityReplay: random providers ask whether they may bid for random orders
/// @notice `crates/matching/tests/differential` writes files of records and runs this test on each; without the files that
///         it names in the environment there is nothing to replay. A record is 32-byte words: word 0 of the order, its list
///         of providers, the profile, the light node or zero, then the reason that is expected: its length in bytes and two
///         words of text. Anything that differs reverts with the record's number.
contract EligibilityReplayTest is Test {
    error Differs(uint256 record, string said, string expected);

    uint256 private constant RECORD = 0xe0;

    function test_ReplaysTheGivenFiles() external {
        string[] memory files = vm.envOr("REPLAY_FILES", ",", new string[](0));
        uint256 records;
        for (uint256 i; i < files.length; ++i) {
            // A call of its own for each file, because memory is only freed with it.
            records += this.replay(files[i]);
        }
        assertEq(records, vm.envOr("REPLAY_RECORDS", uint256(0)));
    }

    function replay(string calldata file) external view returns (uint256 records) {
        bytes memory data = vm.readFileBinary(file);
        for (uint256 at = 32; at < data.length + 32; at += RECORD) {
            ++records;
            _compare(data, at, records);
        }
    }

    function _compare(bytes memory data, uint256 at, uint256 record) private pure {
        Profile profile = Profile.wrap(_word(data, at + 0x40));
        string memory said =
            Eligibility.whyNot(_word(data, at), _word(data, at + 0x20), profile, _word(data, at + 0x60));
        // The length stands before the text as Solidity keeps strings in memory.
        string memory expected;
        assembly ("memory-safe") {
            expected := add(add(data, at), 0x80)
        }
        if (keccak256(bytes(said)) != keccak256(bytes(expected))) revert Differs(record, said, expected);
    }

    function _word(bytes memory data, uint256 offset) private pure returns (uint256 word) {
        assembly ("memory-safe") {
            word := mload(add(data, offset))
        }
    }
}
