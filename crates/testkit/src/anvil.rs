//! A local chain: Anvil from npm, with funded keys and the means to move its time and to re-organise it.

use std::path::Path;
use std::time::Duration;

use alloy::network::EthereumWallet;
use alloy::node_bindings::{Anvil as Builder, AnvilInstance};
use alloy::primitives::Address;
use alloy::providers::ext::AnvilApi;
use alloy::providers::{DynProvider, Provider, ProviderBuilder};
use alloy::rpc::types::anvil::ReorgOptions;
use alloy::signers::local::PrivateKeySigner;
use anyhow::{Context, Result};

use crate::paths;

/// Keys with 10,000 ether each.
const ACCOUNTS: usize = 20;

/// An id that no other chain of this machine has: daemons of tests that run side by side tell their containers apart by
/// it.
fn chain_id() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    1_000_000_000 + RandomState::new().hash_one(std::process::id()) % 1_000_000_000
}

/// A running Anvil; it ends when this is dropped.
pub struct Anvil {
    instance: AnvilInstance,
    provider: DynProvider,
}

impl Anvil {
    /// Mines a block for every transaction.
    ///
    /// # Errors
    /// When Anvil is not installed or does not start.
    pub async fn start() -> Result<Self> {
        Self::with(None, None).await
    }

    /// As [`Anvil::start`], with a genesis of `timestamp`, in unix seconds.
    ///
    /// # Errors
    /// As [`Anvil::start`].
    pub async fn started_at(timestamp: u64) -> Result<Self> {
        Self::spawn(Self::builder()?.args(["--timestamp".to_owned(), timestamp.to_string()])).await
    }

    /// Mines a block every `block_time`.
    ///
    /// # Errors
    /// As [`Anvil::start`].
    pub async fn with_block_time(block_time: Duration) -> Result<Self> {
        Self::with(Some(block_time), None).await
    }

    /// Starts from a state file that [`AnvilApi::anvil_dump_state`] or `--dump-state` wrote.
    ///
    /// # Errors
    /// As [`Anvil::start`].
    pub async fn with(block_time: Option<Duration>, state: Option<&Path>) -> Result<Self> {
        let mut builder = Self::builder()?;
        if let Some(block_time) = block_time {
            builder = builder.block_time_f64(block_time.as_secs_f64());
        }
        if let Some(state) = state {
            builder = builder.arg("--load-state").arg(state);
        }
        Self::spawn(builder).await
    }

    fn builder() -> Result<Builder> {
        let builder = Builder::at(paths::foundry("anvil")?).port(0_u16).host("127.0.0.1").timeout(60_000);
        Ok(builder.chain_id(chain_id()).args(["--accounts".to_owned(), ACCOUNTS.to_string()]))
    }

    async fn spawn(builder: Builder) -> Result<Self> {
        let instance = tokio::task::spawn_blocking(move || builder.try_spawn()).await??;
        let provider = ProviderBuilder::new().connect_http(instance.endpoint_url()).erased();
        provider.client().set_poll_interval(Duration::from_millis(50));
        Ok(Self { instance, provider })
    }

    /// HTTP endpoint.
    #[must_use]
    pub fn url(&self) -> String {
        self.instance.endpoint()
    }

    /// WebSocket endpoint.
    #[must_use]
    pub fn ws_url(&self) -> String {
        self.instance.ws_endpoint()
    }

    /// Port of both endpoints on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.instance.port()
    }

    /// Reads only; see [`Anvil::signing`].
    #[must_use]
    pub fn provider(&self) -> &DynProvider {
        &self.provider
    }

    /// One of the funded keys, from 0. The first deploys and administers a [`crate::Devnet`].
    ///
    /// # Panics
    /// Beyond the twentieth.
    #[must_use]
    pub fn key(&self, index: usize) -> PrivateKeySigner {
        self.instance.nth_key(index).expect("tests use at most twenty keys").clone().into()
    }

    /// Signs and sends with `key`, asking the chain for each nonce.
    #[must_use]
    pub fn signing(&self, key: &PrivateKeySigner) -> DynProvider {
        let provider = ProviderBuilder::new()
            .with_simple_nonce_management()
            .wallet(EthereumWallet::from(key.clone()))
            .connect_http(self.instance.endpoint_url())
            .erased();
        provider.client().set_poll_interval(Duration::from_millis(50));
        provider
    }

    /// Mines `blocks` at once.
    ///
    /// # Errors
    /// When Anvil does not answer.
    pub async fn mine(&self, blocks: u64) -> Result<()> {
        Ok(self.provider.anvil_mine(Some(blocks), None).await?)
    }

    /// Moves the clock on by `seconds` and mines a block.
    ///
    /// # Errors
    /// When Anvil does not answer.
    pub async fn advance(&self, seconds: u64) -> Result<()> {
        self.provider.anvil_increase_time(seconds).await?;
        self.mine(1).await
    }

    /// Sets the clock to `timestamp`, in unix seconds, and mines a block.
    ///
    /// # Errors
    /// When Anvil does not answer, or its clock is later already.
    pub async fn set_time(&self, timestamp: u64) -> Result<()> {
        self.provider.anvil_set_next_block_timestamp(timestamp).await?;
        self.mine(1).await
    }

    /// Replaces the last `depth` blocks by empty ones: what was in them is gone.
    ///
    /// # Errors
    /// When Anvil does not answer.
    pub async fn reorg(&self, depth: u64) -> Result<()> {
        Ok(self.provider.anvil_reorg(ReorgOptions { depth, tx_block_pairs: Vec::new() }).await?)
    }

    /// Seconds of the latest block.
    ///
    /// # Errors
    /// When Anvil does not answer.
    pub async fn now(&self) -> Result<u64> {
        let block = self.provider.get_block(alloy::eips::BlockId::latest()).await?;
        Ok(block.context("Anvil has no block")?.header.timestamp)
    }

    /// Gives `address` this many wei for gas.
    ///
    /// # Errors
    /// When Anvil does not answer.
    pub async fn fund(&self, address: Address, wei: u128) -> Result<()> {
        Ok(self.provider.anvil_set_balance(address, alloy::primitives::U256::from(wei)).await?)
    }
}
