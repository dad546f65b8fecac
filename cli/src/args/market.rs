//! Looking around before signing: the market, a quote, a manifest's check, the bids of an order.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use iono_primitives::resources::BadGpuModel;
use iono_primitives::{GpuModel, Region};

/// Who offers what: free capacity, GPUs and where, price lists, prices of recent bids
///
/// Capacity is the registry's; exact GPUs and prices come from the providers themselves, which are asked all at once.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  iono market
  iono market --gpu h100 --region eu-west
  iono market --json")]
pub(crate) struct Market {
    /// Only providers with this GPU: a model, or one with interface and memory (`h100`, `a100-sxm-80gi`); `any` for any
    #[arg(long, value_name = "MODEL", value_parser = gpu)]
    pub(crate) gpu: Option<GpuModel>,
    /// Only providers of this region
    #[arg(long)]
    pub(crate) region: Option<Region>,
    /// How many blocks back bids count as recent
    #[arg(long, default_value_t = 50_000, value_name = "N")]
    pub(crate) blocks: u64,
    /// How long to wait for providers to say their prices
    #[arg(long, default_value = "3s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Duration,
}

/// What a deployment would cost, before anything is signed
///
/// The range comes from recent bids for similar resources, or from providers' price lists where there are none; the
/// maximum is what an order would reserve. Says how many registered providers of each trust tier could take it.
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
    /// How long to wait for providers to say their prices
    #[arg(long, default_value = "3s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Duration,
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

/// Read manifests: check a file, get a lease's
#[derive(Debug, Subcommand)]
pub(crate) enum Manifest {
    /// Say whether a manifest can be deployed, in which dialect it is and what it would cost
    ///
    /// Works without a chain. Every finding names its line; what no provider can serve yet is `unavailable`.
    #[command(after_help = "\
Examples:
  iono manifest check deploy.yaml
  iono manifest check deploy.yaml --json")]
    Check {
        /// The manifest
        file: PathBuf,
    },
    /// Write a lease's manifest in its canonical form, with its secrets
    ///
    /// From the copy kept since the deployment, else from the provider; then it is kept here again with its salt, so
    /// that `iono send-manifest` and `iono update` work from this machine.
    #[command(after_help = "\
Examples:
  iono manifest get 12 > manifest.json
  iono manifest get 12 --json")]
    Get {
        /// The lease
        lease: u64,
    },
}

/// A GPU model, or `any`.
fn gpu(text: &str) -> Result<GpuModel, String> {
    if text.eq_ignore_ascii_case("any") {
        return Ok(GpuModel::ANY);
    }
    text.parse().map_err(|error: BadGpuModel| error.to_string())
}

/// The bids of an order with their scores, and why other providers did not bid
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  iono bids 12\n  iono bids 12 --timeout 5s --json")]
pub(crate) struct Bids {
    /// The order
    pub(crate) order: u64,
    /// How long to wait for providers that did not bid to say why
    #[arg(long, default_value = "3s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Duration,
}
