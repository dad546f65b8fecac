// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IStakeRegistry} from "./IStakeRegistry.sol";

/// @notice An aggregate signature of a set's members over one digest.
struct Quorum {
    uint32 era; // of the set
    uint32 point; // index of the set
    bytes key; // sum of all members' keys, 256 bytes
    bytes signature; // sum of the signers' signatures, 128 bytes
    /// Members that did not sign, ejected ones among them, by the hash of their keys, lowest first. 260 bytes each: index
    /// of its weight in the set's era 4 | key 256.
    bytes nonSigners;
}

/// @title  OperatorRegistry: operators of the matching quorum, their keys, weights and sets (SP-14, SP-15)
/// @notice An operator registers a BLS key with proof of possession, stakes SPON through its own StakingManager and enters
///         the set. Weight = SPON that counts + restaked value, the latter at most as much again, since only SPON can be
///         slashed here. Whatever changes in an era counts from the next one on, so the set of an era never changes once it
///         has begun. One thing counts at once: who is slashed is ejected for good, and every quorum from then on, of
///         earlier sets too, must leave it out.
interface IOperatorRegistry is IStakeRegistry {
    /// @notice Fixed for good.
    struct Wiring {
        address clock; // EraClock
        address staking;
        address restaking; // IRestakingSource; zero: none
        uint32 responseEras; // a quorum is accepted so many eras after its set's
        uint32 capacity; // members of a set at most
        uint128 minWeight; // wei; who falls below leaves
    }

    event OperatorRegistered(uint256 indexed operator, address indexed owner, bytes key);
    /// Where other operators and whoever wants to see its tasks reach it; empty: nowhere.
    event EndpointChanged(uint256 indexed operator, string url);
    event OperatorEntered(uint256 indexed operator, uint256 fromEra, uint256 weight);
    /// `evictedBy` is the operator whose entry pushed it out, or 0.
    event OperatorLeft(uint256 indexed operator, uint256 fromEra, uint256 evictedBy);
    event OperatorEjected(uint256 indexed operator, uint256 era);
    event WeightChanged(uint256 indexed operator, uint256 fromEra, uint256 weight);
    event RestakedChanged(uint256 indexed operator, uint256 restaked);
    /// The set that counts from an era on; a later change in the same era replaces it.
    event SetChanged(uint256 indexed point, uint256 fromEra, uint256 weight, uint256 size, bytes key);

    error OperatorRegistry_BadWiring(string what);
    error OperatorRegistry_NotOwner(uint256 operator, address caller);
    error OperatorRegistry_NotStaking(address caller);
    error OperatorRegistry_Unknown(uint256 operator);
    error OperatorRegistry_KeyTaken(uint256 operator);
    /// Both in bytes.
    error OperatorRegistry_LongEndpoint(uint256 length, uint256 longest);
    error OperatorRegistry_BadProof();
    error OperatorRegistry_Ejected(uint256 operator);
    error OperatorRegistry_IsMember(uint256 operator);
    error OperatorRegistry_NotMember(uint256 operator);
    error OperatorRegistry_TooLight(uint256 operator, uint256 weight, uint256 needed);
    /// The set is full and the member named for eviction is heavier than the average.
    error OperatorRegistry_TooHeavyToEvict(uint256 operator, uint256 weight, uint256 average);
    /// The point is not the one that counts in this era.
    error OperatorRegistry_WrongPoint(uint256 era, uint256 point);
    /// Still to come, or too long ago.
    error OperatorRegistry_WrongEra(uint256 era, uint256 current);
    error OperatorRegistry_WrongSetKey(bytes32 keyHash);
    error OperatorRegistry_BadNonSigners(string what);
    /// It was ejected and must be among the non-signers.
    error OperatorRegistry_EjectedSigner(bytes32 keyHash);
    error OperatorRegistry_BadSignature();
    error OperatorRegistry_NoQuorum(uint256 signed, uint256 total);

    /// @notice The caller owns the new operator. A key registers once.
    /// @param key EIP-2537, 256 bytes
    /// @param proof signature of `possessionDigest(caller, key)` in the domain of proofs
    function register(bytes calldata key, bytes calldata proof) external returns (uint256 operator);
    /// @notice Owner: says where the operator's daemon answers. Only the event carries it.
    /// @param url at most 256 bytes; empty for nowhere
    function announce(uint256 operator, string calldata url) external;
    /// @notice Owner: a member from the next era on.
    /// @param evicted when the set is full: a member of at most average weight that the newcomer outweighs by a tenth,
    ///        both measured before it enters; else 0
    function enter(uint256 operator, uint256 evicted) external;
    /// @notice Owner: a member no more from the next era on. Stake that unbonds stays slashable.
    function exit(uint256 operator) external;
    /// @notice Anyone: reads the operator's restaked value anew; a source that fails counts for nothing.
    function sync(uint256 operator) external;

    /// @notice Reverts unless more than two thirds of the set's weight signed `digest`.
    /// @return signed weight of the signers
    /// @return total weight of the set
    function checkQuorum(bytes32 digest, Quorum calldata quorum) external view returns (uint256 signed, uint256 total);

    /// @notice EIP-712, domain "Ionosphere OperatorRegistry" "1".
    function possessionDigest(address owner, bytes calldata key) external view returns (bytes32);
    function currentEra() external view returns (uint256);
    /// @return point index to give to `checkQuorum`
    /// @return weight of all members
    /// @return size members
    /// @return keyHash of the sum of their keys
    function setAt(uint256 era) external view returns (uint256 point, uint256 weight, uint256 size, bytes32 keyHash);
    /// @return point index to give to `checkQuorum`
    /// @return weight in that era's set, 0 for no member
    function weightAt(uint256 operator, uint256 era) external view returns (uint256 point, uint256 weight);
    function keyOf(uint256 operator) external view returns (bytes memory);
    function keyHashOf(uint256 operator) external view returns (bytes32);
    /// @return the era in which it was ejected, or 0
    function ejectedIn(uint256 operator) external view returns (uint256);
    function operatorOf(bytes32 keyHash) external view returns (uint256 operator);
    function operatorCount() external view returns (uint256);
    function wiring() external view returns (Wiring memory);
}
