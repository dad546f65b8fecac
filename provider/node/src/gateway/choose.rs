//! Which light nodes are asked for an order, in which order (SP-34): by how they did, what is delegated to the subnet, their
//! price, and what they have free. A pure function of what is handed to it.

use iono_host::market::order::LeaseSpec;
use iono_host::subnet::Offer;
use iono_primitives::FizzId;

use super::member::Record;

/// What each of the four counts.
struct Weights {
    record: f64,
    delegation: f64,
    price: f64,
    room: f64,
}

/// For orders that ask for no trust.
const PLAIN: Weights = Weights { record: 0.35, delegation: 0.15, price: 0.35, room: 0.15 };
/// For orders that ask for a trust tier.
const TRUSTING: Weights = Weights { record: 0.5, delegation: 0.35, price: 0.1, room: 0.05 };

/// A light node that may be asked.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) fizz: FizzId,
    pub(super) offer: Offer,
    pub(super) record: Record,
    /// Whole SPON that its owner delegated.
    pub(super) delegated: f64,
}

/// Those with room for `spec`, best first.
pub(super) fn rank(mut candidates: Vec<Candidate>, spec: &LeaseSpec, trust: bool) -> Vec<Candidate> {
    candidates.retain(|candidate| has_room(&candidate.offer, spec));
    let weights = if trust { TRUSTING } else { PLAIN };
    let most = |of: &dyn Fn(&Candidate) -> f64| candidates.iter().map(of).fold(0.0_f64, f64::max);
    let (delegated, cores) = (most(&|c| c.delegated), most(&|c| c.offer.cpu as f64));
    let cheapest = candidates.iter().filter_map(|c| price(&c.offer, spec)).fold(f64::INFINITY, f64::min);
    let part = |of: f64, all: f64| if all > 0.0 { of / all } else { 1.0 };
    let score = |candidate: &Candidate| {
        // One whose price is not known before it is asked counts as half as good as the cheapest.
        let price = price(&candidate.offer, spec).map_or(0.5, |price| part(cheapest, price));
        weights.record * reliability(candidate.record)
            + weights.delegation * part(candidate.delegated, delegated)
            + weights.price * price
            + weights.room * part(candidate.offer.cpu as f64, cores)
    };
    let mut scored: Vec<(f64, Candidate)> =
        candidates.iter().map(|candidate| (score(candidate), candidate.clone())).collect();
    scored.sort_by(|(a, one), (b, other)| b.total_cmp(a).then(one.fizz.cmp(&other.fizz)));
    scored.into_iter().map(|(_, candidate)| candidate).collect()
}

fn has_room(offer: &Offer, spec: &LeaseSpec) -> bool {
    let needs = &spec.resources;
    offer.away.is_none()
        && offer.cpu >= needs.cpu.into()
        && offer.memory >= needs.memory.into()
        && offer.storage >= needs.storage.into()
        && offer.gpus >= needs.gpus.into()
}

/// Of leases begun the part that was served without dropping off; a new node begins in the middle and earns its place.
fn reliability(record: Record) -> f64 {
    let (begun, dropped) = (f64::from(record.begun), f64::from(record.dropped));
    (begun + 1.0) / (begun + dropped + 2.0)
}

/// Dollars an hour by the node's table, without GPUs, whose models the node itself knows.
fn price(offer: &Offer, spec: &LeaseSpec) -> Option<f64> {
    let table = offer.prices.as_ref()?;
    let parse = |text: &String| text.parse::<f64>().ok().filter(|price| price.is_finite() && *price >= 0.0);
    let needs = &spec.resources;
    Some(
        parse(&table.core)? * f64::from(needs.cpu) / 1_000.0
            + parse(&table.memory_gib)? * f64::from(needs.memory) / 1_024.0
            + parse(&table.storage_gib).unwrap_or(0.0) * f64::from(needs.storage) / 1_024.0,
    )
}

#[cfg(test)]
mod tests {
    use alloy::primitives::B256;
    use iono_lease_api::PriceList;
    use iono_primitives::Resources;
    use proptest::prelude::*;

    use super::*;

    fn spec() -> LeaseSpec {
        LeaseSpec {
            resources: Resources { cpu: 1_000, memory: 1_024, ..Resources::default() },
            groups: Vec::new(),
            manifest_hash: B256::ZERO,
            providers: Vec::new(),
        }
    }

    fn candidate(fizz: u32, change: impl FnOnce(&mut Candidate)) -> Candidate {
        let prices = PriceList { core: "0.01".into(), memory_gib: "0.002".into(), ..PriceList::default() };
        let offer =
            Offer { cpu: 4_000, memory: 8_192, storage: 10_240, prices: Some(prices), ..Offer::default() };
        let mut candidate = Candidate {
            fizz: FizzId(fizz),
            offer,
            record: Record { begun: 10, dropped: 0 },
            delegated: 100.0,
        };
        change(&mut candidate);
        candidate
    }

    fn ranked(candidates: Vec<Candidate>, trust: bool) -> Vec<u32> {
        rank(candidates, &spec(), trust).into_iter().map(|candidate| candidate.fizz.0).collect()
    }

    #[test]
    fn each_of_the_four_makes_a_difference() {
        let dear = PriceList { core: "0.05".into(), memory_gib: "0.01".into(), ..PriceList::default() };
        type Change = Box<dyn Fn(&mut Candidate)>;
        let worse: [Change; 4] = [
            Box::new(|c| c.record.dropped = 8),
            Box::new(|c| c.delegated = 10.0),
            Box::new(move |c| c.offer.prices = Some(dear.clone())),
            Box::new(|c| c.offer.cpu = 1_000),
        ];
        for change in worse {
            assert_eq!(ranked(vec![candidate(1, |c| change(c)), candidate(2, |_| {})], false), [2, 1]);
        }
        assert_eq!(
            ranked(vec![candidate(2, |_| {}), candidate(1, |_| {})], false),
            [1, 2],
            "equals by number"
        );
    }

    #[test]
    fn who_asks_for_trust_pays_for_it() {
        let cheap = || {
            candidate(1, |c| {
                c.offer.prices = Some(PriceList {
                    core: "0.001".into(),
                    memory_gib: "0.0002".into(),
                    ..PriceList::default()
                });
                (c.record, c.delegated) = (Record { begun: 1, dropped: 3 }, 50.0);
            })
        };
        assert_eq!(ranked(vec![cheap(), candidate(2, |_| {})], false), [1, 2]);
        assert_eq!(ranked(vec![cheap(), candidate(2, |_| {})], true), [2, 1]);
    }

    #[test]
    fn who_has_no_room_or_is_away_is_not_asked() {
        let full = candidate(1, |c| c.offer.memory = 1_000);
        let away = candidate(2, |c| c.offer.away = Some("on battery".to_owned()));
        let no_gpu = |spec: &mut LeaseSpec| spec.resources.gpus = 1;
        assert!(ranked(vec![full, away], false).is_empty());
        let mut with_gpu = spec();
        no_gpu(&mut with_gpu);
        assert!(rank(vec![candidate(3, |_| {})], &with_gpu, false).is_empty());
    }

    proptest! {
        #[test]
        fn whatever_light_nodes_say_the_ranking_ends(price in ".{0,12}", cpu: u64, delegated in 0.0f64..1e12) {
            let odd = candidate(1, |c| {
                c.offer.cpu = cpu;
                c.delegated = delegated;
                c.offer.prices = Some(PriceList { core: price.clone(), ..PriceList::default() });
            });
            let all = ranked(vec![odd, candidate(2, |_| {})], false);
            prop_assert!(all.contains(&2));
        }
    }
}
