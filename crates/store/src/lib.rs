//! Where daemons keep what they know of the chain and what they are about to do: one trait, [`Store`], over SQLite (the
//! default) and Postgres. The chain stays the truth: all but the journal can be lost and read again.
//!
//! ```no_run
//! # async fn example() -> Result<(), iono_store::StoreError> {
//! let store = iono_store::connect("sqlite:/var/lib/ionosphere/matchmaker.db").await?;
//! store.bind_chain("31337:0x5fbd…").await?;
//! let orders: Vec<iono_store::Document> = store.documents("order").await?;
//! # Ok(()) }
//! ```

mod error;
mod model;
mod postgres;
mod sql;
mod sqlite;

use std::sync::Arc;

use alloy::primitives::Address;
use async_trait::async_trait;

pub use error::StoreError;
pub use model::{Batch, BlockRef, Change, Document, Intent, IntentState, LogQuery, StoredLog};

/// A store that many tasks share.
pub type SharedStore = Arc<dyn Store>;

/// What both databases do. Every method is one transaction: it happens whole or not at all.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Ties a fresh store to one deployment (chain id and a contract's address, say) and refuses any other later, so
    /// that a cache is never mixed from two chains.
    async fn bind_chain(&self, identity: &str) -> Result<(), StoreError>;

    /// The last block that was applied.
    async fn cursor(&self) -> Result<Option<BlockRef>, StoreError>;
    /// Applied blocks that are still remembered, highest first.
    async fn blocks(&self) -> Result<Vec<BlockRef>, StoreError>;
    /// Applies a range of blocks: their logs, the remembered blocks, and the caller's own changes. May be repeated: an
    /// error can hide that it was written, as when the connection to the database broke, and a process that was killed
    /// may have had a commit under way. A power failure may undo the last of these, whole: the cursor is undone with it,
    /// and the chain is read again from there.
    async fn apply(&self, batch: &Batch<'_>) -> Result<(), StoreError>;
    /// Forgets blocks and logs above `to`, and makes the caller's own changes.
    async fn rollback(&self, to: u64, changes: &[Change]) -> Result<(), StoreError>;
    /// Stored logs in the chain's order.
    async fn logs(&self, query: &LogQuery) -> Result<Vec<StoredLog>, StoreError>;
    /// Deletes logs of blocks below `block`; how many there were.
    async fn prune_logs(&self, block: u64) -> Result<u64, StoreError>;

    /// Writes an intent down unless its key is there already; gives the stored one either way.
    async fn record_intent(&self, intent: &Intent) -> Result<Intent, StoreError>;
    /// Replaces the stored intent of the same key.
    async fn update_intent(&self, intent: &Intent) -> Result<(), StoreError>;
    /// One intent.
    async fn intent(&self, key: &str) -> Result<Option<Intent>, StoreError>;
    /// Intents of a sender that are not final yet, lowest nonce first and those without one last.
    async fn open_intents(&self, sender: Address) -> Result<Vec<Intent>, StoreError>;
    /// Forgets an intent, so that its key may be used again.
    async fn forget_intent(&self, key: &str) -> Result<(), StoreError>;

    /// One document.
    async fn document(&self, namespace: &str, key: &str) -> Result<Option<Document>, StoreError>;
    /// All documents of a namespace by key.
    async fn documents(&self, namespace: &str) -> Result<Vec<Document>, StoreError>;
    /// Makes changes, all or none.
    async fn change(&self, changes: &[Change]) -> Result<(), StoreError>;
}

/// Opens a store and brings its schema up to date. `sqlite:PATH` (made if missing), `sqlite::memory:` or
/// `postgres://…`.
///
/// # Errors
/// [`StoreError`] when the address is neither, the database does not answer, or its schema is newer than this program.
pub async fn connect(url: &str) -> Result<SharedStore, StoreError> {
    if let Some(path) = url.strip_prefix("sqlite:") {
        return Ok(Arc::new(sqlite::Sqlite::open(path.strip_prefix("//").unwrap_or(path)).await?));
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Ok(Arc::new(postgres::Postgres::open(url).await?));
    }
    Err(StoreError::Address(url.to_owned()))
}
