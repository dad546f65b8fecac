// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {ProviderRecord} from "../../src/interfaces/IProviderRegistry.sol";
import {ProfileWord} from "../../src/lib/ProfileWord.sol";
import {ResourcesWord} from "../../src/lib/ResourcesWord.sol";
import {Profile, ProfileFlags, Resources} from "../../src/lib/Types.sol";
import {StakeBase} from "../staking/StakeBase.sol";
import {ProfileHandler} from "./ProfileHandler.sol";

/// @title  ProfileInvariants: the packed word never drifts from the facts it stands for
/// @notice P1  the profile word = what records, leases, stake, ratings and penalties add up to, bit for bit
///         P2  capacity can be set whenever it is not below what is leased (in the handler)
///         P3  exactly one hot key leads to the provider
contract ProfileInvariants is StakeBase {
    using ProfileWord for Profile;
    using ResourcesWord for Resources;

    ProfileHandler private handler;

    function setUp() public override {
        super.setUp();
        handler = new ProfileHandler(registry, staking, leaseBook, ratings, owner, provider);
        targetContract(address(handler));
    }

    /// forge-config: default.invariant.fail-on-revert = true
    function invariant_profile() public view {
        ProviderRecord memory r = handler.record();
        assertEq(keccak256(abi.encode(registry.record(provider))), keccak256(abi.encode(r)), "record");
        (uint256 leased, uint256 leasedGpus) = handler.leasedNow();
        uint256 word = _said(r) | _capacity(r) | (_flags(r) << 234);
        assertEq(Profile.unwrap(registry.profile(provider)), word, "P1");
        assertEq(Profile.unwrap(registry.profileOf(r.hotKey)), word, "P3");
        if (r.hotKey != hotKey) assertEq(Profile.unwrap(registry.profileOf(hotKey)), 0, "P3");
    }

    /// @dev Layout of Types.sol, by hand.
    function _said(ProviderRecord memory r) private view returns (uint256) {
        (, uint256 counted) = staking.stakeOf(provider);
        uint256 slashes = handler.slashes();
        return provider | (7 << 32) | (handler.rating() << 36) | ((slashes < 255 ? slashes : 255) << 46)
            | ((counted / 1e18) << 54) | (uint256(r.region) << 86) | (uint256(r.attributes) << 102)
            | (uint256(r.tokens) << 186);
    }

    function _capacity(ProviderRecord memory r) private view returns (uint256) {
        (uint256 leased, uint256 leasedGpus) = handler.leasedNow();
        uint256 total = r.capacity.units();
        uint256 gpus = r.capacity.gpus();
        uint256 free = total > leased ? total - leased : 0;
        return ((255 * free / total) << 78) | (free << 126) | (total << 150)
            | ((gpus > leasedGpus ? gpus - leasedGpus : 0) << 174);
    }

    function _flags(ProviderRecord memory r) private view returns (uint256 flags) {
        (, uint256 counted) = staking.stakeOf(provider);
        (uint256 leased, uint256 leasedGpus) = handler.leasedNow();
        flags = ProfileFlags.ACTIVE;
        if (counted >= staking.tierStake(7)) flags |= ProfileFlags.STAKED;
        if (handler.barred()) flags |= ProfileFlags.BARRED;
        if (handler.draining()) flags |= ProfileFlags.DRAINING;
        if (r.offersOwn) flags |= ProfileFlags.PROVIDER;
        if (r.offersFizz) flags |= ProfileFlags.FIZZ;
        if (leased > r.capacity.units() || leasedGpus > r.capacity.gpus()) flags |= ProfileFlags.OVERBOOKED;
    }
}
