// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IEscrow} from "../interfaces/IEscrow.sol";
import {IMatchTaskManager} from "../interfaces/IMatchTaskManager.sol";
import {IOperatorRegistry} from "../interfaces/IOperatorRegistry.sol";

/// @title  MatchRewards: match fees, shared by those who signed in proportion to their weight (SP-15)
/// @notice Per era and payment token the fees per unit of signed weight are summed up; a member that did not sign has what
///         it missed noted against it. So a batch writes one slot, and one more for each silent member.
abstract contract MatchRewards is IMatchTaskManager {
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    struct Tally {
        uint192 feePerWeight; // token units × SCALE per wei of weight
        uint64 matches;
    }

    uint256 private constant SCALE = 1e36;

    IEscrow internal immutable ESCROW;
    IOperatorRegistry internal immutable OPERATORS;

    mapping(uint256 era => mapping(uint256 token => Tally)) private _shared;
    mapping(uint256 era => mapping(uint256 token => mapping(bytes32 keyHash => Tally))) private _missed;
    mapping(uint256 era => mapping(uint256 token => mapping(uint256 operator => uint256))) private _claimed;

    constructor(address escrow, address operators) {
        ESCROW = IEscrow(escrow);
        OPERATORS = IOperatorRegistry(operators);
    }

    /// @inheritdoc IMatchTaskManager
    function claim(uint256 operator, uint256 era, uint256 token) external returns (uint256 amount) {
        (,, amount) = performanceOf(operator, era, token);
        if (amount == 0) revert MatchTasks_NothingToClaim(operator, era, token);
        _claimed[era][token][operator] += amount;
        emit RewardClaimed(operator, era, token, amount);
        IERC20 asset = IERC20(ESCROW.assetOf(token));
        // Fees wait in the escrow's ledger until somebody claims; then all of a token come here at once.
        if (asset.balanceOf(address(this)) < amount) ESCROW.cashOut(uint160(address(this)), token);
        asset.safeTransfer(OPERATORS.ownerOf(operator), amount);
    }

    /// @inheritdoc IMatchTaskManager
    function performanceOf(uint256 operator, uint256 era, uint256 token)
        public
        view
        returns (uint256 matched, uint256 missed, uint256 unclaimed)
    {
        Tally memory all = _shared[era][token];
        Tally memory not = _missed[era][token][OPERATORS.keyHashOf(operator)];
        (, uint256 weight) = OPERATORS.weightAt(operator, era);
        uint256 earned = Math.mulDiv(all.feePerWeight - not.feePerWeight, weight, SCALE);
        return (all.matches, not.matches, earned - _claimed[era][token][operator]);
    }

    /// @param signed weight of the signers
    /// @param silent key hashes of the others
    function _share(uint256 era, uint256 token, uint256 fees, uint256 matches, uint256 signed, bytes32[] memory silent)
        internal
    {
        uint256 feePerWeight = Math.mulDiv(fees, SCALE, signed);
        _add(_shared[era][token], feePerWeight, matches);
        for (uint256 i; i < silent.length; ++i) {
            _add(_missed[era][token][silent[i]], feePerWeight, matches);
        }
    }

    function _add(Tally storage tally, uint256 feePerWeight, uint256 matches) private {
        tally.feePerWeight += feePerWeight.toUint192();
        tally.matches += matches.toUint64();
    }
}
