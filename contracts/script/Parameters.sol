// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {CommonBase} from "forge-std/Base.sol";

import {IDrandRandomness} from "../src/interfaces/IDrandRandomness.sol";
import {ISubnetGovernor} from "../src/interfaces/ISubnetGovernor.sol";
import {TermsWord} from "../src/lib/TermsWord.sol";
import {EigenLayerSource} from "../src/operator/EigenLayerSource.sol";

/// @title  Parameters: what a deployment takes from the environment, with its defaults
/// @notice Times in seconds, fees in basis points, sums in cents of a dollar, prices in 1e-8 dollars.
abstract contract Parameters is CommonBase {
    uint256 private constant ANVIL = 31_337;

    /// @notice A test dollar with a faucet and SPON for the deployer.
    function isDevnet() internal view returns (bool) {
        return vm.envOr("DEVNET", block.chainid == ANVIL);
    }

    function addressBook() internal view returns (string memory) {
        string memory byChain = string.concat("target/deployments/", vm.toString(block.chainid), ".json");
        return vm.envOr("ADDRESS_BOOK", byChain);
    }

    function admin(address deployer) internal view returns (address) {
        return vm.envOr("ADMIN", deployer);
    }

    /// @notice Who earns the market's fees and delegates to newcomers.
    function foundation(address deployer) internal view returns (address) {
        return vm.envOr("FOUNDATION", deployer);
    }

    /// @notice The token whose free balances are cheapest to move: the one that most wallets will hold.
    function homeToken() internal view returns (uint256) {
        return vm.envOr("HOME_TOKEN", uint256(1));
    }

    function holdback() internal view returns (uint40) {
        return uint40(vm.envOr("HOLDBACK", uint256(1 hours)));
    }

    function confirmWindow() internal view returns (uint40) {
        return uint40(vm.envOr("CONFIRM_WINDOW", uint256(60)));
    }

    function maxPause() internal view returns (uint40) {
        return uint40(vm.envOr("MAX_PAUSE", uint256(7 days)));
    }

    /// @notice What a lease must have paid for before it may be rated.
    function ratingSeconds() internal view returns (uint256) {
        return vm.envOr("RATING_SECONDS", uint256(1 hours));
    }

    function ratingCents() internal view returns (uint256) {
        return vm.envOr("RATING_CENTS", uint256(1));
    }

    function eraLength() internal view returns (uint256) {
        return vm.envOr("ERA_LENGTH", uint256(1 days));
    }

    function unbonding() internal view returns (uint256) {
        return vm.envOr("UNBONDING", uint256(7 days));
    }

    /// @notice EigenLayer's DelegationManager, where operators' restaked shares are read; zero: SPON alone counts.
    function eigenLayer() internal view returns (address) {
        return vm.envOr("EIGENLAYER", address(0));
    }

    /// @notice The strategies that count, and the payment token that each one's underlying token is (by its number here).
    function eigenStrategies() internal view returns (EigenLayerSource.Strategy[] memory strategies) {
        address[] memory all = vm.envOr("EIGENLAYER_STRATEGIES", ",", new address[](0));
        uint256[] memory tokens = vm.envOr("EIGENLAYER_TOKENS", ",", new uint256[](0));
        require(all.length == tokens.length, "EIGENLAYER_TOKENS must name a token for each of EIGENLAYER_STRATEGIES");
        strategies = new EigenLayerSource.Strategy[](all.length);
        for (uint256 i; i < all.length; ++i) {
            strategies[i] = EigenLayerSource.Strategy(all[i], uint96(tokens[i]));
        }
    }

    /// @notice Whether seeds are a drand network's, which somebody brings, instead of block hashes.
    function isDrand() internal view returns (bool) {
        return vm.envOr("DRAND", false);
    }

    /// @notice The network, quicknet unless told otherwise, and the seconds between a block and its round.
    function drand() internal view returns (IDrandRandomness.Network memory) {
        bytes memory quicknet = hex"000000000000000000000000000000000d1fec758c921cc22b0e17e63aaf4bcb5ed66304de9cf809bd274ca73bab4af5"
            hex"a6e9c76a4bc09e76eae8991ef5ece45a0000000000000000000000000000000003cf0f2896adee7eb8b5f01fcad39122"
            hex"12c437e0073e911fb90022d3e760183c8c4b450b6a0a6c3ac6a5776a2d10645100000000000000000000000000000000"
            hex"0e5db2b6bfbb01c867749cadffca88b36c24f3012ba09fc4d3022c5c37dce0f977d3adb5d183c7477c442b1f04515273"
            hex"0000000000000000000000000000000001a714f2edb74119a2f2b0d5a7c75ba902d163700a61bc224ededd8e63aef7be"
            hex"1aaf8e93d7a9718b047ccddb3eb5d68b";
        return IDrandRandomness.Network({
            key: vm.envOr("DRAND_KEY", quicknet),
            genesis: uint40(vm.envOr("DRAND_GENESIS", uint256(1_692_803_367))),
            period: uint40(vm.envOr("DRAND_PERIOD", uint256(3))),
            delay: uint40(vm.envOr("DRAND_DELAY", uint256(15)))
        });
    }

    /// @notice Eras after its own in which a set of operators may still match an order.
    function responseEras() internal view returns (uint32) {
        return uint32(vm.envOr("RESPONSE_ERAS", uint256(2)));
    }

    function operatorCapacity() internal view returns (uint32) {
        return uint32(vm.envOr("OPERATOR_CAPACITY", uint256(100)));
    }

    /// @notice Wei of stake that an operator needs.
    function minOperatorWeight() internal view returns (uint128) {
        return uint128(vm.envOr("MIN_OPERATOR_WEIGHT", uint256(1000e18)));
    }

    /// @notice What a quorum matches in this time stays within what its signers can lose.
    function challengeWindow() internal view returns (uint40) {
        return uint40(vm.envOr("CHALLENGE_WINDOW", uint256(1 days)));
    }

    /// @notice Utilisation of a provider, in basis points, from which on the foundation may reclaim its delegation.
    function foundationThreshold() internal view returns (uint256) {
        return vm.envOr("FOUNDATION_THRESHOLD", uint256(5000));
    }

    /// @notice Seconds after which it may in any case.
    function foundationTerm() internal view returns (uint256) {
        return vm.envOr("FOUNDATION_TERM", uint256(180 days));
    }

    /// @notice How subnets vote: three days, then a week to execute; a hundredth proposes, three tenths of all are a quorum.
    function subnetRules() internal view returns (ISubnetGovernor.Rules memory) {
        return ISubnetGovernor.Rules({
            votingPeriod: uint40(vm.envOr("SUBNET_VOTING", uint256(3 days))),
            grace: uint40(vm.envOr("SUBNET_GRACE", uint256(7 days))),
            threshold: uint16(vm.envOr("SUBNET_THRESHOLD", uint256(100))),
            quorum: uint16(vm.envOr("SUBNET_QUORUM", uint256(3000)))
        });
    }

    function sponPrice() internal view returns (uint256) {
        return vm.envOr("SPON_PRICE", uint256(1e8));
    }

    /// @notice Wei for the deployer of a devnet.
    function sponSupply() internal view returns (uint256) {
        return vm.envOr("SPON_SUPPLY", uint256(100_000_000e18));
    }

    /// @notice The market's first terms (layout in IPaymentTokens).
    function terms() internal view returns (uint256) {
        return TermsWord.pack(
            TermsWord.Fields({
                commission: vm.envOr("COMMISSION", uint256(2000)),
                payerFee: vm.envOr("PAYER_FEE", uint256(200)),
                receiverFee: vm.envOr("RECEIVER_FEE", uint256(200)),
                tier1Rebate: vm.envOr("TIER1_REBATE", uint256(2500)),
                policy: 1,
                bidBlocks: vm.envOr("BID_BLOCKS", uint256(2)),
                bracket: vm.envOr("BRACKET", uint256(1500)),
                matchFee: vm.envOr("MATCH_FEE", uint256(5)),
                minDeposit: vm.envOr("MIN_DEPOSIT", uint256(500)),
                missPenalty: vm.envOr("MISS_PENALTY", uint256(500))
            })
        );
    }

    /// @notice The first match policy (layout in IMatchPolicy): price, region, rating, availability, slashes, tier,
    ///         stake, random, and the stake cap in whole SPON.
    function weights() internal view returns (uint256) {
        uint256 standard = 3500 | (1500 << 16) | (1000 << 32) | (500 << 48) | (1000 << 64) | (1000 << 80) | (1000 << 96)
            | (500 << 112) | (100_000 << 128);
        return vm.envOr("WEIGHTS", standard);
    }
}
