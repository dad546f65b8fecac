// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IOperatorRegistry, Quorum} from "../interfaces/IOperatorRegistry.sol";
import {EraClock} from "../staking/EraClock.sol";
import {Bls} from "../verify/Bls.sol";
import {G2} from "../verify/G2.sol";

/// @title  OperatorSets: the sets of operators by era, and what a quorum of one is (SP-14)
/// @notice A point holds what counts from an era on until another era's beginning. A change writes the next era's
///         point, so points of the present and the past are final and callers can name them by index.
abstract contract OperatorSets is IOperatorRegistry {
    using SafeCast for uint256;

    struct SetPoint {
        uint128 weight; // sum of the members'
        uint32 from; // era
        uint32 until; // the era from which it counts no more; 0: the newest
        uint32 size;
        bool ejections; // somebody was ejected since; set while quorums of its eras are still accepted
        bytes32 keyHash; // of the sum of the members' keys
    }

    struct WeightPoint {
        uint128 weight;
        uint32 from;
        uint32 until;
    }

    struct Ejection {
        bytes32 keyHash;
        uint256 era;
    }

    uint256 private constant NON_SIGNER_BYTES = 4 + G2.LENGTH;
    /// An ejection marks the sets of so many eras.
    uint256 private constant MAX_RESPONSE_ERAS = 16;

    EraClock internal immutable CLOCK;
    /// The clock's own, kept here to ask for the era without a call.
    uint256 private immutable GENESIS;
    uint256 private immutable ERA_LENGTH;
    uint256 internal immutable RESPONSE_ERAS;

    mapping(uint256 point => SetPoint) private _sets;
    uint256 private _newestSet;
    /// Sum of the keys of the newest set.
    bytes32[8] private _key;
    /// By the hash of the operator's key, so that a key and its weight are looked up in one slot.
    mapping(bytes32 keyHash => mapping(uint256 point => WeightPoint)) private _weights;
    mapping(bytes32 keyHash => uint256 point) private _newestWeight;
    mapping(uint256 operator => bytes32[8]) private _keys;
    mapping(uint256 operator => bytes32) private _keyHash;
    /// By era, the newest last.
    Ejection[] private _ejections;

    constructor(address clock, uint256 responseEras) {
        if (responseEras > MAX_RESPONSE_ERAS) revert OperatorRegistry_BadWiring("responseEras");
        CLOCK = EraClock(clock);
        GENESIS = CLOCK.GENESIS();
        ERA_LENGTH = CLOCK.LENGTH();
        RESPONSE_ERAS = responseEras;
        _sets[0].keyHash = keccak256(G2.infinity());
    }

    // ---------------------------------------------------------------- quorum

    /// @inheritdoc IOperatorRegistry
    function checkQuorum(bytes32 digest, Quorum calldata q) external view returns (uint256 signed, uint256 total) {
        SetPoint memory set = _sets[q.point];
        if (!_covers(set.from, set.until, q.era)) revert OperatorRegistry_WrongPoint(q.era, q.point);
        uint256 era = currentEra();
        if (q.era > era || q.era + RESPONSE_ERAS < era) {
            revert OperatorRegistry_WrongEra(q.era, era);
        }
        bytes memory key = q.key;
        if (keccak256(key) != set.keyHash) revert OperatorRegistry_WrongSetKey(keccak256(key));
        total = set.weight;
        signed = total;
        if (q.nonSigners.length != 0) {
            uint256 missing;
            (key, missing) = _without(key, q);
            signed -= missing;
        }
        if (set.ejections) _requireEjectedOut(q);
        if (signed * 3 <= total * 2) revert OperatorRegistry_NoQuorum(signed, total);
        if (!Bls.verify(key, bytes.concat(digest), q.signature)) revert OperatorRegistry_BadSignature();
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc IOperatorRegistry
    function currentEra() public view returns (uint256) {
        return (block.timestamp - GENESIS) / ERA_LENGTH + 1;
    }

    /// @inheritdoc IOperatorRegistry
    function setAt(uint256 era) external view returns (uint256 point, uint256 weight, uint256 size, bytes32 keyHash) {
        point = _newestSet;
        while (_sets[point].from > era) --point;
        SetPoint storage set = _sets[point];
        return (point, set.weight, set.size, set.keyHash);
    }

    /// @inheritdoc IOperatorRegistry
    function weightAt(uint256 operator, uint256 era) external view returns (uint256 point, uint256 weight) {
        return _weightAt(_keyHash[operator], era);
    }

    /// @inheritdoc IOperatorRegistry
    function keyOf(uint256 operator) external view returns (bytes memory) {
        return _load(_keys[operator]);
    }

    /// @inheritdoc IOperatorRegistry
    function keyHashOf(uint256 operator) external view returns (bytes32) {
        return _keyHash[operator];
    }

    // ---------------------------------------------------------------- for the registry

    function _storeKey(uint256 operator, bytes memory key) internal {
        _store(_keys[operator], key);
        _keyHash[operator] = keccak256(key);
    }

    /// @return what counts for it from the next era on; 0 for no member
    function _newestWeightOf(uint256 operator) internal view returns (uint256) {
        bytes32 keyHash = _keyHash[operator];
        return _weights[keyHash][_newestWeight[keyHash]].weight;
    }

    /// @return weight of the newest set
    /// @return size members of it
    function _newest() internal view returns (uint256 weight, uint256 size) {
        SetPoint storage set = _sets[_newestSet];
        return (set.weight, set.size);
    }

    /// @dev From the next era on the operator weighs `weight`: 0 takes it out of the set, anything else brings it in.
    function _setWeight(uint256 operator, uint256 weight) internal {
        uint256 old = _newestWeightOf(operator);
        if (weight == old) return;
        uint32 next = (currentEra() + 1).toUint32();
        (uint256 total, uint256 size) = _newest();
        bytes memory key = _load(_key);
        if (old == 0) {
            key = G2.add(key, _load(_keys[operator]));
            ++size;
        } else if (weight == 0) {
            key = G2.subtract(key, _load(_keys[operator]));
            --size;
        }
        if (old == 0 || weight == 0) _store(_key, key);
        _writeWeight(_keyHash[operator], weight.toUint128(), next);
        _writeSet(total - old + weight, size, key, next);
        emit WeightChanged(operator, next, weight);
    }

    /// @dev Every quorum from now on must leave it out.
    function _recordEjection(uint256 operator) internal {
        uint256 era = currentEra();
        _ejections.push(Ejection(_keyHash[operator], era));
        // Back from the newest set to the oldest that a quorum may still be of.
        for (uint256 point = _newestSet; _isLate(_sets[point].until, era); --point) {
            _sets[point].ejections = true;
            if (point == 0) break;
        }
        emit OperatorEjected(operator, era);
    }

    // ---------------------------------------------------------------- internals

    function _weightAt(bytes32 keyHash, uint256 era) private view returns (uint256 point, uint256 weight) {
        point = _newestWeight[keyHash];
        while (_weights[keyHash][point].from > era) --point;
        weight = _weights[keyHash][point].weight;
    }

    function _writeWeight(bytes32 keyHash, uint128 weight, uint32 next) private {
        uint256 point = _newestWeight[keyHash];
        WeightPoint storage newest = _weights[keyHash][point];
        if (newest.from != next) {
            newest.until = next;
            _newestWeight[keyHash] = ++point;
            newest = _weights[keyHash][point];
            newest.from = next;
        }
        newest.weight = weight;
    }

    function _writeSet(uint256 weight, uint256 size, bytes memory key, uint32 next) private {
        uint256 point = _newestSet;
        SetPoint storage newest = _sets[point];
        if (newest.from != next) {
            newest.until = next;
            _newestSet = ++point;
            newest = _sets[point];
            newest.from = next;
        }
        newest.weight = weight.toUint128();
        newest.size = size.toUint32();
        newest.keyHash = keccak256(key);
        emit SetChanged(point, next, weight, size, key);
    }

    /// @dev The sum of keys without the non-signers', and their weight.
    function _without(bytes memory key, Quorum calldata q) private view returns (bytes memory, uint256 missing) {
        if (q.nonSigners.length % NON_SIGNER_BYTES != 0) revert OperatorRegistry_BadNonSigners("length");
        bytes memory sum = G2.infinity();
        bytes32 previous;
        for (uint256 from; from < q.nonSigners.length; from += NON_SIGNER_BYTES) {
            uint256 point = uint32(bytes4(q.nonSigners[from:from + 4]));
            bytes32 keyHash = G2.addTo(sum, q.nonSigners[from + 4:from + NON_SIGNER_BYTES]);
            if (keyHash <= previous) revert OperatorRegistry_BadNonSigners("order");
            previous = keyHash;
            WeightPoint memory w = _weights[keyHash][point];
            if (!_covers(w.from, w.until, q.era)) revert OperatorRegistry_WrongPoint(q.era, point);
            if (w.weight == 0) revert OperatorRegistry_BadNonSigners("not a member");
            missing += w.weight;
        }
        return (G2.subtract(key, sum), missing);
    }

    /// @dev Members of the set that were ejected since are among the non-signers. Few are ever ejected.
    function _requireEjectedOut(Quorum calldata q) private view {
        for (uint256 i = _ejections.length; i != 0; --i) {
            Ejection memory e = _ejections[i - 1];
            if (e.era < q.era) return;
            (, uint256 weight) = _weightAt(e.keyHash, q.era);
            if (weight != 0 && !_isListed(e.keyHash, q.nonSigners)) revert OperatorRegistry_EjectedSigner(e.keyHash);
        }
    }

    function _isListed(bytes32 keyHash, bytes calldata nonSigners) private pure returns (bool) {
        for (uint256 from; from < nonSigners.length; from += NON_SIGNER_BYTES) {
            if (keccak256(nonSigners[from + 4:from + NON_SIGNER_BYTES]) == keyHash) return true;
        }
        return false;
    }

    /// @dev Whether a set that counts until then is one that a quorum may be of in this era or later.
    function _isLate(uint256 until, uint256 era) private view returns (bool) {
        return until == 0 || until + RESPONSE_ERAS > era;
    }

    function _covers(uint256 from, uint256 until, uint256 era) private pure returns (bool) {
        return from <= era && (until == 0 || era < until);
    }

    function _load(bytes32[8] storage words) private view returns (bytes memory point) {
        point = G2.infinity();
        for (uint256 i; i < 8; ++i) {
            bytes32 word = words[i];
            assembly ("memory-safe") {
                mstore(add(add(point, 0x20), shl(5, i)), word)
            }
        }
    }

    function _store(bytes32[8] storage words, bytes memory point) private {
        for (uint256 i; i < 8; ++i) {
            bytes32 word;
            assembly ("memory-safe") {
                word := mload(add(add(point, 0x20), shl(5, i)))
            }
            words[i] = word;
        }
    }
}
