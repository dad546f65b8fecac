//! How many leases run out of paid time soon, as a metric beside the tenant's own warnings (market promise 7).

use iono_lease_api::MoneyWarning;
use iono_primitives::LeaseState;

use crate::market::lease::Lease;

/// Sets the gauges by the chain's clock; `now` is the newest block's time in unix seconds.
pub fn report(leases: &[Lease], now: u64) {
    for (hours, count) in ending(leases, now) {
        metrics::gauge!("iono_host_leases_ending", "hours" => hours.to_string()).set(count as f64);
    }
}

/// For every threshold the leases that have less paid time left; who is below one is below all higher ones.
fn ending(leases: &[Lease], now: u64) -> [(u32, usize); 3] {
    MoneyWarning::THRESHOLDS.map(|hours| {
        let soon = |lease: &&Lease| {
            let runs = matches!(lease.state(), LeaseState::Active | LeaseState::Paused);
            let end = lease.facts.as_ref().map_or(0, |facts| facts.words.end);
            runs && end.saturating_sub(now) < u64::from(hours) * 3_600
        };
        (hours, leases.iter().filter(soon).count())
    })
}

#[cfg(test)]
mod tests {
    use alloy::primitives::B256;
    use iono_bindings::LeaseWords;
    use iono_primitives::{LeaseId, Resources};

    use super::*;
    use crate::market::lease::Facts;
    use crate::market::order::LeaseSpec;

    fn lease(state: LeaseState, end: u64) -> Lease {
        let words = LeaseWords { state: state as u8, end, settled_to: 1, ..LeaseWords::default() };
        let spec = LeaseSpec {
            resources: Resources::default(),
            groups: Vec::new(),
            manifest_hash: B256::ZERO,
            providers: Vec::new(),
        };
        let facts = Facts { words, spec, manifest_hash: B256::ZERO, read_to: 0 };
        Lease { facts: Some(facts), ..Lease::new(LeaseId(1), 0) }
    }

    #[test]
    fn a_lease_counts_below_each_threshold_that_it_passed() {
        let hour = 3_600;
        let leases = [
            lease(LeaseState::Active, 24 * hour),
            lease(LeaseState::Active, 24 * hour - 1),
            lease(LeaseState::Paused, 6 * hour - 1),
            lease(LeaseState::Active, hour - 1),
            // Over, but not expired on chain yet.
            lease(LeaseState::Active, 0),
            lease(LeaseState::Pending, 60),
            lease(LeaseState::Closed, 60),
        ];
        assert_eq!(ending(&leases, 0), [(1, 2), (6, 3), (24, 4)]);
        assert_eq!(ending(&leases, 2), [(1, 2), (6, 3), (24, 5)]);
    }
}
