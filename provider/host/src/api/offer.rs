//! What is public: the offer, the prices, and why there was no bid for an order.

use std::collections::BTreeMap;

use iono_bindings::words::profile_flags;
use iono_lease_api::{BidAnswer, BidDecision, Capacity, GpuCount, NoBidReason, PriceList, ProviderInfo};
use iono_primitives::{OrderId, StorageClass};

use crate::capacity::Gpu;
use crate::config::Config;
use crate::market::tracked::{BidStage, Outcome, Tracked};
use crate::node::Node;
use crate::verdict::decide::Verdict;
use crate::verdict::reason::Reason;

/// The version of the lease API.
const API: u16 = 1;

/// The offer and the state of this provider.
#[must_use]
pub fn provider_info(node: &Node) -> ProviderInfo {
    let (config, view, offer) = (node.config(), node.view(), node.offer());
    let free = node.free(&node.book(), None);
    ProviderInfo {
        provider: node.me.provider,
        software: concat!("ionosphere/", env!("CARGO_PKG_VERSION")).to_owned(),
        api: API,
        chain_id: node.reader.book().chain_id,
        lease_access: node.reader.book().lease_access,
        region: config.public.region.to_string(),
        draining: view.profile.flags & profile_flags::DRAINING != 0 || !config.bidding.enabled,
        capacity: capacity(offer.cpu, offer.memory, offer.storage, &offer.gpus),
        free: capacity(free.cpu, free.memory, free.storage, &free.gpus),
        prices: price_list(&config, offer.storage_class),
    }
}

/// The owner's price table for a machine with such a disk. Where an expression or a script makes the prices there is
/// none: the table's would mislead.
#[must_use]
pub fn price_list(config: &Config, class: StorageClass) -> Option<PriceList> {
    let prices = &config.prices;
    let storage = match class {
        StorageClass::Any => prices.storage.values().max(),
        class => prices.storage.get(&class),
    };
    let gpus = prices.gpu.iter().map(|(model, price)| (model.as_str().to_owned(), price.to_string()));
    config.pricing.is_table().then(|| PriceList {
        core: prices.cpu.to_string(),
        memory_gib: prices.memory.to_string(),
        storage_gib: storage.map(ToString::to_string).unwrap_or_default(),
        gpus: gpus.collect(),
    })
}

fn capacity(cpu: u64, memory: u64, storage: u64, gpus: &[Gpu]) -> Capacity {
    let mut models: BTreeMap<&str, u32> = BTreeMap::new();
    for gpu in gpus {
        *models.entry(gpu.model.as_str()).or_default() += 1;
    }
    let gpus = models.into_iter().map(|(model, count)| GpuCount { model: model.to_owned(), count }).collect();
    Capacity { cpu_millicores: cpu, memory_mib: memory, storage_mib: storage, gpus }
}

/// What was decided about an order.
#[must_use]
pub fn bid_answer(order: OrderId, tracked: Option<&Tracked>) -> BidAnswer {
    let answer = |decision, rate: Option<String>, reasons: Vec<&Reason>| BidAnswer {
        order,
        decision,
        rate,
        reasons: reasons.into_iter().map(no_bid_reason).collect(),
    };
    let Some(tracked) = tracked else { return answer(BidDecision::Unknown, None, Vec::new()) };
    let lost = match &tracked.outcome {
        Outcome::Matched { lost, .. } => lost.as_ref(),
        Outcome::Lost { reason } => Some(reason),
        Outcome::Open | Outcome::Over { .. } => None,
    };
    match (&tracked.verdict, &tracked.bid) {
        (None, _) => answer(BidDecision::Pending, None, Vec::new()),
        (Some(Verdict::Decline { reason }), _) => answer(BidDecision::NoBid, None, vec![reason]),
        (Some(Verdict::Bid { rate }), BidStage::Gone { reason }) => {
            answer(BidDecision::NoBid, Some(rate.0.to_string()), vec![reason])
        }
        (Some(Verdict::Bid { rate }), _) => {
            answer(BidDecision::Bid, Some(rate.0.to_string()), lost.into_iter().collect())
        }
    }
}

fn no_bid_reason(reason: &Reason) -> NoBidReason {
    NoBidReason { dimension: reason.dimension.clone(), message: reason.message.clone() }
}
