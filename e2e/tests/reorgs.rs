//! Blocks taken back: a confirmation, a match, an order. What runs stays while the chain may bring it back, nothing
//! happens twice, and the accounts agree.
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use alloy::primitives::{Address, U256};
use alloy::providers::Provider as _;
use iono_bindings::{ILeaseBook, IOrderBook};
use iono_e2e::http::answers;
use iono_e2e::market::SOON;
use iono_e2e::{Market, Network, NodePlan, bill};
use iono_primitives::LeaseState;
use iono_testkit::{events, eventually};

/// Takes `block` and all after it back; what was in them is gone.
async fn take_back(market: &Market, block: u64) {
    let anvil = &market.network.anvil;
    let head = anvil.provider().get_block_number().await.unwrap();
    anvil.reorg(head - block + 1).await.unwrap();
}

/// How often an event of the lease or order is on the chain now.
async fn count<E: alloy::sol_types::SolEvent>(
    market: &Market,
    contract: Address,
    wanted: impl Fn(&E) -> bool,
) -> usize {
    let found = events::all::<E>(market.network.anvil.provider(), contract).await.unwrap();
    found.iter().filter(|found| wanted(&found.event)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_taken_away_is_made_again_while_the_workload_runs_on() {
    let market = Market::open().await.unwrap();
    let (lease, url) = market.deploy("confirmed").await.unwrap();
    let before = market.containers(lease).await.unwrap();
    assert_eq!(before.len(), 1);
    let (chain, book, id) =
        (market.network.anvil.provider(), market.network.book.lease_book, U256::from(lease));
    let created = events::last::<ILeaseBook::LeaseCreated>(chain, book, |e| e.lease == id).await.unwrap();
    let confirmed = events::last::<ILeaseBook::LeaseConfirmed>(chain, book, |e| e.lease == id).await.unwrap();
    assert!(confirmed.block > created.block);
    take_back(&market, confirmed.block).await;
    assert_eq!(market.state(lease).await.unwrap(), Some(LeaseState::Pending), "only the confirmation went");

    market.until(lease, LeaseState::Active).await.unwrap();
    assert!(answers(&url, "nonce confirmed").await);
    assert_eq!(market.containers(lease).await.unwrap(), before);
    let again = events::last::<ILeaseBook::LeaseConfirmed>(chain, book, |e| e.lease == id).await.unwrap();
    assert!(again.block > confirmed.block, "{} after {}", again.block, confirmed.block);
    assert_eq!(count::<ILeaseBook::LeaseConfirmed>(&market, book, |e| e.lease == id).await, 1);

    // Billed from the confirmation that counts.
    market.network.anvil.advance(2_000).await.unwrap();
    assert!(answers(&url, "nonce confirmed").await);
    assert_eq!(market.containers(lease).await.unwrap(), before);
    market.close(lease).await.unwrap();
    bill::is_exact(&market, lease).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_match_taken_away_is_made_again_while_the_workload_runs_on() {
    let market = Market::open().await.unwrap();
    let (lease, url) = market.deploy("matched").await.unwrap();
    let before = market.containers(lease).await.unwrap();
    assert_eq!(before.len(), 1);
    let (chain, book, id) =
        (market.network.anvil.provider(), market.network.book.lease_book, U256::from(lease));
    let created = events::last::<ILeaseBook::LeaseCreated>(chain, book, |e| e.lease == id).await.unwrap();
    take_back(&market, created.block).await;
    let state = market.state(lease).await.unwrap();
    assert_ne!(state, Some(LeaseState::Active), "the re-org took nothing");

    market.until(lease, LeaseState::Active).await.unwrap();
    let served = || async { answers(&url, "nonce matched").await.then_some(()) };
    eventually("the workload", SOON, served).await.unwrap();
    assert_eq!(market.containers(lease).await.unwrap(), before);
    assert_eq!(count::<ILeaseBook::LeaseConfirmed>(&market, book, |e| e.lease == id).await, 1);
    market.close(lease).await.unwrap();
    market.balanced().await.unwrap();
}

/// Blocks after which the daemons of the next test expect no re-org: more than a deployment takes.
const FINALITY: u64 = 30;

#[tokio::test(flavor = "multi_thread")]
async fn an_order_taken_away_for_good_ends_the_workload_when_no_reorg_can_bring_it_back() {
    let mut network = Network::start().await.unwrap();
    network.finality_depth = FINALITY;
    // Room for one lease: a reservation that is not freed keeps the next order from getting a bid.
    let plan = NodePlan { cpu: "0.3".to_owned(), ..NodePlan::new("narrow") };
    let market = Market::on(network, plan).await.unwrap();
    let (lease, url) = market.deploy("taken").await.unwrap();
    let before = market.containers(lease).await.unwrap();
    assert_eq!(before.len(), 1);
    let (chain, book, id) = (market.network.anvil.provider(), &market.network.book, U256::from(lease));
    let ordered =
        events::last::<IOrderBook::OrderCreated>(chain, book.order_book, |e| e.order == id).await.unwrap();
    let created =
        events::last::<ILeaseBook::LeaseCreated>(chain, book.lease_book, |e| e.lease == id).await.unwrap();
    take_back(&market, ordered.block).await;
    let orders = IOrderBook::new(book.order_book, chain);
    assert_eq!(orders.orderCount().call().await.unwrap(), U256::ZERO);
    assert_eq!(market.state(lease).await.unwrap(), Some(LeaseState::None));

    // It stays as long as another re-org may bring the lease back, and not much longer.
    let last = created.block + FINALITY;
    let mut seen_to_serve = 0;
    loop {
        let now = market.containers(lease).await.unwrap();
        let head = chain.get_block_number().await.unwrap();
        if now.is_empty() {
            assert!(head >= last, "removed in block {head}, before block {last}");
            break;
        }
        assert_eq!(now, before);
        if head + 2 < last {
            assert!(answers(&url, "nonce taken").await, "the workload is down in block {head}");
            seen_to_serve += 1;
        }
        assert!(head < last + 30, "the workload is still there in block {head}");
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    assert!(seen_to_serve >= 5, "the re-org came too late to see anything: {seen_to_serve}");
    market.nothing_left(lease).await.unwrap();
    assert!(!answers(&url, "").await, "the URL still answers");

    // The next order has its place: a bid, a match by the matchmaker, a workload.
    let (lease, url) = market.deploy("next").await.unwrap();
    assert!(answers(&url, "nonce next").await);
    let next = U256::from(lease);
    assert_eq!(count::<IOrderBook::BidPlaced>(&market, book.order_book, |e| e.order == next).await, 1);
    let matched =
        events::last::<IOrderBook::OrderMatched>(chain, book.order_book, |e| e.order == next).await.unwrap();
    assert_eq!(matched.event.keeper, market.matchmaker.key.address());
    market.close(lease).await.unwrap();
    market.balanced().await.unwrap();
}
