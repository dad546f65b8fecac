//! Who of the registered providers could take an order, and what keeps the others from it, by what the chain knows.

use std::collections::BTreeMap;

use iono_bindings::OrderWords;
use iono_matching::eligibility::why_not_any;
use iono_primitives::GpuModel;
use serde_json::{Value, json};

use crate::providers::Provider;

/// The registered providers, counted.
#[derive(Debug)]
pub(crate) struct Census<'p> {
    /// Those that could bid.
    pub(crate) eligible: Vec<&'p Provider>,
    registered: usize,
    /// Eligible and registered ones by trust tier.
    tiers: BTreeMap<u8, (u32, u32)>,
    /// How many do not fit, by what they lack first.
    lacking: BTreeMap<&'static str, u32>,
}

impl<'p> Census<'p> {
    /// Counts who could bid for an order on GPUs of this model, if it has any.
    pub(crate) fn take(all: &'p [Provider], order: &OrderWords, listed: &[u32], gpu: &GpuModel) -> Self {
        let mut census = Self {
            eligible: Vec::new(),
            registered: all.len(),
            tiers: BTreeMap::new(),
            lacking: BTreeMap::new(),
        };
        for provider in all {
            let tier = census.tiers.entry(provider.profile.trust_tier).or_default();
            tier.1 += 1;
            let lacking = match why_not_any(order, listed, &provider.profile) {
                Some(why) => Some(why.dimension()),
                // The chain counts GPUs alone; which they are is in the provider's record.
                None => (order.gpus > 0 && !provider.may_have(gpu)).then_some("gpu_model"),
            };
            match lacking {
                Some(lacking) => *census.lacking.entry(lacking).or_default() += 1,
                None => {
                    tier.0 += 1;
                    census.eligible.push(provider);
                }
            }
        }
        census
    }

    /// In a sentence: `2 of 5 registered could take it (tier 7: 2 of 5); lacking: trust_tier 3`.
    pub(crate) fn words(&self) -> String {
        let tiers = self.tiers.iter().map(|(tier, (fit, all))| format!("tier {tier}: {fit} of {all}"));
        let tiers: Vec<String> = tiers.collect();
        let mut text = format!("{} of {} registered could take it", self.eligible.len(), self.registered);
        if !tiers.is_empty() {
            text.push_str(&format!(" ({})", tiers.join(", ")));
        }
        if !self.lacking.is_empty() {
            let lacking: Vec<String> =
                self.lacking.iter().map(|(what, count)| format!("{what} {count}")).collect();
            text.push_str(&format!("; others lack: {}", lacking.join(", ")));
        }
        text
    }

    /// For `--json`.
    pub(crate) fn json(&self) -> Value {
        let tiers: Vec<Value> = self
            .tiers
            .iter()
            .map(|(tier, (fit, all))| json!({ "tier": tier, "eligible": fit, "registered": all }))
            .collect();
        json!({
            "registered": self.registered,
            "eligible": self.eligible.len(),
            "by_tier": tiers,
            "lacking": self.lacking,
        })
    }
}
