//! The provider's view of its orders and leases: what the chain's events said, and what it decided itself. Events are
//! applied in order and may come twice; a re-org takes back what came after a block. Everything here is written to the
//! store as documents in the same transaction as the follower's cursor.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::B256;
use iono_bindings::BidWord;
use iono_primitives::{LeaseId, OrderId, ProviderId, Rate};
use iono_store::{Change, Document, StoreError};
use serde::{Deserialize, Serialize};

use super::events::Event;
use super::lease::Lease;
use super::order::Order;
use crate::bidding::decide::Verdict;
use crate::bidding::reason::Reason;

/// Namespace of orders in the store.
const ORDERS: &str = "order";
/// Namespace of leases in the store.
const LEASES: &str = "lease";
/// Orders that are over are remembered for `provider bids` and the public answer, up to this number.
const REMEMBERED: usize = 5_000;

/// Leases that are done are remembered for `provider leases` and `provider earnings`, up to this number.
const DONE: usize = 1_000;

/// An order and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tracked {
    /// The order.
    pub order: Order,
    /// Block that it was created in.
    pub created: u64,
    /// What this provider decided.
    pub verdict: Option<Verdict>,
    /// How far its bid got.
    pub bid: BidStage,
    /// What the chain decided.
    pub outcome: Outcome,
}

/// How far a bid got.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum BidStage {
    /// There is none.
    #[default]
    None,
    /// Capacity is reserved; the bid may be on its way.
    Reserved,
    /// It stands in the order book.
    Placed,
    /// It was refused or displaced.
    Gone {
        /// Why.
        reason: Reason,
    },
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Not decided yet.
    #[default]
    Open,
    /// Matched.
    Matched {
        /// Block of the match.
        block: u64,
        /// The winner.
        provider: ProviderId,
        /// Its rate.
        #[serde(with = "super::stored::rate")]
        rate: Rate,
        /// What the random part was drawn from.
        seed: B256,
        /// Why this provider's bid lost, once that was computed.
        lost: Option<Reason>,
    },
    /// Cancelled or void.
    Over {
        /// Block in which it ended.
        block: u64,
    },
    /// Not over by any event, but this provider cannot win it any more.
    Lost {
        /// Why.
        reason: Reason,
    },
}

impl Tracked {
    /// Whether capacity must be kept for it: its bid may stand and may still win.
    #[must_use]
    pub fn holds_capacity(&self, me: ProviderId) -> bool {
        let bids = matches!(self.bid, BidStage::Reserved | BidStage::Placed);
        match self.outcome {
            Outcome::Open => bids,
            Outcome::Matched { provider, .. } => provider == me,
            Outcome::Over { .. } | Outcome::Lost { .. } => false,
        }
    }

    /// Whether nothing more can come of it for this provider.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.outcome != Outcome::Open
    }
}

/// All orders and leases of one provider.
#[derive(Debug)]
pub struct Book {
    me: ProviderId,
    orders: BTreeMap<OrderId, Tracked>,
    leases: BTreeMap<LeaseId, Lease>,
    /// Documents to write with the next batch.
    dirty: BTreeSet<Key>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Order(OrderId),
    Lease(LeaseId),
}

/// What an event means beyond the book itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wake {
    /// Orders have to be looked at.
    pub orders: bool,
    /// Leases have to be looked at.
    pub leases: bool,
    /// This provider's profile has to be read again.
    pub profile: bool,
    /// Tokens have to be read again.
    pub tokens: bool,
    /// Rights have to be read again.
    pub access: bool,
}

impl std::ops::BitOrAssign for Wake {
    fn bitor_assign(&mut self, other: Self) {
        self.orders |= other.orders;
        self.leases |= other.leases;
        self.profile |= other.profile;
        self.tokens |= other.tokens;
        self.access |= other.access;
    }
}

impl Book {
    /// An empty book of provider `me`.
    #[must_use]
    pub fn new(me: ProviderId) -> Self {
        Self { me, orders: BTreeMap::new(), leases: BTreeMap::new(), dirty: BTreeSet::new() }
    }

    /// The book as it was stored; every lease is read from the chain again.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] names the document that cannot be read.
    pub fn restore(me: ProviderId, orders: &[Document], leases: &[Document]) -> Result<Self, StoreError> {
        let mut book = Self::new(me);
        for document in orders {
            let tracked: Tracked = document.parse()?;
            book.orders.insert(tracked.order.id, tracked);
        }
        for document in leases {
            let mut lease: Lease = document.parse()?;
            lease.stale = true;
            book.leases.insert(lease.id, lease);
        }
        Ok(book)
    }

    /// The namespaces that [`Book::restore`] takes, in its order.
    #[must_use]
    pub fn namespaces() -> [&'static str; 2] {
        [ORDERS, LEASES]
    }

    /// Applies an event of `block` and says what has to be looked at.
    pub fn apply(&mut self, block: u64, event: Event) -> Wake {
        match event {
            Event::Order(order) => self.created(block, *order),
            Event::Bid { order, provider, replaced } => self.bid(order, provider, replaced),
            Event::Matched { order, provider, bid, seed } => self.matched(block, order, provider, bid, seed),
            Event::Over(order) => {
                self.change_order(order, |tracked| tracked.outcome = Outcome::Over { block });
                Wake { orders: true, ..Wake::default() }
            }
            Event::Leased { lease, provider } if provider == self.me => {
                // One that was found without its event did not know its block.
                let known = self.leases.entry(lease).or_insert_with(|| Lease::new(lease, block));
                known.created = known.created.max(block);
                self.stale(lease)
            }
            Event::Lease(lease) if self.leases.contains_key(&lease) => self.stale(lease),
            Event::Leased { .. } | Event::Lease(_) => Wake::default(),
            Event::Provider(provider) => Wake { profile: provider == self.me, ..Wake::default() },
            Event::Tokens => Wake { tokens: true, ..Wake::default() },
            Event::Access => Wake { access: true, ..Wake::default() },
        }
    }

    /// Takes back what came after `block`: those blocks are no longer canonical.
    pub fn rollback(&mut self, block: u64) -> Wake {
        let gone: Vec<OrderId> = self
            .orders
            .values()
            .filter(|tracked| tracked.created > block)
            .map(|tracked| tracked.order.id)
            .collect();
        for order in gone {
            self.orders.remove(&order);
            self.dirty.insert(Key::Order(order));
        }
        for (id, tracked) in &mut self.orders {
            let undone = match tracked.outcome {
                Outcome::Matched { block: at, .. } | Outcome::Over { block: at } => at > block,
                Outcome::Open | Outcome::Lost { .. } => false,
            };
            if undone {
                tracked.outcome = Outcome::Open;
                self.dirty.insert(Key::Order(*id));
            }
        }
        for (id, lease) in &mut self.leases {
            lease.stale = true;
            lease.reread = true;
            self.dirty.insert(Key::Lease(*id));
        }
        Wake { orders: true, leases: true, profile: true, tokens: true, access: true }
    }

    fn created(&mut self, block: u64, order: Order) -> Wake {
        let id = order.id;
        let fresh =
            Tracked { order, created: block, verdict: None, bid: BidStage::None, outcome: Outcome::Open };
        let known = self.orders.entry(id).or_insert_with(|| fresh.clone());
        // After a re-org the same number may stand for another order.
        if known.order.spec != fresh.order.spec || known.created != block {
            *known = fresh;
        }
        self.dirty.insert(Key::Order(id));
        self.forget();
        Wake { orders: true, ..Wake::default() }
    }

    fn bid(&mut self, order: OrderId, provider: ProviderId, replaced: ProviderId) -> Wake {
        let me = self.me;
        if provider == me {
            self.change_order(order, |tracked| tracked.bid = BidStage::Placed);
        } else if replaced == me {
            let message = format!("provider {provider} made a better bid for the same slot");
            let reason = Reason::new("score", message);
            self.change_order(order, |tracked| tracked.bid = BidStage::Gone { reason });
        }
        Wake::default()
    }

    fn matched(
        &mut self,
        block: u64,
        order: OrderId,
        provider: ProviderId,
        bid: BidWord,
        seed: B256,
    ) -> Wake {
        let rate = bid.rate();
        self.change_order(order, |tracked| {
            tracked.outcome = Outcome::Matched { block, provider, rate, seed, lost: None };
        });
        Wake { orders: true, ..Wake::default() }
    }

    fn stale(&mut self, lease: LeaseId) -> Wake {
        self.change_lease(lease, |lease| lease.stale = true);
        Wake { leases: true, access: true, ..Wake::default() }
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

    /// What to write: one document for everything that changed since the last call.
    ///
    /// # Errors
    /// [`StoreError`] when something cannot be written as JSON.
    pub fn take_changes(&mut self) -> Result<Vec<Change>, StoreError> {
        let dirty = std::mem::take(&mut self.dirty);
        dirty.into_iter().map(|key| self.document(key)).collect()
    }

    /// Puts changes back that could not be written, to be written next time.
    pub fn keep_dirty(&mut self, changes: &[Change]) {
        for change in changes {
            let (Change::Put { namespace, key, .. } | Change::Delete { namespace, key }) = change;
            let Ok(id) = key.parse() else { continue };
            self.dirty.insert(if namespace == ORDERS {
                Key::Order(OrderId(id))
            } else {
                Key::Lease(LeaseId(id))
            });
        }
    }

    fn document(&self, key: Key) -> Result<Change, StoreError> {
        // Padded, so that the store's order is that of the numbers.
        match key {
            Key::Order(id) => match self.orders.get(&id) {
                Some(tracked) => Change::put(ORDERS, format!("{:020}", id.0), tracked),
                None => Ok(Change::delete(ORDERS, format!("{:020}", id.0))),
            },
            Key::Lease(id) => match self.leases.get(&id) {
                Some(lease) => Change::put(LEASES, format!("{:020}", id.0), lease),
                None => Ok(Change::delete(LEASES, format!("{:020}", id.0))),
            },
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
    use iono_bindings::OrderWords;

    use super::*;
    use crate::market::order::LeaseSpec;

    const ME: ProviderId = ProviderId(2);

    fn order(id: u64) -> Event {
        let spec = LeaseSpec {
            resources: Default::default(),
            groups: Vec::new(),
            manifest_hash: B256::repeat_byte(1),
            providers: Vec::new(),
        };
        Event::Order(Box::new(Order { id: OrderId(id), words: OrderWords::default(), spec }))
    }

    fn matched(order: u64, provider: u32) -> Event {
        let bid = BidWord { provider, rate: 5, ..BidWord::default() };
        Event::Matched { order: OrderId(order), provider: ProviderId(provider), bid, seed: B256::ZERO }
    }

    fn bid(order: u64, provider: u32, replaced: u32) -> Event {
        Event::Bid { order: OrderId(order), provider: ProviderId(provider), replaced: ProviderId(replaced) }
    }

    fn holds(book: &Book, order: u64) -> bool {
        book.orders()[&OrderId(order)].holds_capacity(ME)
    }

    #[test]
    fn capacity_is_kept_from_the_reservation_to_the_loss() {
        let mut book = Book::new(ME);
        book.apply(1, order(1));
        assert!(!holds(&book, 1));
        book.change_order(OrderId(1), |tracked| tracked.bid = BidStage::Reserved);
        assert!(holds(&book, 1));
        book.apply(2, bid(1, 2, 0));
        assert!(holds(&book, 1));
        book.apply(4, matched(1, 3));
        assert!(!holds(&book, 1));
        // The match was re-organised away: the bid may win after all.
        book.rollback(3);
        assert!(holds(&book, 1));
        book.apply(4, matched(1, 2));
        assert!(holds(&book, 1));
    }

    #[test]
    fn a_displaced_bid_frees_its_capacity() {
        let mut book = Book::new(ME);
        book.apply(1, order(1));
        book.apply(2, bid(1, 2, 0));
        book.apply(2, bid(1, 9, 2));
        assert!(!holds(&book, 1));
    }

    #[test]
    fn events_twice_are_events_once() {
        let mut once = Book::new(ME);
        let mut twice = Book::new(ME);
        let events = [
            (1, order(1)),
            (1, order(2)),
            (2, bid(1, 2, 0)),
            (4, matched(1, 2)),
            (4, Event::Leased { lease: LeaseId(1), provider: ME }),
            (4, Event::Leased { lease: LeaseId(2), provider: ProviderId(9) }),
            (5, Event::Over(OrderId(2))),
        ];
        for (block, event) in events.clone() {
            once.apply(block, event);
        }
        for (block, event) in events.clone().into_iter().chain(events) {
            twice.apply(block, event);
        }
        assert_eq!(once.orders, twice.orders);
        assert_eq!(once.leases, twice.leases);
        assert_eq!(once.leases.len(), 1);
    }

    #[test]
    fn what_is_stored_is_restored() {
        let mut book = Book::new(ME);
        book.apply(1, order(1));
        book.apply(4, matched(1, 2));
        book.apply(4, Event::Leased { lease: LeaseId(1), provider: ME });
        let documents: Vec<(String, Document)> = book
            .take_changes()
            .unwrap()
            .into_iter()
            .filter_map(|change| match change {
                Change::Put { namespace, key, body, .. } => {
                    Some((namespace, Document { key, version: 1, body }))
                }
                Change::Delete { .. } => None,
            })
            .collect();
        let of = |name: &str| -> Vec<Document> {
            documents
                .iter()
                .filter(|(namespace, _)| namespace == name)
                .map(|(_, document)| document.clone())
                .collect()
        };
        let again = Book::restore(ME, &of(ORDERS), &of(LEASES)).unwrap();
        assert_eq!(again.orders, book.orders);
        assert_eq!(again.leases, book.leases);
        assert!(book.take_changes().unwrap().is_empty());
    }

    #[test]
    fn old_orders_are_forgotten_but_not_those_with_a_lease_or_a_bid() {
        let mut book = Book::new(ME);
        book.apply(1, order(1));
        book.apply(1, Event::Leased { lease: LeaseId(1), provider: ME });
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
