//! The whole path on real parts: order, bid, match, confirmation, manifest, HTTP 200; close and nothing is left.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use alloy::primitives::aliases::{U40, U80};
use alloy::primitives::{B256, U256};
use alloy::sol_types::SolValue as _;
use common::{Market, SOON};
use iono_bindings::{ILeaseBook, IOrderBook, Quote};
use iono_lease_api::{QuoteRequest, SaltedManifest};
use iono_primitives::LeaseState;
use iono_primitives::money::format_decimal;
use iono_provider_testkit::{Ordered, hello, spec};
use iono_testkit::{docker, eventually};
use serde_json::json;

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

    // An hour was paid, and less is left: the owner's metrics count the lease below every threshold, the tenant is warned.
    ending(&market, 1).await;
    assert_eq!(client.status(lease).await.unwrap().warnings[0].hours, 1);

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
    market.emptied(lease).await;
    assert!(!market.get(&ordered).await);
    ending(&market, 0).await;

    // The rest is paid when the holdback is over.
    market.devnet.anvil.advance(30 * 24 * 3_600).await.unwrap();
    let (done, earnings, error) = market.command(&["earnings"]).await;
    assert!(done, "{error}");
    assert!(earnings.as_array().is_some_and(|tokens| tokens.len() == 2), "{earnings}");
    let (done, cashed, error) = market.command(&["cash-out"]).await;
    assert!(done && cashed.as_array().is_some_and(|tokens| !tokens.is_empty()), "{cashed} {error}");

    // What was paid out stays in sight, and is all that there was. A second look reads the chain's end alone.
    let paid = format_decimal(market.cash_outs().await.into_iter().sum(), 6);
    for _ in 0..2 {
        let (done, after, error) = market.command(&["earnings"]).await;
        assert!(done, "{error}");
        let (before, after) = (&earnings[1], &after[1]);
        assert_eq!(
            (&after["paid_out"], &after["net"], &after["ledger"]),
            (&json!(paid), &json!(paid), &json!("0"))
        );
        assert_eq!((&before["paid_out"], &before["net"]), (&json!("0"), &json!(paid)));
    }
    daemon.terminate(SOON).await.unwrap();
}

/// Waits until the metrics count so many leases whose paid time ends.
async fn ending(market: &Market, count: usize) {
    eventually("the gauge of ending leases", SOON, || async {
        let text = reqwest::get(format!("{}/metrics", market.health)).await.ok()?.text().await.ok()?;
        let line = |hours| format!("iono_host_leases_ending{{hours=\"{hours}\"}} {count}\n");
        [24, 6, 1].into_iter().all(|hours| text.contains(&line(hours))).then_some(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_is_not_the_orders_is_refused() {
    let market = Market::open().await;
    let _daemon = market.start().await;
    let ordered = market.active_lease("mine").await;
    let client = market.client().await;
    let refused = async |manifest: &SaltedManifest| {
        let error = client.put_manifest(ordered.lease, manifest).await.unwrap_err();
        error.code().map(str::to_owned)
    };
    let other = SaltedManifest::new(ordered.manifest.salt(), hello("other", 1, docker::HELLO));
    assert_eq!(refused(&other).await.as_deref(), Some("manifest_mismatch"));
    let salted = SaltedManifest::new(B256::random(), ordered.manifest.manifest().clone());
    assert_eq!(refused(&salted).await.as_deref(), Some("manifest_mismatch"));
    // The right hash for more than was ordered.
    let greedy = SaltedManifest::new(B256::random(), hello("mine", 9, docker::HELLO));
    let call = ILeaseBook::setManifestHashCall { lease: ordered.lease.into(), manifestHash: greedy.hash() };
    market.devnet.send(&market.key, market.devnet.book.lease_book, call).await.unwrap();
    assert_eq!(refused(&greedy).await.as_deref(), Some("exceeds_order"));
    assert!(market.containers(ordered.lease).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_grows_on_the_providers_quote() {
    let market = Market::open().await;
    let _daemon = market.start().await;
    let ordered = market.whole_lease("before").await;
    let manifest = SaltedManifest::new(B256::random(), hello("after", 2, docker::HELLO));
    let spec = spec(&manifest);
    let client = market.client().await;
    let request = QuoteRequest { spec: spec.abi_encode().into(), max_rate: Some("1".to_owned()) };
    let error = client.quote(ordered.lease, &request).await.unwrap_err();
    assert_eq!(error.code(), Some("no_quote"), "{error}");
    let quote = client.quote(ordered.lease, &QuoteRequest { max_rate: None, ..request }).await.unwrap();
    let update = ILeaseBook::updateCall {
        quote: Quote {
            lease: U256::from(quote.lease.0),
            version: quote.version,
            oldRate: U80::from(quote.old_rate.parse::<u128>().unwrap()),
            specHash: quote.spec_hash,
            rate: U80::from(quote.rate.parse::<u128>().unwrap()),
            expiry: U40::from(quote.expiry),
        },
        spec,
        signature: quote.signature.clone(),
    };
    market.devnet.send(&market.key, market.devnet.book.lease_book, update).await.unwrap();
    let updated = Ordered { manifest, nonce: "after".to_owned(), ..ordered };
    // Until the new manifest comes the old one serves.
    assert_eq!(market.containers(updated.lease).await.len(), 1);
    market.serve(&updated).await;
    market.has_containers(updated.lease, 2).await;
    assert_eq!(market.words(updated.lease).await.rate.to_string(), quote.rate);
    market.close_and_empty(updated.lease).await;
}
