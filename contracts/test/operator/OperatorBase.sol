// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {AccessManager} from "@openzeppelin/contracts/access/manager/AccessManager.sol";
import {Test} from "forge-std/Test.sol";

import {IBlsVerifier} from "../../src/interfaces/IBlsVerifier.sol";
import {IOperatorRegistry, Quorum} from "../../src/interfaces/IOperatorRegistry.sol";
import {IRestakingSource} from "../../src/interfaces/IRestakingSource.sol";
import {OperatorRegistry} from "../../src/operator/OperatorRegistry.sol";
import {EraClock} from "../../src/staking/EraClock.sol";
import {StakingManager} from "../../src/staking/StakingManager.sol";
import {SPON} from "../../src/token/SPON.sol";
import {G2} from "../../src/verify/G2.sol";
import {Built} from "../Built.sol";
import {BlsSigner} from "./BlsSigner.sol";

/// @dev What an operator restaked, as a test says.
contract Restaked is IRestakingSource {
    mapping(address operator => uint256) public restakedOf;

    function set(address operator, uint256 amount) external {
        restakedOf[operator] = amount;
    }
}

/// @title  OperatorBase: registry and staking of operators wired as in a deployment; `judge` may slash
abstract contract OperatorBase is Test, BlsSigner {
    uint256 internal constant ERA = 1 days;
    uint256 internal constant UNBONDING = 7 days;
    uint256 internal constant MIN_WEIGHT = 100e18;
    uint256 internal constant STAKE = 1000e18;

    address internal judge = makeAddr("judge");
    AccessManager internal manager;
    SPON internal spon;
    EraClock internal clock;
    StakingManager internal staking;
    OperatorRegistry internal operators;
    Restaked internal restaking;
    address private _source;

    function setUp() public virtual {
        vm.warp(1_800_000_000);
        manager = new AccessManager(address(this));
        spon = SPON(Built.make("SPON", abi.encode(address(manager))));
        clock = EraClock(Built.make("EraClock", abi.encode(block.timestamp, ERA)));
        bls = IBlsVerifier(Built.make("BlsVerifier", ""));
        _source = _makeSource();
        address stakingAt = vm.computeCreateAddress(address(this), vm.getNonce(address(this)) + 1);
        operators = OperatorRegistry(Built.make("OperatorRegistry", abi.encode(_wiring(stakingAt))));
        address[4] memory slashers = [judge, address(0), address(0), address(0)];
        staking = StakingManager(
            Built.make("StakingManager", abi.encode(address(manager), spon, operators, clock, UNBONDING, slashers))
        );
        assertEq(address(staking), stakingAt);
    }

    function _wiring(address stakingAt) internal view returns (IOperatorRegistry.Wiring memory) {
        return IOperatorRegistry.Wiring({
            staking: stakingAt,
            restaking: _source,
            clock: address(clock),
            responseEras: 2,
            capacity: _capacity(),
            minWeight: uint128(MIN_WEIGHT)
        });
    }

    function _makeSource() internal virtual returns (address) {
        restaking = new Restaked();
        return address(restaking);
    }

    function _capacity() internal view virtual returns (uint32) {
        return 32;
    }

    /// @dev The secret of operator n is n + 1000.
    function _secretOf(uint256 operator) internal pure returns (uint256) {
        return operator + 1000;
    }

    function _ownerOf(uint256 operator) internal pure returns (address) {
        return address(uint160(0xabc000 + operator));
    }

    /// @dev Registers the next operator.
    function _register() internal returns (uint256 operator) {
        operator = operators.operatorCount() + 1;
        bytes memory key = _keyOf(_secretOf(operator));
        bytes32 digest = operators.possessionDigest(_ownerOf(operator), key);
        bytes memory proof = _prove(_secretOf(operator), digest);
        vm.prank(_ownerOf(operator));
        assertEq(operators.register(key, proof), operator);
    }

    function _stake(uint256 operator, uint256 tokens) internal {
        spon.mint(_ownerOf(operator), tokens);
        vm.startPrank(_ownerOf(operator));
        spon.approve(address(staking), tokens);
        staking.stake(operator, tokens);
        vm.stopPrank();
    }

    function _enter(uint256 operator, uint256 evicted) internal {
        vm.prank(_ownerOf(operator));
        operators.enter(operator, evicted);
    }

    /// @dev Registers, stakes and enters `count` operators of STAKE each.
    function _join(uint256 count) internal {
        for (uint256 i; i < count; ++i) {
            uint256 operator = _register();
            _stake(operator, STAKE);
            _enter(operator, 0);
        }
    }

    function _slash(uint256 operator, uint256 tokens) internal {
        vm.prank(judge);
        staking.slash(operator, tokens, "test");
    }

    function _nextEra() internal returns (uint256 era) {
        era = operators.currentEra() + 1;
        vm.warp(clock.startOf(era));
    }

    function _sumOfKeys(uint256 era) internal view returns (bytes memory key) {
        key = G2.infinity();
        for (uint256 operator = 1; operator <= operators.operatorCount(); ++operator) {
            (, uint256 weight) = operators.weightAt(operator, era);
            if (weight != 0) key = G2.add(key, operators.keyOf(operator));
        }
    }

    /// @dev A quorum of the era's members of which those in the mask `silent` (bit n: operator n) do not sign.
    function _quorum(uint256 era, bytes32 digest, uint256 silent) internal view returns (Quorum memory q) {
        (uint256 point,,,) = operators.setAt(era);
        uint256 secret; // the sum of the signers' secrets signs for them all
        for (uint256 operator = 1; operator <= operators.operatorCount(); ++operator) {
            (, uint256 weight) = operators.weightAt(operator, era);
            if (weight != 0 && silent >> operator & 1 == 0) secret += _secretOf(operator);
        }
        q = Quorum({
            era: uint32(era),
            point: uint32(point),
            key: _sumOfKeys(era),
            signature: _sign(secret, digest),
            nonSigners: _nonSigners(era, silent)
        });
    }

    /// @dev Those in the mask that are members, by the hash of their keys.
    function _nonSigners(uint256 era, uint256 silent) internal view returns (bytes memory packed) {
        uint256 count = operators.operatorCount();
        bytes[] memory entries = new bytes[](count);
        bytes32[] memory hashes = new bytes32[](count);
        uint256 found;
        for (uint256 operator = 1; operator <= count; ++operator) {
            (, uint256 weight) = operators.weightAt(operator, era);
            if (weight == 0 || silent >> operator & 1 == 0) continue;
            bytes memory entry = _nonSigner(operator, era);
            bytes32 hash = keccak256(operators.keyOf(operator));
            uint256 place = found++;
            for (; place != 0 && hashes[place - 1] > hash; --place) {
                (entries[place], hashes[place]) = (entries[place - 1], hashes[place - 1]);
            }
            (entries[place], hashes[place]) = (entry, hash);
        }
        for (uint256 i; i < found; ++i) {
            packed = bytes.concat(packed, entries[i]);
        }
    }

    function _nonSigner(uint256 operator, uint256 era) internal view returns (bytes memory) {
        (uint256 point,) = operators.weightAt(operator, era);
        return bytes.concat(bytes4(uint32(point)), operators.keyOf(operator));
    }
}
