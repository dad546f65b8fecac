// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IBlsVerifier} from "../../src/interfaces/IBlsVerifier.sol";
import {IOperatorRegistry, Quorum} from "../../src/interfaces/IOperatorRegistry.sol";
import {G2} from "../../src/verify/G2.sol";
import {OperatorBase} from "./OperatorBase.sol";

/// @title  QuorumTest: what a quorum is, and every way not to be one
contract QuorumTest is OperatorBase {
    bytes32 private constant DIGEST = keccak256("digest");
    uint256 private era;

    function setUp() public override {
        super.setUp();
        _join(7);
        era = _nextEra();
    }

    function test_everyoneSigned() public view {
        (uint256 signed, uint256 total) = operators.checkQuorum(DIGEST, _quorum(era, DIGEST, 0));
        assertEq(signed, 7 * STAKE);
        assertEq(total, 7 * STAKE);
    }

    function test_twoAreSilent() public view {
        (uint256 signed,) = operators.checkQuorum(DIGEST, _quorum(era, DIGEST, _bit(2) | _bit(7)));
        assertEq(signed, 5 * STAKE);
    }

    function test_RevertIf_AThirdIsSilent() public {
        Quorum memory q = _quorum(era, DIGEST, _bit(1) | _bit(2) | _bit(7));
        vm.expectRevert(
            abi.encodeWithSelector(IOperatorRegistry.OperatorRegistry_NoQuorum.selector, 4 * STAKE, 7 * STAKE)
        );
        operators.checkQuorum(DIGEST, q);
    }

    /// More than two thirds: exactly two thirds are too few.
    function test_RevertIf_ExactlyTwoThirds() public {
        vm.prank(_ownerOf(7));
        operators.exit(7);
        era = _nextEra();
        Quorum memory q = _quorum(era, DIGEST, _bit(5) | _bit(6));
        vm.expectRevert(
            abi.encodeWithSelector(IOperatorRegistry.OperatorRegistry_NoQuorum.selector, 4 * STAKE, 6 * STAKE)
        );
        operators.checkQuorum(DIGEST, q);
    }

    /// Weight counts, not heads.
    function test_RevertIf_TheHeavyOneIsSilent() public {
        _stake(3, 4 * STAKE);
        era = _nextEra();
        Quorum memory q = _quorum(era, DIGEST, _bit(3));
        vm.expectRevert(
            abi.encodeWithSelector(IOperatorRegistry.OperatorRegistry_NoQuorum.selector, 6 * STAKE, 11 * STAKE)
        );
        operators.checkQuorum(DIGEST, q);
    }

    // ---------------------------------------------------------------- forged

    function test_RevertIf_AnotherDigest() public {
        Quorum memory q = _quorum(era, DIGEST, 0);
        vm.expectRevert(IOperatorRegistry.OperatorRegistry_BadSignature.selector);
        operators.checkQuorum(keccak256("another"), q);
    }

    /// Who did not sign is left out of the list: the key does not match.
    function test_RevertIf_ANonSignerIsNotListed() public {
        Quorum memory q = _quorum(era, DIGEST, _bit(4));
        q.nonSigners = "";
        vm.expectRevert(IOperatorRegistry.OperatorRegistry_BadSignature.selector);
        operators.checkQuorum(DIGEST, q);
    }

    function test_RevertIf_InfinitySignature() public {
        Quorum memory q = _quorum(era, DIGEST, 0);
        q.signature = new bytes(128);
        vm.expectPartialRevert(IBlsVerifier.Bls_Infinity.selector);
        operators.checkQuorum(DIGEST, q);
    }

    /// Nobody at all would have an infinite key, which any pairing takes for valid.
    function test_RevertIf_NobodyIsThere() public {
        Quorum memory q = _quorum(era, DIGEST, 0);
        (q.era, q.point) = (uint32(era - 1), 0);
        (q.key, q.signature) = (new bytes(256), new bytes(128));
        vm.expectRevert(abi.encodeWithSelector(IOperatorRegistry.OperatorRegistry_NoQuorum.selector, 0, 0));
        operators.checkQuorum(DIGEST, q);
    }

    function test_RevertIf_TheKeyIsAnother() public {
        Quorum memory q = _quorum(era, DIGEST, 0);
        q.key = operators.keyOf(1);
        vm.expectRevert(
            abi.encodeWithSelector(IOperatorRegistry.OperatorRegistry_WrongSetKey.selector, keccak256(q.key))
        );
        operators.checkQuorum(DIGEST, q);
    }

    /// Whose key is in no list has no weight either.
    function test_RevertIf_ANonSignersKeyIsNobodys() public {
        Quorum memory q = _quorum(era, DIGEST, 0);
        q.nonSigners = bytes.concat(bytes4(0), _keyOf(4711));
        _expectBad("not a member");
        operators.checkQuorum(DIGEST, q);
    }

    function test_RevertIf_NoMemberIsListed() public {
        uint256 stranger = _register();
        Quorum memory q = _quorum(era, DIGEST, 0);
        q.nonSigners = _nonSigner(stranger, era);
        _expectBad("not a member");
        operators.checkQuorum(DIGEST, q);
    }

    function test_RevertIf_ListedTwice() public {
        Quorum memory q = _quorum(era, DIGEST, _bit(2));
        q.nonSigners = bytes.concat(q.nonSigners, q.nonSigners);
        _expectBad("order");
        operators.checkQuorum(DIGEST, q);
    }

    function test_RevertIf_TheListIsCutShort() public {
        Quorum memory q = _quorum(era, DIGEST, _bit(2));
        q.nonSigners = bytes.concat(q.nonSigners, hex"00");
        _expectBad("length");
        operators.checkQuorum(DIGEST, q);
    }

    /// An older, lighter weight would leave more signed weight than there is.
    function test_RevertIf_AnOldWeightIsNamed() public {
        _stake(2, 10 * STAKE);
        (uint256 old,) = operators.weightAt(2, era);
        era = _nextEra();
        Quorum memory q = _quorum(era, DIGEST, 0);
        q.nonSigners = bytes.concat(bytes4(uint32(old)), operators.keyOf(2));
        vm.expectRevert(abi.encodeWithSelector(IOperatorRegistry.OperatorRegistry_WrongPoint.selector, era, old));
        operators.checkQuorum(DIGEST, q);
    }

    function test_RevertIf_AnotherErasSetIsNamed() public {
        Quorum memory q = _quorum(era, DIGEST, 0);
        q.era = uint32(era - 1);
        vm.expectRevert(
            abi.encodeWithSelector(IOperatorRegistry.OperatorRegistry_WrongPoint.selector, era - 1, q.point)
        );
        operators.checkQuorum(DIGEST, q);
    }

    /// The next era's set can still change.
    function test_RevertIf_TheEraIsToCome() public {
        Quorum memory q = _quorum(era + 1, DIGEST, 0);
        vm.expectRevert(abi.encodeWithSelector(IOperatorRegistry.OperatorRegistry_WrongEra.selector, era + 1, era));
        operators.checkQuorum(DIGEST, q);
    }

    function test_RevertIf_TheEraIsLongPast() public {
        Quorum memory q = _quorum(era, DIGEST, 0);
        vm.warp(clock.startOf(era + 3) - 1);
        operators.checkQuorum(DIGEST, q);
        vm.warp(block.timestamp + 1);
        vm.expectRevert(abi.encodeWithSelector(IOperatorRegistry.OperatorRegistry_WrongEra.selector, era, era + 3));
        operators.checkQuorum(DIGEST, q);
    }

    // ---------------------------------------------------------------- sets change

    /// Whatever happens between signing and submission, the set that signed is the one that counts.
    function test_AChangeOfTheSetLeavesSignaturesValid() public {
        Quorum memory q = _quorum(era, DIGEST, _bit(3));
        _stake(1, STAKE);
        vm.prank(_ownerOf(5));
        operators.exit(5);
        _join(2);
        operators.checkQuorum(DIGEST, q);
        _nextEra();
        _nextEra();
        operators.checkQuorum(DIGEST, q);
    }

    function test_RevertIf_AnEjectedOneSigned() public {
        Quorum memory q = _quorum(era, DIGEST, 0);
        _slash(6, 1);
        bytes memory ejected = _ejectedSigner(6);
        vm.expectRevert(ejected);
        operators.checkQuorum(DIGEST, q);
        operators.checkQuorum(DIGEST, _quorum(era, DIGEST, _bit(6)));

        _nextEra();
        vm.expectRevert(ejected);
        operators.checkQuorum(DIGEST, q);
        // Of the sets after its ejection it is no member, and needs no mention.
        operators.checkQuorum(DIGEST, _quorum(era + 1, DIGEST, 0));
    }

    /// However many sets came since, one that is still accepted knows of the ejection.
    function test_RevertIf_AnEjectedOneSignedAnOlderSet() public {
        _stake(1, 1e18);
        _nextEra();
        _stake(1, 1e18);
        _nextEra();
        _stake(1, 1e18);
        for (uint256 back; back < 3; ++back) {
            operators.checkQuorum(DIGEST, _quorum(era + back, DIGEST, 0));
        }
        _slash(6, 1);
        bytes memory ejected = _ejectedSigner(6);
        for (uint256 back; back < 3; ++back) {
            Quorum memory q = _quorum(era + back, DIGEST, 0);
            vm.expectRevert(ejected);
            operators.checkQuorum(DIGEST, q);
            operators.checkQuorum(DIGEST, _quorum(era + back, DIGEST, _bit(6)));
        }
    }

    /// One that was no member yet has nothing to be left out of.
    function test_AnEjectedNewcomerNeedsNoMention() public {
        _join(1);
        _slash(8, 1);
        operators.checkQuorum(DIGEST, _quorum(era, DIGEST, 0));
        _nextEra();
        operators.checkQuorum(DIGEST, _quorum(era + 1, DIGEST, 0));
    }

    /// Any subset is a quorum exactly when it weighs more than two thirds.
    function testFuzz_subsets(uint256 silent, uint256[7] memory extra) public {
        uint256 total;
        uint256 signed;
        for (uint256 operator = 1; operator <= 7; ++operator) {
            uint256 more = extra[operator - 1] % (3 * STAKE);
            if (more != 0) _stake(operator, more);
        }
        era = _nextEra();
        for (uint256 operator = 1; operator <= 7; ++operator) {
            (, uint256 weight) = operators.weightAt(operator, era);
            total += weight;
            if (silent >> operator & 1 == 0) signed += weight;
        }
        if (signed == 0) return;
        Quorum memory q = _quorum(era, DIGEST, silent);
        if (signed * 3 > total * 2) {
            (uint256 signed_, uint256 total_) = operators.checkQuorum(DIGEST, q);
            assertEq(signed_, signed);
            assertEq(total_, total);
        } else {
            vm.expectRevert(abi.encodeWithSelector(IOperatorRegistry.OperatorRegistry_NoQuorum.selector, signed, total));
            operators.checkQuorum(DIGEST, q);
        }
    }

    function test_G2() public view {
        bytes memory a = _keyOf(11);
        bytes memory b = _keyOf(31);
        assertEq(G2.add(a, b), _keyOf(42));
        assertEq(G2.subtract(_keyOf(42), b), a);
        assertEq(G2.subtract(a, a), G2.infinity());
        assertEq(G2.subtract(a, G2.infinity()), a);
        assertEq(G2.add(G2.infinity(), a), a);
        assertEq(G2.add(a, a), _keyOf(22));
    }

    function _expectBad(string memory what) private {
        vm.expectRevert(abi.encodeWithSelector(IOperatorRegistry.OperatorRegistry_BadNonSigners.selector, what));
    }

    function _ejectedSigner(uint256 operator) private view returns (bytes memory) {
        return abi.encodeWithSelector(
            IOperatorRegistry.OperatorRegistry_EjectedSigner.selector, keccak256(operators.keyOf(operator))
        );
    }

    function _bit(uint256 operator) private pure returns (uint256) {
        return 1 << operator;
    }
}
