// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IProviderAccount, IProviderRegistry, ProviderRecord} from "../interfaces/IProviderRegistry.sol";
import {IStakeRegistry} from "../interfaces/IStakeRegistry.sol";
import {IStakingManager} from "../interfaces/IStakingManager.sol";
import {ProfileWord} from "../lib/ProfileWord.sol";
import {ResourcesWord} from "../lib/ResourcesWord.sol";
import {Profile, ProfileFlags, Resources} from "../lib/Types.sol";
import {ProviderAccount} from "./ProviderAccount.sol";
import {RecordRules} from "./RecordRules.sol";
import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {LibClone} from "solady/utils/LibClone.sol";

/// @title  ProviderRegistry: who offers what, and what the network knows of them
/// @notice The profile word lies under the provider's hot key, so that a bid reads one slot; peers reach it through the
///         first slot of the record, which holds the hot key. What they may change is fixed at construction.
contract ProviderRegistry is IProviderRegistry, AccessManaged {
    using ProfileWord for Profile;
    using ResourcesWord for Resources;

    struct Proposal {
        address owner;
        ProviderRecord record;
    }

    /// What a provider has leased beyond its capacity.
    struct Excess {
        uint256 units;
        uint256 gpus;
    }

    uint256 private constant NEWCOMER_TIER = 7; // SP-6
    uint256 private constant MAX_AVAILABILITY = 255;

    address private immutable LEASE_BOOK;
    address private immutable STAKING_MANAGER;
    address private immutable RATINGS;
    address private immutable ACCOUNT_CODE;

    /// @inheritdoc IProviderRegistry
    bool public autoApproval = true;
    uint32 private _providerCount;
    uint64 private _proposalCount;

    mapping(uint256 proposal => Proposal) private _proposals;
    mapping(uint256 provider => ProviderRecord) private _records;
    mapping(address hotKey => Profile) private _profiles;
    mapping(uint256 provider => Excess) private _excess; // only while ProfileFlags.OVERBOOKED
    /// @inheritdoc IProviderRegistry
    mapping(uint256 provider => bytes32) public nextPin;
    /// @inheritdoc IProviderRegistry
    mapping(address hotKey => address owner) public admitted;

    modifier only(address peer) {
        if (msg.sender != peer) revert ProviderRegistry_NotPeer(msg.sender);
        _;
    }

    modifier onlyOwner(uint256 provider) {
        if (msg.sender != ownerOf(provider)) revert ProviderRegistry_NotOwner(provider, msg.sender);
        _;
    }

    modifier onlyOwnerOrHotKey(uint256 provider) {
        if (msg.sender != _records[provider].hotKey && msg.sender != ownerOf(provider)) {
            revert ProviderRegistry_NotHotKey(provider, msg.sender);
        }
        _;
    }

    constructor(address authority, address leaseBook, address stakingManager, address ratings)
        AccessManaged(authority)
    {
        (LEASE_BOOK, STAKING_MANAGER, RATINGS) = (leaseBook, stakingManager, ratings);
        ACCOUNT_CODE = address(new ProviderAccount());
    }

    // ---- Proposals -------------------------------------------------------------------------------------------------

    /// @inheritdoc IProviderRegistry
    function propose(ProviderRecord calldata record_) external returns (uint256 proposal, uint256 provider) {
        RecordRules.check(record_);
        proposal = ++_proposalCount;
        emit ProviderProposed(proposal, msg.sender, record_);
        if (autoApproval) {
            provider = _register(proposal, msg.sender, record_);
        } else {
            _requireFree(record_.hotKey, msg.sender);
            Proposal storage waiting = _proposals[proposal];
            waiting.owner = msg.sender;
            waiting.record = record_;
        }
    }

    /// @inheritdoc IProviderRegistry
    function approve(uint256 proposal) external restricted returns (uint256 provider) {
        Proposal memory waiting = _takeProposal(proposal);
        return _register(proposal, waiting.owner, waiting.record);
    }

    /// @inheritdoc IProviderRegistry
    function reject(uint256 proposal) external restricted {
        _takeProposal(proposal);
        emit ProposalRejected(proposal);
    }

    /// @inheritdoc IProviderRegistry
    function setAutoApproval(bool on) external restricted {
        autoApproval = on;
        emit AutoApprovalSet(on);
    }

    /// @inheritdoc IProviderRegistry
    function setTrustTier(uint256 provider, uint256 tier) external restricted {
        if (tier == 0 || tier > NEWCOMER_TIER) revert ProviderRegistry_BadRecord("trust tier");
        (address key, Profile p) = _load(provider);
        _store(key, p.withTrustTier(tier));
        IStakingManager(STAKING_MANAGER).sync(provider);
    }

    // ---- Owner and hot key -----------------------------------------------------------------------------------------

    /// @inheritdoc IProviderRegistry
    function setRecord(uint256 provider, ProviderRecord calldata record_) external onlyOwner(provider) {
        RecordRules.check(record_);
        ProviderRecord storage old = _records[provider];
        address oldKey = old.hotKey;
        Profile p = _describe(_profiles[oldKey], record_);
        p = _resize(provider, p, record_.capacity.units(), old.capacity.gpus(), record_.capacity.gpus());
        if (record_.pin != old.pin) {
            nextPin[provider] = 0;
            emit PinRotated(provider, record_.pin, 0);
        }
        if (record_.hotKey != oldKey) {
            _requireFree(record_.hotKey, msg.sender);
            _profiles[oldKey] = Profile.wrap(0);
        }
        _records[provider] = record_;
        emit RecordChanged(provider, record_);
        _store(record_.hotKey, p);
    }

    /// @inheritdoc IProviderRegistry
    function rotatePin(uint256 provider, bytes32 next) external onlyOwnerOrHotKey(provider) {
        bytes32 current = nextPin[provider];
        if (current == 0) current = _records[provider].pin;
        else _records[provider].pin = current;
        nextPin[provider] = next;
        emit PinRotated(provider, current, next);
    }

    /// @inheritdoc IProviderRegistry
    function setDraining(uint256 provider, bool draining) external onlyOwnerOrHotKey(provider) {
        (address key, Profile p) = _load(provider);
        _store(key, _flag(p, ProfileFlags.DRAINING, draining));
        emit DrainingSet(provider, draining);
    }

    /// @inheritdoc IProviderRegistry
    function admit(address owner) external {
        admitted[msg.sender] = owner;
        emit HotKeyAdmitted(msg.sender, owner);
        Profile p = _profiles[msg.sender];
        uint256 provider = p.id();
        if (provider == 0 || ownerOf(provider) == owner) return;
        // An address that signs nothing, and that nobody can have named before.
        bytes32 noKey = keccak256(abi.encode(msg.sender, provider, blockhash(block.number - 1)));
        address none = address(uint160(uint256(noKey)));
        _requireFree(none, address(0));
        _profiles[msg.sender] = Profile.wrap(0);
        _records[provider].hotKey = none;
        emit RecordChanged(provider, _records[provider]);
        _store(none, p);
    }

    // ---- Peers -----------------------------------------------------------------------------------------------------

    /// @inheritdoc IProviderRegistry
    function take(uint256 provider, uint256 units, uint256 gpus) external only(LEASE_BOOK) {
        (address key, Profile p) = _load(provider);
        uint256 freeUnits = p.freeUnits();
        uint256 freeGpus = p.freeGpus();
        if (units > freeUnits || gpus > freeGpus) {
            Excess storage excess = _excess[provider];
            p = _flag(p, ProfileFlags.OVERBOOKED, true);
            if (units > freeUnits) {
                excess.units += units - freeUnits;
                units = freeUnits;
            }
            if (gpus > freeGpus) {
                excess.gpus += gpus - freeGpus;
                gpus = freeGpus;
            }
        }
        _store(key, _withFree(p, freeUnits - units, freeGpus - gpus));
    }

    /// @inheritdoc IProviderRegistry
    function give(uint256 provider, uint256 units, uint256 gpus) external only(LEASE_BOOK) {
        (address key, Profile p) = _load(provider);
        if (_has(p, ProfileFlags.OVERBOOKED)) {
            Excess memory excess = _excess[provider];
            uint256 repaid = _min(units, excess.units);
            excess.units -= repaid;
            units -= repaid;
            repaid = _min(gpus, excess.gpus);
            excess.gpus -= repaid;
            gpus -= repaid;
            _excess[provider] = excess;
            p = _flag(p, ProfileFlags.OVERBOOKED, excess.units != 0 || excess.gpus != 0);
        }
        _store(key, _withFree(p, _min(p.freeUnits() + units, p.totalUnits()), p.freeGpus() + gpus));
    }

    /// @inheritdoc IProviderRegistry
    function bar(uint256 provider, uint256 lease) external only(LEASE_BOOK) {
        (address key, Profile p) = _load(provider);
        _store(key, _flag(p, ProfileFlags.BARRED, true));
        emit ProviderBarred(provider, lease);
    }

    /// @inheritdoc IStakeRegistry
    function setStake(uint256 provider, uint256 stake, bool sufficient, bool toppedUp, uint256 slashes)
        external
        only(STAKING_MANAGER)
    {
        (address key, Profile old) = _load(provider);
        Profile p = old.withStake(_min(stake / 1e18, type(uint24).max)).withSlashes(_min(slashes, type(uint8).max));
        p = _flag(p, ProfileFlags.STAKED, sufficient);
        if (toppedUp) p = _flag(p, ProfileFlags.BARRED, false);
        if (Profile.unwrap(p) != Profile.unwrap(old)) _store(key, p);
    }

    /// @inheritdoc IProviderRegistry
    function setRating(uint256 provider, uint256 rating) external only(RATINGS) {
        (address key, Profile p) = _load(provider);
        _store(key, p.withRating(rating));
    }

    // ---- Views -----------------------------------------------------------------------------------------------------

    /// @inheritdoc IProviderRegistry
    function profileOf(address hotKey) external view returns (Profile) {
        return _profiles[hotKey];
    }

    /// @inheritdoc IStakeRegistry
    function profile(uint256 provider) external view returns (Profile) {
        return _profiles[_records[provider].hotKey];
    }

    /// @inheritdoc IProviderRegistry
    function record(uint256 provider) external view returns (ProviderRecord memory) {
        return _records[provider];
    }

    /// @inheritdoc IProviderRegistry
    function hotKeyOf(uint256 provider) external view returns (address) {
        return _records[provider].hotKey;
    }

    /// @inheritdoc IStakeRegistry
    function ownerOf(uint256 provider) public view returns (address) {
        if (_records[provider].hotKey == address(0)) revert ProviderRegistry_UnknownProvider(provider);
        return IProviderAccount(accountOf(provider)).owner();
    }

    /// @inheritdoc IProviderRegistry
    function providerCount() external view returns (uint256) {
        return _providerCount;
    }

    /// @inheritdoc IProviderRegistry
    function accountOf(uint256 provider) public view returns (address) {
        return LibClone.predictDeterministicAddress(ACCOUNT_CODE, bytes32(provider), address(this));
    }

    // ---- Inside ----------------------------------------------------------------------------------------------------

    function _takeProposal(uint256 proposal) private returns (Proposal memory waiting) {
        waiting = _proposals[proposal];
        if (waiting.owner == address(0)) revert ProviderRegistry_UnknownProposal(proposal);
        delete _proposals[proposal];
    }

    // slither-disable-next-line reentrancy-no-eth
    function _register(uint256 proposal, address owner, ProviderRecord memory record_)
        private
        returns (uint256 provider)
    {
        _requireFree(record_.hotKey, owner);
        provider = ++_providerCount;
        _records[provider] = record_;
        Profile p = _describe(Profile.wrap(0).withId(provider).withTrustTier(NEWCOMER_TIER), record_);
        uint256 units = record_.capacity.units();
        p = _withFree(p.withTotalUnits(units), units, record_.capacity.gpus());

        address account = LibClone.cloneDeterministic(ACCOUNT_CODE, bytes32(provider));
        IProviderAccount(account).initialize(provider, owner);
        emit ProviderRegistered(provider, owner, account, proposal);
        _store(record_.hotKey, _flag(p, ProfileFlags.ACTIVE, true));
    }

    /// @dev What a provider says of itself, capacity aside.
    function _describe(Profile p, ProviderRecord memory record_) private pure returns (Profile) {
        p = p.withRegion(record_.region).withAttributes(record_.attributes).withTokens(record_.tokens);
        p = _flag(p, ProfileFlags.PROVIDER, record_.offersOwn);
        return _flag(p, ProfileFlags.FIZZ, record_.offersFizz);
    }

    /// @dev Another capacity for the same leases. An overbooked provider may keep its capacity or add to it.
    function _resize(uint256 provider, Profile p, uint256 totalUnits, uint256 oldGpus, uint256 totalGpus)
        private
        returns (Profile)
    {
        Excess memory excess = _has(p, ProfileFlags.OVERBOOKED) ? _excess[provider] : Excess(0, 0);
        uint256 units = p.totalUnits() - p.freeUnits() + excess.units;
        uint256 gpus = oldGpus - p.freeGpus() + excess.gpus;
        if (totalUnits < units && totalUnits < p.totalUnits()) revert ProviderRegistry_BadRecord("capacity: leased");
        if (totalGpus < gpus && totalGpus < oldGpus) revert ProviderRegistry_BadRecord("capacity: gpus leased");

        Excess memory left = Excess(_excessOf(units, totalUnits), _excessOf(gpus, totalGpus));
        if (left.units != excess.units || left.gpus != excess.gpus) _excess[provider] = left;
        p = _flag(p.withTotalUnits(totalUnits), ProfileFlags.OVERBOOKED, left.units != 0 || left.gpus != 0);
        return _withFree(p, _excessOf(totalUnits, units), _excessOf(totalGpus, gpus));
    }

    function _load(uint256 provider) private view returns (address key, Profile p) {
        key = _records[provider].hotKey;
        if (key == address(0)) revert ProviderRegistry_UnknownProvider(provider);
        p = _profiles[key];
    }

    function _store(address key, Profile p) private {
        _profiles[key] = p;
        emit ProfileChanged(p.id(), p);
    }

    function _requireFree(address hotKey, address owner) private view {
        address only_ = admitted[hotKey];
        if (Profile.unwrap(_profiles[hotKey]) != 0 || (only_ != address(0) && only_ != owner)) {
            revert ProviderRegistry_HotKeyTaken(hotKey);
        }
    }

    function _withFree(Profile p, uint256 units, uint256 gpus) private pure returns (Profile) {
        return p.withFreeUnits(units).withFreeGpus(gpus).withAvailability(MAX_AVAILABILITY * units / p.totalUnits());
    }

    function _has(Profile p, uint256 flag) private pure returns (bool) {
        return p.flags() & flag != 0;
    }

    function _flag(Profile p, uint256 flag, bool on) private pure returns (Profile) {
        return p.withFlags(on ? p.flags() | flag : p.flags() & ~flag);
    }

    function _excessOf(uint256 a, uint256 b) private pure returns (uint256) {
        return a > b ? a - b : 0;
    }

    function _min(uint256 a, uint256 b) private pure returns (uint256) {
        return a < b ? a : b;
    }
}
