//! Escrow wallets: deposit, withdraw, list, pass on (SP-17); what one earned; tokens outside escrow.

use alloy::primitives::Address;
use clap::Args;

/// Put tokens into an escrow wallet; opens one when you have none
///
/// A token with permit (EIP-2612) needs one transaction; others are approved first.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  iono deposit 20
  iono deposit 20 --token DUSD --wallet 7
  iono deposit 20 --new-wallet --json")]
pub(crate) struct Deposit {
    /// Whole tokens, such as 12.5
    pub(crate) amount: String,
    /// Symbol, number or address; the default token if left out
    #[arg(long)]
    pub(crate) token: Option<String>,
    /// Escrow wallet, also somebody else's; yours if left out
    #[arg(long, value_name = "N")]
    pub(crate) wallet: Option<u64>,
    /// Open another wallet for this deposit
    #[arg(long, conflicts_with = "wallet")]
    pub(crate) new_wallet: bool,
}

/// Take free tokens out of an escrow wallet
///
/// Only what no order reserves and no lease locks. `all` takes everything that is free.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  iono withdraw 5
  iono withdraw all --token DUSD --to 0x70997970C51812dc3A010C7d01b50e0d17dc79C8")]
pub(crate) struct Withdraw {
    /// Whole tokens, or `all`
    pub(crate) amount: String,
    /// Receiver; your own address if left out
    #[arg(long)]
    pub(crate) to: Option<Address>,
    /// Symbol, number or address; the default token if left out
    #[arg(long)]
    pub(crate) token: Option<String>,
    /// Escrow wallet; yours if left out
    #[arg(long, value_name = "N")]
    pub(crate) wallet: Option<u64>,
}

/// Your escrow wallets with what is free and what leases hold
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  iono wallets\n  iono wallets --json")]
pub(crate) struct Wallets {}

/// Send tokens of your key to another account, outside escrow
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  iono send 12.5 --to 0x70997970C51812dc3A010C7d01b50e0d17dc79C8
  iono send 500 --token SPON --to 0x70997970C51812dc3A010C7d01b50e0d17dc79C8")]
pub(crate) struct Send {
    /// Whole tokens, such as 12.5
    pub(crate) amount: String,
    /// Receiver
    #[arg(long)]
    pub(crate) to: Address,
    /// Symbol, number or address; the default token if left out
    #[arg(long)]
    pub(crate) token: Option<String>,
}

/// Pay out what an account earned on the market, such as a matchmaker's fees (anyone)
///
/// It waits on the account's ledger in escrow and goes to the account itself, whoever sends this. What a provider earned
/// goes to its payout address by `iono provider cash-out`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  iono cash-out
  iono cash-out --payee 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 --token DUSD")]
pub(crate) struct CashOut {
    /// The account that earned; your own if left out
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) payee: Option<Address>,
    /// Symbol, number or address; the default token if left out
    #[arg(long)]
    pub(crate) token: Option<String>,
}

/// Pass an escrow wallet with its funds, orders and leases to another account
///
/// The old owner's connections end, and so do the rights of the delegates it named.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  iono transfer 7 0x70997970C51812dc3A010C7d01b50e0d17dc79C8")]
pub(crate) struct Transfer {
    /// Escrow wallet
    pub(crate) wallet: u64,
    /// New owner
    pub(crate) to: Address,
}
