//! The whole path on real parts: order, bid, match, confirmation, manifest, HTTP 200; close and nothing is left.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use common::{Market, SOON};
use iono_bindings::{ILeaseBook, IOrderBook};
use iono_primitives::LeaseState;
use iono_testkit::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn from_an_order_to_http_200_and_back_to_nothing() {
    let market = Market::open().await;
    let mut daemon = market.start().await;
    let ordered = market.whole_lease("nonce-4711").await;
    let (lease, book) = (ordered.lease, &market.devnet.book);
    assert_eq!(market.count::<IOrderBook::BidPlaced>(book.order_book, lease).await, 1);
    assert_eq!(market.count::<ILeaseBook::LeaseConfirmed>(book.lease_book, lease).await, 1);
    assert_eq!(market.containers(lease).await.len(), 1);

    let client = market.client().await;
    let status = client.status(lease).await.unwrap();
    assert_eq!(status.services[0].ready, 1);
    assert!(status.services[0].urls[0].contains(&format!("web-{lease}.apps.localhost")), "{status:?}");
    let answer = client.why_no_bid(ordered.lease.into()).await.unwrap();
    assert!(answer.rate.is_some(), "{answer:?}");

    // A restart leaves the workload alone and serves it again.
    let before = market.containers(lease).await;
    daemon.terminate(SOON).await.unwrap();
    assert_eq!(market.containers(lease).await, before);
    let mut daemon = market.start().await;
    market.answers(&ordered).await;
    assert_eq!(market.containers(lease).await, before);

    // Half of the hour is used.
    market.devnet.anvil.advance(1_800).await.unwrap();
    market.close(lease).await;
    market.until_state(lease, LeaseState::Closed).await;
    eventually("an empty engine", SOON, || async { market.containers(lease).await.is_empty().then_some(()) })
        .await
        .unwrap();
    assert!(!market.get(&ordered).await);

    // The rest is paid when the holdback is over.
    market.devnet.anvil.advance(30 * 24 * 3_600).await.unwrap();
    let (done, earnings, error) = market.command(&["earnings"]).await;
    assert!(done, "{error}");
    assert!(earnings.as_array().is_some_and(|tokens| tokens.len() == 2), "{earnings}");
    let (done, cashed, error) = market.command(&["cash-out"]).await;
    assert!(done && cashed.as_array().is_some_and(|tokens| !tokens.is_empty()), "{cashed} {error}");
    daemon.terminate(SOON).await.unwrap();
}
