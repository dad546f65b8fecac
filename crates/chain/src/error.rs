//! Why the chain could not be read or written, in words that say what to do.

use std::path::PathBuf;

use alloy::primitives::Address;
use alloy::transports::TransportError;
use iono_bindings::Explained;
use iono_store::StoreError;

/// Reading failed for good; outages are waited out and are not errors.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// No endpoint is configured.
    #[error("no RPC endpoint is configured; set chain.rpc to at least one URL")]
    NoEndpoint,
    /// An endpoint is not HTTP.
    #[error("`{0}` is no HTTP endpoint; chain.rpc wants http:// or https:// (a WebSocket goes to chain.ws)")]
    NotHttp(String),
    /// The HTTP client could not be made.
    #[error("cannot make an HTTP client: {0}")]
    Client(String),
    /// An endpoint answered with an error or not at all.
    #[error("the RPC failed: {0}")]
    Rpc(#[from] TransportError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The updates were not committed in order.
    #[error("committed blocks from {from}, but the next one is {next}: updates are committed in order, once")]
    OutOfOrder {
        /// First block of the update.
        from: u64,
        /// The block after the cursor.
        next: u64,
    },
}

/// An intent did not become a mined transaction.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Another process sends with this key.
    #[error(
        "another process already sends with {address} (lock {path}, held by process {holder}); two daemons with one key would jam each other's nonces: stop one, or give it a key of its own"
    )]
    Locked {
        /// The key's address.
        address: Address,
        /// The lock file.
        path: PathBuf,
        /// What the file says of its holder.
        holder: String,
    },
    /// The lock file cannot be made.
    #[error(
        "cannot make the lock file {path}: {source}; set chain.sender.lock_dir to a folder that can be written"
    )]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The contract refused, in simulation or in its block.
    #[error("{0}")]
    Reverted(Explained),
    /// The store failed; the intent is as it was.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The RPC failed while starting.
    #[error("the RPC failed: {0}")]
    Rpc(#[from] TransportError),
    /// The daemon ends; a journalled intent goes on after the next start.
    #[error("the daemon is ending; the transaction goes on when it starts again")]
    Ending,
}

impl SendError {
    /// The contract's own name for its refusal, such as `OrderBook_NotOpen`.
    #[must_use]
    pub fn revert_code(&self) -> Option<&str> {
        match self {
            Self::Reverted(explained) => Some(&explained.code),
            _ => None,
        }
    }
}
