// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {Fizz, FizzOffer, FizzState, IFizzRegistry, SubnetTerms} from "../interfaces/IFizzRegistry.sol";
import {IFizzShares} from "../interfaces/IFizzShares.sol";
import {IProviderRegistry} from "../interfaces/IProviderRegistry.sol";
import {IStakingManager} from "../interfaces/IStakingManager.sol";
import {ResourcesWord} from "../lib/ResourcesWord.sol";
import {EraClock} from "../staking/EraClock.sol";
import {Subnets} from "./Subnets.sol";

/// @title  FizzRegistry: light nodes of providers (SP-35, SP-37)
/// @notice See IFizzRegistry. Immutable code, wired by constructor, governed by nobody but each subnet's own vote. What
///         LeaseBook asks when a lease opens is answered from three slots of this contract and no other's.
contract FizzRegistry is Subnets {
    using SafeCast for uint256;

    /// Smaller payees are providers in Escrow.
    uint256 private constant PROVIDER_IDS = 1 << 32;

    mapping(uint256 fizz => Fizz) private _nodes;
    /// @inheritdoc IFizzRegistry
    uint256 public fizzCount;

    constructor(IProviderRegistry providers, IStakingManager staking, EraClock clock, address governor)
        Subnets(providers, staking, clock, governor)
    {}

    // ---------------------------------------------------------------- nodes

    /// @inheritdoc IFizzRegistry
    function register(uint256 provider, address payout, uint256 minShare, bytes32 pin, FizzOffer calldata offer)
        external
        returns (uint256 fizz)
    {
        _checkShare(provider, minShare);
        (, bool expelled) = memberOf(provider, msg.sender);
        if (expelled) revert FizzRegistry_Expelled(provider, msg.sender);
        _checkPayout(payout);
        if (pin == 0) revert FizzRegistry_BadRecord("pin");
        _checkOffer(offer);

        fizz = ++fizzCount;
        Fizz storage n = _nodes[fizz];
        (n.owner, n.provider) = (msg.sender, provider.toUint32());
        (n.minShare, n.state) = (minShare.toUint16(), FizzState.Proposed);
        (n.payout, n.pin) = (payout, pin);
        emit FizzRegistered(fizz, provider, msg.sender, payout, minShare, pin, offer);
        if (isOpen(provider)) _join(fizz, n);
    }

    /// @inheritdoc IFizzRegistry
    function accept(uint256 fizz) external {
        Fizz storage n = _nodes[fizz];
        if (n.state != FizzState.Proposed) revert FizzRegistry_WrongState(fizz, n.state);
        _onlyProvider(n.provider);
        (, bool expelled) = memberOf(n.provider, n.owner);
        if (expelled) revert FizzRegistry_Expelled(n.provider, n.owner);
        _checkShare(n.provider, n.minShare);
        _join(fizz, n);
    }

    /// @inheritdoc IFizzRegistry
    function exit(uint256 fizz) external {
        Fizz storage n = _owned(fizz);
        if (n.state == FizzState.Left) revert FizzRegistry_WrongState(fizz, n.state);
        emit FizzLeft(fizz, n.provider);
        if (n.state == FizzState.Proposed) {
            delete _nodes[fizz];
        } else {
            n.state = FizzState.Left;
            _discountNode(n.provider, msg.sender);
        }
    }

    /// @inheritdoc IFizzRegistry
    function announce(uint256 fizz, FizzOffer calldata offer) external {
        _owned(fizz);
        _checkOffer(offer);
        emit FizzOffered(fizz, offer);
    }

    /// @inheritdoc IFizzRegistry
    function rotatePin(uint256 fizz, bytes32 next) external {
        Fizz storage n = _owned(fizz);
        bytes32 current = n.nextPin;
        if (current == 0) current = n.pin;
        else n.pin = current;
        n.nextPin = next;
        emit FizzPinRotated(fizz, current, next);
    }

    /// @inheritdoc IFizzRegistry
    function setPayout(uint256 fizz, address payout) external {
        Fizz storage n = _owned(fizz);
        _checkPayout(payout);
        n.payout = payout;
        emit FizzPayoutSet(fizz, payout);
    }

    /// @inheritdoc IFizzRegistry
    function lowerMinShare(uint256 fizz, uint256 minShare) external {
        Fizz storage n = _owned(fizz);
        if (minShare > n.minShare) revert FizzRegistry_BadShare(minShare, n.minShare);
        n.minShare = minShare.toUint16();
        emit FizzMinShareSet(fizz, minShare);
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc IFizzShares
    /// @dev Of any node that ever joined: LeaseBook asks about bids, and those name active nodes only.
    function shareOf(uint256 provider, uint256 fizz) external view returns (address payee, uint256 share) {
        Fizz storage n = _nodes[fizz];
        if (n.provider != provider || n.state < FizzState.Member) return (address(0), 0);
        (payee, share) = (n.payout, termsOf(provider).share);
        if (share < n.minShare) share = n.minShare;
    }

    /// @inheritdoc IFizzRegistry
    function whyNot(uint256 provider, uint256 fizz) external view returns (string memory why) {
        Fizz storage n = _nodes[fizz];
        FizzState state = n.state;
        if (n.provider != provider || state == FizzState.None) return "no light node of this provider";
        if (state == FizzState.Proposed) return "light node: not accepted yet";
        if (state == FizzState.Left) return "light node: has left";
        (uint256 nodes, bool expelled) = memberOf(provider, n.owner);
        if (expelled) return "light node: expelled";
        SubnetTerms memory terms = termsOf(provider);
        if (terms.share < n.minShare) return "light node: works for a higher share only";
        if (!_hasDelegated(provider, n.owner, terms, nodes)) return "light node: its owner's delegation is too small";
    }

    /// @inheritdoc IFizzRegistry
    function node(uint256 fizz) external view returns (Fizz memory) {
        return _nodes[fizz];
    }

    /// @inheritdoc IFizzRegistry
    function nodesFrom(uint256 first, uint256 most) external view returns (Fizz[] memory page) {
        uint256 left = first > fizzCount ? 0 : fizzCount + 1 - first;
        page = new Fizz[](most < left ? most : left);
        for (uint256 i; i < page.length; ++i) {
            page[i] = _nodes[first + i];
        }
    }

    // ---------------------------------------------------------------- internals

    function _join(uint256 fizz, Fizz storage n) private {
        n.state = FizzState.Member;
        _countNode(n.provider, n.owner);
        emit FizzJoined(fizz, n.provider);
    }

    function _owned(uint256 fizz) private view returns (Fizz storage n) {
        n = _nodes[fizz];
        if (n.owner != msg.sender) revert FizzRegistry_NotOwner(fizz, msg.sender);
    }

    /// @dev Also refuses a provider without a subnet.
    function _checkShare(uint256 provider, uint256 minShare) private view {
        SubnetTerms memory terms = termsOf(provider);
        if (minShare > terms.share) revert FizzRegistry_BadShare(minShare, terms.share);
    }

    function _checkPayout(address payout) private pure {
        if (uint160(payout) < PROVIDER_IDS) revert FizzRegistry_BadRecord("payout");
    }

    function _checkOffer(FizzOffer calldata offer) private pure {
        bool some = ResourcesWord.cpu(offer.capacity) != 0 && ResourcesWord.memoryMib(offer.capacity) != 0;
        if (!some) revert FizzRegistry_BadRecord("capacity");
    }
}
