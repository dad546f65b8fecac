// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Score} from "../matching/Score.sol";
import {OrderWord} from "./OrderWord.sol";
import {ProfileWord} from "./ProfileWord.sol";
import {OrderFlags, Profile, ProfileFlags} from "./Types.sol";

/// @title  Eligibility: whether a provider may bid for an order, and in words why not (SP-3, SP-10, SP-11)
library Eligibility {
    using OrderWord for uint256;
    using ProfileWord for Profile;

    /// @param w0 the order's first word
    /// @param providers the order's list of ids, read only when a list flag is set
    /// @param fizz 0 when the provider bids for its own machines
    /// @return why empty when eligible
    function whyNot(uint256 w0, uint256 providers, Profile p, uint256 fizz) internal pure returns (string memory why) {
        uint256 standing = p.flags();
        if (standing & ProfileFlags.ACTIVE == 0) return "not active";
        if (standing & ProfileFlags.STAKED == 0) return "stake below its tier's";
        if (standing & ProfileFlags.BARRED != 0) return "barred until its stake is topped up";
        if (standing & ProfileFlags.DRAINING != 0) return "draining";

        uint256 flags = w0.flags();
        if (fizz == 0) {
            if (flags & OrderFlags.PROVIDER == 0) return "order is for light nodes";
            if (standing & ProfileFlags.PROVIDER == 0) return "offers no machines of its own";
        } else {
            if (flags & OrderFlags.FIZZ == 0) return "order is not for light nodes";
            if (standing & ProfileFlags.FIZZ == 0) return "no gateway of light nodes";
        }
        if ((p.tokens() >> w0.token()) & 1 == 0) return "does not take the token";
        if (flags & OrderFlags.STRICT_REGION != 0 && Score.regionOf(w0.region(), p.region()) != Score.ONE) {
            return "region";
        }
        uint256 wanted = w0.requirements();
        if (wanted != 0 && !_meets(wanted, p.attributes(), p.trustTier())) return "attributes or trust tier";
        if (p.freeUnits() < w0.units()) return "no free units";
        if (p.freeGpus() < w0.gpus()) return "no free gpus";
        if (flags & OrderFlags.ALLOW_LIST != 0 && !_listed(providers, p.id())) return "not on the allow list";
        if (flags & OrderFlags.DENY_LIST != 0 && _listed(providers, p.id())) return "on the deny list";
    }

    /// @dev compute 2 | storage 2 | gpu 4 | connectivity 3 are ordinal, compliance 3 is a mask, tier 4 counts down.
    function _meets(uint256 wanted, uint256 has, uint256 tier) private pure returns (bool) {
        uint256 lowest = wanted >> 14;
        return has & 0x3 >= wanted & 0x3 && (has >> 2) & 0x3 >= (wanted >> 2) & 0x3
            && (has >> 4) & 0xf >= (wanted >> 4) & 0xf && (has >> 8) & 0x7 >= (wanted >> 8) & 0x7
            && (has >> 11) & (wanted >> 11) & 0x7 == (wanted >> 11) & 0x7 && (lowest == 0 || tier <= lowest);
    }

    /// @dev Eight ids of 32 bits, lowest first, ended by a zero.
    function _listed(uint256 providers, uint256 id) private pure returns (bool) {
        for (; providers & 0xffffffff != 0; providers >>= 32) {
            if (providers & 0xffffffff == id) return true;
        }
        return false;
    }
}
