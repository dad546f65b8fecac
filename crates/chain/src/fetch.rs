//! Reads ranges of blocks from an RPC: far below the head by number, in ranges as long as the endpoint bears; near the
//! head block by block and by hash, so that every log belongs to exactly the chain that the headers form.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use alloy::eips::BlockNumberOrTag;
use alloy::primitives::{Address, B256, Bytes, LogData, U64};
use alloy::providers::{DynProvider, Provider};
use alloy::rpc::types::Filter;
use alloy::transports::{RpcError, TransportError, TransportErrorKind};
use futures::{StreamExt, TryStreamExt, stream};
use iono_store::{BlockRef, StoredLog};
use serde::Deserialize;

/// Requests at once near the head.
const PARALLEL: usize = 16;
/// Fewer logs than this and the next range is twice as long.
const FEW_LOGS: usize = 5_000;

/// A header, as much of it as matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) block: BlockRef,
    pub(crate) parent: B256,
    pub(crate) timestamp: u64,
}

/// What a range held.
#[derive(Debug, Clone)]
pub(crate) struct Fetched {
    pub(crate) from: u64,
    /// Blocks to remember, in order; the last ends the range.
    pub(crate) blocks: Vec<Head>,
    pub(crate) logs: Vec<StoredLog>,
}

/// A range could not be read.
#[derive(Debug)]
pub(crate) enum FetchError {
    Rpc(TransportError),
    /// The chain changed while it was read.
    Moved,
}

impl From<TransportError> for FetchError {
    fn from(error: TransportError) -> Self {
        Self::Rpc(error)
    }
}

/// Reads one chain's contracts; cheap to clone.
#[derive(Clone)]
pub(crate) struct Fetcher {
    provider: DynProvider,
    contracts: Arc<[Address]>,
    /// Blocks per request now.
    range: Arc<AtomicU64>,
    /// More than this was refused, or is not wanted.
    ceiling: Arc<AtomicU64>,
}

impl Fetcher {
    pub(crate) fn new(provider: DynProvider, contracts: Vec<Address>, max_range: u64) -> Self {
        let max_range = max_range.max(1);
        let (range, ceiling) = (Arc::new(AtomicU64::new(max_range)), Arc::new(AtomicU64::new(max_range)));
        Self { provider, contracts: contracts.into(), range, ceiling }
    }

    /// A block's header; `None` when the chain is not that long.
    pub(crate) async fn head(&self, number: BlockNumberOrTag) -> Result<Option<Head>, TransportError> {
        let block = self.provider.get_block_by_number(number).await?;
        Ok(block.map(|block| Head {
            block: BlockRef { number: block.header.number, hash: block.header.hash },
            parent: block.header.parent_hash,
            timestamp: block.header.timestamp,
        }))
    }

    /// A header that must be there, since the head is above it.
    async fn must_head(&self, number: u64) -> Result<Head, FetchError> {
        self.head(number.into()).await?.ok_or(FetchError::Moved)
    }

    /// Where a range that begins at `from` should end: as long as the endpoint bears, but not beyond `last`.
    pub(crate) fn range_end(&self, from: u64, last: u64) -> u64 {
        last.min(from.saturating_add(self.range.load(Ordering::Relaxed).max(1) - 1))
    }

    /// Blocks `from` to `to`, all of them final; to an earlier block when the endpoint refuses that many.
    pub(crate) async fn final_range(&self, from: u64, mut to: u64) -> Result<Fetched, FetchError> {
        loop {
            let filter = Filter::new().address(self.contracts.to_vec()).from_block(from).to_block(to);
            let (logs, last) = tokio::join!(self.logs(&filter), self.must_head(to));
            match logs {
                Ok(logs) => {
                    if logs.len() < FEW_LOGS {
                        let longer = ((to - from + 1) * 2).min(self.ceiling.load(Ordering::Relaxed));
                        self.range.fetch_max(longer, Ordering::Relaxed);
                    }
                    return Ok(Fetched { from, blocks: vec![last?], logs });
                }
                Err(error) => {
                    // "Too many results", "range too large", a timeout: providers word it in many ways.
                    let half = ((to - from).div_ceil(2)).max(1);
                    self.range.store(half, Ordering::Relaxed);
                    // Not much less than what was refused, so that it need not be refused often.
                    self.ceiling.fetch_min(half + half / 2, Ordering::Relaxed);
                    if from == to || !matches!(error, RpcError::ErrorResp(_)) {
                        return Err(error.into());
                    }
                    tracing::debug!(%error, from, to, "the RPC refused a range; asking for half of it");
                    to = from + half - 1;
                }
            }
        }
    }

    async fn logs(&self, filter: &Filter) -> Result<Vec<StoredLog>, TransportError> {
        let logs: Vec<WireLog> = self.provider.raw_request("eth_getLogs".into(), (filter,)).await?;
        logs.into_iter().map(WireLog::stored).collect()
    }

    /// Blocks `from` to the given head, each with its header, as one chain.
    pub(crate) async fn near_head(&self, from: u64, head: Head) -> Result<Fetched, FetchError> {
        let read: Vec<(Head, Vec<StoredLog>)> = stream::iter(from..=head.block.number)
            .map(|number| async move {
                let block = if number == head.block.number { head } else { self.must_head(number).await? };
                let filter = Filter::new().address(self.contracts.to_vec()).at_block_hash(block.block.hash);
                Ok::<_, FetchError>((block, self.logs(&filter).await?))
            })
            .buffered(PARALLEL)
            .try_collect()
            .await?;
        let (blocks, logs): (Vec<Head>, Vec<_>) = read.into_iter().unzip();
        if blocks.windows(2).any(|pair| pair[1].parent != pair[0].block.hash) {
            return Err(FetchError::Moved);
        }
        Ok(Fetched { from, blocks, logs: logs.into_iter().flatten().collect() })
    }
}

/// A log as it comes over the wire, as much of it as is kept. alloy's own type is flattened out of three, for which serde
/// takes each log apart twice.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireLog {
    address: Address,
    topics: Vec<B256>,
    data: Bytes,
    block_number: Option<U64>,
    transaction_hash: Option<B256>,
    log_index: Option<U64>,
}

impl WireLog {
    fn stored(self) -> Result<StoredLog, TransportError> {
        let missing =
            || TransportErrorKind::custom_str("the RPC sent a log without its block, index or transaction");
        let too_many = || TransportErrorKind::custom_str("the RPC sent a log with more than four topics");
        let data = LogData::new(self.topics, self.data).ok_or_else(too_many)?;
        Ok(StoredLog {
            block: self.block_number.ok_or_else(missing)?.to(),
            index: self.log_index.ok_or_else(missing)?.to(),
            transaction: self.transaction_hash.ok_or_else(missing)?,
            log: alloy::primitives::Log { address: self.address, data },
        })
    }
}
