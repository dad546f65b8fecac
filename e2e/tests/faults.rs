//! Faults that a market lives with: the chain out of reach, blocks taken back, machines lost. Each time the workload
//! stays, nothing happens twice, and the accounts agree.
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use alloy::primitives::U256;
use alloy::providers::Provider as _;
use iono_bindings::{ILeaseBook, LeaseWords};
use iono_e2e::cli::{number, text};
use iono_e2e::http::answers;
use iono_e2e::{Iono, Network, Node, NodePlan, accounts, engine, events, hello, network};
use iono_primitives::LeaseState;
use iono_testkit::{Daemon, Proxy, eventually};

const SOON: Duration = Duration::from_secs(60);

struct Market {
    network: Network,
    _matchmaker: Daemon,
    node: Node,
    tenant: Iono,
}

impl Market {
    async fn open(plan: impl FnOnce(&Network) -> NodePlan) -> Self {
        hello::build().await.unwrap();
        let mut network = Network::start().await.unwrap();
        let matchmaker = network.matchmaker("matchmaker").await.unwrap();
        let plan = plan(&network);
        let mut node = network.provider(plan).await.unwrap();
        node.run().await.unwrap();
        let tenant = network.tenant("tenant").await.unwrap();
        Self { network, _matchmaker: matchmaker, node, tenant }
    }

    /// Deploys the hello example; gives the lease and its URL.
    async fn deploy(&self, nonce: &str) -> (u64, String) {
        let manifest = hello::manifest(self.network.dir(), nonce, 1).unwrap();
        let deployed = self.tenant.json(&["deploy", &manifest, "--token", "1"]).await.unwrap();
        (number(&deployed, "/lease").unwrap(), text(&deployed, "/urls/0").unwrap())
    }

    async fn state(&self, lease: u64) -> Option<LeaseState> {
        let book = ILeaseBook::new(self.network.book.lease_book, self.network.anvil.provider());
        let words = book.leaseWords(U256::from(lease)).call().await.unwrap();
        LeaseState::from_code(LeaseWords::read([words.word0, words.word1]).state)
    }

    async fn containers(&self, lease: u64) -> Vec<String> {
        let labels = [self.node.owner_label(&self.network), format!("network.ionosphere.lease={lease}")];
        let all = engine::labelled(&[&labels[0], &labels[1]]).await.unwrap();
        all.into_iter().filter(|found| found.starts_with("ps ")).collect()
    }

    async fn balanced(&self) {
        let accounts =
            accounts::read(self.network.anvil.provider(), &self.network.book, network::DOLLAR).await.unwrap();
        assert_eq!(accounts.unaccounted(), 0, "{accounts:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_outlives_the_rpc_and_health_says_so() {
    let mut cable = None;
    hello::build().await.unwrap();
    let mut network = Network::start().await.unwrap();
    let proxy = Proxy::to(network.anvil.port()).await.unwrap();
    let plan = NodePlan { rpc: Some(proxy.url()), ..NodePlan::new("fair") };
    cable.replace(proxy);
    let matchmaker = network.matchmaker("matchmaker").await.unwrap();
    let mut node = network.provider(plan).await.unwrap();
    node.run().await.unwrap();
    let tenant = network.tenant("tenant").await.unwrap();
    let market = Market { network, _matchmaker: matchmaker, node, tenant };
    let proxy = cable.unwrap();

    let (lease, url) = market.deploy("outlives").await;
    let containers = market.containers(lease).await;
    proxy.cut();
    let ready = format!("{}/readyz", market.node.metrics);
    let red = || async { (reqwest::get(&ready).await.ok()?.status() != 200).then_some(()) };
    eventually("a red health check", SOON, red).await.unwrap();
    for _ in 0..20 {
        assert!(answers(&url, "nonce outlives").await, "the workload is down while the chain is away");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(market.containers(lease).await, containers);

    proxy.restore();
    let green = || async { (reqwest::get(&ready).await.ok()?.status() == 200).then_some(()) };
    eventually("a green health check", SOON, green).await.unwrap();
    // It bids again: a second lease comes about without help.
    let (second, url) = market.deploy("again").await;
    assert!(answers(&url, "nonce again").await);
    assert_ne!(second, lease);
    market.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorg_that_takes_match_and_confirmation_away_changes_nothing_in_the_end() {
    let market = Market::open(|_| NodePlan::new("fair")).await;
    let (lease, url) = market.deploy("reorg").await;
    let chain = market.network.anvil.provider();
    let id = U256::from(lease);
    let book = &market.network.book;
    let created =
        events::last::<ILeaseBook::LeaseCreated>(chain, book.lease_book, |e| e.lease == id).await.unwrap();
    let depth = chain.get_block_number().await.unwrap() - created.block + 1;
    market.network.anvil.reorg(depth).await.unwrap();
    let before = market.state(lease).await;
    assert!(before != Some(LeaseState::Active), "the re-org took nothing: {before:?}");

    let again = || async { (market.state(lease).await == Some(LeaseState::Active)).then_some(()) };
    eventually("a lease on the new branch", SOON, again).await.unwrap();
    let served = || async { answers(&url, "nonce reorg").await.then_some(()) };
    eventually("the workload", SOON, served).await.unwrap();
    let confirmed = events::all::<ILeaseBook::LeaseConfirmed>(chain, book.lease_book).await.unwrap();
    assert_eq!(confirmed.iter().filter(|found| found.event.lease == id).count(), 1);
    assert_eq!(market.containers(lease).await.len(), 1);
    market.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_without_its_machine_finds_everything_by_its_key() {
    let market = Market::open(|_| NodePlan::new("fair")).await;
    let (lease, url) = market.deploy("lost").await;

    // Another machine: the key and nothing else.
    let old = market.tenant.json(&["wallet", "show"]).await.unwrap();
    let new = Iono::new(market.network.dir().join("new-machine")).unwrap();
    let book = market.network.book_path.to_str().unwrap();
    new.json(&["init", "--rpc", &market.network.anvil.url(), "--address-book", book, "--token", "1"])
        .await
        .unwrap();
    let keystore =
        text(&old, "/file").or_else(|_| text(&old, "/keystore")).or_else(|_| text(&old, "/path")).unwrap();
    let passphrase = market.tenant.home().join("passphrase");
    let passphrase = passphrase.to_str().unwrap();
    new.json(&[
        "wallet",
        "import",
        "main",
        "--keystore-file",
        &keystore,
        "--keystore-passphrase-file",
        passphrase,
    ])
    .await
    .unwrap();

    let listed = new.json(&["ps"]).await.unwrap();
    assert!(listed.to_string().contains(&lease.to_string()), "{listed:#}");
    let shell = new
        .output(&["shell", &lease.to_string(), "--no-tty", "--", "/bin/sh", "-c", "echo $NONCE"])
        .await
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&shell.stdout).trim(), "lost");
    assert!(answers(&url, "nonce lost").await);
    new.json(&["close", &lease.to_string()]).await.unwrap();
    market.balanced().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_on_postgres_serves_the_same_story() {
    let postgres = iono_testkit::Postgres::start().unwrap();
    let extra = format!("[store]\nurl = \"{}\"\n", postgres.url());
    let market = Market::open(|_| NodePlan { extra, ..NodePlan::new("fair") }).await;
    let (lease, url) = market.deploy("postgres").await;
    assert!(answers(&url, "nonce postgres").await);
    market.tenant.json(&["close", &lease.to_string()]).await.unwrap();
    let gone = || async { market.containers(lease).await.is_empty().then_some(()) };
    eventually("the end of the workload", SOON, gone).await.unwrap();
    market.balanced().await;
}
