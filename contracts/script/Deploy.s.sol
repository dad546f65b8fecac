// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {IERC20Metadata} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Metadata.sol";
import {Script} from "forge-std/Script.sol";

import {FizzRegistry} from "../src/fizz/FizzRegistry.sol";
import {SubnetGovernor} from "../src/fizz/SubnetGovernor.sol";
import {IEscrow} from "../src/interfaces/IEscrow.sol";
import {ILeaseBook} from "../src/interfaces/ILeaseBook.sol";
import {IMatchTaskManager} from "../src/interfaces/IMatchTaskManager.sol";
import {IOperatorRegistry} from "../src/interfaces/IOperatorRegistry.sol";
import {IOrderBook} from "../src/interfaces/IOrderBook.sol";
import {LeaseAccess} from "../src/market/LeaseAccess.sol";
import {LeaseBook} from "../src/market/LeaseBook.sol";
import {OrderBook} from "../src/market/OrderBook.sol";
import {Ratings} from "../src/market/Ratings.sol";
import {BlockHashRandomness} from "../src/matching/BlockHashRandomness.sol";
import {DrandRandomness} from "../src/matching/DrandRandomness.sol";
import {MatchPolicy} from "../src/matching/MatchPolicy.sol";
import {MatchTaskManager} from "../src/matching/MatchTaskManager.sol";
import {EigenLayerSource} from "../src/operator/EigenLayerSource.sol";
import {OperatorRegistry} from "../src/operator/OperatorRegistry.sol";
import {Escrow} from "../src/payment/Escrow.sol";
import {PaymentTokens} from "../src/payment/PaymentTokens.sol";
import {ProviderRegistry} from "../src/provider/ProviderRegistry.sol";
import {EraClock} from "../src/staking/EraClock.sol";
import {FoundationDelegation} from "../src/staking/FoundationDelegation.sol";
import {StakingManager} from "../src/staking/StakingManager.sol";
import {DevDollar} from "../src/token/DevDollar.sol";
import {SPON} from "../src/token/SPON.sol";
import {BlsVerifier} from "../src/verify/BlsVerifier.sol";
import {Create3Factory} from "./Create3Factory.sol";
import {Parameters} from "./Parameters.sol";

/// @title  Deploy: the whole market on any chain, once; what stands already is left alone
/// @notice forge script contracts/script/Deploy.s.sol --rpc-url URL --private-key KEY --broadcast
///         Addresses are the same on every chain for one deployer key (CREATE3 through the usual CREATE2 factory) and
///         do not depend on code or parameters. Parameters come from the environment (Parameters.sol). Writes the
///         address book to ADDRESS_BOOK, by default target/deployments/<chain id>.json.
contract Deploy is Script, Parameters {
    Create3Factory private _factory;
    address private _deployer;
    bool private _wasThere;

    function run() external {
        require(
            CREATE2_FACTORY.code.length != 0,
            "this chain has no CREATE2 factory at 0x4e59b44847b379578588920cA78FbF26c0B4956C"
        );
        vm.startBroadcast();
        (, _deployer,) = vm.readCallers();
        _deployFactory();
        _wasThere = _at("Escrow").code.length != 0;
        uint256 startBlock = block.number;
        _deployAll();
        _setUpDevnet();
        _handOver();
        vm.stopBroadcast();
        _writeBook(startBlock);
    }

    function _deployFactory() private {
        bytes memory code = type(Create3Factory).creationCode;
        address factory = vm.computeCreate2Address(0, keccak256(code), CREATE2_FACTORY);
        if (factory.code.length == 0) new Create3Factory{salt: 0}();
        _factory = Create3Factory(factory);
    }

    /// @dev Constructors that call others come after them; the rest know addresses only.
    function _deployAll() private {
        address authority = _at("AccessManager");
        _put("AccessManager", type(AccessManager).creationCode, abi.encode(_deployer));
        _put("Spon", type(SPON).creationCode, abi.encode(authority));
        _put("MatchPolicy", type(MatchPolicy).creationCode, abi.encode(authority, weights()));
        _put(
            "PaymentTokens",
            type(PaymentTokens).creationCode,
            abi.encode(authority, _at("MatchPolicy"), _at("Spon"), sponPrice(), terms())
        );
        _put("EraClock", type(EraClock).creationCode, abi.encode(block.timestamp, eraLength()));
        _put(
            "ProviderRegistry",
            type(ProviderRegistry).creationCode,
            abi.encode(authority, _at("LeaseBook"), _at("StakingManager"), _at("Ratings"))
        );
        address[4] memory slashers = [_at("LeaseBook"), _at("ChallengeManager"), address(0), address(0)];
        _put(
            "StakingManager",
            type(StakingManager).creationCode,
            abi.encode(authority, _at("Spon"), _at("ProviderRegistry"), _at("EraClock"), unbonding(), slashers)
        );
        _put(
            "FoundationDelegation",
            type(FoundationDelegation).creationCode,
            abi.encode(
                _at("Spon"),
                _at("StakingManager"),
                _at("ProviderRegistry"),
                foundation(_deployer),
                foundationThreshold(),
                foundationTerm()
            )
        );
        _put(
            "Escrow",
            type(Escrow).creationCode,
            abi.encode(
                IEscrow.Wiring({
                    orderBook: _at("OrderBook"),
                    leaseBook: _at("LeaseBook"),
                    paymentTokens: _at("PaymentTokens"),
                    registry: _at("ProviderRegistry"),
                    foundation: foundation(_deployer),
                    homeToken: homeToken()
                })
            )
        );
        if (isDrand()) _put("Randomness", type(DrandRandomness).creationCode, abi.encode(drand()));
        else _put("Randomness", type(BlockHashRandomness).creationCode, "");
        _put("LeaseBook", type(LeaseBook).creationCode, abi.encode(_leaseWiring()));
        _put(
            "OrderBook",
            type(OrderBook).creationCode,
            abi.encode(
                IOrderBook.Wiring({
                    escrow: _at("Escrow"),
                    leaseBook: _at("LeaseBook"),
                    paymentTokens: _at("PaymentTokens"),
                    registry: _at("ProviderRegistry"),
                    policies: _at("MatchPolicy"),
                    randomness: _at("Randomness"),
                    tasks: _at("MatchTaskManager"),
                    clock: _at("EraClock"),
                    fizz: _at("FizzRegistry")
                })
            )
        );
        _put(
            "Ratings",
            type(Ratings).creationCode,
            abi.encode(
                _at("Escrow"),
                _at("LeaseBook"),
                _at("PaymentTokens"),
                _at("ProviderRegistry"),
                ratingSeconds(),
                ratingCents()
            )
        );
        _put("LeaseAccess", type(LeaseAccess).creationCode, abi.encode(_at("Escrow")));
        _put("BlsVerifier", type(BlsVerifier).creationCode, "");
        _deploySubnets();
        _deployQuorum(authority);
    }

    /// @dev Light nodes, and the votes of the subnets that they form with their gateways.
    function _deploySubnets() private {
        _put(
            "FizzRegistry",
            type(FizzRegistry).creationCode,
            abi.encode(_at("ProviderRegistry"), _at("StakingManager"), _at("EraClock"), _at("SubnetGovernor"))
        );
        _put(
            "SubnetGovernor",
            type(SubnetGovernor).creationCode,
            abi.encode(
                _at("FizzRegistry"), _at("StakingManager"), _at("EraClock"), _at("FoundationDelegation"), subnetRules()
            )
        );
    }

    /// @dev The second stage of matching: operators, their stakes and what they sign.
    function _deployQuorum(address authority) private {
        _put(
            "OperatorRegistry",
            type(OperatorRegistry).creationCode,
            abi.encode(
                IOperatorRegistry.Wiring({
                    clock: _at("EraClock"),
                    staking: _at("OperatorStaking"),
                    restaking: _deployRestaking(),
                    responseEras: responseEras(),
                    capacity: operatorCapacity(),
                    minWeight: minOperatorWeight()
                })
            )
        );
        address[4] memory slashers = [_at("MatchTaskManager"), address(0), address(0), address(0)];
        _put(
            "OperatorStaking",
            type(StakingManager).creationCode,
            abi.encode(authority, _at("Spon"), _at("OperatorRegistry"), _at("EraClock"), unbonding(), slashers)
        );
        _put(
            "MatchTaskManager",
            type(MatchTaskManager).creationCode,
            abi.encode(
                IMatchTaskManager.Wiring({
                    orders: _at("OrderBook"),
                    leases: _at("LeaseBook"),
                    operators: _at("OperatorRegistry"),
                    staking: _at("OperatorStaking"),
                    escrow: _at("Escrow"),
                    paymentTokens: _at("PaymentTokens"),
                    randomness: _at("Randomness"),
                    challengeWindow: challengeWindow()
                })
            )
        );
    }

    /// @dev What reads operators' shares in EigenLayer, if they are to count.
    function _deployRestaking() private returns (address) {
        if (eigenLayer() == address(0)) return address(0);
        _put(
            "RestakingSource",
            type(EigenLayerSource).creationCode,
            abi.encode(eigenLayer(), _at("PaymentTokens"), eigenStrategies())
        );
        return _at("RestakingSource");
    }

    function _leaseWiring() private view returns (ILeaseBook.Wiring memory) {
        return ILeaseBook.Wiring({
            orderBook: _at("OrderBook"),
            escrow: _at("Escrow"),
            paymentTokens: _at("PaymentTokens"),
            registry: _at("ProviderRegistry"),
            staking: _at("StakingManager"),
            // Deployed later at this address; until then nobody can act in its place.
            arbiter: _at("ChallengeManager"),
            fizzShares: _at("FizzRegistry"),
            holdback: holdback(),
            confirmWindow: confirmWindow(),
            maxPause: maxPause()
        });
    }

    /// @dev A test dollar as token 1 and SPON for the deployer.
    function _setUpDevnet() private {
        if (!isDevnet()) return;
        _put("DevDollar", type(DevDollar).creationCode, "");
        PaymentTokens tokens = PaymentTokens(_at("PaymentTokens"));
        if (tokens.tokenCount() == 1) tokens.enableToken(_at("DevDollar"), 1e8);
        SPON spon = SPON(_at("Spon"));
        if (spon.totalSupply() == 0) spon.mint(_deployer, sponSupply());
    }

    /// @dev Governance goes to ADMIN when that is another account.
    function _handOver() private {
        AccessManager manager = AccessManager(_at("AccessManager"));
        address admin = admin(_deployer);
        uint64 role = manager.ADMIN_ROLE();
        (bool held,) = manager.hasRole(role, _deployer);
        if (admin == _deployer || !held) return;
        manager.grantRole(role, admin, 0);
        manager.renounceRole(role, _deployer);
    }

    function _at(string memory name) private view returns (address) {
        return _factory.addressOf(_deployer, keccak256(bytes(name)));
    }

    function _put(string memory name, bytes memory code, bytes memory args) private {
        if (_at(name).code.length == 0) _factory.deploy(keccak256(bytes(name)), bytes.concat(code, args));
    }

    // ---------------------------------------------------------------- address book

    function _writeBook(uint256 startBlock) private {
        string memory path = addressBook();
        if (_wasThere) startBlock = vm.exists(path) ? _oldStart(path, startBlock) : 0;
        string memory book = "book";
        vm.serializeUint(book, "chainId", block.chainid);
        vm.serializeUint(book, "startBlock", startBlock);
        vm.serializeAddress(book, "deployer", _deployer);
        string[20] memory names = [
            "AccessManager",
            "Spon",
            "PaymentTokens",
            "MatchPolicy",
            "EraClock",
            "ProviderRegistry",
            "StakingManager",
            "FoundationDelegation",
            "Escrow",
            "OrderBook",
            "LeaseBook",
            "Randomness",
            "Ratings",
            "LeaseAccess",
            "BlsVerifier",
            "OperatorRegistry",
            "OperatorStaking",
            "MatchTaskManager",
            "FizzRegistry",
            "SubnetGovernor"
        ];
        for (uint256 i; i < names.length; ++i) {
            vm.serializeAddress(book, _camel(names[i]), _at(names[i]));
        }
        string memory json = vm.serializeString(book, "tokens", _tokensJson());
        vm.createDir(_folderOf(path), true);
        vm.writeJson(json, path);
    }

    /// @dev A book of an older chain with the same id may name a block that is not there yet.
    function _oldStart(string memory path, uint256 now_) private view returns (uint256) {
        uint256 old = vm.parseJsonUint(vm.readFile(path), ".startBlock");
        return old <= now_ ? old : 0;
    }

    function _tokensJson() private returns (string memory json) {
        PaymentTokens tokens = PaymentTokens(_at("PaymentTokens"));
        uint256 count = tokens.tokenCount();
        for (uint256 token; token < count; ++token) {
            address asset = tokens.assetOf(token);
            json = vm.serializeAddress("tokens", IERC20Metadata(asset).symbol(), asset);
        }
    }

    function _camel(string memory name) private pure returns (string memory) {
        bytes memory letters = bytes.concat(bytes(name)); // a copy
        letters[0] = bytes1(uint8(letters[0]) | 0x20);
        return string(letters);
    }

    function _folderOf(string memory path) private pure returns (string memory) {
        bytes memory letters = bytes(path);
        uint256 end = letters.length;
        while (end != 0 && letters[end - 1] != "/") --end;
        if (end == 0) return ".";
        bytes memory folder = new bytes(end);
        for (uint256 i; i < end; ++i) {
            folder[i] = letters[i];
        }
        return string(folder);
    }
}
