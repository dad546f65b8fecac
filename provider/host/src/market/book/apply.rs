//! What the chain's events do to the book, and what has to be looked at because of them.

use alloy::primitives::B256;
use iono_bindings::BidWord;
use iono_primitives::{FizzId, LeaseId, OrderId, ProviderId};

use super::Book;
use super::documents::Key;
use crate::market::events::Event;
use crate::market::lease::Lease;
use crate::market::order::Order;
use crate::market::party::Party;
use crate::market::tracked::{BidStage, Outcome, Tracked};
use crate::verdict::reason::Reason;

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
    /// Applies an event of `block` and says what has to be looked at.
    pub fn apply(&mut self, block: u64, event: Event) -> Wake {
        match event {
            Event::Order(order) => self.created(block, *order),
            Event::Bid { order, by, replaced } => self.bid(order, by, replaced),
            Event::Matched { order, provider, bid, seed } => self.matched(block, order, provider, bid, seed),
            Event::Amended { order, provider, bid } => self.amended(order, provider, bid),
            Event::Over(order) => {
                self.change_order(order, |tracked| tracked.outcome = Outcome::Over { block });
                Wake { orders: true, ..Wake::default() }
            }
            Event::Leased { lease, by } if self.me.answers_for(by) => {
                // One that was found without its event did not know its block.
                let known = self.leases.entry(lease).or_insert_with(|| Lease::new(lease, block));
                known.created = known.created.max(block);
                self.stale(lease)
            }
            Event::Leased { lease, .. } | Event::Lease(lease) if self.leases.contains_key(&lease) => {
                self.stale(lease)
            }
            Event::Leased { .. } | Event::Lease(_) => Wake::default(),
            Event::Provider(provider) => Wake { profile: provider == self.me.provider, ..Wake::default() },
            Event::Tokens => Wake { tokens: true, ..Wake::default() },
            Event::Access => Wake { access: true, ..Wake::default() },
            Event::LightNode(_) => Wake::default(),
        }
    }

    fn created(&mut self, block: u64, order: Order) -> Wake {
        let id = order.id;
        let fresh = Tracked {
            order,
            created: block,
            fizz: self.me.fizz,
            verdict: None,
            bid: BidStage::None,
            outcome: Outcome::Open,
        };
        let known = self.orders.entry(id).or_insert_with(|| fresh.clone());
        // After a re-org the same number may stand for another order.
        if known.order.spec != fresh.order.spec || known.created != block {
            *known = fresh;
        }
        self.dirty.insert(Key::Order(id));
        self.forget();
        Wake { orders: true, ..Wake::default() }
    }

    fn bid(&mut self, order: OrderId, by: Party, replaced: ProviderId) -> Wake {
        let me = self.me;
        if me.answers_for(by) {
            self.change_order(order, |tracked| (tracked.bid, tracked.fizz) = (BidStage::Placed, by.fizz));
        } else if by.provider == me.provider {
            self.displaced(order, "the gateway chose another light node".to_owned());
        } else if replaced == me.provider {
            self.displaced(order, format!("provider {} made a better bid for the same slot", by.provider));
        }
        Wake::default()
    }

    /// A bid that stood, or that was to be made, is none any more.
    fn displaced(&mut self, order: OrderId, message: String) {
        self.change_order(order, |tracked| {
            if tracked.bid != BidStage::None {
                tracked.bid = BidStage::Gone { reason: Reason::new("score", message) };
            }
        });
    }

    fn matched(
        &mut self,
        block: u64,
        order: OrderId,
        provider: ProviderId,
        bid: BidWord,
        seed: B256,
    ) -> Wake {
        let (rate, fizz) = (bid.rate(), FizzId(bid.fizz));
        self.change_order(order, |tracked| {
            tracked.outcome = Outcome::Matched { block, provider, fizz, rate, seed, lost: None };
        });
        Wake { orders: true, ..Wake::default() }
    }

    /// The seed stays, and with it what the bids' luck was.
    fn amended(&mut self, order: OrderId, to: ProviderId, bid: BidWord) -> Wake {
        self.change_order(order, |tracked| {
            if let Outcome::Matched { provider, fizz, rate, lost, .. } = &mut tracked.outcome {
                (*provider, *fizz, *rate, *lost) = (to, FizzId(bid.fizz), bid.rate(), None);
            }
        });
        Wake { orders: true, ..Wake::default() }
    }

    fn stale(&mut self, lease: LeaseId) -> Wake {
        self.change_lease(lease, |lease| lease.stale = true);
        Wake { leases: true, access: true, ..Wake::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ME, bid, holds, matched, order};
    use super::*;

    #[test]
    fn a_displaced_bid_frees_its_capacity() {
        let mut book = Book::new(ME);
        book.apply(1, order(1));
        book.apply(2, bid(1, ME, 0));
        book.apply(2, bid(1, Party::provider(ProviderId(9)), 2));
        assert!(!holds(&book, 1));
    }

    /// Won, then proven to be another's: nothing is kept for it, and what it had is looked at again.
    #[test]
    fn a_match_that_was_wrong_frees_its_capacity() {
        let mut book = Book::new(ME);
        book.apply(1, order(1));
        book.apply(2, bid(1, ME, 0));
        book.apply(4, matched(1, 2));
        book.apply(4, Event::Leased { lease: LeaseId(1), by: ME });
        book.leases.get_mut(&LeaseId(1)).unwrap().stale = false;
        let right = BidWord::default();
        book.apply(5, Event::Amended { order: OrderId(1), provider: ProviderId(9), bid: right });
        assert!(
            book.apply(5, Event::Leased { lease: LeaseId(1), by: Party::provider(ProviderId(9)) }).leases
        );
        assert!(!holds(&book, 1));
        assert!(book.leases[&LeaseId(1)].stale);
    }

    #[test]
    fn events_twice_are_events_once() {
        let mut once = Book::new(ME);
        let mut twice = Book::new(ME);
        let events = [
            (1, order(1)),
            (1, order(2)),
            (2, bid(1, ME, 0)),
            (4, matched(1, 2)),
            (4, Event::Leased { lease: LeaseId(1), by: ME }),
            (4, Event::Leased { lease: LeaseId(2), by: Party::provider(ProviderId(9)) }),
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
}
