//! Leases: from order to URL, and everything until the end.

use std::path::PathBuf;
use std::time::Duration;

use alloy::primitives::Address;
use clap::{Args, Subcommand};
use iono_primitives::Region;

use super::market::Price;

/// Order, wait for the match and start the workload; prints its URLs
///
/// An interrupted deployment is continued by --resume or by `iono send-manifest LEASE FILE`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  iono deploy deploy.yaml
  iono deploy deploy.yaml --max-rate 0.05 --duration 7d --region eu-west --json
  iono deploy deploy.yaml --allow 3 --allow 5
  iono deploy --resume")]
pub(crate) struct Deploy {
    /// The manifest
    #[arg(required_unless_present = "resume")]
    pub(crate) file: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) price: Price,
    /// Escrow wallet that pays; yours if left out
    #[arg(long, value_name = "N")]
    pub(crate) wallet: Option<u64>,
    /// Only these providers may bid; may be repeated, at most 8
    #[arg(long, value_name = "PROVIDER", conflicts_with = "deny")]
    pub(crate) allow: Vec<u32>,
    /// These providers may not bid; may be repeated, at most 8
    #[arg(long, value_name = "PROVIDER")]
    pub(crate) deny: Vec<u32>,
    /// Where; a condition, not a preference. The manifest's region if left out
    #[arg(long)]
    pub(crate) region: Option<Region>,
    /// Continue the deployments that were interrupted
    #[arg(long, conflicts_with_all = ["file", "wallet", "allow", "deny", "region", "token", "max_rate", "duration"])]
    pub(crate) resume: bool,
    /// How long the whole deployment may take
    #[arg(long, default_value = "10m", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Duration,
}

/// Send a lease's manifest to its provider again
///
/// Without FILE the copy kept since the deployment is sent. FILE must be the manifest that was ordered: its hash is on
/// the chain.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  iono send-manifest 12\n  iono send-manifest 12 deploy.yaml")]
pub(crate) struct SendManifest {
    /// The lease
    pub(crate) lease: u64,
    /// The manifest that was ordered
    pub(crate) file: Option<PathBuf>,
}

/// Decide an order whose bidding is over, when no matchmaker did
///
/// Anyone may; the contract picks the winner. An order without bids is void and its reserve returns.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  iono resolve 12")]
pub(crate) struct Resolve {
    /// The order
    pub(crate) order: u64,
}

/// Take an order back while bidding is open
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  iono cancel 12")]
pub(crate) struct Cancel {
    /// The order
    pub(crate) order: u64,
}

/// Your leases, found from your key alone, and those that others let you reach
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  iono ps\n  iono ps --all\n  iono ps --json")]
pub(crate) struct Ps {
    /// Closed leases and dead orders too
    #[arg(long, short)]
    pub(crate) all: bool,
}

/// A lease in full: chain, money, services, URLs
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  iono status 12\n  iono status 12 --json")]
pub(crate) struct Status {
    /// The lease
    pub(crate) lease: u64,
}

/// What the workload prints
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  iono logs 12
  iono logs 12 --service web --tail 20 -f
  iono logs 12 --since 10m --json")]
pub(crate) struct Logs {
    /// The lease
    pub(crate) lease: u64,
    /// Follow
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// Only the last N lines
    #[arg(long, value_name = "N")]
    pub(crate) tail: Option<u32>,
    /// Only lines younger than this
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) since: Option<Duration>,
    /// Only this service
    #[arg(long)]
    pub(crate) service: Option<String>,
}

/// What happened to the workload: pulls, starts, crashes, restarts
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  iono events 12\n  iono events 12 --json")]
pub(crate) struct Events {
    /// The lease
    pub(crate) lease: u64,
    /// Follow
    #[arg(long, short)]
    pub(crate) follow: bool,
}

/// Run a command in a service; its exit code is passed through
///
/// When iono itself fails, the exit code is 125, so that the command's own codes stay distinct.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  iono shell 12 -- /bin/sh
  iono shell 12 --service web -- cat /etc/hostname
  echo hi | iono shell 12 --no-tty -- cat")]
pub(crate) struct Shell {
    /// The lease
    pub(crate) lease: u64,
    /// The service; may be left out when there is one
    #[arg(long)]
    pub(crate) service: Option<String>,
    /// Which replica, from 0; the first that serves if left out
    #[arg(long, value_name = "N")]
    pub(crate) replica: Option<u32>,
    /// Use a terminal [default: when stdin and stdout are one]
    #[arg(long, overrides_with = "no_tty")]
    pub(crate) tty: bool,
    /// Use no terminal
    #[arg(long)]
    pub(crate) no_tty: bool,
    /// The command; /bin/sh if left out
    #[arg(last = true, value_name = "CMD")]
    pub(crate) command: Vec<String>,
}

/// Copy a file or folder into or out of a service
///
/// The remote side is written LEASE:SERVICE:/absolute/path.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  iono cp model.bin 12:web:/data/
  iono cp 12:web:/var/log/app.log ./app.log")]
pub(crate) struct Cp {
    /// From
    pub(crate) source: String,
    /// To
    pub(crate) destination: String,
}

/// Restart a service's containers on the same machine
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  iono restart 12\n  iono restart 12 --service web")]
pub(crate) struct Restart {
    /// The lease
    pub(crate) lease: u64,
    /// Only this service
    #[arg(long)]
    pub(crate) service: Option<String>,
}

/// Change a lease: other resources at the provider's signed quote, or another manifest within the same ones
///
/// One transaction, no gap in billing; replicas are changed one after the other. A lease that is paused because both
/// sides lost its manifest takes another one within the same resources, and is served and billed again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  iono update 12 deploy.yaml
  iono update 12 deploy.yaml --max-rate 0.08
  iono update 12 deploy.yaml --dry-run")]
pub(crate) struct Update {
    /// The lease
    pub(crate) lease: u64,
    /// The new manifest
    pub(crate) file: PathBuf,
    /// Refuse a quote above this, in whole tokens an hour; the manifest's price if left out
    #[arg(long, value_name = "PER_HOUR")]
    pub(crate) max_rate: Option<String>,
}

/// Pay for more time at the lease's price
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  iono extend 12 24h")]
pub(crate) struct Extend {
    /// The lease
    pub(crate) lease: u64,
    /// How much longer, such as 12h or 7d
    #[arg(value_parser = super::seconds)]
    pub(crate) duration: u32,
}

/// End a lease; what was not used returns to the wallet
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  iono close 12")]
pub(crate) struct Close {
    /// The lease
    pub(crate) lease: u64,
}

/// Rate a lease's provider with 0 to 5 stars
///
/// Counts for leases that were billed for at least an hour.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  iono rate 12 5")]
pub(crate) struct Rate {
    /// The lease
    pub(crate) lease: u64,
    /// 0 to 5
    #[arg(value_parser = clap::value_parser!(u8).range(0..=5))]
    pub(crate) stars: u8,
}

/// Let other accounts reach a wallet's leases; they cannot touch money
#[derive(Debug, Subcommand)]
pub(crate) enum Delegate {
    /// Name a delegate
    #[command(after_help = "\
Examples:
  iono delegate add 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 --for 7d
  iono delegate add 0x70997970C51812dc3A010C7d01b50e0d17dc79C8 --for 30d --write --wallet 7")]
    Add {
        /// The delegate's account
        account: Address,
        /// How long the right lasts
        #[arg(long = "for", default_value = "30d", value_name = "TIME", value_parser = super::seconds)]
        length: u32,
        /// May change things too: shell, copy, manifest, restart
        #[arg(long)]
        write: bool,
        /// Escrow wallet; yours if left out
        #[arg(long, value_name = "N")]
        wallet: Option<u64>,
    },
    /// Take a delegate's right away; its connections end
    #[command(after_help = "Examples:\n  iono delegate remove 0x70997970C51812dc3A010C7d01b50e0d17dc79C8")]
    Remove {
        /// The delegate's account
        account: Address,
        /// Escrow wallet; yours if left out
        #[arg(long, value_name = "N")]
        wallet: Option<u64>,
    },
    /// Who has rights, and until when
    #[command(after_help = "Examples:\n  iono delegate list\n  iono delegate list --wallet 7 --json")]
    List {
        /// Escrow wallet; all of yours if left out
        #[arg(long, value_name = "N")]
        wallet: Option<u64>,
    },
}

/// Void every client certificate issued for a wallet so far
///
/// For a lost laptop. The next command that reaches a provider makes a new certificate by itself.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  iono revoke 7")]
pub(crate) struct Revoke {
    /// Escrow wallet
    pub(crate) wallet: u64,
}
