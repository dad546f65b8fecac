// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IBlsVerifier} from "../../src/interfaces/IBlsVerifier.sol";
import {IOperatorRegistry} from "../../src/interfaces/IOperatorRegistry.sol";
import {ProfileWord} from "../../src/lib/ProfileWord.sol";
import {Profile} from "../../src/lib/Types.sol";
import {OperatorRegistry} from "../../src/operator/OperatorRegistry.sol";
import {G2} from "../../src/verify/G2.sol";
import {OperatorBase} from "./OperatorBase.sol";

/// @title  OperatorRegistryTest: registering, entering, leaving, eviction, weights and ejection
contract OperatorRegistryTest is OperatorBase {
    using ProfileWord for Profile;

    function _capacity() internal pure override returns (uint32) {
        return 3;
    }

    // ---------------------------------------------------------------- registration

    function test_register() public {
        bytes memory key = _keyOf(_secretOf(1));
        vm.expectEmit(address(operators));
        emit IOperatorRegistry.OperatorRegistered(1, _ownerOf(1), key);
        assertEq(_register(), 1);
        assertEq(operators.keyOf(1), key);
        assertEq(operators.operatorOf(keccak256(key)), 1);
        assertEq(operators.ownerOf(1), _ownerOf(1));
        assertEq(operators.profile(1).id(), 1);
        assertEq(Profile.unwrap(operators.profile(2)), 0);
    }

    function test_register_RevertIf_KeyTaken() public {
        _register();
        bytes memory key = _keyOf(_secretOf(1));
        bytes memory proof = _prove(_secretOf(1), operators.possessionDigest(address(this), key));
        vm.expectRevert(abi.encodeWithSelector(IOperatorRegistry.OperatorRegistry_KeyTaken.selector, 1));
        operators.register(key, proof);
    }

    /// A proof of another's is none: it names its owner.
    function test_register_RevertIf_ProofOfAnotherOwner() public {
        bytes memory key = _keyOf(_secretOf(1));
        bytes memory proof = _prove(_secretOf(1), operators.possessionDigest(_ownerOf(1), key));
        vm.expectRevert(IOperatorRegistry.OperatorRegistry_BadProof.selector);
        operators.register(key, proof);
    }

    /// The key of a rogue: an honest one's, taken off the rogue's own. It cannot prove that it knows the secret.
    function test_register_RevertIf_RogueKey() public {
        _join(1);
        bytes memory rogue = G2.subtract(_keyOf(77), operators.keyOf(1));
        bytes memory proof = _prove(77, operators.possessionDigest(address(this), rogue));
        vm.expectRevert(IOperatorRegistry.OperatorRegistry_BadProof.selector);
        operators.register(rogue, proof);
    }

    function test_register_RevertIf_Infinity() public {
        bytes memory key = new bytes(256);
        bytes memory proof = _prove(5, operators.possessionDigest(address(this), key));
        vm.expectRevert(abi.encodeWithSelector(IBlsVerifier.Bls_Infinity.selector, "public key"));
        operators.register(key, proof);
        key = _keyOf(5);
        vm.expectRevert(abi.encodeWithSelector(IBlsVerifier.Bls_Infinity.selector, "signature"));
        operators.register(key, new bytes(128));
    }

    function test_announce() public {
        _register();
        vm.expectEmit(address(operators));
        emit IOperatorRegistry.EndpointChanged(1, "http://operator.example:7300");
        vm.prank(_ownerOf(1));
        operators.announce(1, "http://operator.example:7300");
        vm.prank(_ownerOf(1));
        operators.announce(1, string(new bytes(256)));
    }

    function test_announce_RevertIf_NotOwner() public {
        _register();
        vm.expectRevert(abi.encodeWithSelector(IOperatorRegistry.OperatorRegistry_NotOwner.selector, 1, address(this)));
        operators.announce(1, "http://elsewhere.example");
    }

    function test_announce_RevertIf_Long() public {
        _register();
        vm.expectRevert(abi.encodeWithSelector(IOperatorRegistry.OperatorRegistry_LongEndpoint.selector, 257, 256));
        vm.prank(_ownerOf(1));
        operators.announce(1, string(new bytes(257)));
    }

    function test_ownerOf_RevertIf_Unknown() public {
        vm.expectRevert(abi.encodeWithSelector(IOperatorRegistry.OperatorRegistry_Unknown.selector, 9));
        operators.ownerOf(9);
    }

    // ---------------------------------------------------------------- entering and leaving

    function test_enter_CountsFromTheNextEra() public {
        _join(1);
        uint256 era = operators.currentEra();
        _expectSet(era, 0, 0);
        _expectSet(era + 1, STAKE, 1);
        _nextEra();
        _expectSet(era, 0, 0);
        _expectSet(era + 1, STAKE, 1);
    }

    function test_enter_RevertIf_NotOwner() public {
        _register();
        vm.expectRevert(abi.encodeWithSelector(IOperatorRegistry.OperatorRegistry_NotOwner.selector, 1, address(this)));
        operators.enter(1, 0);
    }

    function test_enter_RevertIf_TooLight() public {
        _register();
        _stake(1, MIN_WEIGHT - 1);
        vm.prank(_ownerOf(1));
        vm.expectPartialRevert(IOperatorRegistry.OperatorRegistry_TooLight.selector);
        operators.enter(1, 0);
    }

    function test_enter_RevertIf_Twice() public {
        _join(1);
        vm.prank(_ownerOf(1));
        vm.expectRevert(abi.encodeWithSelector(IOperatorRegistry.OperatorRegistry_IsMember.selector, 1));
        operators.enter(1, 0);
    }

    function test_exit() public {
        _join(2);
        _nextEra();
        uint256 era = operators.currentEra();
        vm.expectEmit(address(operators));
        emit IOperatorRegistry.OperatorLeft(1, era + 1, 0);
        vm.prank(_ownerOf(1));
        operators.exit(1);
        _expectSet(era, 2 * STAKE, 2);
        _expectSet(era + 1, STAKE, 1);

        vm.prank(_ownerOf(1));
        vm.expectRevert(abi.encodeWithSelector(IOperatorRegistry.OperatorRegistry_NotMember.selector, 1));
        operators.exit(1);
        _enter(1, 0);
        _expectSet(era + 1, 2 * STAKE, 2);
    }

    function test_exit_RevertIf_NotOwner() public {
        _join(1);
        vm.expectRevert(abi.encodeWithSelector(IOperatorRegistry.OperatorRegistry_NotOwner.selector, 1, address(this)));
        operators.exit(1);
    }

    /// The last one to leave leaves a set whose key is infinity.
    function test_exit_TheLast() public {
        _join(1);
        _nextEra();
        vm.prank(_ownerOf(1));
        operators.exit(1);
        _expectSet(_nextEra(), 0, 0);
    }

    // ---------------------------------------------------------------- eviction

    function test_evict_ByAStronger() public {
        _join(3);
        uint256 operator = _register();
        _stake(operator, STAKE * 11 / 10);
        uint256 era = operators.currentEra();
        vm.expectEmit(address(operators));
        emit IOperatorRegistry.OperatorLeft(2, era + 1, operator);
        _enter(operator, 2);
        _expectSet(era + 1, 2 * STAKE + STAKE * 11 / 10, 3);
    }

    function test_evict_RevertIf_NotStronger() public {
        _join(3);
        uint256 operator = _register();
        _stake(operator, STAKE * 11 / 10 - 1e15);
        vm.prank(_ownerOf(operator));
        vm.expectPartialRevert(IOperatorRegistry.OperatorRegistry_TooLight.selector);
        operators.enter(operator, 2);
    }

    function test_evict_RevertIf_NoneIsNamed() public {
        _join(3);
        uint256 operator = _register();
        _stake(operator, 10 * STAKE);
        vm.prank(_ownerOf(operator));
        vm.expectRevert(abi.encodeWithSelector(IOperatorRegistry.OperatorRegistry_NotMember.selector, 0));
        operators.enter(operator, 0);
    }

    /// The average is the one before the newcomer, whose own weight must not lift it.
    function test_evict_RevertIf_AboveTheAverage() public {
        _join(3);
        _stake(2, 50e18);
        uint256 operator = _register();
        _stake(operator, 100 * STAKE);
        vm.prank(_ownerOf(operator));
        vm.expectPartialRevert(IOperatorRegistry.OperatorRegistry_TooHeavyToEvict.selector);
        operators.enter(operator, 2);
    }

    function test_evict_RevertIf_ThereIsRoom() public {
        _join(2);
        uint256 operator = _register();
        _stake(operator, 100 * STAKE);
        vm.prank(_ownerOf(operator));
        vm.expectRevert(abi.encodeWithSelector(IOperatorRegistry.OperatorRegistry_NotMember.selector, 1));
        operators.enter(operator, 1);
    }

    // ---------------------------------------------------------------- weights

    function test_stake_ChangesTheWeight() public {
        _join(1);
        uint256 era = _nextEra();
        _stake(1, 5e18);
        _expectSet(era, STAKE, 1);
        _expectSet(era + 1, STAKE + 5e18, 1);
    }

    function test_unstake_BelowTheMinimumLeaves() public {
        _join(2);
        uint256 era = _nextEra();
        uint256 shares = staking.sharesOf(1, _ownerOf(1));
        vm.prank(_ownerOf(1));
        staking.unstake(1, shares - 1e18);
        _expectSet(era, 2 * STAKE, 2);
        _expectSet(era + 1, STAKE, 1);
    }

    function test_restaked_CountsAtMostAsMuchAsStake() public {
        _join(1);
        restaking.set(_ownerOf(1), 300e18);
        operators.sync(1);
        _expectSet(_nextEra(), STAKE + 300e18, 1);
        restaking.set(_ownerOf(1), type(uint256).max);
        operators.sync(1);
        _expectSet(_nextEra(), 2 * STAKE, 1);
        restaking.set(_ownerOf(1), 0);
        operators.sync(1);
        _expectSet(_nextEra(), STAKE, 1);
    }

    function test_sync_RevertIf_Unknown() public {
        vm.expectRevert(abi.encodeWithSelector(IOperatorRegistry.OperatorRegistry_Unknown.selector, 4));
        operators.sync(4);
    }

    function test_setStake_RevertIf_NotStaking() public {
        _join(1);
        vm.expectRevert(abi.encodeWithSelector(IOperatorRegistry.OperatorRegistry_NotStaking.selector, address(this)));
        operators.setStake(1, 1e30, true, true, 0);
    }

    // ---------------------------------------------------------------- ejection

    function test_slash_Ejects() public {
        _join(2);
        uint256 era = _nextEra();
        vm.expectEmit(address(operators));
        emit IOperatorRegistry.OperatorEjected(1, era);
        _slash(1, 1e18);
        assertEq(operators.ejectedIn(1), era);
        assertEq(operators.profile(1).slashes(), 1);
        _expectSet(era, 2 * STAKE, 2);
        _expectSet(era + 1, STAKE, 1);

        _stake(1, 10 * STAKE);
        vm.prank(_ownerOf(1));
        vm.expectRevert(abi.encodeWithSelector(IOperatorRegistry.OperatorRegistry_Ejected.selector, 1));
        operators.enter(1, 0);
    }

    /// Unbonding stake can still be slashed, and a second slash takes what the first one left.
    function test_slash_WhileUnbonding() public {
        _join(1);
        _nextEra();
        uint256 shares = staking.sharesOf(1, _ownerOf(1));
        vm.prank(_ownerOf(1));
        staking.unstake(1, shares);
        _slash(1, STAKE / 2);
        uint256 era = operators.ejectedIn(1);
        _nextEra();
        _slash(1, STAKE);
        assertEq(operators.ejectedIn(1), era);
        (uint256 tokens,, uint256 thawing,) = staking.poolOf(1);
        assertEq(tokens + thawing, 0);
    }

    // ---------------------------------------------------------------- wiring

    function test_wiring() public {
        IOperatorRegistry.Wiring memory w = _wiring(address(staking));
        assertEq(keccak256(abi.encode(operators.wiring())), keccak256(abi.encode(w)));
        w.responseEras = 17;
        _expectBad(w, "responseEras");
        w.responseEras = 16;
        (w.capacity, w.minWeight) = (0, 1);
        _expectBad(w, "capacity");
        (w.capacity, w.minWeight) = (1, 0);
        _expectBad(w, "minWeight");
    }

    function _expectBad(IOperatorRegistry.Wiring memory w, string memory what) private {
        vm.expectRevert(abi.encodeWithSelector(IOperatorRegistry.OperatorRegistry_BadWiring.selector, what));
        new OperatorRegistry(w);
    }

    function _expectSet(uint256 era, uint256 weight, uint256 size) private view {
        (, uint256 weight_, uint256 size_, bytes32 keyHash) = operators.setAt(era);
        assertEq(weight_, weight);
        assertEq(size_, size);
        assertEq(keyHash, keccak256(_sumOfKeys(era)));
    }
}
