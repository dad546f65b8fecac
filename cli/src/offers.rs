//! What providers say of themselves (`GET /v1/provider`): exact free capacity and price lists. Answers are strangers'
//! words: what is no number or no model is left out.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use iono_lease_api::{Capacity, GpuCount, PriceList, ProviderInfo};
use iono_primitives::money::parse_decimal;
use iono_primitives::{GpuModel, Resources};
use serde_json::{Value, json};

use crate::chain::Chain;
use crate::prices::{label, show};
use crate::providers::Provider;
use crate::remote;

/// Most lines of a provider's list of GPUs that are looked at.
const MAX_MODELS: usize = 64;
/// Digits of a list's prices that are read.
const PRICE_DECIMALS: u8 = 18;

/// What each provider answered, or why it did not, by its number.
pub(crate) type Offers = BTreeMap<u32, Result<Offer, String>>;

/// A provider's answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Offer {
    free: Capacity,
    /// Free and offered GPUs by model.
    pub(crate) gpus: BTreeMap<GpuModel, (u32, u32)>,
    /// Its prices, where it publishes them.
    pub(crate) prices: Option<List>,
}

/// Dollars an hour, for showing: money itself is counted in integers.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct List {
    pub(crate) core: f64,
    pub(crate) memory_gib: f64,
    /// Absent where it has no price for its disk.
    pub(crate) storage_gib: Option<f64>,
    pub(crate) gpus: BTreeMap<GpuModel, f64>,
}

/// Asks providers, many at a time and none for longer than `timeout`.
pub(crate) async fn ask<'p>(
    chain: &Chain,
    providers: impl IntoIterator<Item = &'p Provider>,
    timeout: Duration,
) -> Offers {
    let asked = stream::iter(providers).map(|provider| async move {
        let answer = remote::ask(chain, provider, timeout, async |client| client.provider().await).await;
        (provider.id, answer.map(|info| Offer::read(&info)))
    });
    asked.buffer_unordered(remote::PARALLEL).collect().await
}

impl Offer {
    fn read(info: &ProviderInfo) -> Self {
        let mut gpus: BTreeMap<GpuModel, (u32, u32)> = BTreeMap::new();
        for (model, count) in models(&info.capacity.gpus) {
            let total = &mut gpus.entry(model).or_default().1;
            *total = total.saturating_add(count);
        }
        for (model, count) in models(&info.free.gpus) {
            let free = &mut gpus.entry(model).or_default().0;
            *free = free.saturating_add(count);
        }
        Self { free: info.free.clone(), gpus, prices: info.prices.as_ref().and_then(List::read) }
    }

    /// Whether it offers GPUs of this kind, free or not.
    pub(crate) fn has(&self, wanted: &GpuModel) -> bool {
        self.gpus.keys().any(|model| model.satisfies(wanted))
    }

    /// What such resources cost by its list, in dollars an hour; `None` when it has no room, or no price for something.
    /// Without its prices for ports and its minimum, which are not in the list.
    pub(crate) fn estimate(&self, wanted: &Resources) -> Option<f64> {
        let free = &self.free;
        let fits = free.cpu_millicores >= u64::from(wanted.cpu)
            && free.memory_mib >= u64::from(wanted.memory)
            && free.storage_mib >= u64::from(wanted.storage);
        let list = self.prices.as_ref().filter(|_| fits)?;
        let gpus = if wanted.gpus == 0 { 0.0 } else { self.cheapest(wanted)? * f64::from(wanted.gpus) };
        Some(
            list.core * f64::from(wanted.cpu) / 1_000.0
                + list.memory_gib * f64::from(wanted.memory) / 1_024.0
                + list.storage_gib? * f64::from(wanted.storage) / 1_024.0
                + gpus,
        )
    }

    /// The price of one GPU of the cheapest fitting model of which enough are free.
    fn cheapest(&self, wanted: &Resources) -> Option<f64> {
        let list = self.prices.as_ref()?;
        let fitting = self.gpus.iter().filter(|(model, (free, _))| {
            *free >= u32::from(wanted.gpus) && model.satisfies(&wanted.gpu_model)
        });
        fitting.filter_map(|(model, _)| list.gpu(model)).min_by(f64::total_cmp)
    }

    /// GPUs for people: `2/4 h100-sxm-80gi, 1/1 rtx4090-24gi`.
    pub(crate) fn gpus_shown(&self) -> String {
        let parts = self.gpus.iter().map(|(model, (free, total))| format!("{free}/{total} {}", label(model)));
        let parts: Vec<String> = parts.collect();
        if parts.is_empty() { "–".to_owned() } else { parts.join(", ") }
    }

    /// The answer, for `--json`.
    pub(crate) fn json(&self) -> Value {
        let gpus: Vec<Value> = self
            .gpus
            .iter()
            .map(|(model, (free, total))| json!({ "model": model, "free": free, "total": total }))
            .collect();
        json!({
            "free": {
                "cpu_millicores": self.free.cpu_millicores,
                "memory_mib": self.free.memory_mib,
                "storage_mib": self.free.storage_mib,
            },
            "gpus": gpus,
            "dollars_per_hour": self.prices.as_ref().map(List::json),
        })
    }
}

impl List {
    fn read(list: &PriceList) -> Option<Self> {
        let gpus = list.gpus.iter().take(MAX_MODELS);
        Some(Self {
            core: dollars(&list.core)?,
            memory_gib: dollars(&list.memory_gib)?,
            storage_gib: dollars(&list.storage_gib),
            gpus: gpus.filter_map(|(model, price)| Some((model.parse().ok()?, dollars(price)?))).collect(),
        })
    }

    /// The line that fits a model best, as the provider reads its list: `a100` covers `a100-sxm-80gi` unless that has
    /// a line of its own.
    fn gpu(&self, model: &GpuModel) -> Option<f64> {
        let lines = self.gpus.iter().filter(|(line, _)| **line != GpuModel::ANY && model.satisfies(line));
        lines.max_by_key(|(line, _)| line.as_str().len()).map(|(_, price)| *price)
    }

    /// Core, GiB of memory, GiB of disk, GPUs: the columns of the market's table.
    pub(crate) fn columns(&self) -> [String; 4] {
        let gpus: Vec<String> =
            self.gpus.iter().map(|(model, price)| format!("{} {}", label(model), show(*price))).collect();
        let disk = self.storage_gib.map_or_else(|| "–".to_owned(), show);
        let gpus = if gpus.is_empty() { "–".to_owned() } else { gpus.join(", ") };
        [show(self.core), show(self.memory_gib), disk, gpus]
    }

    fn json(&self) -> Value {
        json!({
            "core": self.core, "memory_gib": self.memory_gib, "storage_gib": self.storage_gib, "gpus": self.gpus,
        })
    }
}

fn models(counts: &[GpuCount]) -> impl Iterator<Item = (GpuModel, u32)> {
    counts.iter().take(MAX_MODELS).filter_map(|gpu| Some((gpu.model.parse().ok()?, gpu.count)))
}

/// A price in dollars; `None` for what is no decimal number.
fn dollars(text: &str) -> Option<f64> {
    parse_decimal(text, PRICE_DECIMALS).ok()?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use alloy::primitives::Address;
    use iono_primitives::ProviderId;

    use super::*;

    fn model(text: &str) -> GpuModel {
        text.parse().unwrap()
    }

    fn gpu(model: &str, count: u32) -> GpuCount {
        GpuCount { model: model.into(), count }
    }

    fn info() -> ProviderInfo {
        let capacity = Capacity {
            cpu_millicores: 16_000,
            memory_mib: 65_536,
            storage_mib: 1 << 20,
            gpus: vec![gpu("h100-sxm-80gi", 4), gpu("rtx4090-24gi", 2), gpu("no model, this one", 9)],
        };
        let free =
            Capacity { gpus: vec![gpu("h100-sxm-80gi", 1), gpu("rtx4090-24gi", 2)], ..capacity.clone() };
        ProviderInfo {
            provider: ProviderId(1),
            software: "test".into(),
            api: 1,
            chain_id: 1,
            lease_access: Address::ZERO,
            region: "local".into(),
            draining: false,
            capacity,
            free,
            prices: Some(PriceList {
                core: "0.01".into(),
                memory_gib: "0.002".into(),
                storage_gib: "0.0001".into(),
                gpus: [("h100", "1.99"), ("rtx4090", "0.35"), ("rtx4090-24gi", "0.4"), ("a100", "cheap")]
                    .map(|(model, price)| (model.into(), price.into()))
                    .into(),
            }),
        }
    }

    #[test]
    fn models_are_found_by_the_name_that_people_use() {
        let offer = Offer::read(&info());
        assert_eq!(offer.gpus_shown(), "1/4 h100-sxm-80gi, 2/2 rtx4090-24gi");
        assert!(offer.has(&model("h100")) && offer.has(&model("h100-80gi")) && offer.has(&GpuModel::ANY));
        assert!(!offer.has(&model("h100-pcie")) && !offer.has(&model("a100")));
    }

    #[test]
    fn estimates_are_the_lists_sum() {
        let offer = Offer::read(&info());
        let plain = Resources { cpu: 1_500, memory: 2_048, storage: 10_240, ..Resources::default() };
        let near = |found: Option<f64>, wanted: f64| (found.unwrap() - wanted).abs() < 1e-9;
        assert!(near(offer.estimate(&plain), 0.015 + 0.004 + 0.001));
        let with = |gpus: u8, name: &str| Resources { gpus, gpu_model: model(name), ..plain };
        assert!(near(offer.estimate(&with(1, "h100")), 0.02 + 1.99));
        // The longest line that fits, and the cheapest model where any will do.
        assert!(near(offer.estimate(&with(2, "rtx4090")), 0.02 + 0.8));
        assert!(near(offer.estimate(&with(1, "")), 0.02 + 0.4));
        assert_eq!(offer.estimate(&with(2, "h100")), None, "one is free");
        assert_eq!(offer.estimate(&Resources { cpu: 17_000, ..plain }), None);
        let silent = Offer { prices: None, ..offer };
        assert_eq!(silent.estimate(&plain), None);
    }

    #[test]
    fn strangers_numbers_are_read_with_care() {
        for text in ["", "-1", "1e400", "NaN", "inf", "1,5", "0x1"] {
            assert_eq!(dollars(text), None, "{text}");
        }
        assert_eq!(dollars("0.025"), Some(0.025));
        let mut odd = info();
        odd.prices = Some(PriceList { core: "free".into(), ..odd.prices.unwrap() });
        assert_eq!(Offer::read(&odd).prices, None);
    }
}
