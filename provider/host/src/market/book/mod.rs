//! The provider's view of its orders and leases: what the chain's events said, and what it decided itself. Events are
//! applied in order and may come twice ([`apply`]); a re-org takes back what came after a block ([`rollback`]).
//! Everything here is written to the store as [`documents`] in the same transaction as the follower's cursor.

pub mod apply;
mod documents;
mod rollback;

use std::collections::{BTreeMap, BTreeSet};

use iono_primitives::{LeaseId, OrderId};

use super::lease::Lease;
use super::party::Party;
use super::tracked::{BidStage, Tracked};
use documents::Key;

/// Orders that are over are remembered for `provider bids` and the public answer, up to this number.
const REMEMBERED: usize = 5_000;

/// Leases that are done are remembered for `provider leases` and `provider earnings`, up to this number.
const DONE: usize = 1_000;

/// All orders, and the leases of one party.
#[derive(Debug)]
pub struct Book {
    me: Party,
    orders: BTreeMap<OrderId, Tracked>,
    leases: BTreeMap<LeaseId, Lease>,
    /// Documents to write with the next batch.
    dirty: BTreeSet<Key>,
}

impl Book {
    /// An empty book of `me`.
    #[must_use]
    pub fn new(me: Party) -> Self {
        Self { me, orders: BTreeMap::new(), leases: BTreeMap::new(), dirty: BTreeSet::new() }
    }

    /// Orders by id.
    #[must_use]
    pub fn orders(&self) -> &BTreeMap<OrderId, Tracked> {
        &self.orders
    }

    /// Leases by id.
    #[must_use]
    pub fn leases(&self) -> &BTreeMap<LeaseId, Lease> {
        &self.leases
    }

    /// Changes an order, if it is known.
    pub fn change_order(&mut self, order: OrderId, change: impl FnOnce(&mut Tracked)) {
        if let Some(tracked) = self.orders.get_mut(&order) {
            change(tracked);
            self.dirty.insert(Key::Order(order));
        }
    }

    /// Changes a lease, if it is known.
    pub fn change_lease(&mut self, lease: LeaseId, change: impl FnOnce(&mut Lease)) {
        if let Some(known) = self.leases.get_mut(&lease) {
            change(known);
            self.dirty.insert(Key::Lease(lease));
        }
    }

    /// Adds a lease of this provider that was found without its event.
    pub fn adopt(&mut self, lease: LeaseId, block: u64) {
        self.leases.entry(lease).or_insert_with(|| Lease::new(lease, block));
        self.dirty.insert(Key::Lease(lease));
    }

    /// Forgets a lease for which nothing is left to do.
    pub fn drop_lease(&mut self, lease: LeaseId) {
        self.leases.remove(&lease);
        self.dirty.insert(Key::Lease(lease));
    }

    /// Forgets the oldest leases that are done, beyond those that are remembered.
    pub fn forget_done(&mut self) {
        let done: Vec<LeaseId> =
            self.leases.values().filter(|lease| lease.is_done()).map(|lease| lease.id).collect();
        for lease in done.iter().take(done.len().saturating_sub(DONE)) {
            self.drop_lease(*lease);
        }
    }

    /// Forgets the oldest orders that are over and belong to no lease.
    fn forget(&mut self) {
        let over = self.orders.len().saturating_sub(REMEMBERED);
        if over == 0 {
            return;
        }
        let leases = &self.leases;
        let forgettable = |tracked: &&Tracked| {
            (tracked.is_over() || tracked.bid == BidStage::None)
                && !leases.contains_key(&tracked.order.id.into())
        };
        let gone: Vec<OrderId> =
            self.orders.values().filter(forgettable).take(over).map(|tracked| tracked.order.id).collect();
        for order in gone {
            self.orders.remove(&order);
            self.dirty.insert(Key::Order(order));
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::B256;
    use iono_bindings::{BidWord, OrderWords};
    use iono_primitives::{FizzId, ProviderId};

    use super::*;
    use crate::market::events::Event;
    use crate::market::order::{LeaseSpec, Order};

    pub(super) const ME: Party = Party { provider: ProviderId(2), fizz: FizzId(0) };

    pub(super) fn order(id: u64) -> Event {
        let spec = LeaseSpec {
            resources: Default::default(),
            groups: Vec::new(),
            manifest_hash: B256::repeat_byte(1),
            providers: Vec::new(),
        };
        Event::Order(Box::new(Order { id: OrderId(id), words: OrderWords::default(), spec }))
    }

    pub(super) fn matched(order: u64, provider: u32) -> Event {
        let bid = BidWord { provider, rate: 5, ..BidWord::default() };
        Event::Matched { order: OrderId(order), provider: ProviderId(provider), bid, seed: B256::ZERO }
    }

    pub(super) fn bid(order: u64, by: Party, replaced: u32) -> Event {
        Event::Bid { order: OrderId(order), by, replaced: ProviderId(replaced) }
    }

    pub(super) fn holds(book: &Book, order: u64) -> bool {
        book.orders()[&OrderId(order)].holds_capacity(ME)
    }

    #[test]
    fn old_orders_are_forgotten_but_not_those_with_a_lease_or_a_bid() {
        let mut book = Book::new(ME);
        book.apply(1, order(1));
        book.apply(1, Event::Leased { lease: LeaseId(1), by: ME });
        book.apply(1, order(2));
        book.change_order(OrderId(2), |tracked| tracked.bid = BidStage::Placed);
        for id in 3..=REMEMBERED as u64 + 5 {
            book.apply(1, order(id));
        }
        assert_eq!(book.orders().len(), REMEMBERED);
        assert!(book.orders().contains_key(&OrderId(1)) && book.orders().contains_key(&OrderId(2)));
        assert!(!book.orders().contains_key(&OrderId(3)));
    }
}
