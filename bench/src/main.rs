//! `make bench`: measures what the project promises, prints each figure beside its bound and writes
//! `bench/results.json`. Machines differ, so times are compared with something that runs in turns on the same machine.
//! Ends with 1 when a bound is missed. See `docs/bench.md`.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod backfill;
mod cluster;
mod figure;
mod gas;
mod matching;
mod memory;
mod quorum_gas;
mod scale;
mod shares;
mod stats;
mod tls;
mod tunnel;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};

/// Measures what the project promises.
#[derive(Debug, Parser)]
struct Args {
    /// What to measure; everything unless something is named.
    part: Vec<Part>,
    /// Where the results go; `bench/results.json` unless told otherwise.
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Bids scored per second and core.
    Matching,
    /// Verifying and aggregating shares of a quorum.
    Shares,
    /// Gas of each transaction.
    Gas,
    /// Gas of matching by a quorum.
    QuorumGas,
    /// Time, messages, bytes and gas of matching as orders and operators grow.
    Scale,
    /// Back-fill against raw `eth_getLogs`.
    Backfill,
    /// Requests over mTLS against the same without.
    Tls,
    /// Resident memory of the daemons without leases and with 200.
    Memory,
    /// Requests, CPU time and memory of a lease on a cluster, of 50 and of 200.
    Cluster,
    /// The tunnel against rathole, through a laboratory's lines.
    Tunnel,
    /// Both again until they are reached after a restart, another address and a pulled cable.
    TunnelOutages,
    /// What idle light nodes cost both; and two thousand of ours.
    TunnelIdle,
}

impl Part {
    async fn measure(self) -> Result<Vec<figure::Figure>> {
        match self {
            Self::Matching => matching::measure(),
            Self::Shares => shares::measure().await,
            Self::Gas => gas::measure().await,
            Self::QuorumGas => quorum_gas::measure().await,
            Self::Scale => scale::measure().await,
            Self::Backfill => backfill::measure().await,
            Self::Tls => tls::measure().await,
            Self::Memory => memory::measure().await,
            Self::Cluster => cluster::measure().await,
            Self::Tunnel => tunnel::lines().await,
            Self::TunnelOutages => tunnel::outages().await,
            Self::TunnelIdle => tunnel::idle().await,
        }
    }
}

#[tokio::main]
#[allow(clippy::print_stdout, clippy::print_stderr)] // the table is the result; progress is prose
async fn main() -> Result<ExitCode> {
    if cluster::is_apart().await? || tunnel::is_apart().await? {
        return Ok(ExitCode::SUCCESS);
    }
    let args = Args::parse();
    let parts = if args.part.is_empty() { Part::value_variants().to_vec() } else { args.part };
    let out = match args.out {
        Some(out) => out,
        None => iono_testkit::repo_root()?.join("bench/results.json"),
    };
    let mut report = figure::Report::default();
    for part in parts {
        eprintln!(
            "measuring: {}",
            part.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
        );
        report.extend(part.measure().await.with_context(|| format!("{part:?}"))?);
        // What was measured outlives an interruption of the parts that follow.
        report.write(&out)?;
    }
    println!("{}", report.table());
    eprintln!("written to {}", out.display());
    let missed = report.missed();
    if missed.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("missed: {}", missed.join(", "));
    Ok(ExitCode::FAILURE)
}
