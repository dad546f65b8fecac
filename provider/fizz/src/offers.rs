//! Orders that the gateway asks for: decided on, reserved for, and let go when another is chosen or the bid loses. The
//! chain says which.

use std::sync::Arc;
use std::time::Duration;

use iono_host::api::offer::price_list;
use iono_host::market::tracked::{BidStage, Outcome, Tracked};
use iono_host::node::Node;
use iono_host::pricing::{LONGEST, Request};
use iono_host::subnet::{Answer, FromNode, Offer};
use iono_host::verdict::decide::Verdict;
use iono_host::verdict::{self, reason::Reason};
use iono_identity::unix_now;
use iono_primitives::OrderId;

use crate::link::Link;
use crate::rest::Rest;

/// How long an order that the gateway has seen may take to be seen here.
const SIGHT: Duration = Duration::from_secs(3);
/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(50);
/// Blocks after an order became ready in which it is resolved by others.
const OTHERS_TURN: u64 = 10;

/// What this machine has for new leases now.
#[must_use]
pub fn offer(node: &Node, rest: &Rest) -> Offer {
    let config = node.config();
    let away = rest
        .why(config.pause)
        .or_else(|| node.obstacle(unix_now()))
        .or_else(|| (!config.bidding.enabled).then(|| "the owner switched it off".to_owned()));
    let free = node.free(&node.book(), None);
    Offer::of(&free, price_list(&config, node.machine.storage_class), away)
}

/// Answers the gateway's question.
pub async fn answer(node: Arc<Node>, link: Arc<Link>, rest: Arc<Rest>, order: OrderId) {
    let answer = match decided(&node, &rest, order).await {
        Ok(answer) => answer,
        Err(reason) => Answer::No(reason),
    };
    match &answer {
        Answer::Rate(rate) => tracing::info!(%order, %rate, "reserved; the gateway may bid"),
        Answer::No(reason) => tracing::info!(%order, %reason, "not taken"),
    }
    if !link.say(&FromNode::Answer { order, answer }) {
        release(&node, order, "the gateway did not hear the answer").await;
    }
}

/// Decides and reserves under one lock; a script is asked in between.
async fn decided(node: &Node, rest: &Rest, order: OrderId) -> Result<Answer, Reason> {
    let seen = async {
        while !node.book().orders().contains_key(&order) {
            tokio::time::sleep(LOOK).await;
        }
    };
    let unseen = |_| Reason::new("chain", "this machine has not seen the order yet");
    tokio::time::timeout(SIGHT, seen).await.map_err(unseen)?;
    let config = node.config();
    if let Some(why) = rest.why(config.pause) {
        return Err(Reason::new("owner", why));
    }
    let mut priced = None;
    loop {
        let mut to_price: Option<Request> = None;
        if let Some(verdict) = reserve(node, order, |request| match priced.take() {
            Some((asked, price)) if request.is_like(&asked) => Some(price),
            _ => {
                to_price = Some(request);
                None
            }
        })? {
            node.save().await.map_err(|error| Reason::new("provider", error.to_string()))?;
            return match verdict {
                Verdict::Bid { rate } => Ok(Answer::Rate(rate)),
                Verdict::Decline { reason } => Err(reason),
            };
        }
        let Some(request) = to_price else {
            return Err(Reason::new("price", "no price is known"));
        };
        let price = config.pricing.hourly(&config.prices, &request, LONGEST).await;
        priced = Some((request, price));
    }
}

/// The verdict on an order, which is reserved for where it is a bid; `None` while a script has to be asked.
fn reserve(
    node: &Node,
    order: OrderId,
    script: impl FnOnce(
        Request,
    ) -> Option<Result<iono_host::config::values::Dollars, iono_host::pricing::NoPrice>>,
) -> Result<Option<Verdict>, Reason> {
    let obstacle = node.obstacle(unix_now());
    let mut book = node.book();
    let gone = || Reason::new("time", "the order is over");
    let tracked =
        book.orders().get(&order).filter(|tracked| tracked.outcome == Outcome::Open).ok_or_else(gone)?;
    let verdict = verdict::here(node, &book, tracked, obstacle.as_deref(), script);
    if let Some(verdict) = &verdict {
        book.change_order(order, |tracked| {
            if matches!(verdict, Verdict::Bid { .. }) && tracked.bid != BidStage::Placed {
                tracked.bid = BidStage::Reserved;
            }
            tracked.verdict = Some(verdict.clone());
        });
    }
    Ok(verdict)
}

/// Lets a reservation go that no bid stands for.
pub async fn release(node: &Node, order: OrderId, why: &str) {
    node.book().change_order(order, |tracked| {
        if tracked.bid == BidStage::Reserved {
            tracked.bid = BidStage::Gone { reason: Reason::new("gateway", why) };
        }
    });
    if let Err(error) = node.save().await {
        tracing::error!(%order, %error, "a released order cannot be written down yet");
    }
}

/// Lets go what can win no more: reservations for which nobody bid in time, and bids that lost an order which nobody
/// resolves.
pub async fn let_go(node: &Node) {
    let head = node.view().head.number;
    let (mut late, mut undecided) = (Vec::new(), Vec::new());
    for tracked in node.book().orders().values().filter(|tracked| tracked.outcome == Outcome::Open) {
        match what_of(tracked, head) {
            Some(Fate::Late) => late.push(tracked.order.id),
            Some(Fate::Undecided) => undecided.push(tracked.order.id),
            None => {}
        }
    }
    for order in late {
        release(node, order, "the gateway did not bid in time").await;
    }
    for order in undecided {
        let Ok(winner) = node.reader.winner_of(order).await else { continue };
        if (winner.provider, winner.fizz) != (node.me.provider.0, node.me.fizz.0) {
            let reason =
                Reason::new("score", format!("provider {} wins when the order is resolved", winner.provider));
            node.book().change_order(order, |tracked| {
                if tracked.outcome == Outcome::Open {
                    tracked.outcome = Outcome::Lost { reason };
                }
            });
        }
    }
}

enum Fate {
    Late,
    Undecided,
}

fn what_of(tracked: &Tracked, head: u64) -> Option<Fate> {
    let words = &tracked.order.words;
    match tracked.bid {
        BidStage::Reserved if head > words.ready_block() => Some(Fate::Late),
        BidStage::Placed if head > words.ready_block() + OTHERS_TURN => Some(Fate::Undecided),
        _ => None,
    }
}
