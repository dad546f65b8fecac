//! Bids scored per second and core, luck included. Time on the core is counted, so that a busy machine does not matter.

use std::hint::black_box;
use std::time::Duration;

use alloy::primitives::{B256, U256, keccak256};
use anyhow::Result;
use iono_matching::{Bid, Terms, Weights, select};
use iono_primitives::{Rate, Region};

use crate::figure::Figure;
use crate::stats::{median, thread_time};

/// Bids per run; more than fit the first-level cache.
const BIDS: u32 = 100_000;
const RUNS: usize = 15;
/// Each part of the score counts.
pub(crate) const WEIGHTS: Weights = Weights {
    price: 3_500,
    region: 1_500,
    rating: 1_000,
    availability: 500,
    slashes: 1_000,
    tier: 1_000,
    stake: 1_000,
    random: 500,
    stake_cap: 100_000,
};

/// Measures on the thread that calls.
pub(crate) fn measure() -> Result<Vec<Figure>> {
    let terms = Terms { weights: WEIGHTS, max_rate: Rate(1 << 70), region: Region(0x0503) };
    let bids: Vec<Bid> = (1..=BIDS).map(|id| bid(id, (u128::from(id) << 50) % terms.max_rate.0)).collect();

    let mut rates = Vec::new();
    for run in 0..RUNS {
        let seed = keccak256(run.to_be_bytes());
        let start = thread_time()?;
        black_box(select(&terms, black_box(&bids), black_box(&seed)));
        let spent = thread_time()?.saturating_sub(start).max(Duration::from_nanos(1));
        rates.push((f64::from(BIDS) / spent.as_secs_f64()).round());
    }
    let what = "bids scored per second and core";
    let figure = Figure::new("bids_scored_per_second_and_core", what, median(&rates), "bids/s");
    Ok(vec![figure.at_least(1_000_000.0).runs(&rates)])
}

/// A bid whose profile is noise.
pub(crate) fn bid(provider: u32, rate: u128) -> Bid {
    let noise = U256::from_be_bytes(B256::from(keccak256(provider.to_be_bytes())).0);
    let profile = noise >> 32 << 32 | U256::from(provider);
    Bid::pack(profile, 0, rate)
}
