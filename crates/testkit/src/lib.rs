//! Real parts for tests: Anvil with the contracts deployed, Postgres, Docker, daemons as processes, networks with delay,
//! loss and NAT that can be cut; and an account of where all money is. Everything it starts ends when its handle is
//! dropped, and everything it writes lies in temporary folders or in the cache outside of the clone.

pub mod accounts;
pub mod anvil;
pub mod ballot;
pub mod daemon;
mod deployment;
pub mod devnet;
pub mod docker;
pub mod events;
pub mod faults;
pub mod lab;
mod operators;
pub mod paths;
pub mod postgres;
pub mod proxy;
pub mod registry;

pub use anvil::Anvil;
pub use ballot::Ballot;
pub use daemon::Daemon;
pub use devnet::{Devnet, ProviderSetup};
pub use lab::{Lab, Line};
pub use paths::{binary, cache_dir, free_port, repo_root};
pub use postgres::Postgres;
pub use proxy::Proxy;
pub use registry::Registry;

use std::future::Future;
use std::time::{Duration, Instant};

/// Polls `check` every 20 ms until it gives a value; an error names `what` after `limit`.
///
/// # Errors
/// When `limit` passes first.
pub async fn eventually<T, F>(what: &str, limit: Duration, mut check: impl FnMut() -> F) -> anyhow::Result<T>
where
    F: Future<Output = Option<T>>,
{
    let start = Instant::now();
    loop {
        if let Some(value) = check().await {
            return Ok(value);
        }
        anyhow::ensure!(start.elapsed() < limit, "{what} did not happen within {limit:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
