//! Prices seen in recent bids, in dollars an hour: per coarse unit of capacity, and per GPU. A bid for a narrower model
//! (`h100-sxm-80gi`) counts for every wider one that it satisfies (`h100`).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use iono_bindings::{BidWord, IOrderBook};
use iono_primitives::{GpuModel, Rate, Resources};
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
    /// How many bids, or price lists, it stands on.
    #[serde(rename = "bids")]
    pub(crate) count: usize,
}

impl Range {
    pub(crate) fn of(mut seen: Vec<f64>) -> Option<Self> {
        seen.sort_by(f64::total_cmp);
        let (low, high) = (*seen.first()?, *seen.last()?);
        let middle = seen.len() / 2;
        let median = if seen.len() % 2 == 1 { seen[middle] } else { (seen[middle - 1] + seen[middle]) / 2.0 };
        Some(Self { low, median, high, count: seen.len() })
    }

    /// For so many of the class.
    pub(crate) fn times(self, factor: f64) -> Self {
        Self { low: self.low * factor, median: self.median * factor, high: self.high * factor, ..self }
    }
}

/// Dollars an hour of recent bids.
#[derive(Debug, Clone, Default)]
pub(crate) struct Prices {
    /// Of one unit, for orders without GPUs.
    units: Vec<f64>,
    /// Of one GPU with what comes with it, by the model that was ordered.
    gpus: Vec<(GpuModel, f64)>,
}

/// A GPU's model in tables and documents: `gpu` where none is named.
pub(crate) fn label(model: &GpuModel) -> &str {
    if *model == GpuModel::ANY { "gpu" } else { model.as_str() }
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
        let mut seen = Self::default();
        for (event, _) in bids.iter().rev().take(MAX_BIDS) {
            let Some((resources, token)) = orders.get(&event.order) else { continue };
            let Ok(token) = tokens.by_id(*token) else { continue };
            let rate = BidWord::read([event.bid]).rate();
            seen.add(resources, dollars(rate, token.price));
        }
        Ok(seen)
    }

    /// GPUs outweigh what comes with them.
    fn add(&mut self, resources: &Resources, hourly: f64) {
        if resources.gpus == 0 {
            self.units.push(hourly / f64::from(resources.units()));
        } else {
            self.gpus.push((resources.gpu_model, hourly / f64::from(resources.gpus)));
        }
    }

    /// What such resources cost in recent bids.
    pub(crate) fn of(&self, resources: &Resources) -> Option<Range> {
        if resources.gpus == 0 {
            return Some(Range::of(self.units.clone())?.times(f64::from(resources.units())));
        }
        let wanted = resources.gpu_model;
        // Where nobody asked for this very kind, the wider name that it goes by.
        let range = self.gpu(|seen| seen.satisfies(&wanted)).or_else(|| {
            self.gpu(|seen| *seen != GpuModel::ANY && wanted != GpuModel::ANY && wanted.satisfies(seen))
        });
        Some(range?.times(f64::from(resources.gpus)))
    }

    /// By class: `unit`, and each GPU model that was ordered, with all bids that satisfy it.
    pub(crate) fn classes(&self) -> BTreeMap<String, Range> {
        let models: BTreeSet<GpuModel> = self.gpus.iter().map(|(model, _)| *model).collect();
        let gpus =
            models.iter().map(|model| (label(model).to_owned(), self.gpu(|seen| seen.satisfies(model))));
        let units = std::iter::once(("unit".to_owned(), Range::of(self.units.clone())));
        units.chain(gpus).filter_map(|(class, range)| Some((class, range?))).collect()
    }

    fn gpu(&self, counts: impl Fn(&GpuModel) -> bool) -> Option<Range> {
        let seen = self.gpus.iter().filter(|(model, _)| counts(model)).map(|(_, price)| *price);
        Range::of(seen.collect())
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
        assert_eq!(
            Range::of(vec![3.0, 1.0, 2.0]),
            Some(Range { low: 1.0, median: 2.0, high: 3.0, count: 3 })
        );
        assert_eq!(Range::of(vec![4.0, 2.0]).unwrap().median, 3.0);
    }

    #[test]
    fn rates_become_dollars() {
        let cent = Rate::from_hourly("0.01").unwrap();
        assert_eq!(show(dollars(cent, 100_000_000)), "$0.0100");
        assert_eq!(show(dollars(cent, 50_000_000_000)), "$5.00");
    }

    #[test]
    fn gpus_are_classes_that_contain_each_other() {
        let small = Resources { cpu: 3_500, ..Resources::default() };
        let with = |gpus: u8, model: &str| Resources { gpus, gpu_model: model.parse().unwrap(), ..small };
        let mut prices = Prices::default();
        assert!(prices.of(&small).is_none() && prices.of(&with(1, "h100")).is_none());
        prices.add(&small, 0.4);
        prices.add(&with(2, "h100-sxm-80gi"), 5.0);
        prices.add(&with(1, "h100"), 1.5);
        prices.add(&with(1, "rtx4090-24gi"), 0.3);
        prices.add(&with(1, ""), 0.2);

        let classes = prices.classes();
        let names: Vec<&str> = classes.keys().map(String::as_str).collect();
        assert_eq!(names, ["gpu", "h100", "h100-sxm-80gi", "rtx4090-24gi", "unit"]);
        assert_eq!((classes["h100"].low, classes["h100"].high, classes["h100"].count), (1.5, 2.5, 2));
        assert_eq!((classes["h100-sxm-80gi"].median, classes["gpu"].count), (2.5, 4));
        assert_eq!(classes["unit"].median, 0.1, "four units");

        let high = |gpus: u8, model: &str| prices.of(&with(gpus, model)).map(|range| range.high);
        assert_eq!((high(2, "h100"), high(1, "rtx4090")), (Some(5.0), Some(0.3)));
        // Nobody asked for PCIe: what was bid for any H100 is the nearest. Any GPU is not near to this one.
        assert_eq!((high(1, "h100-pcie"), high(1, "a100")), (Some(1.5), None));
    }
}
