// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {ResourcesWord} from "./ResourcesWord.sol";
import {TermsWord} from "./TermsWord.sol";
import {TokenWord} from "./TokenWord.sol";
import {Resources} from "./Types.sol";

/// @title  Bracket: what may be rented depends on what is deposited (SP-25)
/// @notice One step is 8 CPU, 32 GiB memory, 512 GiB storage; with GPUs it is one GPU up to tier 6 (the third price
///         band) with 32 CPU, 128 GiB, 1 TiB. A GPU of tier 7–8 counts two steps, of tier 9–10 four. Each step asks for
///         the terms' bracket (15 dollars at first) in the wallet.
library Bracket {
    using ResourcesWord for Resources;

    /// @return steps rounded up, at least 1
    function stepsOf(Resources r) internal pure returns (uint256 steps) {
        uint256 gpus = r.gpus();
        unchecked {
            if (gpus == 0) {
                steps = _max(_ceil(r.cpu(), 8000), _ceil(r.memoryMib(), 32_768), _ceil(r.storageMib(), 524_288));
            } else {
                steps = _max(_ceil(r.cpu(), 32_000), _ceil(r.memoryMib(), 131_072), _ceil(r.storageMib(), 1_048_576));
                uint256 tier = r.gpuTier();
                gpus *= tier <= 6 ? 1 : tier <= 8 ? 2 : 4;
                if (gpus > steps) steps = gpus;
            }
            if (steps == 0) steps = 1;
        }
    }

    /// @param amount token units that the wallet holds
    /// @return needed cents
    /// @return held cents
    function centsOf(Resources r, uint256 amount, uint256 tokenWord, uint256 termsWord)
        internal
        pure
        returns (uint256 needed, uint256 held)
    {
        needed = stepsOf(r) * TermsWord.bracket(termsWord);
        held = TokenWord.toCents(tokenWord, amount);
    }

    function _max(uint256 a, uint256 b, uint256 c) private pure returns (uint256) {
        if (b > a) a = b;
        return c > a ? c : a;
    }

    function _ceil(uint256 a, uint256 b) private pure returns (uint256) {
        unchecked {
            return (a + b - 1) / b;
        }
    }
}
