//! The chain as an operator sees it at one head, and what it asks of it: which tasks are due, and which orders are theirs.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use iono_quorum::{ClosedOrder, Roster};

use crate::auctions::Auctions;
use crate::market::Market;
use crate::reader::Reader;
use crate::task::TaskId;

/// Borrowed from what the daemon knows.
pub(crate) struct View<'a> {
    pub(crate) head: u64,
    pub(crate) market: &'a Market,
    pub(crate) auctions: &'a Auctions,
    pub(crate) roster: &'a Roster,
    pub(crate) reader: &'a mut Reader,
    /// Blocks from the seed on for which a quorum is waited for.
    pub(crate) patience: u64,
}

impl View<'_> {
    /// Closing blocks and eras of open orders with bids whose seed exists and whose quorum is still waited for.
    pub(crate) fn due(&self) -> BTreeSet<TaskId> {
        let orders = self.market.orders.iter().filter(|(_, order)| order.is_for_quorum());
        let timely = orders.filter(|(_, order)| {
            order.seeded.is_some_and(|seeded| seeded <= self.head && self.head < seeded + self.patience)
        });
        let with_bids =
            timely.filter(|(id, _)| self.auctions.get(**id).is_some_and(|auction| auction.has_bids()));
        with_bids
            .map(|(_, order)| (order.close_block, order.era))
            .filter(|(_, era)| self.roster.has_set(*era))
            .collect()
    }

    /// All orders of a task, also those that are matched by now: only who was cancelled while bidding was open is not
    /// among them.
    pub(crate) async fn closed_orders(&mut self, (close_block, era): TaskId) -> Result<Vec<ClosedOrder>> {
        let mut orders = Vec::new();
        for (id, order) in &self.market.orders {
            let was_cancelled = order.done.is_some_and(|done| done <= close_block);
            if (order.close_block, order.era) != (close_block, era) || was_cancelled {
                continue;
            }
            let auction = self.auctions.get(*id).with_context(|| format!("order {id} is not in the logs"))?;
            let weights = self.reader.weights(auction.policy()).await?;
            orders.push(ClosedOrder { order: *id, words: auction.words, weights, bids: auction.bids() });
        }
        Ok(orders)
    }

    /// The block from which on a task's seed is there.
    pub(crate) fn seeded(&self, (close_block, era): TaskId) -> Option<u64> {
        let mut orders = self.market.orders.values();
        orders.find(|order| (order.close_block, order.era) == (close_block, era))?.seeded
    }

    /// Operators that were slashed.
    pub(crate) fn ejected(&self) -> BTreeSet<u32> {
        self.roster.operators().filter(|(_, operator)| operator.ejected).map(|(number, _)| number).collect()
    }
}
