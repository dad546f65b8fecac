// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title  StakingManager: a pool per provider with O(1) slashing (SP-3, SP-4, SP-51)
/// @notice Amounts in SPON wei. A pool is {tokens, shares, thawing tokens, thawing shares, nonce}; own stake and
///         delegations are shares of it; a slash scales all of them at once and never reverts. Delegations count towards
///         a provider's stake from the next era on; redelegated stake stays slashable at its source while it unbonds.
///         The first deposit of an empty pool leaves a thousandth of a SPON in it for good.
interface IStakingManager {
    event Staked(uint256 indexed provider, address indexed staker, uint256 tokens, uint256 shares);
    event Delegated(
        uint256 indexed provider, address indexed delegator, uint256 tokens, uint256 shares, uint256 fromEra
    );
    event UnbondingStarted(
        uint256 indexed provider, address indexed staker, uint256 indexed request, uint256 tokens, uint256 until
    );
    event Redelegated(uint256 indexed from, uint256 indexed to, address indexed staker, uint256 tokens, uint256 until);
    event StakeWithdrawn(uint256 indexed provider, address indexed staker, uint256 indexed request, uint256 tokens);
    event StakeSlashed(uint256 indexed provider, uint256 tokens, address indexed by, bytes32 reason);
    event RewardAdded(uint256 indexed provider, uint256 tokens);
    event TierStakeSet(uint256 indexed tier, uint256 tokens);

    error StakingManager_ZeroAmount();
    error StakingManager_NotSlasher(address caller);
    error StakingManager_NotOwner(uint256 provider, address caller);
    error StakingManager_StillUnbonding(uint256 request, uint256 until);
    error StakingManager_UnknownRequest(uint256 request);
    error StakingManager_InsufficientShares(uint256 have, uint256 need);
    error StakingManager_TooFewShares(uint256 got, uint256 minimum);
    error StakingManager_UnknownProvider(uint256 provider);
    error StakingManager_SameProvider(uint256 provider);
    error StakingManager_UnknownTier(uint256 tier);
    /// What was held in an era is known once it is over.
    error StakingManager_EraNotOver(uint256 era, uint256 current);
    /// The unbonding time must be longer than an era.
    error StakingManager_BadUnbondingTime(uint256 unbondingTime, uint256 eraLength);

    /// @notice Own stake of the provider's owner: counts at once.
    function stake(uint256 provider, uint256 tokens) external returns (uint256 shares);
    function permitAndStake(uint256 provider, uint256 tokens, uint256 deadline, uint8 v, bytes32 r, bytes32 s)
        external
        returns (uint256 shares);
    function delegate(uint256 provider, uint256 tokens, uint256 minShares) external returns (uint256 shares);
    /// @notice Own stake or delegation alike; withdrawable after the unbonding time.
    function unstake(uint256 provider, uint256 shares) external returns (uint256 request);
    /// @notice Thaws at `from`; `withdraw` then delegates what is left to `to`, or pays it out when that would give fewer
    ///         than `minShares`. Counts for neither meanwhile.
    function redelegate(uint256 from, uint256 to, uint256 shares, uint256 minShares) external returns (uint256 request);
    function withdraw(uint256 request) external returns (uint256 tokens);
    /// @notice LeaseBook and later judges (constructor wiring). Takes min(tokens, all that is slashable), active and
    ///         thawing stake alike, and burns it; dust of less than a millionth of a wei per share goes with it.
    function slash(uint256 provider, uint256 tokens, bytes32 reason) external returns (uint256 slashed);
    /// @notice `slash`, of which the judge that calls gets up to half instead of having it burnt: to make good a loss and
    ///         to reward who proved the fault.
    /// @return slashed wei, the reward included
    /// @return reward wei paid to the caller, at most `wanted` and at most half
    function slashForReward(uint256 provider, uint256 tokens, bytes32 reason, uint256 wanted)
        external
        returns (uint256 slashed, uint256 reward);
    /// @notice Adds to what every share of the provider is worth; anyone may pay.
    function addReward(uint256 provider, uint256 tokens) external;
    /// @notice Rolls delegations whose era has come into the provider's counted stake; anyone may call.
    function sync(uint256 provider) external;
    function setTierStake(uint256 tier, uint256 tokens) external;

    /// @return own tokens of the owner's shares
    /// @return counted all that counts in this era, own stake included
    function stakeOf(uint256 provider) external view returns (uint256 own, uint256 counted);
    function sharesOf(uint256 provider, address staker) external view returns (uint256);
    /// @notice Shares, own and delegated, that `staker` held at the end of an era that is over; 0 when a total loss voided
    ///         them before.
    function sharesAt(uint256 provider, address staker, uint256 era) external view returns (uint256);
    /// @notice All shares of the pool at the end of an era that is over.
    function totalSharesAt(uint256 provider, uint256 era) external view returns (uint256);
    function tokensFor(uint256 provider, uint256 shares) external view returns (uint256);
    /// @return tokens active ones, delegations of this era included
    /// @return shares of them
    /// @return thawing tokens that wait out the unbonding time, still slashable
    /// @return thawingShares of those
    function poolOf(uint256 provider)
        external
        view
        returns (uint256 tokens, uint256 shares, uint256 thawing, uint256 thawingShares);
    /// @return staker zero when there is no such request
    /// @return provider whose slashes it still bears
    /// @return target provider that it is redelegated to, or 0
    /// @return tokens what it would pay now
    /// @return until unix seconds
    function requestOf(uint256 request)
        external
        view
        returns (address staker, uint256 provider, uint256 target, uint256 tokens, uint256 until);
    /// @notice Stake that a tier (1–7) asks for.
    function tierStake(uint256 tier) external view returns (uint256);
    function unbondingTime() external view returns (uint256);
    /// @notice Shares that an empty pool's first deposit gives to nobody.
    // forge-lint: disable-next-line(mixed-case-function)
    function DEAD_SHARES() external view returns (uint256);
}
