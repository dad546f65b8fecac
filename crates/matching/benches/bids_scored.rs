//! Bids scored per second on one core, random term included: the engine must do a million.
#![allow(missing_docs)]

use std::hint::black_box;

use alloy::primitives::{B256, U256};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use iono_matching::{Bid, Terms, Weights, select};
use iono_primitives::{Rate, Region};

const BIDS: u64 = 100_000;

fn bids_scored(criterion: &mut Criterion) {
    let weights = Weights {
        price: 4_000,
        region: 1_000,
        rating: 1_500,
        availability: 1_000,
        slashes: 500,
        tier: 1_000,
        stake: 500,
        random: 500,
        stake_cap: 10_000,
    };
    let terms = Terms { weights, max_rate: Rate(1 << 70), region: Region(0x0503) };
    let seed = B256::repeat_byte(42);
    let bids: Vec<Bid> = (1..=BIDS)
        .map(|id| {
            let noise = alloy::primitives::keccak256(id.to_be_bytes());
            let profile = (U256::from_be_bytes(noise.0) >> 32 << 32) | U256::from(id);
            Bid::pack(profile, 0, (u128::from(id) << 50) % terms.max_rate.0)
        })
        .collect();
    let mut group = criterion.benchmark_group("matching");
    group.throughput(Throughput::Elements(BIDS));
    group.bench_function("bids_scored", |bencher| bencher.iter(|| select(&terms, black_box(&bids), &seed)));
    group.finish();
}

criterion_group!(benches, bids_scored);
criterion_main!(benches);
