//! The `[chain]` table of a daemon's configuration.

use std::path::PathBuf;
use std::time::Duration;

use iono_bindings::{AddressBook, AddressBookError};
use serde::{Deserialize, Serialize};
use url::Url;

/// Where the chain is and how it is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainConfig {
    /// HTTP endpoints, the preferred one first; the others step in while it fails.
    pub rpc: Vec<Url>,
    /// WebSocket endpoint that only wakes the follower up; polling does without.
    #[serde(default)]
    pub ws: Option<Url>,
    /// The JSON that the deployment wrote.
    pub address_book: PathBuf,
    /// Milliseconds between looks at the chain's head.
    #[serde(default = "ChainConfig::default_poll")]
    pub poll_ms: u64,
    /// Milliseconds after which an endpoint counts as failing.
    #[serde(default = "ChainConfig::default_timeout")]
    pub timeout_ms: u64,
    /// Blocks after which no re-org is expected; a deeper one is survived by reading everything again.
    #[serde(default = "ChainConfig::default_finality")]
    pub finality_depth: u64,
    /// Blocks per `eth_getLogs` at most; halved when an endpoint refuses.
    #[serde(default = "ChainConfig::default_range")]
    pub max_range: u64,
    /// How transactions are sent.
    #[serde(default)]
    pub sender: SenderConfig,
}

/// The `[chain.sender]` table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SenderConfig {
    /// Percent added to the gas estimate.
    pub gas_margin_percent: u64,
    /// Seconds without a receipt after which the fee is raised.
    pub bump_after_s: u64,
    /// Percent by which it is raised; nodes want at least 10.
    pub bump_percent: u64,
    /// Never pay more than this per unit of gas, in gwei.
    pub max_fee_gwei: u64,
    /// Transactions in flight at most.
    pub in_flight: usize,
    /// Below this balance in gwei the `gas` check turns red.
    pub low_balance_gwei: u64,
    /// Folder of the lock files, one per key; the same for all daemons of a machine.
    pub lock_dir: PathBuf,
}

impl ChainConfig {
    /// One endpoint and defaults for the rest.
    #[must_use]
    pub fn new(rpc: Url, address_book: PathBuf) -> Self {
        Self {
            rpc: vec![rpc],
            ws: None,
            address_book,
            poll_ms: Self::default_poll(),
            timeout_ms: Self::default_timeout(),
            finality_depth: Self::default_finality(),
            max_range: Self::default_range(),
            sender: SenderConfig::default(),
        }
    }

    /// Reads the address book.
    ///
    /// # Errors
    /// As [`AddressBook::load`].
    pub fn address_book(&self) -> Result<AddressBook, AddressBookError> {
        AddressBook::load(&self.address_book)
    }

    pub(crate) fn poll(&self) -> Duration {
        Duration::from_millis(self.poll_ms.max(10))
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms.max(100))
    }

    fn default_poll() -> u64 {
        500
    }
    fn default_timeout() -> u64 {
        10_000
    }
    fn default_finality() -> u64 {
        64
    }
    fn default_range() -> u64 {
        2_000
    }
}

impl Default for SenderConfig {
    fn default() -> Self {
        Self {
            gas_margin_percent: 20,
            bump_after_s: 30,
            bump_percent: 15,
            max_fee_gwei: 500,
            in_flight: 16,
            low_balance_gwei: 10_000_000,
            lock_dir: std::env::temp_dir().join("ionosphere-locks"),
        }
    }
}
