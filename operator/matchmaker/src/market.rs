//! What of the market concerns a matchmaker: orders that wait for their match and leases that will run out. Derived from
//! logs, kept as documents, and undone by a re-org.

use std::collections::{BTreeMap, BTreeSet};

use alloy::sol_types::SolEvent as _;
use anyhow::Result;
use iono_bindings::{IDrandRandomness, ILeaseBook, IMatchTaskManager, IOrderBook, LeaseWords, OrderWords};
use iono_chain::Update;
use iono_primitives::{LeaseId, OrderId};
use iono_store::{Change, SharedStore, StoreError, StoredLog};
use serde::{Deserialize, Serialize};

const ORDERS: &str = "order";
const LEASES: &str = "lease";
/// Blocks that the chain remembers the hash of (EIP-2935).
pub(crate) const HISTORY: u64 = 8191;
/// `IMatchTaskManager.Skip`: more value than the signers can lose, and refused by the order book. The other reasons are
/// the submitter's fault and say nothing of the order.
const REFUSALS: [u8; 2] = [3, 4];

/// An order that waits for its match, or had it not long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    /// Block of its creation.
    pub(crate) created: u64,
    /// The block in which bidding closes.
    pub(crate) close_block: u64,
    /// The era whose set of operators may match it.
    pub(crate) era: u32,
    /// The block from which on its seed is there; `None` while nobody has brought it.
    pub(crate) seeded: Option<u64>,
    /// Block in which it ended; it is kept until that is final.
    pub(crate) done: Option<u64>,
    /// Block in which a quorum's batch had to leave it out: only `resolve` is left then.
    pub(crate) refused: Option<u64>,
}

impl Order {
    /// The block whose seed decides.
    pub(crate) fn seed_block(&self) -> u64 {
        self.close_block + 1
    }

    /// Whether a quorum's batch may still match it.
    pub(crate) fn is_for_quorum(&self) -> bool {
        self.done.is_none() && self.refused.is_none()
    }
}

/// A lease that somebody may have to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Lease {
    /// Block of its creation.
    pub(crate) created: u64,
    /// Unix seconds of the end, or until when it must be confirmed.
    pub(crate) due: u64,
    /// Block in which it ended; it is kept until that is final.
    pub(crate) done: Option<u64>,
}

/// All that is not final yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Market {
    /// Whether somebody has to bring the seeds; they are block hashes otherwise.
    seeds_are_brought: bool,
    pub(crate) orders: BTreeMap<OrderId, Order>,
    pub(crate) leases: BTreeMap<LeaseId, Lease>,
}

impl Market {
    /// As it was committed last.
    pub(crate) async fn load(store: &SharedStore, seeds_are_brought: bool) -> Result<Self, StoreError> {
        let mut market = Self { seeds_are_brought, ..Self::default() };
        for document in store.documents(ORDERS).await? {
            let (id, entry): (OrderId, Order) = document.parse()?;
            market.orders.insert(id, entry);
        }
        for document in store.documents(LEASES).await? {
            let (id, entry): (LeaseId, Lease) = document.parse()?;
            market.leases.insert(id, entry);
        }
        Ok(market)
    }

    /// The market after an update. Entries that ended more than `depth` blocks ago are dropped.
    pub(crate) fn after(&self, update: &Update, depth: u64) -> Self {
        let mut next = self.clone();
        match update {
            Update::Blocks { to, logs, .. } => {
                for log in logs {
                    next.apply(log);
                }
                let last = to.number.saturating_sub(depth);
                next.orders.retain(|_, entry| entry.done.is_none_or(|done| done > last));
                next.leases.retain(|_, entry| entry.done.is_none_or(|done| done > last));
            }
            Update::Rollback { to } => {
                next.orders.retain(|_, entry| entry.created <= *to);
                next.leases.retain(|_, entry| entry.created <= *to);
                for order in next.orders.values_mut() {
                    order.done = order.done.filter(|done| done <= to);
                    order.refused = order.refused.filter(|refused| refused <= to);
                    order.seeded = order.seeded.filter(|seeded| !self.seeds_are_brought || seeded <= to);
                }
                for lease in next.leases.values_mut() {
                    lease.done = lease.done.filter(|done| done <= to);
                    // A confirmation or an extension may be undone as well: due now, so that the chain is asked.
                    lease.due = 0;
                }
            }
        }
        next
    }

    /// Whether a quorum's batch may still match an order.
    pub(crate) fn is_for_quorum(&self, order: OrderId) -> bool {
        self.orders.get(&order).is_some_and(Order::is_for_quorum)
    }

    /// Blocks up to `head` whose seeds nobody has brought and open orders wait for, while the chain remembers them.
    pub(crate) fn wanted_seeds(&self, head: u64) -> BTreeSet<u64> {
        let waiting = self.orders.values().filter(|order| order.done.is_none() && order.seeded.is_none());
        waiting.map(Order::seed_block).filter(|block| *block <= head && block + HISTORY > head).collect()
    }

    /// What must be written to get from `self` to `next`.
    pub(crate) fn changes(&self, next: &Self) -> Result<Vec<Change>, StoreError> {
        let mut changes = Vec::new();
        diff(ORDERS, &self.orders, &next.orders, &mut changes)?;
        diff(LEASES, &self.leases, &next.leases, &mut changes)?;
        Ok(changes)
    }

    fn apply(&mut self, log: &StoredLog) {
        let (topics, data) = (log.log.topics(), &log.log.data.data);
        let Some(topic) = topics.first() else { return };
        let done = Some(log.block);
        match *topic {
            IOrderBook::OrderCreated::SIGNATURE_HASH => {
                let Ok(event) = IOrderBook::OrderCreated::decode_raw_log(topics, data) else { return };
                let OrderWords { close_block, set_era: era, .. } =
                    OrderWords::read([event.word0, event.word1]);
                let seeded = (!self.seeds_are_brought).then_some(close_block + 1);
                let order = Order { created: log.block, close_block, era, seeded, done: None, refused: None };
                self.orders.insert(OrderId(event.order.to()), order);
            }
            IOrderBook::OrderMatched::SIGNATURE_HASH
            | IOrderBook::OrderCancelled::SIGNATURE_HASH
            | IOrderBook::OrderVoided::SIGNATURE_HASH => {
                if let Some(entry) = id_of(log).and_then(|id| self.orders.get_mut(&OrderId(id))) {
                    entry.done = done;
                }
            }
            IDrandRandomness::SeedStored::SIGNATURE_HASH => {
                let Some(block) = id_of(log) else { return };
                let waiting = self.orders.values_mut().filter(|order| order.seed_block() == block);
                waiting.for_each(|order| order.seeded = Some(log.block));
            }
            IMatchTaskManager::MatchSkipped::SIGNATURE_HASH => {
                let Ok(event) = IMatchTaskManager::MatchSkipped::decode_raw_log(topics, data) else { return };
                if let Some(order) = self.orders.get_mut(&OrderId(event.order.to()))
                    && REFUSALS.contains(&event.reason)
                {
                    order.refused = done;
                }
            }
            ILeaseBook::LeaseCreated::SIGNATURE_HASH => {
                let Ok(event) = ILeaseBook::LeaseCreated::decode_raw_log(topics, data) else { return };
                let due = LeaseWords::read([event.word0, event.word1]).end;
                self.leases.insert(LeaseId(event.lease.to()), Lease { created: log.block, due, done: None });
            }
            ILeaseBook::LeaseReopened::SIGNATURE_HASH => {
                let Ok(event) = ILeaseBook::LeaseReopened::decode_raw_log(topics, data) else { return };
                self.set_end(log, LeaseWords::read([event.word0, event.word1]).end);
            }
            ILeaseBook::LeaseConfirmed::SIGNATURE_HASH => {
                let Ok(event) = ILeaseBook::LeaseConfirmed::decode_raw_log(topics, data) else { return };
                self.set_end(log, event.end.to());
            }
            ILeaseBook::LeaseExtended::SIGNATURE_HASH => {
                let Ok(event) = ILeaseBook::LeaseExtended::decode_raw_log(topics, data) else { return };
                self.set_end(log, event.end.to());
            }
            ILeaseBook::LeaseClosed::SIGNATURE_HASH => {
                if let Some(entry) = id_of(log).and_then(|id| self.leases.get_mut(&LeaseId(id))) {
                    entry.done = done;
                }
            }
            _ => {}
        }
    }

    fn set_end(&mut self, log: &StoredLog, end: u64) {
        if let Some(entry) = id_of(log).and_then(|id| self.leases.get_mut(&LeaseId(id))) {
            entry.due = end;
        }
    }
}

/// Orders, leases and seeds' blocks are the first indexed value of all their events.
fn id_of(log: &StoredLog) -> Option<u64> {
    let topic = log.log.topics().get(1)?;
    u64::try_from(alloy::primitives::U256::from_be_bytes(topic.0)).ok()
}

fn diff<K: Ord + Copy + ToString + Serialize, V: PartialEq + Serialize>(
    namespace: &str,
    old: &BTreeMap<K, V>,
    new: &BTreeMap<K, V>,
    changes: &mut Vec<Change>,
) -> Result<(), StoreError> {
    for (id, entry) in new.iter().filter(|(id, entry)| old.get(id) != Some(entry)) {
        changes.push(Change::put(namespace, id.to_string(), &(id, entry))?);
    }
    changes.extend(
        old.keys().filter(|id| !new.contains_key(id)).map(|id| Change::delete(namespace, id.to_string())),
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{Address, B256, Log, U256};
    use alloy::sol_types::SolEvent;
    use iono_store::BlockRef;
    use proptest::prelude::*;

    use super::*;

    fn log(block: u64, event: &impl SolEvent) -> StoredLog {
        let log = Log { address: Address::ZERO, data: event.encode_log_data() };
        StoredLog { block, index: 0, transaction: B256::ZERO, log }
    }

    fn blocks(to: u64, logs: Vec<StoredLog>) -> Update {
        let block = BlockRef { number: to, hash: B256::ZERO };
        Update::Blocks { from: 0, to: block, timestamp: 0, head: to, logs, blocks: vec![block] }
    }

    fn created(block: u64, order: u64) -> StoredLog {
        let [word0, word1] = OrderWords { close_block: block + 2, ..OrderWords::default() }.words();
        let spec = iono_bindings::Spec::default();
        log(
            block,
            &IOrderBook::OrderCreated { order: U256::from(order), wallet: U256::from(1), word0, word1, spec },
        )
    }

    fn voided(block: u64, order: u64) -> StoredLog {
        log(block, &IOrderBook::OrderVoided { order: U256::from(order), bids: U256::ZERO })
    }

    #[test]
    fn orders_come_and_go() {
        let market = Market::default().after(&blocks(5, vec![created(3, 1), created(5, 2), voided(5, 1)]), 4);
        let ended =
            Order { created: 3, close_block: 5, era: 0, seeded: Some(6), done: Some(5), refused: None };
        assert_eq!(market.orders[&OrderId(1)], ended);
        assert_eq!(market.orders[&OrderId(2)].done, None);
        let later = market.after(&blocks(9, vec![]), 4);
        assert_eq!(later.orders.keys().copied().collect::<Vec<_>>(), [OrderId(2)]);
        assert_eq!(market.changes(&later).unwrap(), [Change::delete(ORDERS, "1")]);
        assert_eq!(later.changes(&later).unwrap(), []);
    }

    #[test]
    fn a_rollback_reopens_what_it_undid() {
        let market = Market::default().after(&blocks(5, vec![created(3, 1), created(5, 2), voided(5, 1)]), 4);
        let back = market.after(&Update::Rollback { to: 4 }, 4);
        assert_eq!(back.orders.len(), 1);
        assert_eq!(back.orders[&OrderId(1)].done, None);
    }

    #[test]
    fn seeds_are_wanted_until_they_are_brought_or_out_of_reach() {
        let stored = |block, seed_block| {
            let (block_number, round) = (U256::from(seed_block), U256::from(1000));
            log(block, &IDrandRandomness::SeedStored { blockNumber: block_number, round, seed: B256::ZERO })
        };
        let empty = Market { seeds_are_brought: true, ..Market::default() };
        let market = empty.after(&blocks(6, vec![created(3, 1), created(3, 2), created(5, 3)]), 4);
        assert_eq!(market.wanted_seeds(5), [].into());
        assert_eq!(market.wanted_seeds(8), [6, 8].into());
        assert_eq!(market.wanted_seeds(6 + HISTORY), [8].into());
        let market = market.after(&blocks(9, vec![stored(9, 6)]), 4);
        assert_eq!((market.orders[&OrderId(2)].seeded, market.wanted_seeds(9)), (Some(9), [8].into()));
        let back = market.after(&Update::Rollback { to: 8 }, 4);
        assert_eq!(back.wanted_seeds(9), [6, 8].into());
        // Block hashes are there by themselves.
        assert_eq!(Market::default().after(&blocks(6, vec![created(3, 1)]), 4).wanted_seeds(9), [].into());
    }

    #[test]
    fn what_a_batch_left_out_is_known_until_a_rollback() {
        let skipped = |reason| log(5, &IMatchTaskManager::MatchSkipped { order: U256::from(1), reason });
        let market = Market::default().after(&blocks(4, vec![created(3, 1)]), 4);
        let refused = |reason| market.after(&blocks(5, vec![skipped(reason)]), 4);
        // Not signed: anyone can say so of any order, and it changes nothing.
        assert_eq!(refused(2).orders[&OrderId(1)].refused, None);
        assert_eq!(refused(3).orders[&OrderId(1)].refused, Some(5));
        let back = refused(4).after(&Update::Rollback { to: 4 }, 4);
        assert_eq!(back.orders[&OrderId(1)].refused, None);
    }

    #[test]
    fn leases_end_later_when_confirmed_or_extended() {
        let lease = U256::from(7);
        let [word0, word1] = LeaseWords { end: 100, ..LeaseWords::default() }.words();
        let (wallet, provider) = (U256::from(1), U256::from(2));
        let created = log(1, &ILeaseBook::LeaseCreated { lease, wallet, provider, word0, word1 });
        let (start, end) = (U256::from(90), U256::from(500));
        let confirmed = log(2, &ILeaseBook::LeaseConfirmed { lease, provider, start, end });
        let market = Market::default().after(&blocks(1, vec![created]), 4);
        assert_eq!(market.leases[&LeaseId(7)].due, 100);
        let market = market.after(&blocks(2, vec![confirmed]), 4);
        assert_eq!(market.leases[&LeaseId(7)].due, 500);
        assert_eq!(market.after(&Update::Rollback { to: 1 }, 4).leases[&LeaseId(7)].due, 0);
    }

    proptest! {
        /// What is stored and loaded again is what is in memory, however the updates fall.
        #[test]
        fn documents_follow_memory(steps in prop::collection::vec((0u8..3, 1u64..5), 1..20)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let store = iono_store::connect("sqlite::memory:").await.unwrap();
                let (mut market, mut head) = (Market::default(), 10);
                for (kind, number) in steps {
                    let update = match kind {
                        0 => { head += number; blocks(head, vec![created(head, number)]) }
                        1 => { head += 1; blocks(head, vec![voided(head, number)]) }
                        _ => { head = u64::max(head - number.min(head), 1); Update::Rollback { to: head } }
                    };
                    let next = market.after(&update, 3);
                    store.change(&market.changes(&next).unwrap()).await.unwrap();
                    market = next;
                    prop_assert_eq!(&Market::load(&store, false).await.unwrap(), &market);
                }
                Ok(())
            })?;
        }
    }
}
