//! What a re-org takes back: blocks above one that stays are no longer canonical.

use iono_primitives::OrderId;

use super::Book;
use super::apply::Wake;
use super::documents::Key;
use crate::market::tracked::Outcome;

impl Book {
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
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ME, bid, holds, matched, order};
    use super::*;
    use crate::market::tracked::BidStage;

    #[test]
    fn capacity_is_kept_from_the_reservation_to_the_loss() {
        let mut book = Book::new(ME);
        book.apply(1, order(1));
        assert!(!holds(&book, 1));
        book.change_order(OrderId(1), |tracked| tracked.bid = BidStage::Reserved);
        assert!(holds(&book, 1));
        book.apply(2, bid(1, ME, 0));
        assert!(holds(&book, 1));
        book.apply(4, matched(1, 3));
        assert!(!holds(&book, 1));
        // The match was re-organised away: the bid may win after all.
        book.rollback(3);
        assert!(holds(&book, 1));
        book.apply(4, matched(1, 2));
        assert!(holds(&book, 1));
    }
}
