//! Looks at every open order: decides, reserves, bids, and follows the bid until it has won or lost. It goes by the
//! book's present state, so a restart at any point goes on where it stopped. An order that a script prices is reserved
//! for without a verdict meanwhile.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use alloy::primitives::U256;
use alloy::primitives::aliases::U80;
use iono_bindings::IOrderBook;
use iono_chain::SendError;
use iono_identity::unix_now;
use iono_matching::{Terms, Weights};
use iono_primitives::{OrderId, ProviderId, Rate, Region};
use iono_telemetry::fail_point;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::decide::{Verdict, View, decide};
use super::desk::Desk;
use super::lost::why_lost;
use super::reason::Reason;
use crate::market::tracked::{BidStage, Outcome, Tracked};
use crate::node::{Node, claims};
use crate::pricing::Request;

/// Blocks after an order became ready in which a keeper is waited for before this provider resolves what it won.
const KEEPERS_TURN: u64 = 5;
/// Look again at least so often.
const TICK: Duration = Duration::from_secs(2);
/// Wait before a bid that could not even be journalled is tried again.
const AGAIN: Duration = Duration::from_millis(500);

/// The engine with what it has under way.
pub struct Engine {
    node: Arc<Node>,
    under_way: Mutex<HashSet<OrderId>>,
    desk: Desk,
    tasks: TaskTracker,
    token: CancellationToken,
}

impl Engine {
    /// An engine for `node` that stops with `token`.
    #[must_use]
    pub fn new(node: Arc<Node>, token: CancellationToken) -> Arc<Self> {
        let (desk, tasks) = (Desk::default(), TaskTracker::new());
        Arc::new(Self { node, under_way: Mutex::default(), desk, tasks, token })
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
        let (config, view) = (self.node.config(), self.node.view());
        let obstacle = self.node.obstacle(unix_now());
        let class = self.node.machine.storage_class;
        let offer = self.node.offer();
        let withheld = offer.withheld_words();
        let mut book = self.node.book();
        let undecided = |tracked: &&Tracked| tracked.verdict.is_none() && tracked.outcome == Outcome::Open;
        self.desk.keep(|id| book.orders().get(id).filter(undecided).is_some());
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
            let words = tracked.order.words;
            let token = usize::from(words.token);
            let seen = View {
                profile: &view.profile,
                token: view.tokens.get(token).copied(),
                rules: &config.bidding,
                // What it holds itself while it is priced does not stand in its own way.
                held: claims(&book, self.node.me).filter(|claim| claim.lease.0 != id.0).count(),
                head: view.head.number,
                obstacle: obstacle.as_deref(),
                withheld: withheld.as_deref(),
            };
            let free = self.node.free(&book, Some(id.0));
            let verdict = decide(
                &tracked.order,
                &seen,
                |order| free.place(&order.spec, class),
                |allocation, word| {
                    let asset = view.assets.get(token).copied().unwrap_or_default();
                    let free_percent = (free.cpu * 100).checked_div(offer.cpu).unwrap_or_default();
                    let request =
                        Request::bid(&tracked.order, (word, asset), allocation, free_percent, &config.prices);
                    let price = config.pricing.at_once(&config.prices, &request);
                    price.or_else(|| self.desk.answer(&request)).or_else(|| {
                        to_price.push((request, words.close_block));
                        None
                    })
                },
            );
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
                tracked.verdict = verdict;
            });
        }
        (decided, to_price)
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
                    if *provider != self.node.me =>
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
        let call = IOrderBook::placeBidCall { order: order.into(), rate: U80::from(rate.0), fizz: 0 };
        fail_point("provider.bid.before_send");
        let sent = self.node.send(&key, self.node.reader.book().order_book, call).await;
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
    ) -> Result<(), crate::market::reader::ReadError> {
        let words = &tracked.order.words;
        let bids = self.node.reader.bids(tracked.order.id).await?;
        let weights = Weights::from_word(self.node.reader.weights(words.policy).await?);
        let terms = Terms { weights, max_rate: Rate(words.max_rate), region: Region(words.region) };
        let of = |id: ProviderId| bids.iter().find(|bid| bid.provider == id.0);
        let reason = match (of(self.node.me), of(winner)) {
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
    async fn settle_winner(&self, tracked: &Tracked) -> Result<(), crate::market::reader::ReadError> {
        let order = tracked.order.id;
        let winner = self.node.reader.winner_of(order).await?;
        if winner.provider != self.node.me.0 {
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
        if let Err(error) = self.node.send(&key, self.node.reader.book().order_book, call).await {
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
