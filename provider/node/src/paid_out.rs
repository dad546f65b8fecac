//! What was cashed out since the contracts stand, from the escrow's events. What no re-org can reach is kept in the store,
//! so that every block is read once.

use std::collections::BTreeMap;

use alloy::primitives::{B256, U256};
use alloy::providers::Provider as _;
use alloy::rpc::types::Filter;
use alloy::sol_types::SolEvent as _;
use anyhow::Result;
use iono_bindings::IEscrow;
use iono_primitives::ProviderId;
use iono_store::{Change, SharedStore};
use serde::{Deserialize, Serialize};

use iono_host::market::reader::{ReadError, Reader};

/// Namespace and key in the store.
const KEPT: (&str, &str) = ("treasury", "paid_out");

/// Sums up to a block.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    /// The first block that was not read.
    next: u64,
    /// By token, in its smallest unit.
    sums: BTreeMap<u16, U256>,
}

/// Sums of all cash-outs by token, in its smallest unit. Blocks deeper than `finality` count as final.
///
/// # Errors
/// When the chain or the store cannot be read.
pub async fn paid_out(
    store: &SharedStore,
    reader: &Reader,
    me: ProviderId,
    finality: u64,
) -> Result<BTreeMap<u16, U256>> {
    let head = reader.head().await?.number;
    let first = Kept { next: reader.book().start_block, sums: BTreeMap::new() };
    let stored = store.document(KEPT.0, KEPT.1).await?;
    let stored: Option<Kept> = stored.map(|stored| stored.parse()).transpose()?;
    // A chain that is shorter than what was read is another one.
    let mut kept = stored.filter(|kept| kept.next <= head + 1).unwrap_or(first);
    let last = head.saturating_sub(finality);
    if kept.next <= last {
        add(reader, me, kept.next, last, &mut kept.sums).await?;
        kept.next = last + 1;
        store.change(&[Change::put(KEPT.0, KEPT.1, &kept)?]).await?;
    }
    let mut sums = kept.sums;
    add(reader, me, kept.next, head, &mut sums).await?;
    Ok(sums)
}

async fn add(
    reader: &Reader,
    me: ProviderId,
    from: u64,
    to: u64,
    sums: &mut BTreeMap<u16, U256>,
) -> Result<(), ReadError> {
    let filter = Filter::new()
        .address(reader.book().escrow)
        .event_signature(IEscrow::CashedOut::SIGNATURE_HASH)
        .topic1(B256::from(U256::from(me.0)));
    let mut next = from;
    while next <= to {
        let last = to.min(next + reader.max_range() - 1);
        let range = filter.clone().from_block(next).to_block(last);
        for log in reader.provider().get_logs(&range).await? {
            if let Ok(event) = IEscrow::CashedOut::decode_log(&log.inner)
                && let Ok(token) = u16::try_from(event.token)
            {
                *sums.entry(token).or_default() += event.amount;
            }
        }
        next = last + 1;
    }
    Ok(())
}
