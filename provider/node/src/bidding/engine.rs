//! Looks at every open order: decides, reserves, bids, and follows the bid until it has won or lost. It goes by the
//! book's present state, so a restart at any point goes on where it stopped. An order that a script prices is reserved
//! for without a verdict meanwhile.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alloy::primitives::U256;
use alloy::primitives::aliases::U80;
use iono_bindings::{IOrderBook, order_flags};
use iono_chain::{SendError, Sender};
use iono_identity::unix_now;
use iono_matching::{Terms, Weights};
use iono_primitives::{FizzId, OrderId, ProviderId, Rate, Region};
use iono_telemetry::fail_point;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::desk::Desk;
use super::lost::why_lost;
use crate::acts::send;
use crate::gateway::{Gateway, Said};
use iono_host::market::reader::ReadError;
use iono_host::market::tracked::{BidStage, Outcome, Tracked};
use iono_host::node::Node;
use iono_host::pricing::Request;
use iono_host::verdict;
use iono_host::verdict::decide::Verdict;
use iono_host::verdict::reason::Reason;

/// Blocks after an order became ready in which a keeper is waited for before this provider resolves what it won.
const KEEPERS_TURN: u64 = 5;
/// Look again at least so often.
const TICK: Duration = Duration::from_secs(2);
/// Wait before a bid that could not even be journalled is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// The engine with what it has under way.
pub struct Engine {
    node: Arc<Node>,
    sender: Sender,
    gateway: Option<Arc<Gateway>>,
    under_way: Mutex<HashSet<OrderId>>,
    desk: Desk,
    tasks: TaskTracker,
    token: CancellationToken,
}

impl Engine {
    /// An engine for `node`, and for the light nodes of `gateway`, that bids by `sender` and stops with `token`.
    #[must_use]
    pub fn new(
        node: Arc<Node>,
        sender: Sender,
        gateway: Option<Arc<Gateway>>,
        token: CancellationToken,
    ) -> Arc<Self> {
        let (desk, tasks) = (Desk::default(), TaskTracker::new());
        Arc::new(Self { node, sender, gateway, under_way: Mutex::default(), desk, tasks, token })
    }

    /// Works until the token is cancelled.
    pub async fn run(self: Arc<Self>) {
        loop {
            tokio::select! {
                () = self.node.orders_changed.notified() => {}
                () = tokio::time::sleep(TICK) => {}
                () = self.token.cancelled() => break,
            }
            // Without tokens and profile every order would be declined for the wrong reason.
            let view = self.node.view();
            if view.caught_up && !view.tokens.is_empty() && view.profile.id != 0 {
                self.look().await;
            }
        }
        self.tasks.close();
        self.tasks.wait().await;
    }

    async fn look(self: &Arc<Self>) {
        self.desk.saw(self.node.view().head.number);
        let (decided, to_price) = self.decide_all();
        for (request, close_block) in to_price {
            self.price(request, close_block);
        }
        // Also what could not be written the last time.
        if let Err(error) = self.node.save().await {
            tracing::error!(%error, "decisions cannot be written down; no bid is made before they are");
            return;
        }
        if decided {
            fail_point("provider.bid.reserved");
        }
        let (to_send, to_follow) = self.open_bids();
        for (order, rate) in to_send {
            self.start(order, move |engine| async move { engine.send(order, rate).await });
        }
        for order in to_follow {
            self.start(order, move |engine| async move { engine.follow(order).await });
        }
    }

    /// Runs `work` for an order unless something is under way for it.
    fn start<F>(self: &Arc<Self>, order: OrderId, work: impl FnOnce(Arc<Self>) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        if !self.under_way().insert(order) {
            return;
        }
        let (engine, work) = (Arc::clone(self), work(Arc::clone(self)));
        self.tasks.spawn(async move {
            work.await;
            engine.under_way().remove(&order);
        });
    }

    /// Has a script price a request whose order closes with `close_block`; what it says is looked at under the book's lock.
    fn price(self: &Arc<Self>, request: Request, close_block: u64) {
        self.desk.open(request.order);
        let engine = Arc::clone(self);
        self.tasks.spawn(async move {
            tokio::select! {
                () = engine.desk.ask(&engine.node, request, close_block) => engine.node.orders_changed.notify_one(),
                () = engine.token.cancelled() => {}
            }
        });
    }

    fn under_way(&self) -> std::sync::MutexGuard<'_, HashSet<OrderId>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides on what is undecided and reserves for it, all under one lock. True when something was decided; with the
    /// requests that have to be priced first, and the last blocks in which bids on them are taken.
    fn decide_all(&self) -> (bool, Vec<(Request, u64)>) {
        let view = self.node.view();
        let obstacle = self.node.obstacle(unix_now());
        let mut book = self.node.book();
        let undecided = |tracked: &&Tracked| tracked.verdict.is_none() && tracked.outcome == Outcome::Open;
        let open = |id: &OrderId| book.orders().get(id).filter(undecided).is_some();
        self.desk.keep(open);
        if let Some(gateway) = &self.gateway {
            gateway.forget_asked(open);
        }
        let in_time = |tracked: &Tracked| view.head.number < tracked.order.words.close_block;
        let ready: Vec<OrderId> = book
            .orders()
            .values()
            .filter(undecided)
            // What stands in the way may pass while there is still time to bid, and a script may still answer.
            .filter(|tracked| {
                !in_time(tracked) || (obstacle.is_none() && !self.desk.is_open(tracked.order.id))
            })
            .map(|tracked| tracked.order.id)
            .collect();
        let (mut decided, mut to_price) = (false, Vec::new());
        for id in ready {
            let Some(tracked) = book.orders().get(&id) else { continue };
            let close_block = tracked.order.words.close_block;
            let verdict = verdict::here(&self.node, &book, tracked, obstacle.as_deref(), |request| {
                self.desk.answer(&request).or_else(|| {
                    to_price.push((request, close_block));
                    None
                })
            });
            let Some((verdict, fizz)) = self.or_light_node(tracked, verdict) else { continue };
            if let Some(verdict) = &verdict {
                report(id, verdict);
                decided = true;
            }
            book.change_order(id, |tracked| {
                match &verdict {
                    // A bid that stood before this provider lost its records stays as it is.
                    _ if tracked.bid == BidStage::Placed => {}
                    Some(Verdict::Decline { .. }) if tracked.bid == BidStage::Reserved => {
                        tracked.bid = BidStage::None;
                    }
                    Some(Verdict::Decline { .. }) => {}
                    Some(Verdict::Bid { .. }) | None => tracked.bid = BidStage::Reserved,
                }
                (tracked.verdict, tracked.fizz) = (verdict, fizz);
            });
        }
        (decided, to_price)
    }

    /// What is not for this provider's own machines may be for one of its light nodes; `None` while they are asked.
    fn or_light_node(&self, tracked: &Tracked, own: Option<Verdict>) -> Option<(Option<Verdict>, FizzId)> {
        let (order, head) = (&tracked.order, self.node.view().head.number);
        let here = tracked.fizz;
        let (Some(Verdict::Decline { reason }), Some(gateway)) = (&own, &self.gateway) else {
            return Some((own, here));
        };
        if order.words.flags & order_flags::FIZZ == 0 || head >= order.words.close_block {
            return Some((own, here));
        }
        match gateway.said(order, self.desk.limit(order.words.close_block - head)) {
            Said::Asking => None,
            Said::Bid { fizz, rate } => Some((Some(Verdict::Bid { rate }), fizz)),
            Said::No(why) => {
                // What the order does not ask for is no reason.
                let reason = if reason.dimension == "mode" { why } else { also(reason, &why) };
                Some((Some(Verdict::Decline { reason }), here))
            }
        }
    }

    /// Bids to send, and orders whose window is over and whose winner is to be found out.
    fn open_bids(&self) -> (Vec<(OrderId, Rate)>, Vec<OrderId>) {
        let head = self.node.view().head.number;
        let (mut send, mut follow) = (Vec::new(), Vec::new());
        for tracked in self.node.book().orders().values() {
            let id = tracked.order.id;
            match (&tracked.outcome, &tracked.bid, &tracked.verdict) {
                (Outcome::Open, BidStage::Reserved, Some(Verdict::Bid { rate })) => send.push((id, *rate)),
                (Outcome::Open, BidStage::Placed, _)
                    if head > tracked.order.words.ready_block() + KEEPERS_TURN =>
                {
                    follow.push(id);
                }
                (Outcome::Matched { provider, lost: None, .. }, BidStage::Placed, _)
                    if *provider != self.node.me.provider =>
                {
                    follow.push(id);
                }
                _ => {}
            }
        }
        (send, follow)
    }

    /// Sends a reserved bid and notes what came of it.
    async fn send(&self, order: OrderId, rate: Rate) {
        let Some(tracked) = self.node.book().orders().get(&order).cloned() else { return };
        // The salted hash tells orders apart that a re-org gave the same number.
        let key = format!("bid:{order}:{}", hex::encode(&tracked.order.spec.manifest_hash[..8]));
        let call =
            IOrderBook::placeBidCall { order: order.into(), rate: U80::from(rate.0), fizz: tracked.fizz.0 };
        fail_point("provider.bid.before_send");
        let sent = send(&self.sender, &key, self.node.reader.book().order_book, call).await;
        fail_point("provider.bid.after_send");
        let stage = match sent {
            Ok(mined) => {
                metrics::counter!("iono_provider_bids_total").increment(1);
                tracing::info!(%order, block = mined.block, gas = mined.gas_used, "bid placed");
                BidStage::Placed
            }
            Err(SendError::Reverted(why)) => {
                tracing::info!(%order, %why, "bid refused");
                BidStage::Gone { reason: Reason::new("refused", why.to_string()) }
            }
            Err(SendError::Ending) => return,
            Err(error) => {
                tracing::warn!(%order, %error, "bid not sent yet");
                tokio::time::sleep(AGAIN).await;
                return;
            }
        };
        self.note(order, |tracked| {
            // The chain's event may have come first and said more.
            if tracked.bid == BidStage::Reserved {
                tracked.bid = stage;
            }
        })
        .await;
    }

    /// Finds out why a bid lost, or whether it is about to win an order that nobody resolves.
    async fn follow(&self, order: OrderId) {
        let Some(tracked) = self.node.book().orders().get(&order).cloned() else { return };
        let done = match &tracked.outcome {
            Outcome::Matched { provider, seed, .. } => self.explain(&tracked, *provider, seed).await,
            _ => self.settle_winner(&tracked).await,
        };
        if let Err(error) = done {
            tracing::debug!(%order, %error, "the order's outcome cannot be told yet");
        }
    }

    async fn explain(
        &self,
        tracked: &Tracked,
        winner: ProviderId,
        seed: &alloy::primitives::B256,
    ) -> Result<(), ReadError> {
        let words = &tracked.order.words;
        let bids = self.node.reader.bids(tracked.order.id).await?;
        let weights = Weights::from_word(self.node.reader.weights(words.policy).await?);
        let terms = Terms { weights, max_rate: Rate(words.max_rate), region: Region(words.region) };
        let of = |id: ProviderId| bids.iter().find(|bid| bid.provider == id.0);
        let reason = match (of(self.node.me.provider), of(winner)) {
            (Some(ours), Some(theirs)) => why_lost(&terms, ours, theirs, seed),
            _ => Reason::new("score", format!("lost to provider {winner}")),
        };
        tracing::info!(order = %tracked.order.id, %reason, "bid lost");
        self.note(tracked.order.id, |tracked| {
            if let Outcome::Matched { lost, .. } = &mut tracked.outcome {
                *lost = Some(reason);
            }
        })
        .await;
        Ok(())
    }

    /// After the window the winner is a fact that nobody can change: who did not win lets the capacity go, and who won
    /// resolves the order if no keeper does.
    async fn settle_winner(&self, tracked: &Tracked) -> Result<(), ReadError> {
        let order = tracked.order.id;
        let winner = self.node.reader.winner_of(order).await?;
        if winner.provider != self.node.me.provider.0 {
            let reason =
                Reason::new("score", format!("provider {} wins when the order is resolved", winner.provider));
            self.note(order, |tracked| {
                if tracked.outcome == Outcome::Open {
                    tracked.outcome = Outcome::Lost { reason };
                }
            })
            .await;
            return Ok(());
        }
        tracing::info!(%order, "won, and no keeper resolves it; resolving it");
        let key = format!("resolve:{order}");
        let call = IOrderBook::resolveCall { order: U256::from(order.0) };
        if let Err(error) = send(&self.sender, &key, self.node.reader.book().order_book, call).await {
            tracing::debug!(%order, %error, "not resolved by this provider");
        }
        Ok(())
    }

    async fn note(&self, order: OrderId, change: impl FnOnce(&mut Tracked)) {
        self.node.book().change_order(order, change);
        if let Err(error) = self.node.save().await {
            tracing::error!(%order, %error, "the bid's state cannot be written down yet");
        }
    }
}

/// Why neither this provider's own machines nor its light nodes take an order.
fn also(own: &Reason, light: &Reason) -> Reason {
    Reason::new(own.dimension.clone(), format!("{}; light nodes: {}", own.message, light.message))
}

fn report(order: OrderId, verdict: &Verdict) {
    match verdict {
        Verdict::Bid { rate } => tracing::info!(%order, %rate, "bidding"),
        Verdict::Decline { reason } => {
            metrics::counter!("iono_provider_declined_total", "dimension" => reason.dimension.clone())
                .increment(1);
            tracing::info!(%order, %reason, "not bidding");
        }
    }
}
