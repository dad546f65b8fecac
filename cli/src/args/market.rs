//! Looking around before signing: the market, a quote, a manifest's check, the bids of an order.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use iono_primitives::Region;

/// Who offers what: free capacity, GPUs and where, prices of recent bids
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  iono market
  iono market --gpu h100 --region eu-west
  iono market --json")]
pub(crate) struct Market {
    /// Only providers with this GPU model (`any` for any GPU)
    #[arg(long, value_name = "MODEL")]
    pub(crate) gpu: Option<String>,
    /// Only providers of this region
    #[arg(long)]
    pub(crate) region: Option<Region>,
    /// How many blocks back bids count as recent
    #[arg(long, default_value_t = 50_000, value_name = "N")]
    pub(crate) blocks: u64,
}

/// What a deployment would cost, before anything is signed
///
/// The range comes from recent bids for similar resources; the maximum is what an order would reserve.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  iono quote deploy.yaml
  iono quote deploy.yaml --duration 7d --max-rate 0.05 --token DUSD")]
pub(crate) struct Quote {
    /// The manifest
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) price: Price,
    /// How many blocks back bids count as recent
    #[arg(long, default_value_t = 50_000, value_name = "N")]
    pub(crate) blocks: u64,
}

/// Money and time of an order.
#[derive(Debug, Clone, Args)]
pub(crate) struct Price {
    /// Symbol, number or address of the payment token; the manifest's or the default one if left out
    #[arg(long)]
    pub(crate) token: Option<String>,
    /// Most you pay, in whole tokens an hour; the manifest's price if left out
    #[arg(long, value_name = "PER_HOUR")]
    pub(crate) max_rate: Option<String>,
    /// How long, such as 12h or 7d; the manifest's if left out
    #[arg(long, value_parser = super::seconds)]
    pub(crate) duration: Option<u32>,
}

/// Read manifests without ordering anything
#[derive(Debug, Subcommand)]
pub(crate) enum Manifest {
    /// Say whether a manifest is acceptable, in which dialect it is and what it would cost
    ///
    /// Works without a chain. Every finding names its line.
    #[command(after_help = "\
Examples:
  iono manifest check deploy.yaml
  iono manifest check deploy.yaml --json")]
    Check {
        /// The manifest
        file: PathBuf,
    },
}

/// The bids of an order with their scores, and why other providers did not bid
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  iono bids 12\n  iono bids 12 --timeout 5s --json")]
pub(crate) struct Bids {
    /// The order
    pub(crate) order: u64,
    /// How long to wait for providers that did not bid to say why
    #[arg(long, default_value = "3s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) timeout: std::time::Duration,
}
