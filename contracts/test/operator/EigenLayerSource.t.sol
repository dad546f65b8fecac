// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";

import {TermsWord} from "../../src/lib/TermsWord.sol";
import {EigenLayerSource} from "../../src/operator/EigenLayerSource.sol";
import {PaymentTokens} from "../../src/payment/PaymentTokens.sol";
import {DevDollar} from "../../src/token/DevDollar.sol";
import {Built} from "../Built.sol";
import {OperatorBase} from "./OperatorBase.sol";

interface IEigenDelegation {
    struct OperatorDetails {
        address unused;
        address delegationApprover;
        uint32 stakerOptOutWindowBlocks;
    }

    struct SignatureWithExpiry {
        bytes signature;
        uint256 expiry;
    }

    function initialize(
        address owner,
        address pauser,
        uint256 paused,
        uint256 delay,
        address[] memory,
        uint256[] memory
    ) external;
    function registerAsOperator(OperatorDetails calldata details, string calldata metadata) external;
    function delegateTo(address operator, SignatureWithExpiry memory approval, bytes32 salt) external;
    function undelegate(address staker) external returns (bytes32[] memory);
}

interface IEigenStrategyManager {
    function initialize(address owner, address whitelister, address pauser, uint256 paused) external;
    function addStrategiesToDepositWhitelist(address[] calldata strategies, bool[] calldata forbidden) external;
    function depositIntoStrategy(address strategy, address token, uint256 amount) external returns (uint256);
}

interface IEigenStrategy {
    function initialize(address token, address pauser) external;
}

/// @title  EigenLayerSourceTest: EigenLayer's own core contracts, with stakers that deposit and delegate
contract EigenLayerSourceTest is OperatorBase {
    string private constant EIGEN = "node_modules/eigenlayer-contracts/out/";
    address private constant STAKER = address(0x57a);

    IEigenDelegation private delegation;
    IEigenStrategyManager private strategies;
    PaymentTokens private tokens;
    DevDollar private dollar;
    DevDollar private other;
    address private dollarStrategy;
    address private otherStrategy;
    EigenLayerSource private source;
    address private _pauser;
    bool private _delegated;

    function setUp() public override {
        super.setUp();
        _deployEigenLayer();
        bytes memory args = abi.encode(
            manager, Built.make("MatchPolicy", abi.encode(manager, 10_000 | (100_000 << 128))), spon, 2e8, _terms()
        );
        tokens = PaymentTokens(Built.make("PaymentTokens", args));
        dollar = new DevDollar();
        other = new DevDollar();
        tokens.enableToken(address(dollar), 1e8);
        dollarStrategy = _strategyOf(dollar);
        otherStrategy = _strategyOf(other);
        source = _sourceOf(dollarStrategy, 1);
        IEigenDelegation.OperatorDetails memory details;
        vm.prank(_ownerOf(1));
        delegation.registerAsOperator(details, "");
    }

    function test_SharesAreWorthSponAtTheMarketsPrice() public {
        assertEq(source.restakedOf(_ownerOf(1)), 0);
        _restake(dollar, dollarStrategy, 500e6);
        // 500 dollars at two dollars each.
        assertApproxEqAbs(source.restakedOf(_ownerOf(1)), 250e18, 0.005e18);
        assertEq(source.restakedOf(_ownerOf(2)), 0);
    }

    function test_ItCountsAtMostAsMuchAsStakeAndGoesWithTheStaker() public {
        _join(1);
        _restake(dollar, dollarStrategy, 500e6);
        _useInRegistry();
        operators.sync(1);
        assertApproxEqAbs(_nextWeight(), STAKE + 250e18, 0.005e18);
        _restake(dollar, dollarStrategy, 100_000e6);
        operators.sync(1);
        assertEq(_nextWeight(), 2 * STAKE);
        // What is on its way out of EigenLayer counts no more.
        vm.prank(STAKER);
        delegation.undelegate(STAKER);
        operators.sync(1);
        assertEq(_nextWeight(), STAKE);
    }

    function test_AStrategyOfAnotherTokenCountsForNothing() public {
        _restake(other, otherStrategy, 500e6);
        assertEq(_sourceOf(otherStrategy, 1).restakedOf(_ownerOf(1)), 0, "not the token's asset");
        assertEq(_sourceOf(otherStrategy, 7).restakedOf(_ownerOf(1)), 0, "no such token");
        tokens.enableToken(address(other), 1e8);
        assertGt(_sourceOf(otherStrategy, 2).restakedOf(_ownerOf(1)), 0);
        tokens.disableToken(2);
        assertEq(_sourceOf(otherStrategy, 2).restakedOf(_ownerOf(1)), 0, "disabled");
    }

    function test_AStrategyThatFailsCountsForNothing() public {
        _restake(dollar, dollarStrategy, 500e6);
        vm.mockCallRevert(dollarStrategy, abi.encodeWithSignature("sharesToUnderlyingView(uint256)"), "");
        assertEq(source.restakedOf(_ownerOf(1)), 0);
        vm.mockCall(
            dollarStrategy, abi.encodeWithSignature("sharesToUnderlyingView(uint256)"), abi.encode(type(uint256).max)
        );
        assertEq(source.restakedOf(_ownerOf(1)), 0);
        vm.mockCallRevert(dollarStrategy, abi.encodeWithSignature("underlyingToken()"), "");
        assertEq(source.restakedOf(_ownerOf(1)), 0);
    }

    function test_RevertIf_NoStrategyOrTooMany() public {
        for (uint256 count = 0; count <= 17; count += 17) {
            EigenLayerSource.Strategy[] memory some = new EigenLayerSource.Strategy[](count);
            vm.expectRevert(abi.encodeWithSelector(EigenLayerSource.EigenLayerSource_BadStrategies.selector, count, 16));
            new EigenLayerSource(address(delegation), address(tokens), some);
        }
    }

    function test_Strategies() public view {
        assertEq(source.strategies().length, 1);
        assertEq(source.strategies()[0].strategy, dollarStrategy);
    }

    // ---------------------------------------------------------------- EigenLayer

    /// @dev Delegation and strategy managers behind proxies, each knowing the other's address.
    function _deployEigenLayer() private {
        address[] memory pausers = new address[](1);
        pausers[0] = address(this);
        address pauser = _eigen("PauserRegistry", abi.encode(pausers, address(this)));
        uint256 nonce = vm.getNonce(address(this));
        address strategiesAt = vm.computeCreateAddress(address(this), nonce + 4);
        address delegationAt = vm.computeCreateAddress(address(this), nonce + 5);
        address slasher = _eigen("Slasher", abi.encode(strategiesAt, delegationAt));
        address pods =
            _eigen("EigenPodManager", abi.encode(address(0), address(0), strategiesAt, slasher, delegationAt));
        address strategiesCode = _eigen("StrategyManager", abi.encode(delegationAt, pods, slasher));
        address delegationCode = _eigen("DelegationManager", abi.encode(strategiesAt, slasher, pods));
        strategies = IEigenStrategyManager(
            address(
                new ERC1967Proxy(
                    strategiesCode,
                    abi.encodeCall(IEigenStrategyManager.initialize, (address(this), address(this), pauser, 0))
                )
            )
        );
        delegation = IEigenDelegation(
            address(
                new ERC1967Proxy(
                    delegationCode,
                    abi.encodeCall(
                        IEigenDelegation.initialize, (address(this), pauser, 0, 0, new address[](0), new uint256[](0))
                    )
                )
            )
        );
        assertEq(address(strategies), strategiesAt);
        assertEq(address(delegation), delegationAt);
        _pauser = pauser;
    }

    function _eigen(string memory name, bytes memory args) private returns (address) {
        return vm.deployCode(string.concat(EIGEN, name, ".sol/", name, ".json"), args);
    }

    function _strategyOf(DevDollar token) private returns (address strategy) {
        address code = _eigen("StrategyBase", abi.encode(strategies));
        strategy = address(new ERC1967Proxy(code, abi.encodeCall(IEigenStrategy.initialize, (address(token), _pauser))));
        address[] memory list = new address[](1);
        list[0] = strategy;
        strategies.addStrategiesToDepositWhitelist(list, new bool[](1));
    }

    /// @dev A staker deposits and, the first time, delegates to the owner of operator 1.
    function _restake(DevDollar token, address strategy, uint256 amount) private {
        token.mint(STAKER, amount);
        vm.startPrank(STAKER);
        token.approve(address(strategies), amount);
        strategies.depositIntoStrategy(strategy, address(token), amount);
        if (!_delegated) {
            IEigenDelegation.SignatureWithExpiry memory none;
            delegation.delegateTo(_ownerOf(1), none, 0);
            _delegated = true;
        }
        vm.stopPrank();
    }

    // ---------------------------------------------------------------- ours

    function _sourceOf(address strategy, uint96 token) private returns (EigenLayerSource) {
        EigenLayerSource.Strategy[] memory list = new EigenLayerSource.Strategy[](1);
        list[0] = EigenLayerSource.Strategy(strategy, token);
        return EigenLayerSource(Built.make("EigenLayerSource", abi.encode(delegation, tokens, list)));
    }

    /// @dev The registry's source was fixed before EigenLayer stood: what it asks is answered by the real one.
    function _useInRegistry() private {
        vm.etch(address(restaking), address(source).code);
        vm.store(address(restaking), 0, vm.load(address(source), 0));
        bytes32 first = keccak256(abi.encode(uint256(0)));
        vm.store(address(restaking), first, vm.load(address(source), first));
    }

    function _nextWeight() private view returns (uint256 weight) {
        (, weight) = operators.weightAt(1, operators.currentEra() + 1);
    }

    function _terms() private pure returns (uint256) {
        return TermsWord.pack(
            TermsWord.Fields({
                commission: 2000,
                payerFee: 200,
                receiverFee: 200,
                tier1Rebate: 2500,
                policy: 1,
                bidBlocks: 2,
                bracket: 1500,
                matchFee: 5,
                minDeposit: 500,
                missPenalty: 500
            })
        );
    }
}
