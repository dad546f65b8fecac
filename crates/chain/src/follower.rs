//! Follows the contracts' logs: every canonical log once and in order, across restarts, outages and re-orgs. An update
//! is handed out by [`Follower::next`] and becomes durable, with the caller's own changes, by [`Follower::commit`]; a
//! process that dies in between gets it again.

use std::collections::VecDeque;
use std::time::Duration;

use alloy::eips::BlockNumberOrTag;
use alloy::primitives::Address;
use iono_store::{Batch, BlockRef, Change, SharedStore, StoredLog};
use iono_telemetry::fail_point;
use tokio::task::JoinHandle;

use crate::fetch::{FetchError, Fetched, Fetcher, Head};
use crate::wake::Wake;
use crate::{ChainError, Rpc};

/// The longest wait between attempts during an outage.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// What happened on the chain.
#[derive(Debug, Clone)]
pub enum Update {
    /// Blocks `from` to `to` with all logs of the followed contracts; no blocks at all (`from` above `to`) when a
    /// follower starts at the head.
    Blocks {
        /// First block.
        from: u64,
        /// Last block.
        to: BlockRef,
        /// Unix seconds of the last block.
        timestamp: u64,
        /// The chain's head when it was read; equal to `to` when the follower has caught up.
        head: u64,
        /// In the chain's order.
        logs: Vec<StoredLog>,
        /// Blocks to remember for parent-hash checks.
        blocks: Vec<BlockRef>,
    },
    /// Blocks above `to` are no longer part of the chain: what came of them must be undone.
    Rollback {
        /// The highest block that stays.
        to: u64,
    },
}

impl Update {
    /// True when these blocks reach the chain's head.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        matches!(self, Self::Blocks { to, head, .. } if to.number >= *head)
    }
}

/// Final ranges that are read at once: while one is stored and some are decoded, the endpoint has enough to do, also when
/// one of them is held up for a moment.
pub const AHEAD: usize = 6;

/// A final range that is being read.
struct Ahead {
    from: u64,
    to: u64,
    task: JoinHandle<Result<Fetched, FetchError>>,
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads one chain into one store.
pub struct Follower {
    fetcher: Fetcher,
    store: SharedStore,
    start: u64,
    depth: u64,
    wake: Wake,
    cursor: Option<BlockRef>,
    /// The next final ranges, in order and without gaps.
    ahead: VecDeque<Ahead>,
    /// The last block that was final when the head was read.
    last_final: u64,
    wait: Duration,
    /// The caller was told at least once that the head is reached.
    reached: bool,
    /// Chain id and contract, until the store has been compared with the chain at the first contact.
    unbound: Option<String>,
}

impl Follower {
    /// Goes on where the store's cursor is, or begins at `start`.
    ///
    /// # Errors
    /// When the store fails. That it belongs to another deployment shows at the first contact, in [`Follower::next`].
    pub async fn new(
        rpc: &Rpc,
        store: SharedStore,
        config: &crate::ChainConfig,
        start: u64,
        contracts: Vec<Address>,
    ) -> Result<Self, ChainError> {
        let contract = contracts.first().copied().unwrap_or_default();
        let cursor = store.cursor().await?;
        Ok(Self {
            fetcher: Fetcher::new(rpc.provider().clone(), contracts, config.max_range),
            store,
            start,
            depth: config.finality_depth,
            wake: Wake::new(config.poll(), config.ws.clone()),
            cursor,
            ahead: VecDeque::new(),
            last_final: 0,
            wait: config.poll(),
            reached: false,
            unbound: Some(format!("{}:{contract}", rpc.chain_id())),
        })
    }

    /// The last committed block.
    #[must_use]
    pub fn cursor(&self) -> Option<BlockRef> {
        self.cursor
    }

    /// Waits for the next update, through outages of the RPC. May be dropped and called again (`select!`); until an
    /// update is committed, the same blocks come again.
    ///
    /// # Errors
    /// Only when the store fails or belongs to another chain.
    pub async fn next(&mut self) -> Result<Update, ChainError> {
        loop {
            match self.look().await {
                Ok(Some(update)) => {
                    self.wait = Duration::from_millis(100);
                    self.reached |= update.is_caught_up();
                    return Ok(update);
                }
                Ok(None) => self.wake.wait().await,
                Err(LookError::Store(error)) => return Err(error),
                Err(LookError::Fetch(FetchError::Moved)) => {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(LookError::Fetch(FetchError::Rpc(error))) => {
                    tracing::debug!(%error, "the RPC failed; trying again");
                    tokio::time::sleep(self.wait).await;
                    self.wait = (self.wait * 2).min(LONGEST_WAIT);
                }
            }
        }
    }

    /// Makes an update and the caller's changes durable, all or nothing; after an error it may be called again.
    ///
    /// # Errors
    /// When the store fails, or when the update is not the next one.
    pub async fn commit(&mut self, update: &Update, changes: &[Change]) -> Result<(), ChainError> {
        match update {
            Update::Rollback { to } => {
                fail_point("chain.before_rollback");
                self.store.rollback(*to, changes).await?;
                self.cursor = self.store.cursor().await?;
                self.ahead.clear();
                metrics::counter!("iono_chain_reorgs_total").increment(1);
            }
            Update::Blocks { from, to, logs, blocks, .. } => {
                let next = self.from();
                if *from != next {
                    return Err(ChainError::OutOfOrder { from: *from, next });
                }
                fail_point("chain.before_apply");
                let batch = Batch {
                    from: *from,
                    blocks,
                    logs,
                    changes,
                    forget_below: to.number.saturating_sub(2 * self.depth),
                };
                self.store.apply(&batch).await?;
                fail_point("chain.after_apply");
                self.cursor = Some(*to);
                metrics::gauge!("iono_chain_cursor").set(to.number as f64);
            }
        }
        Ok(())
    }

    /// The block after the cursor.
    fn from(&self) -> u64 {
        self.cursor.map_or(self.start, |cursor| cursor.number + 1)
    }

    async fn look(&mut self) -> Result<Option<Update>, LookError> {
        let from = self.from();
        if self.ahead.front().is_some_and(|ahead| ahead.from == from) {
            return self.take_ahead().await.map(Some);
        }
        self.ahead.clear();
        self.bind().await?;
        let head = self.fetcher.head(BlockNumberOrTag::Latest).await.map_err(FetchError::from)?;
        let head = head.ok_or(FetchError::Moved)?;
        metrics::gauge!("iono_chain_head").set(head.block.number as f64);
        if let Some(to) = self.left_behind(head).await? {
            return Ok(Some(Update::Rollback { to }));
        }
        if head.block.number < from {
            return Ok(self.nothing_new(head));
        }
        self.last_final = head.block.number.saturating_sub(self.depth);
        if from <= self.last_final {
            self.read_ahead(from);
            return self.take_ahead().await.map(Some);
        }
        let fetched = self.fetcher.near_head(from, head).await?;
        if let (Some(cursor), Some(first)) = (self.cursor, fetched.blocks.first())
            && first.parent != cursor.hash
        {
            return Err(FetchError::Moved.into());
        }
        Ok(Some(update(fetched, head.block.number)?))
    }

    /// Ties the store to this chain by its first block: a devnet that was started anew has the same id and addresses.
    async fn bind(&mut self) -> Result<(), LookError> {
        let Some(deployment) = &self.unbound else { return Ok(()) };
        let genesis = self.fetcher.head(BlockNumberOrTag::Earliest).await.map_err(FetchError::from)?;
        let genesis = genesis.ok_or(FetchError::Moved)?.block.hash;
        self.store.bind_chain(&format!("{deployment}:{genesis}")).await.map_err(ChainError::from)?;
        self.unbound = None;
        Ok(())
    }

    /// After a start at the head: an update without blocks, so that the caller need not wait for the next one to know
    /// that it has all.
    fn nothing_new(&mut self, head: Head) -> Option<Update> {
        let to = self.cursor.filter(|cursor| *cursor == head.block && !self.reached)?;
        let (timestamp, head) = (head.timestamp, head.block.number);
        Some(Update::Blocks {
            from: to.number + 1,
            to,
            timestamp,
            head,
            logs: Vec::new(),
            blocks: Vec::new(),
        })
    }

    /// The highest stored block that is still on the chain, when the cursor is not.
    async fn left_behind(&mut self, head: Head) -> Result<Option<u64>, LookError> {
        let Some(cursor) = self.cursor else { return Ok(None) };
        let same = match head.block.number.cmp(&cursor.number) {
            std::cmp::Ordering::Equal => head.block.hash == cursor.hash,
            // The next block's parent tells, at no cost; otherwise ask.
            std::cmp::Ordering::Greater if head.block.number == cursor.number + 1 => {
                head.parent == cursor.hash
            }
            std::cmp::Ordering::Greater => self.is_canonical(cursor).await?,
            // A shorter chain, or an endpoint that lags behind: only a block that differs is a re-org.
            std::cmp::Ordering::Less => {
                let stored = self.store.blocks().await.map_err(ChainError::from)?;
                match stored.iter().find(|block| block.number == head.block.number) {
                    Some(block) => block.hash == head.block.hash,
                    None => true,
                }
            }
        };
        if same {
            return Ok(None);
        }
        for block in self.store.blocks().await.map_err(ChainError::from)? {
            if block.number < cursor.number
                && block.number <= head.block.number
                && self.is_canonical(block).await?
            {
                tracing::warn!(from = cursor.number, to = block.number, "the chain was re-organised");
                return Ok(Some(block.number));
            }
        }
        tracing::warn!(
            from = cursor.number,
            "the chain was re-organised deeper than is remembered; reading it again"
        );
        Ok(Some(self.start.saturating_sub(1)))
    }

    async fn is_canonical(&self, block: BlockRef) -> Result<bool, LookError> {
        let head = self.fetcher.head(block.number.into()).await.map_err(FetchError::from)?;
        Ok(head.is_some_and(|head| head.block.hash == block.hash))
    }

    /// Begins to read final ranges from `next` on, as many as may be read at once.
    fn read_ahead(&mut self, mut next: u64) {
        while self.ahead.len() < AHEAD && next <= self.last_final {
            let (from, to) = (next, self.fetcher.range_end(next, self.last_final));
            let fetcher = self.fetcher.clone();
            let task = tokio::spawn(async move { fetcher.final_range(from, to).await });
            self.ahead.push_back(Ahead { from, to, task });
            next = to + 1;
        }
    }

    /// Gives the first range that is being read and begins another, so that network, decoder and store work at once.
    async fn take_ahead(&mut self) -> Result<Update, LookError> {
        let Some(first) = self.ahead.front_mut() else { return Err(FetchError::Moved.into()) };
        let result = (&mut first.task).await;
        let planned = first.to;
        self.ahead.pop_front();
        let fetched = match result {
            Ok(Ok(fetched)) => fetched,
            failed => {
                self.ahead.clear();
                return Err(failed.map_err(|_| FetchError::Moved)?.err().unwrap_or(FetchError::Moved).into());
            }
        };
        let end = fetched.blocks.last().map_or(fetched.from, |last| last.block.number);
        if end != planned {
            // The endpoint bore less than was planned for: what follows begins elsewhere.
            self.ahead.clear();
        }
        self.read_ahead(self.ahead.back().map_or(end, |last| last.to) + 1);
        update(fetched, self.last_final + self.depth)
    }
}

enum LookError {
    Fetch(FetchError),
    Store(ChainError),
}

impl From<FetchError> for LookError {
    fn from(error: FetchError) -> Self {
        Self::Fetch(error)
    }
}

impl From<ChainError> for LookError {
    fn from(error: ChainError) -> Self {
        Self::Store(error)
    }
}

fn update(fetched: Fetched, head: u64) -> Result<Update, LookError> {
    let last = fetched.blocks.last().ok_or(FetchError::Moved)?;
    Ok(Update::Blocks {
        from: fetched.from,
        to: last.block,
        timestamp: last.timestamp,
        head,
        blocks: fetched.blocks.iter().map(|head| head.block).collect(),
        logs: fetched.logs,
    })
}
