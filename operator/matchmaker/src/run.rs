//! `matchmaker run`: follows the chain, and starts whatever is due. What is known of the chain is what the last commit
//! made durable; attempts in flight are in the sender's journal; so a killed process goes on where it was.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use iono_bindings::AddressBook;
use iono_chain::{ChainError, Follower, Rpc, Sender, Update};
use iono_quorum::Domain;
use iono_store::{LogQuery, SharedStore};
use iono_telemetry::{Check, Health, Shutdown, check_fail_points, fail_point};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::auctions::Auctions;
use crate::config::Config;
use crate::desk::Desk;
use crate::drand::{self, Drand};
use crate::keeper::Keeper;
use crate::market::Market;
use crate::operator::Operator;
use crate::peers::Peers;
use crate::reader::Reader;
use crate::{FAIL_POINTS, api, roster};

/// Time for transactions under way when the daemon ends.
const DRAIN: Duration = Duration::from_secs(15);
/// Wait after the store failed.
const AGAIN: Duration = Duration::from_secs(2);
/// Shares that may wait to be looked at.
const INBOX: usize = 1024;

struct Loop {
    follower: Follower,
    store: SharedStore,
    check: Check,
    desk: Desk,
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
    let drand = match config.keeper.drand.as_deref() {
        Some(url) => Some(Arc::new(Drand::new(url)?)),
        None => None,
    };
    match drand::is_source(rpc.provider(), book.randomness).await {
        Ok(is_source) => drand::must_fit(is_source, drand.is_some())?,
        Err(error) => tracing::warn!(error = format!("{error:#}"), "cannot see yet where seeds come from"),
    }
    let mut contracts =
        vec![book.order_book, book.lease_book, book.operator_registry, book.match_task_manager];
    contracts.extend(drand.is_some().then_some(book.randomness));
    let follower = Follower::new(&rpc, store.clone(), &config.chain, book.start_block, contracts).await?;
    let market = Market::load(&store, drand.is_some()).await?;
    let auctions = Auctions::load(&store, book.order_book, &market).await?;
    let roster = roster::load(&store, book.operator_registry).await?;
    let operator = operator(&config, &book, &sender, &store, &health, &shutdown).await?;
    tracing::info!(
        keeper = %sender.address(), orders = market.orders.len(), operator = operator.is_some(), "matchmaker running"
    );
    fail_point("matchmaker.started");

    let jitter = Duration::from_millis(config.keeper.jitter_ms);
    let reader = Reader::new(rpc.provider().clone(), book.clone());
    let keeper = Keeper { sender, provider: rpc.provider().clone(), book, jitter };
    let mut desk = Desk {
        config,
        keeper,
        reader,
        market,
        auctions,
        roster,
        operator,
        drand,
        head: 0,
        attempts: JoinSet::new(),
        busy: BTreeSet::new(),
        retries: BTreeMap::new(),
        unchecked: Vec::new(),
        wrong: BTreeMap::new(),
    };
    // What was matched before and may not have been challenged to the end when this process was killed.
    if let Some(oldest) = desk.market.orders.values().map(|order| order.created).min() {
        desk.check_matches(&store.logs(&LogQuery::blocks(oldest..=u64::MAX)).await?).await;
    }
    let work = Loop { follower, store, check, desk, shutdown: shutdown.clone() };
    shutdown.spawn("matchmaker", work.run());
    shutdown.drain(DRAIN).await;
    tracing::info!("ended");
    Ok(())
}

/// The operator whose key the configuration names, serving its interface.
async fn operator(
    config: &Config,
    book: &AddressBook,
    sender: &Sender,
    store: &SharedStore,
    health: &Health,
    shutdown: &Shutdown,
) -> Result<Option<Operator>> {
    let Some(secret) = config.open_operator_key().await? else { return Ok(None) };
    let (shares, inbox) = mpsc::channel(INBOX);
    let (board, tasks) = watch::channel(Arc::default());
    api::serve(config.operator.listen, shares, tasks, shutdown).await?;
    Ok(Some(Operator {
        secret,
        config: config.operator.clone(),
        domain: Domain { chain_id: book.chain_id, tasks: book.match_task_manager },
        sender: sender.clone(),
        store: store.clone(),
        check: health.check("operator"),
        peers: Peers::new()?,
        inbox,
        board,
        tasks: BTreeMap::new(),
        work: JoinSet::new(),
        wake: None,
    }))
}

impl Loop {
    async fn run(mut self) {
        let token = self.shutdown.token();
        while !token.is_cancelled() {
            let update = {
                // It goes on while other things happen: whoever sends many shares must not hold the chain up.
                let mut next = pin!(self.follower.next());
                loop {
                    tokio::select! {
                        () = token.cancelled() => break None,
                        update = &mut next => break Some(update),
                        () = self.desk.work() => {}
                    }
                }
            };
            if let Some(update) = update {
                self.turn(update).await;
            }
        }
        // The sender ends with the same token; what it was doing stays in its journal.
        self.desk.stop().await;
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
                self.desk.start_due(now).await;
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
        let desk = &mut self.desk;
        let next = desk.market.after(update, desk.depth());
        let changes = desk.market.changes(&next)?;
        fail_point("matchmaker.before_commit");
        self.follower.commit(update, &changes).await?;
        fail_point("matchmaker.after_commit");
        desk.market = next;
        metrics::gauge!("iono_matchmaker_open_orders").set(desk.market.orders.len() as f64);
        let book = desk.keeper.book.clone();
        match update {
            Update::Blocks { to, timestamp, logs, .. } => {
                desk.head = to.number;
                desk.auctions.apply(logs);
                logs.iter()
                    .filter(|log| log.log.address == book.operator_registry)
                    .for_each(|log| desk.roster.apply(&log.log));
                desk.check_matches(logs).await;
                desk.auctions.keep(&desk.market);
                Ok(update.is_caught_up().then_some(*timestamp))
            }
            Update::Rollback { to } => {
                desk.auctions = Auctions::load(&self.store, book.order_book, &desk.market).await?;
                desk.roster = roster::load(&self.store, book.operator_registry).await?;
                desk.rolled_back(*to);
                Ok(None)
            }
        }
    }
}
