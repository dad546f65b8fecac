//! `matchmaker run`: follows the chain, and starts an attempt for whatever is due. The market is what the last commit
//! made durable; attempts in flight are in the sender's journal; so a killed process goes on where it was.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use alloy::primitives::keccak256;
use anyhow::Result;
use iono_chain::{ChainError, Follower, Rpc, Sender, Update};
use iono_primitives::{LeaseId, OrderId};
use iono_telemetry::{Check, Health, Shutdown, check_fail_points, fail_point};
use tokio::task::JoinSet;

use crate::FAIL_POINTS;
use crate::config::Config;
use crate::keeper::{Keeper, Outcome};
use crate::market::Market;

/// Time for transactions under way when the daemon ends.
const DRAIN: Duration = Duration::from_secs(15);
/// Wait after the store failed.
const AGAIN: Duration = Duration::from_secs(2);
/// The longest pause between attempts, in blocks.
const PATIENCE: u64 = 64;

/// An order or a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Task {
    Order(OrderId),
    Lease(LeaseId),
}

/// When a task that failed is tried again.
#[derive(Debug, Clone, Copy)]
struct Retry {
    block: u64,
    pause: u64,
}

struct Loop {
    config: Config,
    follower: Follower,
    keeper: Keeper,
    check: Check,
    market: Market,
    head: u64,
    attempts: JoinSet<(Task, Outcome)>,
    busy: BTreeSet<Task>,
    retries: BTreeMap<Task, Retry>,
    shutdown: Shutdown,
}

/// Runs until SIGTERM or SIGINT.
pub(crate) async fn run(config: Config) -> Result<()> {
    check_fail_points(&[FAIL_POINTS, iono_chain::FAIL_POINTS])?;
    iono_telemetry::init(&config.telemetry)?;
    let (health, shutdown) = (Health::default(), Shutdown::on_signals()?);
    let check = health.check("follower");
    iono_telemetry::serve(&config.telemetry, &health, &shutdown).await?;

    let book = config.chain.address_book()?;
    let key = config.open_key().await?;
    let store = iono_store::connect(&config.store_url()).await?;
    let rpc = Rpc::connect(&config.chain, book.chain_id, health.check("rpc"))?;
    let sender = Sender::start(&rpc, store.clone(), key, &config.chain.sender, &health, &shutdown).await?;
    let contracts = vec![book.order_book, book.lease_book];
    let follower = Follower::new(&rpc, store.clone(), &config.chain, book.start_block, contracts).await?;
    let market = Market::load(&store).await?;
    tracing::info!(keeper = %sender.address(), orders = market.orders.len(), "matchmaker running");
    fail_point("matchmaker.started");

    let jitter = Duration::from_millis(config.keeper.jitter_ms);
    let keeper = Keeper { sender, provider: rpc.provider().clone(), book, jitter };
    let work = Loop {
        config,
        follower,
        keeper,
        check,
        market,
        head: 0,
        attempts: JoinSet::new(),
        busy: BTreeSet::new(),
        retries: BTreeMap::new(),
        shutdown: shutdown.clone(),
    };
    shutdown.spawn("keeper", work.run());
    shutdown.drain(DRAIN).await;
    tracing::info!("ended");
    Ok(())
}

impl Loop {
    async fn run(mut self) {
        let token = self.shutdown.token();
        while !token.is_cancelled() {
            tokio::select! {
                () = token.cancelled() => {}
                Some(ended) = self.attempts.join_next() => {
                    if let Ok((task, outcome)) = ended {
                        self.ended(task, outcome);
                    }
                }
                update = self.follower.next() => self.turn(update).await,
            }
        }
        // The sender ends with the same token; what it was doing stays in its journal.
        self.attempts.shutdown().await;
    }

    /// Takes one update in, and starts what has become due.
    async fn turn(&mut self, update: Result<Update, ChainError>) {
        let taken = match update {
            Ok(update) => self.take(&update).await,
            Err(error) => Err(error),
        };
        match taken {
            Ok(Some(now)) => {
                self.check.ok();
                self.start_due(now);
            }
            Ok(None) => {}
            Err(error) => {
                self.check.fail(error.to_string());
                tokio::time::sleep(AGAIN).await;
            }
        }
    }

    /// Makes an update durable; gives the chain's time when the head is reached.
    async fn take(&mut self, update: &Update) -> Result<Option<u64>, ChainError> {
        let next = self.market.after(update, self.config.chain.finality_depth);
        let changes = self.market.changes(&next)?;
        fail_point("matchmaker.before_commit");
        self.follower.commit(update, &changes).await?;
        fail_point("matchmaker.after_commit");
        self.market = next;
        metrics::gauge!("iono_matchmaker_open_orders").set(self.market.orders.len() as f64);
        match update {
            Update::Blocks { to, timestamp, .. } => {
                self.head = to.number;
                Ok(update.is_caught_up().then_some(*timestamp))
            }
            Update::Rollback { to } => {
                self.head = *to;
                self.retries.clear();
                Ok(None)
            }
        }
    }

    fn start_due(&mut self, now: u64) {
        let next_block = self.head + 1;
        let orders = self.market.orders.iter().filter(|(_, entry)| entry.done.is_none());
        // An order closes, its seed's block follows, and the block after that may resolve it.
        let ready = orders.filter(|(id, entry)| next_block >= entry.due + 2 + self.stagger(**id));
        let mut due: Vec<Task> = ready.map(|(id, _)| Task::Order(*id)).collect();
        if self.config.keeper.expire_leases {
            let leases =
                self.market.leases.iter().filter(|(_, entry)| entry.done.is_none() && entry.due < now);
            due.extend(leases.map(|(id, _)| Task::Lease(*id)));
        }
        for task in due {
            let early = self.retries.get(&task).is_some_and(|retry| self.head < retry.block);
            if early || !self.busy.insert(task) {
                continue;
            }
            let keeper = self.keeper.clone();
            self.attempts.spawn(async move {
                let outcome = match task {
                    Task::Order(order) => keeper.resolve(order).await,
                    Task::Lease(lease) => keeper.expire(lease, now).await,
                };
                (task, outcome)
            });
        }
    }

    fn ended(&mut self, task: Task, outcome: Outcome) {
        self.busy.remove(&task);
        match (task, outcome) {
            (Task::Lease(lease), Outcome::Due(end)) => {
                if let Some(entry) = self.market.leases.get_mut(&lease) {
                    entry.due = end;
                }
            }
            // Its log follows; a retry is due only if it never comes, as when a re-org takes it.
            (_, Outcome::Done | Outcome::Due(_)) => {
                self.retries.insert(task, Retry { block: self.head + 4, pause: 1 });
            }
            (_, Outcome::Later) => {
                let pause = self.retries.get(&task).map_or(1, |retry| (retry.pause * 2).min(PATIENCE));
                self.retries.insert(task, Retry { block: self.head + pause, pause });
            }
        }
        let (orders, leases) = (&self.market.orders, &self.market.leases);
        self.retries.retain(|task, _| match task {
            Task::Order(order) => orders.contains_key(order),
            Task::Lease(lease) => leases.contains_key(lease),
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
