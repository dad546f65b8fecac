//! What a matchmaker knows and has under way between two updates of the chain: attempts to end orders and leases, the
//! operator's own work, and challenges of wrong matches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use alloy::primitives::keccak256;
use iono_primitives::{LeaseId, OrderId};
use iono_quorum::Roster;
use iono_store::StoredLog;
use tokio::task::JoinSet;

use crate::auctions::Auctions;
use crate::config::Config;
use crate::drand::Drand;
use crate::keeper::{Keeper, Outcome};
use crate::market::{HISTORY, Market, Order};
use crate::operator::{Event, Operator};
use crate::reader::Reader;
use crate::view::View;
use crate::watch::{WrongMatch, is_about_matches, wrong_matches};

/// The longest pause between attempts, in blocks.
const PATIENCE: u64 = 64;

/// An order or a lease that is to be ended, or a match to be challenged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Task {
    Order(OrderId),
    Lease(LeaseId),
    Challenge(OrderId),
    /// The seed of a block.
    Seed(u64),
}

/// When a task that failed is tried again.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retry {
    block: u64,
    pause: u64,
}

/// All of it.
pub(crate) struct Desk {
    pub(crate) config: Config,
    pub(crate) keeper: Keeper,
    pub(crate) reader: Reader,
    pub(crate) market: Market,
    pub(crate) auctions: Auctions,
    pub(crate) roster: Roster,
    pub(crate) operator: Option<Operator>,
    pub(crate) drand: Option<Arc<Drand>>,
    pub(crate) head: u64,
    pub(crate) attempts: JoinSet<(Task, Outcome)>,
    pub(crate) busy: BTreeSet<Task>,
    pub(crate) retries: BTreeMap<Task, Retry>,
    /// Logs of matches that could not be held against the bids yet.
    pub(crate) unchecked: Vec<StoredLog>,
    /// Matches to be challenged.
    pub(crate) wrong: BTreeMap<OrderId, Arc<WrongMatch>>,
}

enum Happened {
    Attempt(Task, Outcome),
    Operator(Event),
}

impl Desk {
    /// Blocks for which ended orders and leases are remembered.
    pub(crate) fn depth(&self) -> u64 {
        self.config.chain.finality_depth.max(self.config.keeper.quorum_blocks)
    }

    /// Waits for the next thing that happens between updates and deals with it; may be dropped and called again.
    pub(crate) async fn work(&mut self) {
        let operator = async {
            match &mut self.operator {
                Some(operator) => operator.next().await,
                None => std::future::pending().await,
            }
        };
        let happened = tokio::select! {
            Some(Ok((task, outcome))) = self.attempts.join_next() => Happened::Attempt(task, outcome),
            event = operator => Happened::Operator(event),
        };
        match happened {
            Happened::Attempt(task, outcome) => self.ended(task, outcome),
            Happened::Operator(event) => {
                let (operator, view) = self.operator_and_view();
                if let Some(operator) = operator {
                    operator.on_event(event, &view);
                }
            }
        }
    }

    /// Ends what is under way.
    pub(crate) async fn stop(&mut self) {
        self.attempts.shutdown().await;
        if let Some(operator) = &mut self.operator {
            operator.work.shutdown().await;
        }
    }

    /// Starts an attempt for whatever is due at this head; `now` is its time.
    pub(crate) async fn start_due(&mut self, now: u64) {
        let (operator, mut view) = self.operator_and_view();
        if let Some(operator) = operator {
            operator.on_head(&mut view).await;
        }
        let orders = self.market.orders.iter().filter(|(_, order)| order.done.is_none());
        // An order closes, its seed comes, and the block after that may resolve it, or refund it if no seed ever comes.
        let ready = orders.filter(|(id, order)| match order.seeded {
            Some(seeded) => self.head >= seeded + self.stagger(**id) + self.patience(order),
            None => self.head >= order.seed_block() + HISTORY,
        });
        let mut due: Vec<Task> = ready.map(|(id, _)| Task::Order(*id)).collect();
        if self.config.keeper.expire_leases {
            let leases =
                self.market.leases.iter().filter(|(_, lease)| lease.done.is_none() && lease.due < now);
            due.extend(leases.map(|(id, _)| Task::Lease(*id)));
        }
        due.extend(self.wrong.keys().map(|order| Task::Challenge(*order)));
        due.extend(self.market.wanted_seeds(self.head).into_iter().map(Task::Seed));
        for task in due {
            let early = self.retries.get(&task).is_some_and(|retry| self.head < retry.block);
            if early || !self.busy.insert(task) {
                continue;
            }
            let keeper = self.keeper.clone();
            match task {
                Task::Order(order) => {
                    self.attempts.spawn(async move { (task, keeper.resolve(order).await) });
                }
                Task::Lease(lease) => {
                    self.attempts.spawn(async move { (task, keeper.expire(lease, now).await) });
                }
                Task::Challenge(order) => {
                    let (wrong, roster) = (self.wrong[&order].clone(), self.roster.clone());
                    self.attempts.spawn(async move { (task, wrong.challenge(&keeper, &roster).await) });
                }
                Task::Seed(block) => {
                    if let Some(drand) = self.drand.clone() {
                        self.attempts.spawn(async move { (task, drand.bring(&keeper, block).await) });
                    }
                }
            }
        }
    }

    /// Holds the matches of these logs against the bids; those that the bids do not make are challenged.
    pub(crate) async fn check_matches(&mut self, logs: &[StoredLog]) {
        self.unchecked.extend(logs.iter().filter(|log| is_about_matches(log)).cloned());
        match wrong_matches(&self.unchecked, &self.auctions, &mut self.reader).await {
            Ok(wrong) => {
                self.unchecked.clear();
                self.wrong.extend(wrong.into_iter().map(|wrong| (wrong.order, Arc::new(wrong))));
            }
            Err(error) => {
                tracing::warn!(error = format!("{error:#}"), "matches are not checked yet; trying again");
            }
        }
    }

    /// A re-org went back to block `to`.
    pub(crate) fn rolled_back(&mut self, to: u64) {
        self.head = to;
        self.retries.clear();
        self.unchecked.retain(|log| log.block <= to);
        self.wrong.retain(|_, wrong| wrong.block <= to);
        if let Some(operator) = &mut self.operator {
            operator.rolled_back(to);
        }
    }

    fn operator_and_view(&mut self) -> (Option<&mut Operator>, View<'_>) {
        let view = View {
            head: self.head,
            market: &self.market,
            auctions: &self.auctions,
            roster: &self.roster,
            reader: &mut self.reader,
            patience: self.config.keeper.quorum_blocks,
        };
        (self.operator.as_mut(), view)
    }

    /// Blocks for which the order is left to a quorum.
    fn patience(&self, order: &Order) -> u64 {
        let is_for_quorum = order.is_for_quorum() && self.roster.has_set(order.era);
        if is_for_quorum { self.config.keeper.quorum_blocks } else { 0 }
    }

    fn ended(&mut self, task: Task, outcome: Outcome) {
        self.busy.remove(&task);
        match (task, outcome) {
            (Task::Challenge(order), Outcome::Done) => {
                self.wrong.remove(&order);
            }
            (Task::Lease(lease), Outcome::Due(end)) => {
                if let Some(lease) = self.market.leases.get_mut(&lease) {
                    lease.due = end;
                }
            }
            // Its log follows; a retry is due only if it never comes, as when a re-org takes it.
            (_, Outcome::Done | Outcome::Due(_)) => {
                self.retries.insert(task, Retry { block: self.head + 4, pause: 1 });
            }
            // Its round may be out any moment.
            (Task::Seed(_), Outcome::Later) => {
                self.retries.insert(task, Retry { block: self.head + 1, pause: 1 });
            }
            (_, Outcome::Later) => {
                let pause = self.retries.get(&task).map_or(1, |retry| (retry.pause * 2).min(PATIENCE));
                self.retries.insert(task, Retry { block: self.head + pause, pause });
            }
        }
        let (orders, leases) = (&self.market.orders, &self.market.leases);
        self.retries.retain(|task, _| match task {
            Task::Order(order) => orders.contains_key(order),
            Task::Challenge(order) => self.wrong.contains_key(order),
            Task::Lease(lease) => leases.contains_key(lease),
            Task::Seed(block) => orders.values().any(|order| order.seed_block() == *block),
        });
    }

    /// Blocks that this key lets pass for others, the same each time for one order.
    fn stagger(&self, order: OrderId) -> u64 {
        let most = self.config.keeper.stagger_blocks;
        if most == 0 {
            return 0;
        }
        let mut bytes = self.keeper.sender.address().to_vec();
        bytes.extend(order.0.to_be_bytes());
        u64::from(keccak256(bytes)[0]) % (most + 1)
    }
}
