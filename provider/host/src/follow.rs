//! Follows the chain into the book: events, then whatever they make stale, written together with the follower's cursor.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use alloy::primitives::Address;
use iono_bindings::TokenWord;
use iono_chain::{ChainError, Follower, Update};
use iono_primitives::TokenId;
use iono_telemetry::Check;
use tokio_util::sync::CancellationToken;

use crate::market::book::apply::Wake;
use crate::market::events::{self, Event};
use crate::market::reader::{Head, ReadError};
use crate::market::unread::Unread;
use crate::node::Node;

/// Wait before a failed write or read is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// Old logs are dropped every so many blocks.
const PRUNE_EVERY: u64 = 1_000;
/// Without a new block for so long the chain is asked whether it is there.
const SILENCE: Duration = Duration::from_secs(20);

/// Follows until `token` is cancelled.
pub async fn run(node: Arc<Node>, mut follower: Follower, check: Check, token: CancellationToken) {
    // What has to be read again once the head is reached.
    let mut wake = Wake::default();
    let mut pruned = 0;
    loop {
        let update = tokio::select! {
            next = next(&node, &mut follower, &mut wake, &check) => next,
            () = token.cancelled() => return,
        };
        let done = match &update {
            Ok(update) => {
                wake |= apply(&node, update);
                let written = commit(&node, &mut follower, update).await;
                written.map(|()| update.is_caught_up()).map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        };
        match done {
            Ok(true) => {
                check.ok();
                wake = tell(&node, wake).await;
                prune(&node, &mut pruned).await;
            }
            Ok(false) => check.fail("reading the chain's past"),
            // What was not written comes again, and the book takes an event twice.
            Err(error) => {
                tracing::error!(error, "the chain cannot be followed; trying again");
                check.fail(error);
                tokio::select! {
                    () = tokio::time::sleep(AGAIN) => {}
                    () = token.cancelled() => return,
                }
            }
        }
    }
}

/// The next update; during a long silence the chain is asked meanwhile whether it is there, without giving up what is
/// being read.
async fn next(
    node: &Node,
    follower: &mut Follower,
    wake: &mut Wake,
    check: &Check,
) -> Result<Update, ChainError> {
    let known = follower.cursor().map_or(0, |cursor| cursor.number);
    let mut next = std::pin::pin!(follower.next());
    loop {
        tokio::select! {
            next = &mut next => return next,
            () = tokio::time::sleep(SILENCE) => {}
        }
        match silent(node, known).await {
            Ok(()) => {
                check.ok();
                *wake = tell(node, *wake).await;
            }
            Err(why) => {
                node.change_view(|view| view.caught_up = false);
                check.fail(why);
            }
        }
    }
}

/// No block for a while: either there is none after `known`, as on a chain that mines on demand, or the chain cannot be
/// reached.
async fn silent(node: &Node, known: u64) -> Result<(), String> {
    let head = node.reader.head().await.map_err(|error| error.to_string())?;
    if head.number > known {
        return Err(format!("block {} is there and cannot be read", head.number));
    }
    node.change_view(|view| {
        // After a start nothing was told yet.
        view.head = if view.heard.is_none() { head } else { view.head };
        view.heard = Some(Instant::now());
        view.caught_up = true;
    });
    Ok(())
}

/// Applies an update to the book and the view.
fn apply(node: &Node, update: &Update) -> Wake {
    let mut wake = Wake::default();
    let caught_up = update.is_caught_up();
    match update {
        Update::Blocks { to, timestamp, logs, .. } => {
            let mut book = node.book();
            let mut light_nodes = BTreeSet::new();
            for stored in logs {
                match events::read(&stored.log, node.reader.book()) {
                    Some(Event::LightNode(fizz)) => _ = light_nodes.insert(fizz),
                    Some(event) => wake |= book.apply(stored.block, event),
                    None => {}
                }
            }
            drop(book);
            let head = Head { number: to.number, timestamp: *timestamp };
            node.change_view(|view| {
                view.head = head;
                view.heard = Some(Instant::now());
                view.caught_up = caught_up;
            });
            // Last: whoever takes them finds a head that has what is to be read.
            node.note_unread(Unread::These(light_nodes));
            metrics::gauge!("iono_host_head_block").set(to.number as f64);
        }
        Update::Rollback { to } => {
            tracing::warn!(to, "the chain was re-organised; taking back what came after");
            wake = node.book().rollback(*to);
            node.change_view(|view| {
                view.head.number = view.head.number.min(*to);
                view.caught_up = false;
            });
            node.note_unread(Unread::All);
        }
    }
    wake
}

async fn commit(node: &Node, follower: &mut Follower, update: &Update) -> Result<(), ChainError> {
    node.save_with(async |changes| follower.commit(update, changes).await).await
}

/// Drops logs that no re-org can reach any more: what came of them is in the book.
async fn prune(node: &Node, pruned: &mut u64) {
    let head = node.view().head.number;
    if head < *pruned + PRUNE_EVERY {
        return;
    }
    let keep = head.saturating_sub(2 * node.config().chain.finality_depth);
    match node.store.prune_logs(keep).await {
        Ok(_) => *pruned = head,
        Err(error) => tracing::warn!(%error, "old logs cannot be dropped"),
    }
}

/// Reads again what became stale and wakes those who wait; gives back what could not be read yet.
async fn tell(node: &Node, wake: Wake) -> Wake {
    let mut left = Wake::default();
    let view = node.view();
    if wake.tokens || view.tokens.is_empty() {
        match tokens(node).await {
            Ok((tokens, assets)) => node.change_view(|view| (view.tokens, view.assets) = (tokens, assets)),
            Err(error) => {
                tracing::warn!(%error, "payment tokens cannot be read");
                left.tokens = true;
            }
        }
    }
    if wake.profile || view.profile.id == 0 {
        match node.reader.profile(node.me.provider).await {
            Ok(profile) => node.change_view(|view| view.profile = profile),
            Err(error) => {
                tracing::warn!(%error, "the provider's profile cannot be read");
                left.profile = true;
            }
        }
    }
    if wake.access {
        node.access_changed.send_modify(|count| *count += 1);
    }
    // Every block moves the clock by which orders close and leases end.
    node.orders_changed.notify_one();
    node.leases_changed.notify_one();
    left
}

/// Payment tokens by id, and their contracts.
async fn tokens(node: &Node) -> Result<(Vec<TokenWord>, Vec<Address>), ReadError> {
    let tokens = node.reader.all_tokens().await?;
    let mut assets = Vec::new();
    for id in 0..tokens.len() {
        assets.push(node.reader.asset_of(TokenId(id as u16)).await?);
    }
    Ok((tokens, assets))
}
