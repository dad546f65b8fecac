//! Prices seen in recent bids, in dollars an hour: per coarse unit of capacity, and per GPU by model.

use std::collections::{BTreeMap, HashMap};

use iono_bindings::{BidWord, IOrderBook};
use iono_primitives::{Rate, Resources};
use serde::Serialize;

use crate::chain::Chain;
use crate::error::Result;
use crate::token::Tokens;

/// Most bids that are looked at, the newest ones.
const MAX_BIDS: usize = 5_000;
/// 1e-8 dollars of a dollar, the scale of governed prices.
const PRICE_SCALE: f64 = 1e8;

/// What a class of resources cost in bids, in dollars an hour. For showing: money itself is counted in integers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Range {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
    /// How many bids it stands on.
    pub(crate) bids: usize,
}

impl Range {
    fn of(mut seen: Vec<f64>) -> Option<Self> {
        seen.sort_by(f64::total_cmp);
        let (low, high) = (*seen.first()?, *seen.last()?);
        let middle = seen.len() / 2;
        let median = if seen.len() % 2 == 1 { seen[middle] } else { (seen[middle - 1] + seen[middle]) / 2.0 };
        Some(Self { low, median, high, bids: seen.len() })
    }

    /// For so many of the class.
    pub(crate) fn times(self, count: f64) -> Self {
        Self { low: self.low * count, median: self.median * count, high: self.high * count, bids: self.bids }
    }
}

/// Recent prices by class: `unit`, or a GPU's model (`gpu` where the order named none).
#[derive(Debug, Clone, Default, Serialize)]
#[serde(transparent)]
pub(crate) struct Prices(pub(crate) BTreeMap<String, Range>);

/// The class that resources are priced in, and how many of it they are: GPUs outweigh what comes with them.
pub(crate) fn class(resources: &Resources) -> (String, u32) {
    if resources.gpus == 0 {
        return ("unit".to_owned(), resources.units());
    }
    let model = resources.gpu_model.as_str();
    (if model.is_empty() { "gpu".to_owned() } else { model.to_owned() }, u32::from(resources.gpus))
}

impl Prices {
    /// Reads the bids of the newest `blocks` blocks.
    pub(crate) async fn recent(chain: &Chain, tokens: &Tokens, blocks: u64) -> Result<Self> {
        let head = chain.block_number().await?;
        let from = head.saturating_sub(blocks).max(chain.book.start_block);
        let none = [None, None, None];
        let (orders, bids) = tokio::try_join!(
            chain.events::<IOrderBook::OrderCreated>(chain.book.order_book, none, from),
            chain.events::<IOrderBook::BidPlaced>(chain.book.order_book, none, from),
        )?;
        let orders: HashMap<_, _> = orders
            .into_iter()
            .filter_map(|(event, _)| {
                let token = iono_bindings::OrderWords::read([event.word0, event.word1]).token;
                Some((event.order, (Resources::from_word(event.spec.resources)?, token)))
            })
            .collect();
        let mut seen: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for (event, _) in bids.iter().rev().take(MAX_BIDS) {
            let Some((resources, token)) = orders.get(&event.order) else { continue };
            let Ok(token) = tokens.by_id(*token) else { continue };
            let (class, count) = class(resources);
            let rate = BidWord::read([event.bid]).rate();
            seen.entry(class).or_default().push(dollars(rate, token.price) / f64::from(count));
        }
        Ok(Self(seen.into_iter().filter_map(|(class, seen)| Some((class, Range::of(seen)?))).collect()))
    }

    /// What such resources cost in recent bids.
    pub(crate) fn of(&self, resources: &Resources) -> Option<Range> {
        let (class, count) = class(resources);
        self.0.get(&class).map(|range| range.times(f64::from(count)))
    }
}

/// A rate in dollars an hour by the token's governed price; for showing.
pub(crate) fn dollars(rate: Rate, price: u128) -> f64 {
    rate.0 as f64 / 1e18 * 3_600.0 * (price as f64 / PRICE_SCALE)
}

/// Dollars for people: enough digits for cheap things.
pub(crate) fn show(dollars: f64) -> String {
    if dollars >= 1.0 { format!("${dollars:.2}") } else { format!("${dollars:.4}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_have_a_median() {
        assert_eq!(Range::of(vec![]), None);
        assert_eq!(Range::of(vec![3.0, 1.0, 2.0]), Some(Range { low: 1.0, median: 2.0, high: 3.0, bids: 3 }));
        assert_eq!(Range::of(vec![4.0, 2.0]).unwrap().median, 3.0);
    }

    #[test]
    fn rates_become_dollars() {
        let cent = Rate::from_hourly("0.01").unwrap();
        assert_eq!(show(dollars(cent, 100_000_000)), "$0.0100");
        assert_eq!(show(dollars(cent, 50_000_000_000)), "$5.00");
    }

    #[test]
    fn gpus_are_a_class_of_their_own() {
        let small = Resources { cpu: 3_500, ..Resources::default() };
        assert_eq!(class(&small), ("unit".to_owned(), 4));
        let gpu = Resources { gpus: 2, gpu_model: "h100".parse().unwrap(), ..small };
        assert_eq!(class(&gpu), ("h100".to_owned(), 2));
    }
}
