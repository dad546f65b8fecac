// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IOperatorRegistry} from "../interfaces/IOperatorRegistry.sol";
import {IRestakingSource} from "../interfaces/IRestakingSource.sol";
import {IStakeRegistry} from "../interfaces/IStakeRegistry.sol";
import {Guarded} from "../lib/Guarded.sol";
import {ProfileWord} from "../lib/ProfileWord.sol";
import {Profile} from "../lib/Types.sol";
import {Bls} from "../verify/Bls.sol";
import {OperatorSets} from "./OperatorSets.sol";

/// @title  OperatorRegistry: who may be in the matching quorum, and with what weight (SP-14, SP-15)
/// @notice See IOperatorRegistry. Immutable code, wired by constructor; nobody approves operators and nobody can keep one
///         out but by outweighing it.
contract OperatorRegistry is OperatorSets, EIP712 {
    using ProfileWord for Profile;
    using SafeCast for uint256;

    bytes32 private constant POSSESSION = keccak256("Possession(address owner,bytes key)");
    /// A newcomer outweighs whom it evicts by a tenth, so that two of a kind do not evict each other in turns.
    uint256 private constant EVICTION_BP = 11_000;
    uint256 private constant BP = 10_000;
    /// Bytes of an endpoint at most.
    uint256 private constant LONGEST_ENDPOINT = 256;
    /// What a restaking source may use to answer.
    uint256 private constant RESTAKING_GAS = 5_000_000;

    struct Operator {
        address owner;
        uint32 ejectedIn; // era; 0 while it may be a member
        uint8 slashes;
        bool member; // entered and did not leave
        uint128 stake; // wei of SPON that count
        uint128 restaked; // wei of SPON that restaked shares are taken for
    }

    address private immutable STAKING;
    IRestakingSource private immutable RESTAKING;
    uint256 private immutable CAPACITY;
    uint256 private immutable MIN_WEIGHT;

    mapping(uint256 operator => Operator) private _operators;
    /// @inheritdoc IOperatorRegistry
    mapping(bytes32 keyHash => uint256) public operatorOf;
    /// @inheritdoc IOperatorRegistry
    uint256 public operatorCount;

    constructor(Wiring memory w) OperatorSets(w.clock, w.responseEras) EIP712("Ionosphere OperatorRegistry", "1") {
        if (w.capacity == 0) {
            revert OperatorRegistry_BadWiring("capacity");
        }
        if (w.minWeight == 0) revert OperatorRegistry_BadWiring("minWeight");
        STAKING = w.staking;
        RESTAKING = IRestakingSource(w.restaking);
        CAPACITY = w.capacity;
        MIN_WEIGHT = w.minWeight;
    }

    // ---------------------------------------------------------------- operators

    /// @inheritdoc IOperatorRegistry
    function register(bytes calldata key, bytes calldata proof) external returns (uint256 operator) {
        bytes32 hash = keccak256(key);
        if (operatorOf[hash] != 0) revert OperatorRegistry_KeyTaken(operatorOf[hash]);
        if (!Bls.verifyPossession(key, possessionDigest(msg.sender, key), proof)) revert OperatorRegistry_BadProof();
        operator = ++operatorCount;
        operatorOf[hash] = operator;
        _operators[operator].owner = msg.sender;
        _storeKey(operator, key);
        emit OperatorRegistered(operator, msg.sender, key);
    }

    /// @inheritdoc IOperatorRegistry
    function announce(uint256 operator, string calldata url) external {
        _owned(operator);
        uint256 length = bytes(url).length;
        if (length > LONGEST_ENDPOINT) revert OperatorRegistry_LongEndpoint(length, LONGEST_ENDPOINT);
        emit EndpointChanged(operator, url);
    }

    /// @inheritdoc IOperatorRegistry
    function enter(uint256 operator, uint256 evicted) external {
        Operator storage o = _owned(operator);
        if (o.ejectedIn != 0) revert OperatorRegistry_Ejected(operator);
        if (o.member) revert OperatorRegistry_IsMember(operator);
        uint256 weight = _weigh(o);
        if (weight < MIN_WEIGHT) revert OperatorRegistry_TooLight(operator, weight, MIN_WEIGHT);
        (uint256 total, uint256 size) = _newest();
        if (size >= CAPACITY) _evict(evicted, operator, weight, total / size);
        else if (evicted != 0) revert OperatorRegistry_NotMember(evicted);
        o.member = true;
        emit OperatorEntered(operator, currentEra() + 1, weight);
        _setWeight(operator, weight);
    }

    /// @inheritdoc IOperatorRegistry
    function exit(uint256 operator) external {
        Operator storage o = _owned(operator);
        if (!o.member) revert OperatorRegistry_NotMember(operator);
        _remove(operator, o, 0);
    }

    /// @inheritdoc IOperatorRegistry
    function sync(uint256 operator) external {
        Operator storage o = _operators[operator];
        if (o.owner == address(0)) revert OperatorRegistry_Unknown(operator);
        uint256 restaked = Math.min(_restakedOf(o.owner), type(uint128).max);
        o.restaked = restaked.toUint128();
        emit RestakedChanged(operator, restaked);
        _reweigh(operator, o);
    }

    // ---------------------------------------------------------------- stakes

    /// @inheritdoc IStakeRegistry
    function setStake(uint256 operator, uint256 stake, bool, bool, uint256 slashes) external {
        if (msg.sender != STAKING) revert OperatorRegistry_NotStaking(msg.sender);
        Operator storage o = _operators[operator];
        o.stake = stake.toUint128();
        if (slashes > o.slashes) {
            o.slashes = Math.min(slashes, type(uint8).max).toUint8();
            _eject(operator, o);
        } else {
            _reweigh(operator, o);
        }
    }

    /// @inheritdoc IStakeRegistry
    function profile(uint256 operator) external view returns (Profile) {
        Operator storage o = _operators[operator];
        if (o.owner == address(0)) return Profile.wrap(0);
        return Profile.wrap(0).withId(operator).withSlashes(o.slashes);
    }

    /// @inheritdoc IStakeRegistry
    function ownerOf(uint256 operator) external view returns (address owner) {
        owner = _operators[operator].owner;
        if (owner == address(0)) revert OperatorRegistry_Unknown(operator);
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc IOperatorRegistry
    function possessionDigest(address owner, bytes calldata key) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(POSSESSION, owner, keccak256(key))));
    }

    /// @inheritdoc IOperatorRegistry
    function ejectedIn(uint256 operator) external view returns (uint256) {
        return _operators[operator].ejectedIn;
    }

    /// @inheritdoc IOperatorRegistry
    function wiring() external view returns (Wiring memory) {
        return Wiring({
            clock: address(CLOCK),
            staking: STAKING,
            restaking: address(RESTAKING),
            responseEras: RESPONSE_ERAS.toUint32(),
            capacity: CAPACITY.toUint32(),
            minWeight: MIN_WEIGHT.toUint128()
        });
    }

    // ---------------------------------------------------------------- internals

    function _owned(uint256 operator) private view returns (Operator storage o) {
        o = _operators[operator];
        if (o.owner != msg.sender) revert OperatorRegistry_NotOwner(operator, msg.sender);
    }

    /// @dev A source that fails says nothing: else whoever left one that broke would weigh for good what is no more.
    function _restakedOf(address owner) private view returns (uint256 restaked) {
        if (address(RESTAKING) == address(0)) return 0;
        bytes memory question = abi.encodeCall(IRestakingSource.restakedOf, (owner));
        (, restaked) = Guarded.tryView(address(RESTAKING), RESTAKING_GAS, question);
    }

    /// @dev Restaked value is not slashed here, so it counts at most as much as what is.
    function _weigh(Operator storage o) private view returns (uint256) {
        return uint256(o.stake) + Math.min(o.restaked, o.stake);
    }

    /// @dev Who falls below the minimum leaves.
    function _reweigh(uint256 operator, Operator storage o) private {
        if (!o.member) return;
        uint256 weight = _weigh(o);
        if (weight < MIN_WEIGHT) _remove(operator, o, 0);
        else _setWeight(operator, weight);
    }

    function _evict(uint256 evicted, uint256 newcomer, uint256 weight, uint256 average) private {
        Operator storage o = _operators[evicted];
        if (!o.member) revert OperatorRegistry_NotMember(evicted);
        uint256 held = _newestWeightOf(evicted);
        if (held > average) revert OperatorRegistry_TooHeavyToEvict(evicted, held, average);
        uint256 needed = Math.mulDiv(held, EVICTION_BP, BP, Math.Rounding.Ceil);
        if (weight < needed) revert OperatorRegistry_TooLight(newcomer, weight, needed);
        _remove(evicted, o, newcomer);
    }

    function _remove(uint256 operator, Operator storage o, uint256 evictedBy) private {
        o.member = false;
        emit OperatorLeft(operator, currentEra() + 1, evictedBy);
        _setWeight(operator, 0);
    }

    /// @dev Slashed for a proven fault: out for good, at once.
    function _eject(uint256 operator, Operator storage o) private {
        if (o.ejectedIn != 0) return;
        o.ejectedIn = currentEra().toUint32();
        _recordEjection(operator);
        if (o.member) _remove(operator, o, 0);
    }
}
