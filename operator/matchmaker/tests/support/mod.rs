//! A market with one provider and one tenant, and matchmakers as real processes.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)] // each test file uses a part

pub mod drand;
pub mod quorum;

use std::path::PathBuf;
use std::time::Duration;

use alloy::primitives::{Address, B256, U256};
use alloy::providers::Provider;
use alloy::rpc::types::Filter;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::SolEvent;
use iono_bindings::{IERC20, IEscrow, ILeaseBook, IOrderBook, IStakingManager, OrderWords};
use iono_identity::{Passphrase, keystore};
use iono_primitives::{LeaseState, OrderId, OrderState, Rate, WalletId};
use iono_testkit::{Daemon, Devnet, ProviderSetup, eventually, free_port};

pub const LIMIT: Duration = Duration::from_secs(60);

pub struct World {
    pub net: Devnet,
    pub tenant: PrivateKeySigner,
    pub hot: PrivateKeySigner,
    pub wallet: WalletId,
}

/// A matchmaker's folder and address.
pub struct Keeper {
    pub key: PrivateKeySigner,
    pub config: PathBuf,
    pub ready: String,
}

impl World {
    /// Blocks are mined by the test.
    pub async fn new() -> Self {
        Self::on(Devnet::start().await.unwrap()).await
    }

    pub async fn on(net: Devnet) -> Self {
        let setup = ProviderSetup::new(net.anvil.key(2), net.anvil.key(3));
        net.provider(&setup).await.unwrap();
        let tenant = net.anvil.key(4);
        let wallet = net.wallet(&tenant, 1_000_000_000).await.unwrap();
        Self { net, tenant, hot: setup.hot, wallet }
    }

    /// An order of a minute's notice with one bid.
    pub async fn order(&self) -> OrderId {
        let rate = Rate::from_hourly("0.1").unwrap();
        let order = self.net.order(&self.tenant, self.wallet, rate).await.unwrap();
        self.net.bid(&self.hot, order, rate).await.unwrap();
        order
    }

    /// Writes configuration and keystore of a matchmaker.
    pub async fn keeper(&self, index: usize, rpc: Option<String>, extra: &str) -> Keeper {
        self.keeper_of(self.net.anvil.key(index), &format!("keeper-{index}"), rpc, extra).await
    }

    /// One with a key and a folder of its own.
    pub async fn keeper_with(&self, key: PrivateKeySigner, name: &str, extra: &str) -> Keeper {
        self.keeper_of(key, name, None, extra).await
    }

    async fn keeper_of(&self, key: PrivateKeySigner, name: &str, rpc: Option<String>, extra: &str) -> Keeper {
        let dir = self.net.dir().join(name);
        std::fs::create_dir_all(&dir).unwrap();
        let (file, pass) = (dir.join("key.json"), dir.join("pass"));
        std::fs::write(&pass, "secret\n").unwrap();
        std::fs::set_permissions(&pass, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let secret = format!("{:#x}", B256::from(key.to_bytes()));
        keystore::import_key(&file, &secret, &Passphrase::new("secret")).await.unwrap();
        let listen = format!("127.0.0.1:{}", free_port().unwrap());
        let text = format!(
            "data_dir = '{data}'\n[chain]\nrpc = ['{rpc}']\naddress_book = '{book}'\npoll_ms = 50\nfinality_depth = 6\n\
             [chain.sender]\nlock_dir = '{data}/locks'\n[keys]\nhot_key = '{file}'\npassphrase_file = '{pass}'\n\
             [telemetry]\nlisten = '{listen}'\nfilter = 'info,iono_chain=debug'\n{extra}\n",
            data = dir.display(),
            rpc = rpc.unwrap_or_else(|| self.net.anvil.url()),
            book = self.net.book_path().display(),
            file = file.display(),
            pass = pass.display(),
        );
        let config = dir.join("matchmaker.toml");
        std::fs::write(&config, text).unwrap();
        Keeper { key, config, ready: format!("http://{listen}/readyz") }
    }

    /// The owner stakes again what a missed confirmation cost, which lifts the bar.
    pub async fn restake(&self) {
        let (owner, book) = (self.net.anvil.key(2), &self.net.book);
        let tokens = U256::from(100_000) * U256::from(10).pow(U256::from(18));
        let give = IERC20::transferCall { to: owner.address(), amount: tokens };
        self.net.send(&self.net.admin(), book.spon, give).await.unwrap();
        let approve = IERC20::approveCall { spender: book.staking_manager, amount: tokens };
        self.net.send(&owner, book.spon, approve).await.unwrap();
        let stake = IStakingManager::stakeCall { provider: U256::from(1), tokens };
        self.net.send(&owner, book.staking_manager, stake).await.unwrap();
    }

    pub async fn order_state(&self, order: OrderId) -> OrderState {
        let book = IOrderBook::new(self.net.book.order_book, self.net.anvil.provider());
        let words = book.orderWords(order.into()).call().await.unwrap();
        OrderWords::read([words.word0, words.word1]).order_state().unwrap()
    }

    pub async fn lease_state(&self, order: OrderId) -> LeaseState {
        self.net.lease(order.into()).await.unwrap().lease_state().unwrap()
    }

    /// Mines a block every 100 ms until the order is no longer open.
    pub async fn until_resolved(&self, order: OrderId) {
        eventually("the order is resolved", LIMIT, || async {
            self.net.anvil.mine(1).await.unwrap();
            tokio::time::sleep(Duration::from_millis(100)).await;
            (self.order_state(order).await != OrderState::Open).then_some(())
        })
        .await
        .unwrap();
    }

    /// Fees that wait for a keeper, in the dollar's smallest unit.
    pub async fn earned(&self, keeper: Address) -> u64 {
        let escrow = IEscrow::new(self.net.book.escrow, self.net.anvil.provider());
        let payee = U256::from_be_slice(keeper.as_slice());
        escrow.ledgerOf(payee, self.net.dollar_id().into()).call().await.unwrap().net.to()
    }

    /// How often an order was matched and leased, by the chain's own logs.
    pub async fn matches(&self, order: OrderId) -> (usize, usize) {
        let (orders, leases) = (self.net.book.order_book, self.net.book.lease_book);
        let matches = self.count(orders, IOrderBook::OrderMatched::SIGNATURE_HASH, order).await;
        (matches, self.count(leases, ILeaseBook::LeaseCreated::SIGNATURE_HASH, order).await)
    }

    /// How often its lease was closed.
    pub async fn closes(&self, order: OrderId) -> usize {
        self.count(self.net.book.lease_book, ILeaseBook::LeaseClosed::SIGNATURE_HASH, order).await
    }

    async fn count(&self, contract: Address, event: B256, order: OrderId) -> usize {
        let filter = Filter::new().address(contract).event_signature(event).topic1(U256::from(order.0));
        self.net.anvil.provider().get_logs(&filter.from_block(0)).await.unwrap().len()
    }
}

impl Keeper {
    /// Starts it, at a fail-point if one is given; does not wait.
    pub fn start(&self, failpoint: Option<&str>) -> Daemon {
        let launch = self.launch().arg("run");
        match failpoint {
            Some(name) => launch.failpoint(name),
            None => launch,
        }
        .start()
        .unwrap()
    }

    /// Starts it and waits until it is ready.
    pub async fn run(&self) -> Daemon {
        let mut daemon = self.start(None);
        daemon.ready(&self.ready, LIMIT).await.unwrap();
        daemon
    }

    pub fn launch(&self) -> iono_testkit::daemon::Launch {
        Daemon::launch(env!("CARGO_BIN_EXE_matchmaker")).arg("--config").arg(&self.config)
    }

    /// Runs a one-shot command and parses what it printed.
    pub async fn json(&self, command: &str) -> serde_json::Value {
        let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_matchmaker"))
            .arg("--config")
            .arg(&self.config)
            .args(["--json", command])
            .output()
            .await
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        serde_json::from_str(&text)
            .unwrap_or_else(|_| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
    }
}
