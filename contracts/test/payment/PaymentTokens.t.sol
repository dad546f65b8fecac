// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IAccessManaged} from "@openzeppelin/contracts/access/manager/IAccessManaged.sol";

import {IMatchPolicy} from "../../src/interfaces/IMatching.sol";
import {IPaymentTokens} from "../../src/interfaces/IPaymentTokens.sol";
import {TermsWord} from "../../src/lib/TermsWord.sol";
import {TokenWord} from "../../src/lib/TokenWord.sol";
import {Built} from "../Built.sol";
import {MarketBase} from "../market/MarketBase.sol";
import {ManyDecimalsToken} from "./HostileTokens.sol";

/// @title  PaymentTokens and MarketTerms (SP-18, SP-24, SP-25)
contract PaymentTokensTest is MarketBase {
    function test_sponIsTokenZero() public view {
        uint256 word = tokens.tokenWord(0);
        assertTrue(TokenWord.isSpon(word) && TokenWord.isEnabled(word));
        assertEq(TokenWord.decimals(word), 18);
        assertEq(tokens.assetOf(0), address(spon));
        assertFalse(TokenWord.isSpon(tokens.tokenWord(DOLLAR)));
    }

    /// 5 cents and 5 dollars in each token's own units.
    function test_feesInTheTokensUnits() public view {
        assertEq(TokenWord.matchFee(tokens.tokenWord(DOLLAR)), 0.05e6);
        assertEq(TokenWord.minDeposit(tokens.tokenWord(DOLLAR)), 5e6);
        assertEq(TokenWord.matchFee(tokens.tokenWord(0)), 0.05e18);
        assertEq(tokens.unitsFor(DOLLAR, 123), 1.23e6);
    }

    function test_quote_isBothWords() public view {
        (uint256 token, uint256 market) = tokens.quote(DOLLAR);
        assertEq(token, tokens.tokenWord(DOLLAR));
        assertEq(market, tokens.termsWord());
        assertEq(market, _market());
    }

    function test_onlyGovernance() public {
        bytes memory refused = abi.encodeWithSelector(IAccessManaged.AccessManagedUnauthorized.selector, stranger);
        vm.startPrank(stranger);
        vm.expectRevert(refused);
        tokens.enableToken(address(1), 1);
        vm.expectRevert(refused);
        tokens.disableToken(DOLLAR);
        vm.expectRevert(refused);
        tokens.setPrice(DOLLAR, 1e8);
        vm.expectRevert(refused);
        tokens.setTerms(0);
        vm.stopPrank();
    }

    function test_enableToken_twice() public {
        vm.startPrank(governor);
        vm.expectRevert(abi.encodeWithSelector(IPaymentTokens.PaymentTokens_AlreadyEnabled.selector, address(dollar)));
        tokens.enableToken(address(dollar), 1e8);
        tokens.disableToken(DOLLAR);
        assertFalse(TokenWord.isEnabled(tokens.tokenWord(DOLLAR)));
        // The same asset keeps its id.
        assertEq(tokens.enableToken(address(dollar), 2e8), DOLLAR);
        vm.stopPrank();
        assertTrue(TokenWord.isEnabled(tokens.tokenWord(DOLLAR)));
        assertEq(TokenWord.price(tokens.tokenWord(DOLLAR)), 2e8);
        assertEq(tokens.tokenCount(), 2);
    }

    /// Taking a token off the list and back on is no way around the bound on prices.
    function test_enableToken_again_keepsToThePriceStep() public {
        vm.startPrank(governor);
        tokens.disableToken(DOLLAR);
        bytes4 step = IPaymentTokens.PaymentTokens_PriceStep.selector;
        vm.expectRevert(abi.encodeWithSelector(step, DOLLAR, 2e8 + 1, uint256(0.5e8), uint256(2e8)));
        tokens.enableToken(address(dollar), 2e8 + 1);
        vm.expectRevert(abi.encodeWithSelector(step, DOLLAR, 1, uint256(0.5e8), uint256(2e8)));
        tokens.enableToken(address(dollar), 1);
        // A price that moved meanwhile is brought up to date day by day.
        tokens.setPrice(DOLLAR, 2e8);
        skip(1 days);
        assertEq(tokens.enableToken(address(dollar), 4e8), DOLLAR);
        vm.stopPrank();
        assertEq(TokenWord.price(tokens.tokenWord(DOLLAR)), 4e8);
    }

    function test_enableToken_atMost48() public {
        vm.startPrank(governor);
        for (uint256 i = 2; i < 48; ++i) {
            assertEq(tokens.enableToken(Built.make("DevDollar", ""), 1e8), i);
        }
        address one = Built.make("DevDollar", "");
        vm.expectRevert(IPaymentTokens.PaymentTokens_TooManyTokens.selector);
        tokens.enableToken(one, 1e8);
        vm.stopPrank();
    }

    function test_enableToken_atMost18Decimals() public {
        address many = address(new ManyDecimalsToken());
        vm.expectRevert(abi.encodeWithSelector(IPaymentTokens.PaymentTokens_TooManyDecimals.selector, many, 19));
        vm.prank(governor);
        tokens.enableToken(many, 1e8);
    }

    function test_enableToken_needsAPrice() public {
        address one = Built.make("DevDollar", "");
        vm.startPrank(governor);
        vm.expectRevert(abi.encodeWithSelector(IPaymentTokens.MarketTerms_OutOfBounds.selector, "price", 0));
        tokens.enableToken(one, 0);
        vm.expectRevert(abi.encodeWithSelector(IPaymentTokens.MarketTerms_OutOfBounds.selector, "price", 1 << 80));
        tokens.enableToken(one, 1 << 80);
        vm.stopPrank();
    }

    /// A price so low that a fee would need more than its field.
    function test_price_thatAFeeDoesNotFit() public {
        vm.expectRevert();
        vm.prank(governor);
        tokens.setPrice(0, 1);
    }

    function test_unknownToken() public {
        bytes memory unknown = abi.encodeWithSelector(IPaymentTokens.PaymentTokens_Unknown.selector, 2);
        vm.startPrank(governor);
        vm.expectRevert(unknown);
        tokens.disableToken(2);
        vm.expectRevert(unknown);
        tokens.setPrice(2, 1e8);
        vm.stopPrank();
        vm.expectRevert(unknown);
        tokens.unitsFor(2, 1);
        assertEq(tokens.tokenWord(2), 0);
    }

    function test_setPrice_aFactorOfTwoADay() public {
        vm.startPrank(governor);
        tokens.setPrice(DOLLAR, 2e8);
        tokens.setPrice(DOLLAR, 0.5e8);
        vm.expectRevert(
            abi.encodeWithSelector(
                IPaymentTokens.PaymentTokens_PriceStep.selector, DOLLAR, 2e8 + 1, uint256(0.5e8), uint256(2e8)
            )
        );
        tokens.setPrice(DOLLAR, 2e8 + 1);
        vm.expectRevert();
        tokens.setPrice(DOLLAR, 0.5e8 - 1);
        skip(1 days - 1);
        vm.expectRevert();
        tokens.setPrice(DOLLAR, 0.25e8);
        skip(1);
        tokens.setPrice(DOLLAR, 0.25e8);
        vm.stopPrank();
        assertEq(TokenWord.minDeposit(tokens.tokenWord(DOLLAR)), 20e6);
    }

    function test_setTerms_changesEveryTokensFees() public {
        uint256 terms = TermsWord.pack(TermsWord.Fields(1000, 100, 300, 0, 1, 4, 1000, 10, 1000, 100));
        vm.prank(governor);
        tokens.setTerms(terms);
        assertEq(tokens.termsWord(), terms);
        assertEq(TokenWord.matchFee(tokens.tokenWord(0)), 0.1e18);
        assertEq(TokenWord.matchFee(tokens.tokenWord(DOLLAR)), 0.1e6);
        assertEq(TokenWord.minDeposit(tokens.tokenWord(DOLLAR)), 10e6);
        assertTrue(TokenWord.isSpon(tokens.tokenWord(0)));
    }

    function test_setTerms_bounds() public {
        _outOfBounds("commission", 5001, TermsWord.pack(TermsWord.Fields(5001, 200, 200, 0, 1, 2, 1, 1, 1, 1)));
        _outOfBounds("payerFee", 1001, TermsWord.pack(TermsWord.Fields(2000, 1001, 200, 0, 1, 2, 1, 1, 1, 1)));
        _outOfBounds("receiverFee", 1001, TermsWord.pack(TermsWord.Fields(2000, 200, 1001, 0, 1, 2, 1, 1, 1, 1)));
        _outOfBounds("tier1Rebate", 10_001, TermsWord.pack(TermsWord.Fields(2000, 200, 200, 10_001, 1, 2, 1, 1, 1, 1)));
        _outOfBounds("bidBlocks", 65, TermsWord.pack(TermsWord.Fields(2000, 200, 200, 0, 1, 65, 1, 1, 1, 1)));
        _outOfBounds("bidBlocks", 0, TermsWord.pack(TermsWord.Fields(2000, 200, 200, 0, 1, 0, 1, 1, 1, 1)));
        _outOfBounds(
            "bracket", 1_000_001, TermsWord.pack(TermsWord.Fields(2000, 200, 200, 0, 1, 2, 1_000_001, 1, 1, 1))
        );
        _outOfBounds("matchFee", 10_001, TermsWord.pack(TermsWord.Fields(2000, 200, 200, 0, 1, 2, 1, 10_001, 1, 1)));
        _outOfBounds(
            "minDeposit", 1_000_001, TermsWord.pack(TermsWord.Fields(2000, 200, 200, 0, 1, 2, 1, 1, 1_000_001, 1))
        );
        _outOfBounds(
            "missPenalty", 1_000_001, TermsWord.pack(TermsWord.Fields(2000, 200, 200, 0, 1, 2, 1, 1, 1, 1_000_001))
        );
        _outOfBounds("spare", 1, _market() | (1 << 216));
    }

    function test_setTerms_namesAPolicyThatExists() public {
        vm.expectRevert(abi.encodeWithSelector(IMatchPolicy.MatchPolicy_Unknown.selector, 2));
        vm.prank(governor);
        tokens.setTerms(TermsWord.pack(TermsWord.Fields(2000, 200, 200, 0, 2, 2, 1, 1, 1, 1)));
    }

    /// Rounded up, and never worth less than asked.
    function testFuzz_unitsFor_roundsUp(uint256 cents, uint256 price) public {
        cents = bound(cents, 0, 1_000_000);
        price = bound(price, 0.5e8, 2e8);
        vm.prank(governor);
        tokens.setPrice(DOLLAR, price);
        uint256 units = tokens.unitsFor(DOLLAR, cents);
        assertGe(units * price, cents * 1e12);
        if (units != 0) assertLt((units - 1) * price, cents * 1e12);
    }

    function _outOfBounds(string memory what, uint256 value, uint256 terms) private {
        vm.expectRevert(abi.encodeWithSelector(IPaymentTokens.MarketTerms_OutOfBounds.selector, what, value));
        vm.prank(governor);
        tokens.setTerms(terms);
    }
}
