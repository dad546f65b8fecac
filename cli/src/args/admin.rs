//! Governance of a deployment: contracts, tokens, approval, matching policy, terms, tiers, fees.

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
    /// The market's terms for new orders: fees, bid window, bracket, penalty
    #[command(subcommand)]
    Terms(Terms),
    /// Stake that each trust tier asks for
    ///
    /// Without arguments the present stakes.
    #[command(after_help = "Examples:\n  iono admin tier-stake\n  iono admin tier-stake 3 30000")]
    TierStake {
        /// The tier, 1 (best) to 7
        #[arg(value_parser = clap::value_parser!(u8).range(1..=7), requires = "amount")]
        tier: Option<u8>,
        /// Whole SPON
        amount: Option<String>,
    },
    /// A provider's trust tier
    #[command(subcommand)]
    Provider(Provider),
    /// What the foundation delegates to newcomers
    #[command(subcommand)]
    Foundation(Foundation),
    /// Collect the market's fees and send them to the foundation (anyone)
    ///
    /// Fees wait on the ledgers of the providers whose leases were paid.
    #[command(
        after_help = "Examples:\n  iono admin collect-fees\n  iono admin collect-fees --token SPON --json"
    )]
    CollectFees {
        /// Symbol, number or address; the default token if left out
        #[arg(long)]
        token: Option<String>,
    },
}

/// The foundation's delegations: kept until a provider is well used, or until the promise to it ends.
#[derive(Debug, Subcommand)]
pub(crate) enum Foundation {
    /// Delegate to a provider; counts from the next era (foundation)
    #[command(after_help = "Examples:\n  iono admin foundation delegate 3 500")]
    Delegate {
        /// The provider
        provider: u32,
        /// Whole SPON
        amount: String,
    },
    /// Start to take a delegation back; withdrawable after the unbonding time (foundation)
    ///
    /// Refused while the provider has leased less of its capacity than the threshold and the promise to it holds.
    #[command(
        after_help = "Examples:\n  iono admin foundation reclaim 3 all\n  iono admin foundation reclaim 3 250"
    )]
    Reclaim {
        /// The provider
        provider: u32,
        /// Whole SPON, or `all`
        amount: String,
    },
    /// Pay the foundation what has unbonded; all that is ripe if no request is named (anyone)
    #[command(after_help = "Examples:\n  iono admin foundation withdraw\n  iono admin foundation withdraw 9")]
    Withdraw {
        /// The request
        request: Option<u64>,
    },
    /// Where the foundation delegates, how well those providers are used, what unbonds
    #[command(after_help = "Examples:\n  iono admin foundation show\n  iono admin foundation show --json")]
    Show,
}

/// Providers as governance sees them.
#[derive(Debug, Subcommand)]
pub(crate) enum Provider {
    /// Raise or lower a provider's trust tier; its stake must be that of the new one
    #[command(after_help = "Examples:\n  iono admin provider tier 3 2")]
    Tier {
        /// The provider
        provider: u32,
        /// 1 (best) to 7
        #[arg(value_parser = clap::value_parser!(u8).range(1..=7))]
        tier: u8,
    },
}

/// What an order copies when it is made; running leases keep theirs.
#[derive(Debug, Subcommand)]
pub(crate) enum Terms {
    /// The present terms
    #[command(after_help = "Examples:\n  iono admin terms show\n  iono admin terms show --json")]
    Show,
    /// Change terms for new orders, in one transaction
    ///
    /// Names as `iono admin terms show` lists them; fees in basis points, sums in cents of a dollar.
    #[command(after_help = "\
Examples:
  iono admin terms set match-fee=10
  iono admin terms set commission=1500 payer-fee=100 bid-blocks=3")]
    Set {
        /// What to change
        #[arg(required = true, value_name = "NAME=VALUE", value_parser = change)]
        changes: Vec<Change>,
    },
}

/// One term's new value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) name: String,
    pub(crate) value: u32,
}

fn change(text: &str) -> Result<Change, String> {
    let parts = text.split_once('=').and_then(|(name, value)| Some((name, value.parse().ok()?)));
    let (name, value) = parts.ok_or("is no NAME=VALUE with a whole number, such as match-fee=10")?;
    Ok(Change { name: name.to_owned(), value })
}

/// Deploy all contracts to a chain and write its address book
///
/// Runs the repository's Foundry script. Addresses depend on the deployer alone (CREATE3), and what is there already is
/// left alone. The market's first parameters are taken from the environment: HOLDBACK (3600 s), CONFIRM_WINDOW (60 s),
/// MAX_PAUSE (7 days), ERA_LENGTH (1 day), UNBONDING (7 days), COMMISSION (2000 bp), PAYER_FEE and RECEIVER_FEE (200 bp),
/// BID_BLOCKS (2), BRACKET (1500 cents), MATCH_FEE (5 cents), MIN_DEPOSIT (500 cents), FOUNDATION_THRESHOLD (5000 bp),
/// FOUNDATION_TERM (180 days), RESPONSE_ERAS (2), CHALLENGE_WINDOW (1 day), OPERATOR_CAPACITY (100), MIN_OPERATOR_WEIGHT
/// (10^21 wei), EIGENLAYER with EIGENLAYER_STRATEGIES and EIGENLAYER_TOKENS (none), DRAND (false) with DRAND_KEY,
/// DRAND_GENESIS and DRAND_PERIOD (quicknet's) and DRAND_DELAY (15 s), SUBNET_VOTING (3 days), SUBNET_GRACE (7 days),
/// SUBNET_THRESHOLD (100 bp), SUBNET_QUORUM (3000 bp), ADMIN and FOUNDATION (the deployer).
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
    /// Use a version for new orders
    #[command(after_help = "Examples:\n  iono admin policy use 2")]
    Use {
        /// The version
        #[arg(value_name = "VERSION")]
        weights: u16,
    },
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
