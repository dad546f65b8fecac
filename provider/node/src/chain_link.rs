//! The chain for one command: a reader, and a sender with the key that the command needs.

use std::time::Duration;

use alloy::signers::local::PrivateKeySigner;
use anyhow::{Result, ensure};
use iono_chain::{Rpc, Sender};
use iono_primitives::ProviderId;
use iono_store::SharedStore;
use iono_telemetry::{Health, Shutdown};

use iono_host::config::Config;
use iono_host::market::reader::Reader;

/// Time for a transaction under way when the command ends.
const DRAIN: Duration = Duration::from_secs(5);

/// One key's way to the chain.
pub struct ChainLink {
    /// Reads.
    pub reader: Reader,
    /// Sends with the key.
    pub sender: Sender,
    /// The daemon's store.
    pub store: SharedStore,
    shutdown: Shutdown,
}

impl ChainLink {
    /// Opens the chain with `key`, which no daemon may be using.
    ///
    /// # Errors
    /// When the address book, the store or the key's lock cannot be had.
    pub async fn open(config: &Config, key: PrivateKeySigner) -> Result<Self> {
        let (health, shutdown) = (Health::default(), Shutdown::new());
        let book = config.chain.address_book()?;
        let rpc = Rpc::connect(&config.chain, book.chain_id, health.check("rpc"))?;
        let store = iono_store::connect(&config.store_url()).await?;
        let sender =
            Sender::start(&rpc, store.clone(), key, &config.chain.sender, &health, &shutdown).await?;
        let reader = Reader::new(rpc.provider().clone(), book, config.chain.max_range);
        Ok(Self { reader, sender, store, shutdown })
    }

    /// The provider whose hot key this is.
    ///
    /// # Errors
    /// When there is none, or the chain cannot be read.
    pub async fn provider(&self) -> Result<ProviderId> {
        let profile = self.reader.profile_of(self.sender.address()).await?;
        let hot = self.sender.address();
        ensure!(
            profile.id != 0,
            "the registry knows no provider with the hot key {hot}; run `provider register` first"
        );
        Ok(ProviderId(profile.id))
    }

    /// Ends it.
    pub async fn close(self) {
        self.shutdown.begin();
        self.shutdown.drain(DRAIN).await;
    }
}

/// Reads the chain without any key.
///
/// # Errors
/// When the address book or the RPC's settings are wrong.
pub fn reader(config: &Config) -> Result<Reader> {
    let book = config.chain.address_book()?;
    let rpc = Rpc::connect(&config.chain, book.chain_id, Health::default().check("rpc"))?;
    Ok(Reader::new(rpc.provider().clone(), book, config.chain.max_range))
}
