//! Follows the chain into the book: events, then whatever they make stale, written together with the follower's cursor.

use std::sync::Arc;
use std::time::{Duration, Instant};

use iono_chain::{ChainError, Follower, Update};
use iono_telemetry::Check;
use tokio_util::sync::CancellationToken;

use crate::market::book::apply::Wake;
use crate::market::events;
use crate::market::reader::Head;
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
        let next = tokio::select! {
            next = tokio::time::timeout(SILENCE, follower.next()) => next,
            () = token.cancelled() => return,
        };
        let update = match next {
            Ok(Ok(update)) => update,
            Ok(Err(error)) => {
                check.fail(error.to_string());
                tokio::time::sleep(AGAIN).await;
                continue;
            }
            Err(_) => {
                silent(&node, &check).await;
                continue;
            }
        };
        wake |= apply(&node, &update);
        while let Err(error) = commit(&node, &mut follower, &update).await {
            tracing::error!(%error, "what the chain said cannot be written down; trying again");
            check.fail(error.to_string());
            tokio::select! {
                () = tokio::time::sleep(AGAIN) => {}
                () = token.cancelled() => return,
            }
        }
        if update.is_caught_up() {
            check.ok();
            wake = tell(&node, wake).await;
            prune(&node, &mut pruned).await;
        } else {
            check.fail("reading the chain's past");
        }
    }
}

/// No block for a while: either there is none, as on a chain that mines on demand, or the chain cannot be reached.
async fn silent(node: &Node, check: &Check) {
    match node.reader.head().await {
        Ok(head) if head.number <= node.view().head.number => {
            node.change_view(|view| {
                view.heard = Some(Instant::now());
                view.caught_up = true;
            });
            check.ok();
        }
        Ok(head) => {
            node.change_view(|view| view.caught_up = false);
            check.fail(format!("block {} is there and cannot be read", head.number));
        }
        Err(error) => {
            node.change_view(|view| view.caught_up = false);
            check.fail(error.to_string());
        }
    }
}

/// Applies an update to the book and the view.
fn apply(node: &Node, update: &Update) -> Wake {
    let mut wake = Wake::default();
    let caught_up = update.is_caught_up();
    match update {
        Update::Blocks { to, timestamp, logs, .. } => {
            let mut book = node.book();
            for stored in logs {
                if let Some(event) = events::read(&stored.log, node.reader.book()) {
                    wake |= book.apply(stored.block, event);
                }
            }
            drop(book);
            let head = Head { number: to.number, timestamp: *timestamp };
            node.change_view(|view| {
                view.head = head;
                view.heard = Some(Instant::now());
                view.caught_up = caught_up;
            });
            metrics::gauge!("iono_provider_head_block").set(to.number as f64);
        }
        Update::Rollback { to } => {
            tracing::warn!(to, "the chain was re-organised; taking back what came after");
            wake = node.book().rollback(*to);
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
        match node.reader.all_tokens().await {
            Ok(tokens) => node.change_view(|view| view.tokens = tokens),
            Err(error) => {
                tracing::warn!(%error, "payment tokens cannot be read");
                left.tokens = true;
            }
        }
    }
    if wake.profile || view.profile.id == 0 {
        match node.reader.profile_of(node.hot_key.address()).await {
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
