// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title  Escrow: every token of the market, in numbered wallets and payees' ledgers (SP-17 to SP-19)
/// @notice Immutable code, nothing restricted, no upgradeable contract read. Only OrderBook and LeaseBook (constructor
///         wiring) move money inside; only a wallet's owner and a payee's own address receive it.
///         Invariant per token: balance ≥ Σ wallets + Σ reserved (orders) + Σ locked (leases) + Σ ledgers.
interface IEscrow {
    /// @notice Fixed for good. `foundation` earns the fees; `homeToken` is the token whose free balances are cheapest.
    struct Wiring {
        address orderBook;
        address leaseBook;
        address paymentTokens;
        address registry;
        address foundation;
        uint256 homeToken;
    }

    event WalletCreated(uint256 indexed wallet, address indexed owner);
    event WalletTransferred(uint256 indexed wallet, address indexed from, address indexed to);
    event Deposited(uint256 indexed wallet, uint256 indexed token, address from, uint256 amount);
    event Withdrawn(uint256 indexed wallet, uint256 indexed token, address to, uint256 amount);
    event PayoutSet(uint256 indexed provider, address payout);
    event CashedOut(uint256 indexed payee, uint256 indexed token, address to, uint256 amount);
    event FeesCollected(uint256 indexed payee, uint256 indexed token, uint256 amount);

    error Escrow_NotOwner(uint256 wallet, address caller);
    error Escrow_NotBook(address caller);
    error Escrow_UnknownWallet(uint256 wallet);
    error Escrow_Insufficient(uint256 wallet, uint256 token, uint256 free, uint256 needed);
    /// The token moved less or more than asked: fee-on-transfer and rebasing tokens are refused.
    error Escrow_TransferMismatch(uint256 token, uint256 expected, uint256 received);
    error Escrow_TokenDisabled(uint256 token);
    error Escrow_NotProviderOwner(uint256 provider, address caller);
    error Escrow_ZeroAddress();
    error Escrow_NothingToCashOut(uint256 payee, uint256 token);
    error Escrow_LedgerOverflow(uint256 amount);
    /// More of a token than the contract's fields can hold.
    error Escrow_TooMuch(uint256 token, uint256 held);

    /// @notice Opens a wallet for `owner`; ids count from 1.
    function createWallet(address owner) external returns (uint256 wallet);
    /// @notice Anyone may top a wallet up. Reverts when the token is disabled or takes a fee.
    function deposit(uint256 wallet, uint256 token, uint256 amount) external;
    /// @notice `deposit` with an EIP-2612 permit; a failed permit is tolerated, since it may have been front-run.
    function permitAndDeposit(
        uint256 wallet,
        uint256 token,
        uint256 amount,
        uint256 deadline,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external;
    /// @notice Free balance only; also of delisted tokens. Owner only.
    function withdraw(uint256 wallet, uint256 token, uint256 amount, address to) external;
    /// @notice Wallet, its funds, orders and leases pass to another account (SP-17).
    function transferWallet(uint256 wallet, address to) external;

    /// @notice OrderBook and LeaseBook only: takes from the free balance of a wallet that `caller` owns.
    /// @return free what was free before, for the resource bracket
    function reserve(uint256 wallet, uint256 token, uint256 amount, address caller) external returns (uint256 free);
    /// @notice Books only: gives back to the free balance.
    function release(uint256 wallet, uint256 token, uint256 amount) external;
    /// @notice `release` on behalf of `caller`, who must own the wallet.
    function releaseTo(uint256 wallet, uint256 token, uint256 amount, address caller) external;
    /// @notice Books only: `net` to the payee's ledger, `fee` to the foundation's part of the same slot.
    function credit(uint256 payee, uint256 token, uint256 net, uint256 fee) external;
    /// @notice OrderBook only: pulls `amount` from `from` (who approved this contract), creating a wallet when `wallet` is 0.
    function depositFrom(uint256 wallet, uint256 token, uint256 amount, address from) external returns (uint256 id);

    /// @notice Sends a payee's whole ledger; anyone may call. A payee below 2^32 is a provider id, paid to its payout
    ///         address (its ProviderAccount until set); any other payee is an address, paid to itself.
    function cashOut(uint256 payee, uint256 token) external returns (uint256 amount);
    /// @notice Moves the fee part of payees' slots to the foundation's ledger; anyone may call.
    function collectFees(uint256[] calldata payees, uint256 token) external returns (uint256 amount);
    /// @notice By the owner of the provider's account.
    function setPayout(uint256 provider, address payout) external;

    function ownerOf(uint256 wallet) external view returns (address);
    function walletCount() external view returns (uint256);
    /// @return amount free balance in the token's smallest unit
    function balanceOf(uint256 wallet, uint256 token) external view returns (uint256 amount);
    function ledgerOf(uint256 payee, uint256 token) external view returns (uint256 net, uint256 fee);
    function payoutOf(uint256 provider) external view returns (address);
    /// @notice The token's contract: Escrow's own copy from its first deposit on, before that what is listed (or 0).
    function assetOf(uint256 token) external view returns (address asset);
    function wiring() external view returns (Wiring memory);
    /// @notice The payee id that collected fees go to.
    function foundation() external view returns (uint256 payee);
}
