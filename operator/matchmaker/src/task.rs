//! One task of the quorum: the orders of a closing block and a set, from the first share to the last lease.

use std::time::{Duration, Instant};

use iono_bindings::IMatchTaskManager::respondBatchCall;
use iono_quorum::{ClosedOrder, Pool, Results, turn_at};
use serde::Serialize;

use crate::market::Market;

/// The first pause between attempts to submit, in blocks.
const PAUSE: u64 = 2;
/// The longest.
const PATIENCE: u64 = 16;

/// Closing block and era of the set.
pub(crate) type TaskId = (u64, u32);

/// What is known of a task.
#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) results: Results,
    pub(crate) orders: Vec<ClosedOrder>,
    pub(crate) pool: Pool,
    /// Operators in the order of their turns.
    turns: Vec<u32>,
    /// The block from which on they take turns.
    pub(crate) seeded: u64,
    /// The turn whose aggregator got our share, or is getting it.
    pub(crate) sent: Option<u64>,
    quorum_since: Option<Instant>,
    /// A submission is under way.
    submitting: bool,
    /// The block from which it may be tried again, and the blocks to wait after that.
    retry: (u64, u64),
}

/// For people and machines who ask how a task stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TaskStatus {
    close_block: u64,
    set_era: u32,
    root: alloy::primitives::B256,
    orders: usize,
    /// Orders that wait for their lease.
    open: usize,
    aggregator: u32,
    signers: Vec<u32>,
    /// Wei of SPON; decimal, as it may exceed what JSON numbers hold.
    signed: String,
    total: String,
    bad_shares: u64,
    state: &'static str,
}

impl Task {
    pub(crate) fn new(
        results: Results,
        orders: Vec<ClosedOrder>,
        pool: Pool,
        turns: Vec<u32>,
        seeded: u64,
    ) -> Self {
        let (sent, quorum_since) = (None, None);
        Self {
            results,
            orders,
            pool,
            turns,
            seeded,
            sent,
            quorum_since,
            submitting: false,
            retry: (0, PAUSE),
        }
    }

    pub(crate) fn id(&self) -> TaskId {
        (self.results.close_block, self.results.set_era)
    }

    /// Whose turn it is, and the how-manieth.
    pub(crate) fn turn(&self, head: u64) -> (u32, u64) {
        let turn = turn_at(self.seeded, head);
        (self.turns[(turn % self.turns.len() as u64) as usize], turn)
    }

    /// When the aggregator goes ahead: at once when everybody has signed, some time after the quorum is reached
    /// otherwise, so that who is only slow is not left out. `None` without a quorum.
    pub(crate) fn submit_at(&mut self, grace: Duration) -> Option<Instant> {
        if !self.pool.settle() {
            self.quorum_since = None;
            return None;
        }
        let since = *self.quorum_since.get_or_insert_with(Instant::now);
        Some(if self.pool.is_complete() { since } else { since + grace })
    }

    /// Whether a submission may start at this block.
    pub(crate) fn may_submit(&self, head: u64) -> bool {
        !self.submitting && head >= self.retry.0
    }

    /// How many orders a batch may still match.
    pub(crate) fn open(&self, market: &Market) -> usize {
        self.results.ranked.iter().filter(|result| market.is_for_quorum(result.order)).count()
    }

    /// The calls that make leases of the orders that are open, at most so many in each.
    pub(crate) fn batches(&self, market: &Market, at_most: usize) -> Vec<respondBatchCall> {
        match self.pool.quorum() {
            Ok(quorum) => self.results.batches(&quorum, |order| market.is_for_quorum(order), at_most),
            Err(error) => {
                // Only keys or signatures that cancel out: nobody can submit that.
                tracing::warn!(task = ?self.id(), %error, "the shares make no quorum");
                Vec::new()
            }
        }
    }

    pub(crate) fn begin_submission(&mut self) {
        self.submitting = true;
    }

    /// What was sent shows in the logs before the pause is over; if it does not, or if it failed, it is tried again.
    pub(crate) fn end_submission(&mut self, head: u64, sent: bool) {
        self.submitting = false;
        let (_, pause) = self.retry;
        self.retry = (head + pause, if sent { PAUSE } else { (pause * 2).min(PATIENCE) });
    }

    pub(crate) fn status(&self, head: u64, market: &Market) -> TaskStatus {
        let left = self.open(market);
        let quorum = self.pool.set().is_quorum(self.pool.signed());
        TaskStatus {
            close_block: self.results.close_block,
            set_era: self.results.set_era,
            root: self.results.root(),
            orders: self.results.ranked.len(),
            open: left,
            aggregator: self.turn(head).0,
            signers: self.pool.signers().collect(),
            signed: self.pool.signed().to_string(),
            total: self.pool.set().weight().to_string(),
            bad_shares: self.pool.bad(),
            state: match (left, self.submitting, quorum) {
                (0, ..) => "done",
                (_, true, _) => "submitting",
                (_, _, true) => "quorum",
                _ => "gathering",
            },
        }
    }
}
