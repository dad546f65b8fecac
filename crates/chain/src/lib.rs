//! A daemon's two ways to the chain: [`Follower`] reads it (every log once, in order, re-orgs told), and [`Sender`]
//! writes to it (every intent once, whatever crashes). Both stand on [`Rpc`], a pool of endpoints with fail-over.
//!
//! ```no_run
//! # async fn daemon(config: iono_chain::ChainConfig, signer: alloy::signers::local::PrivateKeySigner) -> Result<(), Box<dyn std::error::Error>> {
//! # let (health, shutdown) = (iono_telemetry::Health::default(), iono_telemetry::Shutdown::new());
//! # let (book, store) = (config.address_book()?, iono_store::connect("sqlite::memory:").await?);
//! # let call = alloy::primitives::Bytes::new();
//! use iono_chain::{Follower, Rpc, Sender, Update};
//!
//! let rpc = Rpc::connect(&config, book.chain_id, health.check("rpc"))?;
//! let sender = Sender::start(&rpc, store.clone(), signer, &config.sender, &health, &shutdown).await?;
//! let contracts = vec![book.order_book, book.lease_book];
//! let mut follower = Follower::new(&rpc, store, &config, book.start_block, contracts).await?;
//! loop {
//!     let update = follower.next().await?;
//!     match &update {
//!         Update::Blocks { logs, .. } => { /* change what is derived from logs */ }
//!         Update::Rollback { to } => { /* forget what came of blocks above `to` */ }
//!     }
//!     follower.commit(&update, &[]).await?;
//!     sender.submit("resolve:7", book.order_book, call.clone()).await?;
//! }
//! # }
//! ```

mod config;
mod error;
mod fetch;
mod follower;
mod rpc;
mod sender;
mod wake;

pub use config::{ChainConfig, SenderConfig};
pub use error::{ChainError, SendError};
pub use follower::{AHEAD, Follower, Update};
pub use rpc::Rpc;
pub use sender::{Mined, Sender};

/// Fail-points of this crate; see [`iono_telemetry::fail_point`].
pub const FAIL_POINTS: &[&str] = &[
    "chain.before_journal",
    "chain.after_journal",
    "chain.before_send",
    "chain.after_send",
    "chain.before_mined",
    "chain.after_mined",
    "chain.before_final",
    "chain.before_replace",
    "chain.before_apply",
    "chain.after_apply",
    "chain.before_rollback",
];
