//! What the gateway knows of one light node: what it said last, what is open for it, and how it did so far.

use std::collections::{HashMap, VecDeque};
use std::time::{Duration, Instant};

use iono_host::outside::Name;
use iono_host::subnet::{Offer, Way};
use iono_identity::Pin;
use iono_primitives::LeaseId;
use iono_tunnel::Exposure;

/// Changes on chain that a light node may ask for within an hour: each costs this provider gas.
const MOST_ACTS: usize = 120;
/// Signatures that it may ask for within an hour: each is for a tenant that asked for a quote.
const MOST_SIGNATURES: usize = 1_200;
const HOUR: Duration = Duration::from_secs(3_600);

/// One light node.
pub(super) struct Member {
    /// The key that it came with last.
    pub(super) pin: Pin,
    /// Name and version of its software.
    pub(super) software: String,
    /// What it has for new leases.
    pub(super) offer: Offer,
    /// Unix time since when it is out of reach, if it is.
    pub(super) lost: Option<u64>,
    /// Its HTTP router, at a port of this machine.
    pub(super) http: Exposure,
    /// What it said of each lease.
    pub(super) leases: HashMap<LeaseId, Ways>,
    /// How it did.
    pub(super) record: Record,
    pub(super) acts: Budget,
    pub(super) signatures: Budget,
}

/// So many within an hour.
pub(super) struct Budget {
    most: usize,
    spent: VecDeque<Instant>,
}

/// The ways into one lease.
#[derive(Default)]
pub(super) struct Ways {
    /// Of which revision.
    pub(super) revision: u64,
    /// Those that were said so far; complete when none is `None`.
    pub(super) ways: Vec<Option<Way>>,
    /// The ports that are open.
    pub(super) ports: HashMap<Name, (u16, Exposure)>,
}

/// What a light node did since this gateway knows it, for choosing among them (SP-34).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Record {
    /// Leases that it began.
    pub(super) begun: u32,
    /// Times that it dropped off while it served.
    pub(super) dropped: u32,
}

impl Member {
    pub(super) fn new(pin: Pin, software: String, http: Exposure) -> Self {
        Self {
            pin,
            software,
            offer: Offer::default(),
            lost: None,
            http,
            leases: HashMap::new(),
            record: Record::default(),
            acts: Budget::new(MOST_ACTS),
            signatures: Budget::new(MOST_SIGNATURES),
        }
    }
}

impl Budget {
    fn new(most: usize) -> Self {
        Self { most, spent: VecDeque::new() }
    }

    /// Whether there is one left; takes it, if so.
    pub(super) fn take(&mut self) -> bool {
        while self.spent.front().is_some_and(|at| at.elapsed() >= HOUR) {
            self.spent.pop_front();
        }
        let left = self.spent.len() < self.most;
        if left {
            self.spent.push_back(Instant::now());
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_spent_and_comes_back_with_time() {
        let mut budget = Budget::new(2);
        assert!(budget.take() && budget.take() && !budget.take());
        budget.spent[0] = Instant::now().checked_sub(HOUR).unwrap();
        assert!(budget.take() && !budget.take());
    }
}
