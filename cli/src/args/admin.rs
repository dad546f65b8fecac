//! Governance of a deployment: contracts, tokens, approval, matching policy.

use std::path::PathBuf;

use alloy::primitives::Address;
use clap::{Args, Subcommand};

/// Deploy the contracts and govern them
#[derive(Debug, Subcommand)]
pub(crate) enum Admin {
    Deploy(Deploy),
    /// Payment tokens: enable, disable, price, list
    #[command(subcommand)]
    Token(Token),
    /// Switch auto-approval of providers on or off
    #[command(after_help = "Examples:\n  iono admin auto-approval on\n  iono admin auto-approval off")]
    AutoApproval {
        /// on or off; shows the present state if left out
        #[arg(value_parser = ["on", "off"])]
        state: Option<String>,
    },
    /// Matching weights: versions never change, new ones are added
    #[command(subcommand)]
    Policy(Policy),
}

/// Deploy all contracts to a chain and write its address book
///
/// Runs the repository's Foundry script. Addresses depend on the deployer alone (CREATE3), and what is there already is
/// left alone. The market's first parameters are taken from the environment: HOLDBACK (3600 s), CONFIRM_WINDOW (60 s),
/// MAX_PAUSE (7 days), ERA_LENGTH (1 day), UNBONDING (7 days), COMMISSION (2000 bp), PAYER_FEE and RECEIVER_FEE (200 bp),
/// BID_BLOCKS (2), BRACKET (1500 cents), MATCH_FEE (5 cents), MIN_DEPOSIT (500 cents), ADMIN and FOUNDATION (the deployer).
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  iono admin deploy --rpc http://127.0.0.1:8545 --out target/devnet.json --dev
  iono admin deploy --rpc https://rpc.example.org --key treasury --address-book book.json")]
pub(crate) struct Deploy {
    /// Where the address book is written; the global --address-book if left out
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// A devnet: a test dollar with a faucet, and SPON for the deployer
    #[arg(long)]
    pub(crate) dev: bool,
    /// The repository with contracts/ and node_modules/ [default: found upwards from here]
    #[arg(long, value_name = "DIR")]
    pub(crate) repository: Option<PathBuf>,
    /// Hex key file of the deployer, instead of one in the keystore
    #[arg(long, value_name = "FILE")]
    pub(crate) private_key_file: Option<PathBuf>,
}

/// Payment tokens that governance enabled.
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Enable a token at a price
    #[command(
        after_help = "Examples:\n  iono admin token enable 0x5FbDB2315678afecb367f032d93F642f64180aa3 --price 1.00"
    )]
    Enable {
        /// The token's contract
        asset: Address,
        /// Dollars per whole token
        #[arg(long)]
        price: String,
    },
    /// Disable a token for new orders and deposits; what is there can always leave
    #[command(after_help = "Examples:\n  iono admin token disable DUSD")]
    Disable {
        /// Symbol, number or address
        token: String,
    },
    /// Set a token's price; by at most a factor of two a day
    #[command(after_help = "Examples:\n  iono admin token price SPON 0.12")]
    Price {
        /// Symbol, number or address
        token: String,
        /// Dollars per whole token
        price: String,
    },
    /// All tokens with price and state
    #[command(after_help = "Examples:\n  iono admin token list\n  iono admin token list --json")]
    List,
}

/// Versions of the matching weights.
#[derive(Debug, Subcommand)]
pub(crate) enum Policy {
    /// Add a version; weights are basis points that sum to 10,000
    #[command(after_help = "\
Examples:
  iono admin policy add --price 6000 --region 500 --rating 1000 --availability 800 --slashes 500 --tier 500 --stake 500 --random 200 --stake-cap 500")]
    Add(Weights),
    /// All versions
    #[command(after_help = "Examples:\n  iono admin policy list\n  iono admin policy list --json")]
    List,
}

/// Weights in basis points.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Weights {
    /// Weight of the price
    #[arg(long)]
    pub(crate) price: u16,
    /// Weight of the region
    #[arg(long)]
    pub(crate) region: u16,
    /// Weight of tenants' ratings
    #[arg(long)]
    pub(crate) rating: u16,
    /// Weight of measured availability
    #[arg(long)]
    pub(crate) availability: u16,
    /// Weight of a clean record
    #[arg(long)]
    pub(crate) slashes: u16,
    /// Weight of the trust tier
    #[arg(long)]
    pub(crate) tier: u16,
    /// Weight of the stake
    #[arg(long)]
    pub(crate) stake: u16,
    /// Weight of chance, at most 500
    #[arg(long)]
    pub(crate) random: u16,
    /// Stake beyond which more counts nothing, in whole SPON
    #[arg(long)]
    pub(crate) stake_cap: u32,
}
