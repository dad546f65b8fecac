// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Guarded} from "../../src/lib/Guarded.sol";
import {TermsWord} from "../../src/lib/TermsWord.sol";
import {EigenLayerSource} from "../../src/operator/EigenLayerSource.sol";
import {PaymentTokens} from "../../src/payment/PaymentTokens.sol";
import {DevDollar} from "../../src/token/DevDollar.sol";
import {Built} from "../Built.sol";
import {EigenLayerBase, IEigenDelegation} from "./EigenLayerBase.sol";

/// @title  EigenLayerSourceTest: EigenLayer's own core contracts, with stakers that deposit and delegate
contract EigenLayerSourceTest is EigenLayerBase {
    PaymentTokens private tokens;
    DevDollar private dollar;
    DevDollar private other;
    address private dollarStrategy;
    address private otherStrategy;
    EigenLayerSource private source;

    function setUp() public override {
        super.setUp();
        IEigenDelegation.OperatorDetails memory details;
        vm.prank(_ownerOf(1));
        delegation.registerAsOperator(details, "");
    }

    /// @dev The registry's own source: a strategy of the dollar and one of a token that the market does not take.
    function _makeSource() internal override returns (address) {
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
        EigenLayerSource.Strategy[] memory list = new EigenLayerSource.Strategy[](2);
        list[0] = EigenLayerSource.Strategy(dollarStrategy, 1);
        list[1] = EigenLayerSource.Strategy(otherStrategy, 2);
        source = EigenLayerSource(Built.make("EigenLayerSource", abi.encode(delegation, tokens, list)));
        return address(source);
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

    /// Nor does a part of it that is queued for withdrawal while its staker stays.
    function test_WhatIsQueuedForWithdrawalCountsNoMore() public {
        _restake(dollar, dollarStrategy, 500e6);
        IEigenDelegation.QueuedWithdrawalParams[] memory queued = new IEigenDelegation.QueuedWithdrawalParams[](1);
        (queued[0].strategies, queued[0].shares) = (new address[](1), new uint256[](1));
        (queued[0].strategies[0], queued[0].shares[0], queued[0].withdrawer) = (dollarStrategy, 200e6, STAKER);
        vm.prank(STAKER);
        delegation.queueWithdrawals(queued);
        assertApproxEqAbs(source.restakedOf(_ownerOf(1)), 150e18, 0.005e18);
    }

    function test_AStrategyOfAnotherTokenCountsForNothing() public {
        _restake(other, otherStrategy, 500e6);
        assertEq(source.restakedOf(_ownerOf(1)), 0, "no such token");
        assertEq(_sourceOf(otherStrategy, 1).restakedOf(_ownerOf(1)), 0, "not the token's asset");
        tokens.enableToken(address(other), 1e8);
        assertGt(source.restakedOf(_ownerOf(1)), 0);
        tokens.disableToken(2);
        assertEq(source.restakedOf(_ownerOf(1)), 0, "disabled");
    }

    /// Each way to fail, in the code of one strategy: none stops `sync`, nor what is delegated in the other.
    function test_AStrategyThatFailsCountsForNothing() public {
        tokens.enableToken(address(other), 1e8);
        _join(1);
        _restake(dollar, dollarStrategy, 500e6);
        _restake(other, otherStrategy, 100e6);
        operators.sync(1);
        assertApproxEqAbs(_nextWeight(), STAKE + 300e18, 0.01e18);
        bytes[5] memory codes = [
            bytes(""), // no contract
            hex"5f5ffd", // reverts
            hex"fe", // burns all that it is given
            hex"5b5f56", // runs for ever
            hex"601f5ff3" // answers with 31 bytes
        ];
        for (uint256 i; i < codes.length; ++i) {
            vm.etch(otherStrategy, codes[i]);
            operators.sync(1);
            assertApproxEqAbs(_nextWeight(), STAKE + 250e18, 0.005e18);
        }
    }

    /// What is no address at all is no underlying token; and more than there can be is not believed.
    function test_AStrategyThatAnswersNonsenseCountsForNothing() public {
        _restake(dollar, dollarStrategy, 500e6);
        bytes memory question = abi.encodeWithSignature("sharesToUnderlyingView(uint256)");
        vm.mockCall(dollarStrategy, question, abi.encode(type(uint256).max));
        assertEq(source.restakedOf(_ownerOf(1)), 0);
        vm.mockCall(dollarStrategy, question, abi.encode(500e6));
        assertEq(source.restakedOf(_ownerOf(1)), 250e18);
        question = abi.encodeWithSignature("underlyingToken()");
        vm.mockCall(dollarStrategy, question, abi.encode(uint256(uint160(address(dollar))) | 1 << 160));
        assertEq(source.restakedOf(_ownerOf(1)), 0);
    }

    /// What cannot be read any more must not count for good.
    function test_ASourceThatFailsCountsForNothing() public {
        _join(1);
        _restake(dollar, dollarStrategy, 500e6);
        bytes[2] memory codes = [bytes(hex"5f5ffd"), hex"5b5f56"];
        bytes memory whole = address(delegation).code;
        for (uint256 i; i < codes.length; ++i) {
            operators.sync(1);
            assertApproxEqAbs(_nextWeight(), STAKE + 250e18, 0.005e18);
            vm.etch(address(delegation), codes[i]);
            operators.sync(1);
            assertEq(_nextWeight(), STAKE);
            vm.etch(address(delegation), whole);
        }
    }

    /// Nobody takes another's weight by calling with so little gas that the source fails.
    function test_sync_RevertIf_TheSourceWouldHaveTooLittleGas() public {
        _join(1);
        _restake(dollar, dollarStrategy, 500e6);
        vm.expectPartialRevert(Guarded.Guarded_TooLittleGas.selector);
        operators.sync{gas: 5_000_000}(1);
        operators.sync{gas: 5_200_000}(1);
        assertApproxEqAbs(_nextWeight(), STAKE + 250e18, 0.005e18);
    }

    /// The most strategies there can be, all of them burning what they get, leave enough for the answer.
    function test_ManyHostileStrategiesStayWithinTheRegistrysGas() public {
        EigenLayerSource.Strategy[] memory list = new EigenLayerSource.Strategy[](16);
        _restake(dollar, dollarStrategy, 100e6);
        list[0] = EigenLayerSource.Strategy(dollarStrategy, 1);
        for (uint256 i = 1; i < 16; ++i) {
            list[i] = EigenLayerSource.Strategy(_strategyOf(dollar), 1);
            _restake(dollar, list[i].strategy, 100e6);
        }
        bytes memory args = abi.encode(delegation, tokens, list);
        EigenLayerSource many = EigenLayerSource(Built.make("EigenLayerSource", args));
        assertApproxEqAbs(many.restakedOf(_ownerOf(1)), 16 * 50e18, 0.1e18);
        // Names its underlying token; on the other question it burns what it gets.
        bytes memory hostile = abi.encodePacked(
            hex"5f3560e01c63", bytes4(keccak256("underlyingToken()")), hex"14600f57fe5b73", dollar, hex"5f5260205ff3"
        );
        for (uint256 i = 1; i < 16; ++i) {
            vm.etch(list[i].strategy, hostile);
        }
        uint256 before = gasleft();
        assertApproxEqAbs(many.restakedOf{gas: 5_000_000}(_ownerOf(1)), 50e18, 0.005e18);
        assertGt(before - gasleft(), 15 * 100_000, "none was hostile");
    }

    function test_RevertIf_NoStrategyOrTooMany() public {
        for (uint256 count = 0; count <= 17; count += 17) {
            EigenLayerSource.Strategy[] memory some = new EigenLayerSource.Strategy[](count);
            vm.expectRevert(abi.encodeWithSelector(EigenLayerSource.EigenLayerSource_BadStrategies.selector, count, 16));
            new EigenLayerSource(address(delegation), address(tokens), some);
        }
    }

    function test_Strategies() public view {
        assertEq(source.strategies().length, 2);
        assertEq(source.strategies()[0].strategy, dollarStrategy);
        assertEq(source.strategies()[1].token, 2);
    }

    // ---------------------------------------------------------------- helpers

    function _sourceOf(address strategy, uint96 token) private returns (EigenLayerSource) {
        EigenLayerSource.Strategy[] memory list = new EigenLayerSource.Strategy[](1);
        list[0] = EigenLayerSource.Strategy(strategy, token);
        return EigenLayerSource(Built.make("EigenLayerSource", abi.encode(delegation, tokens, list)));
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
