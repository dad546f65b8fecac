// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IStakeRegistry} from "../interfaces/IStakeRegistry.sol";
import {IStakingManager} from "../interfaces/IStakingManager.sol";
import {ProfileWord} from "../lib/ProfileWord.sol";
import {Profile} from "../lib/Types.sol";
import {SPON} from "../token/SPON.sol";
import {EraClock} from "./EraClock.sol";
import {SharePool, SharePools} from "./SharePool.sol";
import {StakeHistory} from "./StakeHistory.sol";
import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

/// @title  StakingManager: stakes, delegations, unbonding and slashing of providers, or in a second instance of operators
/// @notice Every token lies in exactly one place: a provider's active pool, where it counts, or its thawing pool, where
///         it waits out the unbonding time; both are slashed alike. Redelegated stake is a thawing request that names its
///         target: it stays slashable at its source alone until `withdraw` moves it, so no token ever backs two
///         providers. An empty pool's first deposit leaves DEAD_SHARES to nobody, and tokens sent here by a plain transfer
///         are not counted, so nobody can inflate the price of a share enough to round another's deposit away.
contract StakingManager is StakeHistory, AccessManaged {
    using ProfileWord for Profile;
    using SafeCast for uint256;
    using SafeERC20 for SPON;
    using SharePools for SharePool;

    struct Pool {
        SharePool active;
        SharePool thawing;
        uint112 pending; // active shares delegated in `era`, which count from the next one on
        uint32 era;
        uint112 owed; // wei that the owner must stake before it counts as topped up
    }

    struct Holding {
        uint112 shares;
        uint32 nonce; // of the active pool
        uint112 pending;
        uint32 era;
    }

    struct Request {
        address staker;
        uint32 provider;
        uint32 target; // 0: paid to the staker
        uint32 nonce; // of the thawing pool
        uint112 shares; // of the thawing pool
        uint40 until; // unix seconds
        uint112 minShares; // of the target's active pool
    }

    /// @inheritdoc IStakingManager
    /// @dev A thousandth of a SPON. With 10^27 wei at most, a share never costs more than 10^12 wei, which bounds what
    ///      rounding can take.
    uint256 public constant DEAD_SHARES = 1e15;
    uint256 private constant TIERS = 7;

    SPON private immutable TOKEN;
    IStakeRegistry private immutable REGISTRY;
    address private immutable SLASHER_0;
    address private immutable SLASHER_1;
    address private immutable SLASHER_2;
    address private immutable SLASHER_3;

    /// @inheritdoc IStakingManager
    uint256 public immutable unbondingTime;
    /// @inheritdoc IStakingManager
    mapping(uint256 tier => uint256) public tierStake;

    mapping(uint256 provider => Pool) private _pools;
    mapping(uint256 provider => mapping(address staker => Holding)) private _holdings;
    mapping(uint256 request => Request) private _requests;
    uint256 private _requestCount;

    /// @param unbondingTime_ seconds, longer than an era
    /// @param slashers LeaseBook and later judges; unused places are zero
    constructor(
        address authority,
        SPON token,
        IStakeRegistry registry,
        EraClock clock,
        uint256 unbondingTime_,
        address[4] memory slashers
    ) StakeHistory(clock) AccessManaged(authority) {
        if (unbondingTime_ <= clock.LENGTH()) {
            revert StakingManager_BadUnbondingTime(unbondingTime_, clock.LENGTH());
        }
        TOKEN = token;
        REGISTRY = registry;
        unbondingTime = unbondingTime_;
        (SLASHER_0, SLASHER_1, SLASHER_2, SLASHER_3) = (slashers[0], slashers[1], slashers[2], slashers[3]);

        uint256[TIERS] memory defaults = [uint256(500e18), 400e18, 300e18, 200e18, 150e18, 100e18, 50e18]; // SP-6
        for (uint256 i; i < TIERS; ++i) {
            tierStake[i + 1] = defaults[i];
            emit TierStakeSet(i + 1, defaults[i]);
        }
    }

    /// @inheritdoc IStakingManager
    function stake(uint256 provider, uint256 tokens) external returns (uint256 shares) {
        return _stake(provider, tokens);
    }

    /// @inheritdoc IStakingManager
    function permitAndStake(uint256 provider, uint256 tokens, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
        returns (uint256 shares)
    {
        // Someone may have used the permit before us: then the allowance is there already, and else the transfer fails.
        try TOKEN.permit(msg.sender, address(this), tokens, deadline, v, r, s) {} catch {}
        return _stake(provider, tokens);
    }

    /// @inheritdoc IStakingManager
    function delegate(uint256 provider, uint256 tokens, uint256 minShares) external returns (uint256 shares) {
        _known(provider);
        if (tokens == 0) revert StakingManager_ZeroAmount();
        TOKEN.safeTransferFrom(msg.sender, address(this), tokens);
        shares = _delegate(provider, msg.sender, tokens);
        if (shares < minShares) revert StakingManager_TooFewShares(shares, minShares);
        _push(provider, false);
    }

    /// @inheritdoc IStakingManager
    function unstake(uint256 provider, uint256 shares) external returns (uint256 request) {
        (request,) = _thaw(provider, shares, 0, 0);
    }

    /// @inheritdoc IStakingManager
    function redelegate(uint256 from, uint256 to, uint256 shares, uint256 minShares)
        external
        returns (uint256 request)
    {
        if (from == to) revert StakingManager_SameProvider(from);
        _known(to);
        uint256 tokens;
        (request, tokens) = _thaw(from, shares, to, minShares);
        emit Redelegated(from, to, msg.sender, tokens, block.timestamp + unbondingTime);
    }

    /// @inheritdoc IStakingManager
    function withdraw(uint256 request) external returns (uint256 tokens) {
        Request memory r = _requests[request];
        if (r.staker != msg.sender) revert StakingManager_UnknownRequest(request);
        if (block.timestamp < r.until) revert StakingManager_StillUnbonding(request, r.until);
        delete _requests[request];

        SharePool storage thawing = _pools[r.provider].thawing;
        if (r.nonce == thawing.nonce) tokens = thawing.redeem(r.shares);
        emit StakeWithdrawn(r.provider, msg.sender, request, tokens);

        if (r.target != 0 && _welcome(r.target, tokens, r.minShares)) {
            _delegate(r.target, msg.sender, tokens);
            _push(r.target, false);
        } else {
            TOKEN.safeTransfer(msg.sender, tokens);
        }
    }

    /// @inheritdoc IStakingManager
    function slash(uint256 provider, uint256 tokens, bytes32 reason) external returns (uint256 slashed) {
        slashed = _slash(provider, tokens, reason);
        TOKEN.burn(slashed);
    }

    /// @inheritdoc IStakingManager
    function slashForReward(uint256 provider, uint256 tokens, bytes32 reason, uint256 wanted)
        external
        returns (uint256 slashed, uint256 reward)
    {
        slashed = _slash(provider, tokens, reason);
        reward = Math.min(wanted, slashed / 2);
        TOKEN.burn(slashed - reward);
        TOKEN.safeTransfer(msg.sender, reward);
    }

    /// @inheritdoc IStakingManager
    function addReward(uint256 provider, uint256 tokens) external {
        if (tokens == 0) revert StakingManager_ZeroAmount();
        SharePool storage active = _pools[provider].active;
        if (active.shares == 0) revert StakingManager_InsufficientShares(0, 1);
        TOKEN.safeTransferFrom(msg.sender, address(this), tokens);
        active.tokens += tokens.toUint112();
        emit RewardAdded(provider, tokens);
        _push(provider, false);
    }

    /// @inheritdoc IStakingManager
    function sync(uint256 provider) external {
        _known(provider);
        _push(provider, false);
    }

    /// @inheritdoc IStakingManager
    function setTierStake(uint256 tier, uint256 tokens) external restricted {
        if (tier == 0 || tier > TIERS) revert StakingManager_UnknownTier(tier);
        tierStake[tier] = tokens;
        emit TierStakeSet(tier, tokens);
    }

    /// @inheritdoc IStakingManager
    function stakeOf(uint256 provider) external view returns (uint256 own, uint256 counted) {
        own = tokensFor(provider, sharesOf(provider, REGISTRY.ownerOf(provider)));
        counted = _counted(_pools[provider]);
    }

    /// @inheritdoc IStakingManager
    function sharesOf(uint256 provider, address staker) public view returns (uint256) {
        Holding storage holding = _holdings[provider][staker];
        return holding.nonce == _pools[provider].active.nonce ? holding.shares : 0;
    }

    /// @inheritdoc IStakingManager
    function tokensFor(uint256 provider, uint256 shares) public view returns (uint256) {
        return _pools[provider].active.tokensFor(shares);
    }

    /// @inheritdoc IStakingManager
    function poolOf(uint256 provider)
        external
        view
        returns (uint256 tokens, uint256 shares, uint256 thawing, uint256 thawingShares)
    {
        Pool storage pool = _pools[provider];
        return (pool.active.tokens, pool.active.shares, pool.thawing.tokens, pool.thawing.shares);
    }

    /// @inheritdoc IStakingManager
    function requestOf(uint256 request)
        external
        view
        returns (address staker, uint256 provider, uint256 target, uint256 tokens, uint256 until)
    {
        Request memory r = _requests[request];
        SharePool storage thawing = _pools[r.provider].thawing;
        tokens = r.nonce == thawing.nonce ? thawing.tokensFor(r.shares) : 0;
        return (r.staker, r.provider, r.target, tokens, r.until);
    }

    function _stake(uint256 provider, uint256 tokens) private returns (uint256 shares) {
        if (msg.sender != REGISTRY.ownerOf(provider)) revert StakingManager_NotOwner(provider, msg.sender);
        if (tokens == 0) revert StakingManager_ZeroAmount();
        TOKEN.safeTransferFrom(msg.sender, address(this), tokens);
        (, shares) = _deposit(provider, msg.sender, tokens);
        emit Staked(provider, msg.sender, tokens, shares);

        Pool storage pool = _pools[provider];
        pool.owed = tokens < pool.owed ? pool.owed - tokens.toUint112() : 0;
        _push(provider, pool.owed == 0);
    }

    /// @dev Takes the tokens out of the pools; what becomes of them is the caller's to say.
    function _slash(uint256 provider, uint256 tokens, bytes32 reason) private returns (uint256 slashed) {
        if (!_isSlasher(msg.sender)) revert StakingManager_NotSlasher(msg.sender);
        Pool storage pool = _pools[provider];
        uint256 active = pool.active.tokens;
        uint256 total = active + pool.thawing.tokens;
        slashed = Math.min(tokens, total);
        if (slashed == 0) return 0;

        uint256 fromActive = Math.mulDiv(slashed, active, total);
        slashed = pool.thawing.slash(slashed - fromActive);
        slashed += pool.active.slash(fromActive);
        if (pool.active.shares == 0) {
            pool.pending = 0;
            _rememberTotal(provider, CLOCK.current(), pool.active.nonce, 0);
        }
        emit StakeSlashed(provider, slashed, msg.sender, reason);

        Profile profile = REGISTRY.profile(provider);
        uint256 required = tierStake[profile.trustTier()];
        // Never more than its tier asks for, so that after a great loss the way back is that of a newcomer.
        pool.owed = Math.min(Math.min(pool.owed + slashed, required), type(uint112).max).toUint112();
        uint256 counted = _counted(pool);
        REGISTRY.setStake(provider, counted, counted >= required, false, profile.slashes() + 1);
    }

    /// @dev The tokens are here already.
    function _delegate(uint256 provider, address delegator, uint256 tokens) private returns (uint256 shares) {
        Holding storage holding;
        (holding, shares) = _deposit(provider, delegator, tokens);
        _pools[provider].pending += shares.toUint112();
        holding.pending += shares.toUint112();
        emit Delegated(provider, delegator, tokens, shares, uint256(holding.era) + 1);
    }

    function _deposit(uint256 provider, address staker, uint256 tokens)
        private
        returns (Holding storage holding, uint256 shares)
    {
        holding = _refresh(provider, staker);
        shares = _sharesFor(provider, tokens);
        if (shares == 0) revert StakingManager_TooFewShares(0, 1);
        _pools[provider].active.deposit(tokens);
        holding.shares += shares.toUint112();
        _remember(provider, staker, holding);
    }

    /// @dev Active shares of the caller become thawing ones.
    function _thaw(uint256 provider, uint256 shares, uint256 target, uint256 minShares)
        private
        returns (uint256 request, uint256 tokens)
    {
        if (shares == 0) revert StakingManager_ZeroAmount();
        Pool storage pool = _pools[provider];
        Holding storage holding = _refresh(provider, msg.sender);
        if (shares > holding.shares) revert StakingManager_InsufficientShares(holding.shares, shares);
        holding.shares -= shares.toUint112();
        // The youngest leave first: who delegates and leaves in one era moves nothing that counts.
        uint112 young = Math.min(shares, holding.pending).toUint112();
        holding.pending -= young;
        pool.pending -= young;

        tokens = pool.active.redeem(shares);
        _remember(provider, msg.sender, holding);
        uint256 until = block.timestamp + unbondingTime;
        request = ++_requestCount;
        _requests[request] = Request({
            staker: msg.sender,
            provider: provider.toUint32(),
            target: target.toUint32(),
            nonce: pool.thawing.nonce,
            shares: pool.thawing.deposit(tokens).toUint112(),
            until: until.toUint40(),
            minShares: Math.min(minShares, type(uint112).max).toUint112()
        });
        emit UnbondingStarted(provider, msg.sender, request, tokens, until);
        _push(provider, false);
    }

    /// @dev Forgets what a total loss voided and what has come to count since.
    function _refresh(uint256 provider, address staker) private returns (Holding storage holding) {
        Pool storage pool = _pools[provider];
        holding = _holdings[provider][staker];
        if (holding.nonce != pool.active.nonce) {
            holding.nonce = pool.active.nonce;
            holding.shares = 0;
            holding.pending = 0;
        }
        uint32 era = CLOCK.current().toUint32();
        if (pool.era != era) (pool.era, pool.pending) = (era, 0);
        if (holding.era != era) (holding.era, holding.pending) = (era, 0);
    }

    /// @dev What pool and staker hold now is what they held in this era, unless it changes again.
    function _remember(uint256 provider, address staker, Holding storage holding) private {
        (uint256 era, uint256 nonce) = (holding.era, holding.nonce);
        _rememberTotal(provider, era, nonce, _pools[provider].active.shares);
        _rememberHeld(provider, staker, era, nonce, holding.shares);
    }

    /// @dev Tells the registry what counts now.
    function _push(uint256 provider, bool repaid) private {
        Profile profile = REGISTRY.profile(provider);
        uint256 counted = _counted(_pools[provider]);
        bool sufficient = counted >= tierStake[profile.trustTier()];
        REGISTRY.setStake(provider, counted, sufficient, repaid && sufficient, profile.slashes());
    }

    function _counted(Pool storage pool) private view returns (uint256) {
        uint256 pending = pool.era == CLOCK.current() ? pool.pending : 0;
        return pool.active.tokensFor(pool.active.shares - pending);
    }

    /// @dev Whether redelegated tokens may enter their target; if not they are paid out, so that no one is stuck.
    function _welcome(uint256 target, uint256 tokens, uint256 minShares) private view returns (bool) {
        uint256 shares = _sharesFor(target, tokens);
        return shares != 0 && shares >= minShares;
    }

    /// @dev What a depositor of `tokens` would hold.
    function _sharesFor(uint256 provider, uint256 tokens) private view returns (uint256) {
        SharePool storage active = _pools[provider].active;
        if (active.shares != 0) return active.sharesFor(tokens);
        return tokens > DEAD_SHARES ? tokens - DEAD_SHARES : 0;
    }

    function _known(uint256 provider) private view {
        if (Profile.unwrap(REGISTRY.profile(provider)) == 0) revert StakingManager_UnknownProvider(provider);
    }

    function _isSlasher(address caller) private view returns (bool) {
        return caller != address(0)
            && (caller == SLASHER_0 || caller == SLASHER_1 || caller == SLASHER_2 || caller == SLASHER_3);
    }
}
