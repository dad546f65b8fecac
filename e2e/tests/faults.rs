//! Faults that a market lives with: the chain out of reach, a provider that sleeps, disks and machines lost. Each time
//! the workload stays, nothing happens twice, and the accounts agree.
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::{Duration, Instant};

use alloy::primitives::U256;
use alloy::providers::Provider as _;
use alloy::sol_types::SolCall as _;
use iono_bindings::{AddressBook, IEscrow, ILeaseBook, IOrderBook, IStakingManager, OrderWords};
use iono_e2e::cli::text;
use iono_e2e::http::answers;
use iono_e2e::market::SOON;
use iono_e2e::{Iono, Market, Network, NodePlan, hello, network};
use iono_primitives::{CloseReason, LeaseState};
use iono_testkit::{Proxy, events, eventually};
use nix::sys::signal::Signal;

/// A network whose daemons reach the chain through a cable that can be cut.
async fn behind_a_proxy() -> (Network, Proxy) {
    let mut network = Network::start().await.unwrap();
    let proxy = Proxy::to(network.anvil.port()).await.unwrap();
    network.rpc = proxy.url();
    (network, proxy)
}

/// Waits until a daemon's health is green, or red.
async fn health(metrics: &str, green: bool) {
    let ready = format!("{metrics}/readyz");
    let as_wanted =
        || async { (reqwest::get(&ready).await.ok()?.status().is_success() == green).then_some(()) };
    eventually(&format!("{ready} that is green: {green}"), SOON, as_wanted).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_outlives_a_minute_without_the_rpc_and_health_says_so() {
    let (network, cable) = behind_a_proxy().await;
    let market = Market::on(network, NodePlan::new("fair")).await.unwrap();
    let (lease, url) = market.deploy("outlives").await.unwrap();
    let containers = market.containers(lease).await.unwrap();
    assert_eq!(containers.len(), 1);

    cable.cut();
    let since = Instant::now();
    for metrics in [&market.node.metrics, &market.matchmaker.metrics] {
        health(metrics, false).await;
    }
    while since.elapsed() < Duration::from_secs(60) {
        assert!(answers(&url, "nonce outlives").await, "the workload is down while the chain is away");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(market.containers(lease).await.unwrap(), containers);

    cable.restore();
    for metrics in [&market.node.metrics, &market.matchmaker.metrics] {
        health(metrics, true).await;
    }
    assert_eq!(market.state(lease).await.unwrap(), Some(LeaseState::Active));
    // A second lease comes about: the provider bids again, the matchmaker resolves again.
    let (second, url) = market.deploy("again").await.unwrap();
    assert_ne!(second, lease);
    assert!(answers(&url, "nonce again").await);
    let (chain, book, id) =
        (market.network.anvil.provider(), market.network.book.order_book, U256::from(second));
    let matched = events::last::<IOrderBook::OrderMatched>(chain, book, |e| e.order == id).await.unwrap();
    assert_eq!(matched.event.keeper, market.matchmaker.key.address());
    assert_eq!(market.containers(lease).await.unwrap(), containers);
    market.close(lease).await.unwrap();
    market.close(second).await.unwrap();
    market.balanced().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_sleeps_through_its_window_confirms_nothing_and_pays_for_it() {
    let mut market = Market::open().await.unwrap();
    let (chain, book) = (market.network.anvil.provider().clone(), market.network.book.clone());
    let stakes = IStakingManager::new(book.staking_manager, chain.clone());
    let me = U256::from(market.node.id);
    let staked = stakes.stakeOf(me).call().await.unwrap().counted;

    // The tenant orders, and its machine is gone before anything else happens.
    let manifest = hello::manifest(market.network.dir(), "asleep", 1).unwrap();
    let tenant = market.tenant.stream(&["deploy", &manifest, "--token", "1"]).unwrap();
    let bid = || async {
        let bids = events::all::<IOrderBook::BidPlaced>(&chain, book.order_book).await.ok()?;
        (!bids.is_empty()).then_some(())
    };
    eventually("the bid", SOON, bid).await.unwrap();
    market.node.daemon().unwrap().signal(Signal::SIGSTOP).unwrap();
    market.until(1, LeaseState::Pending).await.unwrap();
    drop(tenant);
    let nonce = chain.get_transaction_count(market.node.hot.address()).await.unwrap();

    let leases = ILeaseBook::new(book.lease_book, chain.clone());
    let window = leases.confirmWindow().call().await.unwrap();
    market.network.anvil.advance(window.to::<u64>() + 1).await.unwrap();
    market.node.daemon().unwrap().signal(Signal::SIGCONT).unwrap();
    market.until(1, LeaseState::Closed).await.unwrap();
    assert_eq!(market.words(1).await.unwrap().close_reason(), Some(CloseReason::NotConfirmed));
    // It told the chain that it was too late, and tried nothing else.
    let sent = chain.get_transaction_count(market.node.hot.address()).await.unwrap() - nonce;
    assert_eq!(sent, 1);
    let confirmed = events::all::<ILeaseBook::LeaseConfirmed>(&chain, book.lease_book).await.unwrap();
    assert!(confirmed.is_empty(), "{confirmed:?}");
    market.nothing_left(1).await.unwrap();

    // The tenant has all but the match fee, the provider less stake.
    let words = IOrderBook::new(book.order_book, &chain).orderWords(U256::ONE).call().await.unwrap();
    let words = OrderWords::read([words.word0, words.word1]);
    let deposits = events::all::<IEscrow::Deposited>(&chain, book.escrow).await.unwrap();
    let deposited: U256 = deposits.iter().map(|found| found.event.amount).sum();
    let escrow = IEscrow::new(book.escrow, &chain);
    let token = U256::from(network::DOLLAR);
    let free = escrow.balanceOf(U256::from(words.wallet), token).call().await.unwrap();
    assert_eq!(free, deposited - U256::from(words.match_fee));
    let slashed = events::all::<IStakingManager::StakeSlashed>(&chain, book.staking_manager).await.unwrap();
    assert_eq!(slashed.len(), 1);
    assert!(slashed[0].event.tokens > U256::ZERO);
    assert_eq!(stakes.stakeOf(me).call().await.unwrap().counted, staked - slashed[0].event.tokens);
    market.balanced().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_lost_while_the_chain_cannot_be_asked_costs_no_workload() {
    let (network, cable) = behind_a_proxy().await;
    let mut market = Market::on(network, NodePlan::new("fair")).await.unwrap();
    let (lease, url) = market.deploy("kept").await.unwrap();
    let containers = market.containers(lease).await.unwrap();
    assert_eq!(containers.len(), 1);
    let stays = async |market: &Market, seconds| {
        let since = Instant::now();
        while since.elapsed() < Duration::from_secs(seconds) {
            assert_eq!(market.containers(lease).await.unwrap(), containers);
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };

    // No chain at all: the daemon does not even know who it is.
    market.node.daemon().unwrap().kill().await.unwrap();
    std::fs::remove_dir_all(market.node.dir().join("data")).unwrap();
    cable.cut();
    market.node.start().unwrap();
    stays(&market, 10).await;

    // The chain is there, but the lease began before what is read of it, and the question what became of that lease
    // fails: no answer is no reason to remove anything.
    market.node.daemon().unwrap().kill().await.unwrap();
    let book = std::fs::read_to_string(&market.network.book_path).unwrap();
    let head = market.network.anvil.provider().get_block_number().await.unwrap();
    let later = AddressBook { start_block: head, ..market.network.book.clone() };
    std::fs::write(&market.network.book_path, serde_json::to_string(&later).unwrap()).unwrap();
    let question = format!("0x{}", alloy::hex::encode(ILeaseBook::leaseWordsCall::SELECTOR));
    cable.restore();
    cable.refuse(Some(&question));
    market.node.start().unwrap();
    market.node.daemon().unwrap().logged("provider running", SOON).await.unwrap();
    let asked = || async { (cable.refused() >= 5).then_some(()) };
    eventually("questions about the lease", SOON, asked).await.unwrap();
    stays(&market, 10).await;
    cable.restore();
    let adopted = "a workload without records is adopted";
    market.node.daemon().unwrap().logged(adopted, SOON).await.unwrap();
    stays(&market, 2).await;

    // All of the chain is read again: the lease goes on with the workload as it is.
    std::fs::write(&market.network.book_path, book).unwrap();
    market.node.daemon().unwrap().kill().await.unwrap();
    market.node.run().await.unwrap();
    let served = || async { answers(&url, "nonce kept").await.then_some(()) };
    eventually("the workload", SOON, served).await.unwrap();
    let shell = ["shell", &lease.to_string(), "--no-tty", "--", "/bin/sh", "-c", "echo $NONCE"];
    let speaks = || async { (market.tenant.output(&shell).await.ok()?.stdout == b"kept\n").then_some(()) };
    eventually("the tenant's shell", SOON, speaks).await.unwrap();
    assert_eq!(market.containers(lease).await.unwrap(), containers);
    assert_eq!(market.state(lease).await.unwrap(), Some(LeaseState::Active));
    market.close(lease).await.unwrap();
    market.balanced().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_without_its_machine_finds_everything_by_its_key() {
    let market = Market::open().await.unwrap();
    let (lease, url) = market.deploy("lost").await.unwrap();

    // Another machine: the key and nothing else.
    let keystore = text(&market.tenant.json(&["wallet", "show"]).await.unwrap(), "/file").unwrap();
    let passphrase = market.tenant.home().join("passphrase").to_str().unwrap().to_owned();
    let new = Iono::new(market.network.dir().join("new-machine")).unwrap();
    let book = market.network.book_path.to_str().unwrap();
    new.json(&["init", "--rpc", &market.network.anvil.url(), "--address-book", book, "--token", "1"])
        .await
        .unwrap();
    let import =
        ["wallet", "import", "main", "--keystore-file", &keystore, "--keystore-passphrase-file", &passphrase];
    new.json(&import).await.unwrap();

    let listed = new.json(&["ps"]).await.unwrap();
    assert!(listed.to_string().contains(&lease.to_string()), "{listed:#}");
    let say = ["shell", &lease.to_string(), "--no-tty", "--", "/bin/sh", "-c", "echo $NONCE"];
    let shell = new.output(&say).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&shell.stdout).trim(), "lost");
    assert!(answers(&url, "nonce lost").await);
    new.json(&["close", &lease.to_string()]).await.unwrap();
    market.nothing_left(lease).await.unwrap();
    market.balanced().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_on_postgres_serves_the_same_story() {
    let postgres = iono_testkit::Postgres::start().unwrap();
    let extra = format!("[store]\nurl = \"{}\"\n", postgres.url());
    let network = Network::start().await.unwrap();
    let market = Market::on(network, NodePlan { extra, ..NodePlan::new("fair") }).await.unwrap();
    let (lease, url) = market.deploy("postgres").await.unwrap();
    assert!(answers(&url, "nonce postgres").await);
    market.close(lease).await.unwrap();
    market.balanced().await.unwrap();
}
