//! Random orders with their bids are placed and resolved by the order book's own code and by this crate: every slot, winner
//! and score must agree.

use alloy::primitives::{B256, U256, keccak256};
use iono_matching::{Bid, BidTable, Placed, Terms, Weights};
use iono_primitives::{Rate, Region};
use rand::Rng;
use rand::rngs::StdRng;

use crate::{replay, skewed};

/// Flags of a profile that may bid: active, staked, offers its own machines and is a gateway.
const MAY_BID: u64 = 1 | 2 | 16 | 32;

/// Weights as governance may set them, and now and then any bits at all.
fn weights(random: &mut StdRng) -> U256 {
    if random.random_ratio(1, 16) {
        return U256::from_limbs(random.random());
    }
    let mut left = 9_500_u64;
    let mut word = U256::ZERO;
    for index in 0..6 {
        let weight = random.random_range(0..=left);
        left -= weight;
        word |= U256::from(weight) << (16 * index);
    }
    word | U256::from(left) << 96 | U256::from(500) << 112 | U256::from(skewed(random, 32)) << 128
}

/// Writes one order's record and what must come of it.
fn record(order: u64, random: &mut StdRng, file: &mut Vec<u8>) {
    let mut put = |word: U256| file.extend(word.to_be_bytes::<32>());
    let weights = weights(random);
    let seed = B256::from(random.random::<[u8; 32]>());
    let max_rate = skewed(random, 80).max(1);
    let region = skewed(random, 16) as u16;
    let terms =
        Terms { weights: Weights::from_word(weights), max_rate: Rate(max_rate), region: Region(region) };
    let (close_block, open, both_modes) = (U256::from(100), U256::from(1), U256::from(3));
    put(weights);
    put(U256::from_be_bytes(seed.0));
    // Every order has a policy version of its own, as versions never change.
    let policy = U256::from(order);
    put(close_block << 64 | open << 136 | policy << 144 | U256::from(region) << 192 | both_modes << 226);
    put(U256::from(max_rate));
    // Mostly a handful of bids, sometimes a crowd that fights for slots.
    let bids =
        if random.random_ratio(1, 50) { random.random_range(64..160) } else { random.random_range(1..8) };
    let providers = if random.random_ratio(1, 4) { 8 } else { u32::MAX };
    put(U256::from(bids));
    let mut table = BidTable::new(order, terms);
    for _ in 0..bids {
        let mut profile = U256::from(random.random_range(1..=providers));
        for (offset, width) in [(32, 4), (36, 10), (46, 8), (54, 24), (78, 8), (86, 16), (102, 24)] {
            profile |= U256::from(skewed(random, width)) << offset;
        }
        if random.random_ratio(1, 3) {
            let area = (U256::from(region >> 8) << 94) | (U256::from(random.random::<u8>() & 3) << 86);
            let mask: U256 = U256::from(0xffff) << 86;
            profile = (profile & !mask) | area;
        }
        let (rate, fizz) = ((skewed(random, 80) % max_rate).max(1), skewed(random, 32) as u32);
        put(profile | U256::from(1) << 186 | U256::from(MAY_BID) << 234);
        put(U256::from(rate) << 32 | U256::from(fizz));
        put(U256::from(match table.place(Bid::pack(profile, fizz, rate)) {
            Placed::New => 0,
            Placed::Replaced(_) => 1,
            Placed::Outbid(_) => 2,
        }));
    }
    let (winner, scored) = table.winner(&seed).unwrap();
    put(winner.0);
    put(U256::from(scored.score));
    let stored: Vec<u8> = table.bids().flat_map(|bid| bid.0.to_be_bytes::<32>()).collect();
    put(U256::from_be_bytes(keccak256(stored).0));
}

#[test]
fn orders_and_bids_resolve_alike() {
    replay("Replay.t.sol", 40, 2_500, record);
}
