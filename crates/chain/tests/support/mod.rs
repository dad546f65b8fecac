//! A chain, a store and an echo contract: every call with data emits it as a log, a call without data reverts.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)] // each test file uses a part

use std::path::PathBuf;
use std::time::Duration;

use alloy::network::TransactionBuilder;
use alloy::primitives::{Address, Bytes, hex};
use alloy::providers::Provider;
use alloy::rpc::types::{Filter, TransactionRequest};
use iono_chain::{ChainConfig, Follower, Rpc, Sender, Update};
use iono_store::SharedStore;
use iono_telemetry::{Health, Shutdown};
use iono_testkit::Anvil;
use tempfile::TempDir;

/// if (calldatasize == 0) revert; log1(calldata, 1)
const ECHO: [u8; 18] = hex!("366007575f5ffd5b365f5f376001365fa100");

/// All that a test needs; the network between is `url`, so that a proxy can stand there.
pub struct Rig {
    pub anvil: Anvil,
    pub chain_id: u64,
    pub echo: Address,
    pub config: ChainConfig,
    pub store: SharedStore,
    pub health: Health,
    pub shutdown: Shutdown,
    pub dir: TempDir,
}

impl Rig {
    pub async fn new(anvil: Anvil) -> Self {
        let _ = iono_telemetry::init(&iono_telemetry::TelemetryConfig::default()); // RUST_LOG shows what happens
        let dir = tempfile::tempdir().unwrap();
        let mut config = ChainConfig::new(anvil.url().parse().unwrap(), PathBuf::new());
        config.poll_ms = 50;
        config.timeout_ms = 2_000;
        config.finality_depth = 8;
        config.sender.lock_dir = dir.path().join("locks");
        let mut init = hex!("71").to_vec();
        init.extend(ECHO);
        init.extend(hex!("5f526012600ef3"));
        let request = TransactionRequest::default().with_deploy_code(init);
        let sent = anvil.signing(&anvil.key(0)).send_transaction(request).await.unwrap();
        let echo = sent.get_receipt().await.unwrap().contract_address.unwrap();
        anvil.mine(10).await.unwrap(); // no re-org of a test reaches the contract
        let chain_id = anvil.provider().get_chain_id().await.unwrap();
        let url = format!("sqlite:{}", dir.path().join("store.db").display());
        let store = iono_store::connect(&url).await.unwrap();
        Self {
            anvil,
            chain_id,
            echo,
            config,
            store,
            health: Health::default(),
            shutdown: Shutdown::new(),
            dir,
        }
    }

    pub fn rpc(&self) -> Rpc {
        Rpc::connect(&self.config, self.chain_id, self.health.check("rpc")).unwrap()
    }

    pub async fn follower(&self) -> Follower {
        Follower::new(&self.rpc(), self.store.clone(), &self.config, 0, vec![self.echo]).await.unwrap()
    }

    /// A sender with account 1; it lives until `shutdown` drains.
    pub async fn sender(&self) -> Sender {
        let key = self.anvil.key(1);
        Sender::start(&self.rpc(), self.store.clone(), key, &self.config.sender, &self.health, &self.shutdown)
            .await
            .unwrap()
    }

    /// Calls the echo from account 0.
    pub async fn emit(&self, text: &str) {
        let request = TransactionRequest::default()
            .with_to(self.echo)
            .with_input(Bytes::from(text.as_bytes().to_vec()));
        self.anvil
            .signing(&self.anvil.key(0))
            .send_transaction(request)
            .await
            .unwrap()
            .get_receipt()
            .await
            .unwrap();
    }

    /// What the chain says was echoed, in order.
    pub async fn echoed(&self) -> Vec<String> {
        let filter = Filter::new().address(self.echo).from_block(0);
        let logs = self.anvil.provider().get_logs(&filter).await.unwrap();
        logs.iter().map(|log| String::from_utf8(log.inner.data.data.to_vec()).unwrap()).collect()
    }

    /// What the store says was echoed, in order.
    pub async fn stored(&self) -> Vec<String> {
        let logs = self.store.logs(&iono_store::LogQuery::blocks(0..=u64::MAX)).await.unwrap();
        logs.iter().map(|log| String::from_utf8(log.log.data.data.to_vec()).unwrap()).collect()
    }
}

/// Commits updates until the follower reaches the head; gives them.
pub async fn catch_up(follower: &mut Follower) -> Vec<Update> {
    let mut updates = Vec::new();
    loop {
        let update = tokio::time::timeout(Duration::from_secs(20), follower.next()).await.unwrap().unwrap();
        follower.commit(&update, &[]).await.unwrap();
        let done = update.is_caught_up();
        updates.push(update);
        if done {
            return updates;
        }
    }
}
