//! What chain and parties agreed on for a lease, from its events: spec, manifest hash, and the blocks of its life.

use alloy::primitives::{B256, U256};
use alloy::rpc::types::Log;
use iono_bindings::{ILeaseBook, IOrderBook, Spec};

use crate::chain::{Chain, topic};
use crate::error::{Failure, Kind, Result};

/// The present agreement.
#[derive(Debug, Clone)]
pub(crate) struct Agreed {
    /// Resources and groups; its manifest hash may be an older one.
    pub(crate) spec: Spec,
    /// The manifest that runs or should run.
    pub(crate) manifest_hash: B256,
    /// Block of the order.
    pub(crate) ordered: u64,
}

/// Reads an order's spec and all later changes to its lease.
pub(crate) async fn agreed(chain: &Chain, lease: u64) -> Result<Agreed> {
    let id = topic(U256::from(lease));
    let (orders, updates, changes) = tokio::try_join!(
        chain.all_events::<IOrderBook::OrderCreated>(chain.book.order_book, [id, None, None]),
        chain.all_events::<ILeaseBook::LeaseUpdated>(chain.book.lease_book, [id, None, None]),
        chain.all_events::<ILeaseBook::ManifestChanged>(chain.book.lease_book, [id, None, None]),
    )?;
    let (created, log) = orders.into_iter().next_back().ok_or_else(|| unknown("order", lease))?;
    let mut agreed = Agreed {
        manifest_hash: created.spec.manifestHash,
        spec: created.spec,
        ordered: log.block_number.unwrap_or_default(),
    };
    let mut newest = place(&log);
    for (update, log) in updates {
        agreed.spec = update.spec;
        if place(&log) > newest {
            newest = place(&log);
            agreed.manifest_hash = agreed.spec.manifestHash;
        }
    }
    for (change, log) in changes {
        if place(&log) > newest {
            newest = place(&log);
            agreed.manifest_hash = change.manifestHash;
        }
    }
    Ok(agreed)
}

/// No order or lease has this number.
pub(crate) fn unknown(what: &str, id: u64) -> Failure {
    Failure::new(Kind::NotFound, format!("there is no {what} {id}")).hint("`iono ps --all` lists yours")
}

fn place(log: &Log) -> (u64, u64) {
    (log.block_number.unwrap_or_default(), log.log_index.unwrap_or_default())
}

/// Blocks in which a lease was made and confirmed, as far as it came.
pub(crate) async fn blocks(chain: &Chain, lease: u64) -> Result<(Option<u64>, Option<u64>)> {
    let id = topic(U256::from(lease));
    let (made, confirmed) = tokio::try_join!(
        chain.all_events::<ILeaseBook::LeaseCreated>(chain.book.lease_book, [id, None, None]),
        chain.all_events::<ILeaseBook::LeaseConfirmed>(chain.book.lease_book, [id, None, None]),
    )?;
    let block = |log: &Log| log.block_number;
    Ok((made.last().and_then(|(_, log)| block(log)), confirmed.last().and_then(|(_, log)| block(log))))
}
