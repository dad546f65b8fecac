// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IMatchTaskManager} from "../interfaces/IMatchTaskManager.sol";

/// @title  MatchLimit: the value matched in any challenge window stays within what the signers can lose
/// @notice Two windows are counted, the present one and the one before: whatever window of that length one looks at lies
///         within the two, so their sum is never less than what was matched in it. Values in cents of dollars.
abstract contract MatchLimit {
    struct Spent {
        uint40 window; // number of the present one
        uint104 present;
        uint104 before;
    }

    uint256 internal immutable CHALLENGE_WINDOW;

    Spent private _spent;

    constructor(uint256 challengeWindow) {
        if (challengeWindow == 0) revert IMatchTaskManager.MatchTasks_BadWindow();
        CHALLENGE_WINDOW = challengeWindow;
    }

    function _spentInWindow() internal view returns (uint256) {
        Spent memory s = _rolled();
        return uint256(s.present) + s.before;
    }

    function _spend(uint256 value) internal {
        Spent memory s = _rolled();
        // Bounded by what all SPON is worth.
        // forge-lint: disable-next-line(unsafe-typecast)
        s.present += uint104(value);
        _spent = s;
    }

    function _rolled() private view returns (Spent memory s) {
        s = _spent;
        uint256 window = block.timestamp / CHALLENGE_WINDOW;
        if (s.window == window) return s;
        s.before = s.window + 1 == window ? s.present : 0;
        s.present = 0;
        // forge-lint: disable-next-line(unsafe-typecast)
        s.window = uint40(window);
    }
}
