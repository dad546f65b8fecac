//! Providers as the chain knows them, proposals, stakes.

use alloy::primitives::Address;
use clap::Subcommand;

/// Providers: list, show, approve, reject; owners: drain, payout, sweep
#[derive(Debug, Subcommand)]
pub(crate) enum Provider {
    /// All registered providers
    #[command(after_help = "Examples:\n  iono provider list\n  iono provider list --json")]
    List,
    /// One provider in full: record, stake, rating, pins, and its own word on GPUs and prices
    #[command(after_help = "Examples:\n  iono provider show 3\n  iono provider show 3 --json")]
    Show {
        /// The provider
        provider: u32,
    },
    /// Proposals that wait for approval
    #[command(after_help = "Examples:\n  iono provider proposals\n  iono provider proposals --json")]
    Proposals,
    /// Approve a proposal (governance)
    #[command(after_help = "Examples:\n  iono provider approve 4")]
    Approve {
        /// The proposal
        proposal: u64,
    },
    /// Reject a proposal (governance)
    #[command(after_help = "Examples:\n  iono provider reject 4")]
    Reject {
        /// The proposal
        proposal: u64,
    },
    /// Take no new leases; the present ones stay (owner or hot key)
    #[command(after_help = "Examples:\n  iono provider drain 3\n  iono provider drain 3 --off")]
    Drain {
        /// The provider
        provider: u32,
        /// Take leases again
        #[arg(long)]
        off: bool,
    },
    /// Where cash-outs go (owner)
    #[command(after_help = "Examples:\n  iono provider payout 3 0x70997970C51812dc3A010C7d01b50e0d17dc79C8")]
    Payout {
        /// The provider
        provider: u32,
        /// Receiver
        to: Address,
    },
    /// Pay out what a provider earned, to its payout address (anyone)
    #[command(after_help = "Examples:\n  iono provider cash-out 3\n  iono provider cash-out 3 --token DUSD")]
    CashOut {
        /// The provider
        provider: u32,
        /// Symbol, number or address; the default token if left out
        #[arg(long)]
        token: Option<String>,
    },
    /// Take tokens out of the provider's own account contract (owner)
    #[command(after_help = "Examples:\n  iono provider sweep 3 --token DUSD")]
    Sweep {
        /// The provider
        provider: u32,
        /// Symbol, number or address; the default token if left out
        #[arg(long)]
        token: Option<String>,
        /// Receiver; your own address if left out
        #[arg(long)]
        to: Option<Address>,
    },
}

/// SPON stakes: stake, delegate, unbond, withdraw
#[derive(Debug, Subcommand)]
pub(crate) enum Stake {
    /// Stake for your own provider; counts at once (owner)
    #[command(after_help = "Examples:\n  iono stake add 3 50")]
    Add {
        /// The provider
        provider: u32,
        /// Whole SPON
        amount: String,
    },
    /// Delegate to a provider; counts from the next era
    #[command(after_help = "Examples:\n  iono stake delegate 3 25")]
    Delegate {
        /// The provider
        provider: u32,
        /// Whole SPON
        amount: String,
    },
    /// Start to take stake or a delegation back; withdrawable after the unbonding time
    #[command(after_help = "Examples:\n  iono stake undelegate 3 25\n  iono stake undelegate 3 all")]
    Undelegate {
        /// The provider
        provider: u32,
        /// Whole SPON, or `all`
        amount: String,
    },
    /// Move a delegation; it stays slashable at its source while it unbonds
    #[command(after_help = "Examples:\n  iono stake redelegate 3 5 25")]
    Redelegate {
        /// From this provider
        from: u32,
        /// To this provider
        to: u32,
        /// Whole SPON, or `all`
        amount: String,
    },
    /// Take out what has unbonded; all that is ripe if no request is named
    #[command(after_help = "Examples:\n  iono stake withdraw\n  iono stake withdraw 9")]
    Withdraw {
        /// The request
        request: Option<u64>,
    },
    /// Your stakes, delegations and unbonding requests
    #[command(after_help = "Examples:\n  iono stake show\n  iono stake show --json")]
    Show,
}
