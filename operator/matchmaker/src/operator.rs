//! An operator of the quorum (SP-14): ranks the bids of each closing block, signs the results once, hands its share to
//! whose turn it is, and when it is its own turn gathers shares and submits them. Whoever lies to it is proven to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use alloy::primitives::{Address, Bytes};
use alloy::sol_types::SolCall as _;
use anyhow::{Context as _, Result};
use iono_bls::SecretKey;
use iono_chain::Sender;
use iono_primitives::OrderId;
use iono_quorum::{Domain, Offer, Pool, Results, Roster, SignedShare, aggregators};
use iono_store::SharedStore;
use iono_telemetry::{Check, fail_point};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::config::OperatorConfig;
use crate::journal;
use crate::peers::Peers;
use crate::task::{Task, TaskId, TaskStatus};
use crate::view::View;

/// Tasks that are kept to be asked about and to hold shares against, in blocks.
const KEPT: u64 = 64;

/// A share that came in, and where to say what became of it.
pub(crate) type Delivery = (SignedShare, oneshot::Sender<Reply>);

/// What becomes of a share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    Taken,
    Known,
    NotMember,
    /// Not yet, no more, or never.
    UnknownTask,
    /// Its results are asked for, unless they came.
    OtherRoot,
    BadShare(String),
}

/// What an operator waits for.
pub(crate) enum Event {
    Share(Box<Delivery>),
    Ended(Ended),
    /// Time to submit without those who are slow.
    Grace,
}

/// Work that has come to its end.
#[derive(Debug)]
pub(crate) enum Ended {
    Told,
    Submitted(TaskId, bool),
}

/// The operator of one key.
pub(crate) struct Operator {
    pub(crate) secret: SecretKey,
    pub(crate) config: OperatorConfig,
    pub(crate) domain: Domain,
    pub(crate) sender: Sender,
    pub(crate) store: SharedStore,
    pub(crate) check: Check,
    pub(crate) peers: Peers,
    pub(crate) inbox: mpsc::Receiver<Delivery>,
    pub(crate) board: watch::Sender<Arc<Vec<TaskStatus>>>,
    pub(crate) tasks: BTreeMap<TaskId, Task>,
    pub(crate) work: JoinSet<Ended>,
    pub(crate) wake: Option<Instant>,
}

impl Operator {
    /// The next thing to do; may be dropped and called again.
    pub(crate) async fn next(&mut self) -> Event {
        let grace = async {
            match self.wake {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(delivery) = self.inbox.recv() => Event::Share(Box::new(delivery)),
            Some(ended) = self.work.join_next() => Event::Ended(ended.unwrap_or(Ended::Told)),
            () = grace => Event::Grace,
        }
    }

    /// Takes an event in.
    pub(crate) fn on_event(&mut self, event: Event, view: &View<'_>) {
        match event {
            Event::Share(delivery) => {
                let (share, answer) = *delivery;
                let id = (share.close_block, share.set_era);
                // Who no longer waits for the answer gets none.
                let _ = answer.send(self.take(&share, view));
                self.submit_if_due(id, view);
            }
            Event::Ended(Ended::Told) => {}
            Event::Ended(Ended::Submitted(id, sent)) => {
                if let Some(task) = self.tasks.get_mut(&id) {
                    task.end_submission(view.head, sent);
                }
            }
            Event::Grace => {
                self.wake = None;
                self.submit_all_due(view);
            }
        }
        self.show(view);
    }

    /// A re-org: what was anchored to blocks above `to` is another matter now.
    pub(crate) fn rolled_back(&mut self, to: u64) {
        self.tasks.retain(|_, task| task.seeded <= to);
    }

    /// Does what a new head makes due.
    pub(crate) async fn on_head(&mut self, view: &mut View<'_>) {
        let Some(me) = self.number(view.roster) else { return };
        for id in view.due() {
            if self.tasks.contains_key(&id) {
                continue;
            }
            match self.open(id, me, view).await {
                Ok(Some(task)) => {
                    self.tasks.insert(id, task);
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(task = ?id, error = format!("{error:#}"), "not possible yet"),
            }
        }
        self.forget_old(view.head).await;
        let ejected = view.ejected();
        for task in self.tasks.values_mut() {
            ejected.iter().for_each(|operator| task.pool.eject(*operator));
        }
        self.tell(me, view);
        self.submit_all_due(view);
        self.show(view);
    }

    /// Our number, if the registry knows the key and did not eject it.
    fn number(&self, roster: &Roster) -> Option<u32> {
        let found = roster.operator_of(&self.secret.public_key());
        let Some((number, operator)) = found.and_then(|number| Some((number, roster.operator(number)?)))
        else {
            self.check.fail("the registry does not know this operator's key: register it");
            return None;
        };
        if operator.ejected {
            self.check.fail(format!("operator {number} was slashed and ejected: it signs no more"));
            return None;
        }
        self.check.ok();
        Some(number)
    }

    /// Ranks and signs.
    async fn open(&self, id: TaskId, me: u32, view: &mut View<'_>) -> Result<Option<Task>> {
        let (close_block, era) = id;
        let (Some(set), Some(seeded)) = (view.roster.set_at(era), view.seeded(id)) else { return Ok(None) };
        let anchor = view.reader.anchor(close_block).await?;
        let orders = view.closed_orders(id).await?;
        let Some(results) = Results::compute(&self.domain, close_block, era, anchor, &orders) else {
            return Ok(None);
        };
        let ejected = view.ejected();
        let mut turns = aggregators(&set, anchor.close_hash);
        turns.retain(|operator| !ejected.contains(operator));
        if turns.is_empty() {
            return Ok(None);
        }
        let is_member = turns.contains(&me);
        let mut pool = Pool::new(results.digest(), set, ejected);
        if is_member {
            fail_point("matchmaker.before_sign");
            journal::sign_once(&self.store, &results).await?;
            fail_point("matchmaker.after_sign");
            pool.hold(me, results.sign(me, &self.secret).point().context("our own signature")?);
            metrics::counter!("iono_matchmaker_signed_total").increment(results.ranked.len() as u64);
        }
        Ok(Some(Task::new(results, orders, pool, turns, seeded)))
    }

    /// Hands our shares to those whose turn it is.
    fn tell(&mut self, me: u32, view: &View<'_>) {
        for task in self.tasks.values_mut() {
            let (aggregator, turn) = task.turn(view.head);
            let is_over = task.open(view.market) == 0;
            let is_member = task.pool.set().members.iter().any(|member| member.operator == me);
            if is_over || !is_member || task.sent == Some(turn) || aggregator == me {
                continue;
            }
            task.sent = Some(turn);
            let Some(operator) = view.roster.operator(aggregator).filter(|o| !o.endpoint.is_empty()) else {
                tracing::debug!(aggregator, "it has no endpoint: its turn passes");
                continue;
            };
            let share = task.results.sign(me, &self.secret);
            let (peers, results) = (self.peers.clone(), task.results.list());
            let endpoint = operator.endpoint.clone();
            self.work.spawn(async move {
                fail_point("matchmaker.before_share");
                peers.deliver(aggregator, &endpoint, share, results).await;
                fail_point("matchmaker.after_share");
                Ended::Told
            });
        }
    }

    fn take(&mut self, share: &SignedShare, view: &View<'_>) -> Reply {
        let Some(task) = self.tasks.get_mut(&(share.close_block, share.set_era)) else {
            return Reply::UnknownTask;
        };
        let signature = match share.point() {
            Ok(signature) => signature,
            Err(error) => return Reply::BadShare(error.to_string()),
        };
        if share.root == task.results.root() {
            return match task.pool.offer(share.operator, signature) {
                Offer::Taken => Reply::Taken,
                Offer::Known => Reply::Known,
                Offer::NotMember => Reply::NotMember,
            };
        }
        let member = task.pool.set().members.iter().find(|member| member.operator == share.operator);
        let Some(member) = member else { return Reply::NotMember };
        if share.results.is_empty() {
            return Reply::OtherRoot;
        }
        let digest = self.domain.root_digest(share.close_block, share.set_era, share.root);
        if !signature.verify(digest.as_slice(), &member.key) {
            return Reply::BadShare("it is no signature of its root by this operator".to_owned());
        }
        tracing::warn!(operator = share.operator, task = ?task.id(), "signed another root than ours");
        let is_ejected = view.roster.operator(share.operator).is_none_or(|operator| operator.ejected);
        if let Some(proof) = task.results.lie_in(share, &task.orders)
            && !is_ejected
        {
            self.prove(share.operator, OrderId(proof.result.order.to()), proof.abi_encode().into());
        }
        Reply::OtherRoot
    }

    /// Shows a lie to the contract, once.
    fn prove(&mut self, operator: u32, order: OrderId, call: Bytes) {
        let (sender, tasks) = (self.sender.clone(), self.domain.tasks);
        self.work.spawn(async move {
            match sender.submit(&format!("lie:{operator}:{order}"), tasks, call).await {
                Ok(mined) => {
                    metrics::counter!("iono_matchmaker_lies_proven_total").increment(1);
                    tracing::warn!(operator, %order, block = mined.block, "a lie was proven: it is slashed");
                }
                Err(error) => tracing::info!(operator, %order, %error, "the lie was not proven by us"),
            }
            Ended::Told
        });
    }

    fn submit_all_due(&mut self, view: &View<'_>) {
        let ids: Vec<TaskId> = self.tasks.keys().copied().collect();
        ids.into_iter().for_each(|id| self.submit_if_due(id, view));
    }

    /// Submits a task if it is our turn and the quorum is there.
    fn submit_if_due(&mut self, id: TaskId, view: &View<'_>) {
        let me = view.roster.operator_of(&self.secret.public_key());
        let tasks = self.domain.tasks;
        let Some(task) = self.tasks.get_mut(&id) else { return };
        if Some(task.turn(view.head).0) != me || !task.may_submit(view.head) {
            return;
        }
        if task.open(view.market) == 0 {
            return;
        }
        let Some(at) = task.submit_at(Duration::from_millis(self.config.grace_ms)) else { return };
        if at > Instant::now() {
            self.wake = Some(self.wake.map_or(at, |wake| wake.min(at)));
            return;
        }
        let calls = task.batches(view.market, self.config.max_batch);
        task.begin_submission();
        let sender = self.sender.clone();
        self.work.spawn(async move {
            fail_point("matchmaker.before_submit");
            let mut sent = true;
            for call in calls {
                sent &= submit(&sender, tasks, id, &call).await;
            }
            fail_point("matchmaker.after_submit");
            Ended::Submitted(id, sent)
        });
    }

    async fn forget_old(&mut self, head: u64) {
        let old: Vec<TaskId> =
            self.tasks.keys().copied().filter(|(close_block, _)| close_block + KEPT < head).collect();
        for id in old {
            self.tasks.remove(&id);
            if let Err(error) = journal::forget(&self.store, id).await {
                tracing::debug!(task = ?id, %error, "a line of the journal stays for now");
            }
        }
    }

    fn show(&self, view: &View<'_>) {
        let status = self.tasks.values().map(|task| task.status(view.head, view.market)).collect();
        self.board.send_replace(Arc::new(status));
    }
}

/// Sends one batch; whether it was mined.
async fn submit(
    sender: &Sender,
    tasks: Address,
    (close_block, era): TaskId,
    call: &iono_bindings::IMatchTaskManager::respondBatchCall,
) -> bool {
    let first = call.matches.first().map(|first| first.order).unwrap_or_default();
    let key = format!("batch:{close_block}:{era}:{first}");
    // What failed or became final before a re-org undid it may be tried anew; what is in flight goes on.
    let sent = match sender.forget(&key).await {
        Ok(()) => sender.submit(&key, tasks, call.abi_encode().into()).await,
        Err(error) => Err(error),
    };
    match sent {
        Ok(mined) => {
            metrics::counter!("iono_matchmaker_batches_total").increment(1);
            tracing::info!(
                key,
                orders = call.matches.len(),
                block = mined.block,
                gas = mined.gas_used,
                "submitted"
            );
            true
        }
        Err(error) => {
            metrics::counter!("iono_matchmaker_batches_failed_total").increment(1);
            tracing::warn!(key, %error, "the batch was not taken");
            false
        }
    }
}
