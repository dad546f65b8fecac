// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {ProviderRecord} from "../../src/interfaces/IProviderRegistry.sol";
import {ProfileWord} from "../../src/lib/ProfileWord.sol";
import {ResourcesWord} from "../../src/lib/ResourcesWord.sol";
import {Profile} from "../../src/lib/Types.sol";
import {ProviderRegistry} from "../../src/provider/ProviderRegistry.sol";
import {EraClock} from "../../src/staking/EraClock.sol";
import {StakingManager} from "../../src/staking/StakingManager.sol";
import {SPON} from "../../src/token/SPON.sol";
import {Built} from "../Built.sol";
import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {Test} from "forge-std/Test.sol";

/// @title  ProviderBase: SPON, registry and staking wired as in a deployment; the lease book and ratings are accounts
///         that the tests act as
abstract contract ProviderBase is Test {
    using ProfileWord for Profile;

    uint256 internal constant ERA = 1 days;
    uint256 internal constant UNBONDING = 7 days;

    address internal governor = makeAddr("governor");
    address internal leaseBook = makeAddr("lease book");
    address internal ratings = makeAddr("ratings");
    address internal owner = makeAddr("owner");
    address internal hotKey = makeAddr("hot key");

    AccessManager internal manager;
    SPON internal spon;
    EraClock internal clock;
    ProviderRegistry internal registry;
    StakingManager internal staking;

    function setUp() public virtual {
        vm.warp(1_800_000_000);
        manager = new AccessManager(governor);
        spon = SPON(Built.make("SPON", abi.encode(address(manager))));
        clock = EraClock(Built.make("EraClock", abi.encode(block.timestamp, ERA)));
        address stakingAt = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1);
        registry = ProviderRegistry(
            Built.make("ProviderRegistry", abi.encode(address(manager), leaseBook, stakingAt, ratings))
        );
        staking = StakingManager(
            Built.make(
                "StakingManager",
                abi.encode(
                    address(manager), spon, registry, clock, UNBONDING, [leaseBook, address(0), address(0), address(0)]
                )
            )
        );
        assertEq(address(staking), stakingAt);
    }

    /// @dev 8 cores, 16 GiB, 256 GiB, 2 GPUs: 8 units.
    function _record(address key) internal pure returns (ProviderRecord memory) {
        return ProviderRecord({
            hotKey: key,
            region: 0x0102,
            attributes: 2 | (3 << 2) | (4 << 4) | (2 << 8),
            tokens: 3,
            offersOwn: true,
            offersFizz: false,
            capacity: ResourcesWord.pack(8000, 16_384, 262_144, 2, 4, 3, 0, "rtx4090"),
            pin: keccak256("pin"),
            endpoint: "provider.example:8443"
        });
    }

    function _register(address owner_, address key) internal returns (uint256 provider) {
        vm.prank(owner_);
        (, provider) = registry.propose(_record(key));
    }

    function _fund(address account, uint256 amount) internal {
        vm.prank(governor);
        spon.mint(account, amount);
        vm.prank(account);
        spon.approve(address(staking), type(uint256).max);
    }

    function _has(uint256 provider, uint256 flag) internal view returns (bool) {
        return registry.profile(provider).flags() & flag != 0;
    }
}
