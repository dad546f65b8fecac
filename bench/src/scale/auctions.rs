//! Orders for which each of ten thousand providers bids, as the order book would have them when bidding closes.

use iono_bindings::OrderWords;
use iono_matching::{Bid, BidTable, Terms};
use iono_primitives::{OrderId, Rate, Region};
use iono_quorum::ClosedOrder;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::{CLOSE_BLOCK, ERA};
use crate::matching::{WEIGHTS, bid};

/// Providers that bid for each order.
pub(super) const PROVIDERS: u32 = 10_000;
/// 1e-18 tokens a second, as everybody pays at most.
const MAX_RATE: u128 = 1 << 70;

/// So many orders of one closing block; the same in each run.
pub(super) fn closed(count: u64) -> Vec<ClosedOrder> {
    let mut rng = StdRng::seed_from_u64(count);
    let profiles: Vec<Bid> = (1..=PROVIDERS).map(|provider| bid(provider, 0)).collect();
    let terms = Terms { weights: WEIGHTS, max_rate: Rate(MAX_RATE), region: Region(0x0503) };
    (1..=count)
        .map(|order| {
            let mut table = BidTable::new(order, terms);
            for profile in &profiles {
                table.place(Bid::pack(profile.0, 0, rng.random_range(1..MAX_RATE)));
            }
            let words = OrderWords {
                close_block: CLOSE_BLOCK,
                set_era: ERA,
                region: terms.region.0,
                max_rate: MAX_RATE,
                occupancy: table.occupancy(),
                ..OrderWords::default()
            };
            let bids = table.bids().copied().collect();
            ClosedOrder { order: OrderId(order), words: words.words(), weights: WEIGHTS, bids }
        })
        .collect()
}
