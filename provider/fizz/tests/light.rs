//! A light node earns its keep: it is bid for by its gateway, serves through the tunnel alone, is paused while it is away
//! and goes on at the same address.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::time::{SystemTime, UNIX_EPOCH};

use alloy::primitives::B256;
use alloy::providers::Provider as _;
use common::{SOON, Subnet};
use iono_bindings::IFizzRegistry;
use iono_lease_api::{Client, LogQuery, PausedReason};
use iono_primitives::LeaseState;
use iono_testkit::eventually;

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[tokio::test(flavor = "multi_thread")]
async fn from_an_order_to_http_200_and_back_to_nothing() {
    let subnet = Subnet::open().await;
    let (_gateway, mut light) = (subnet.gateway().await, subnet.light_node().await);
    let ordered = subnet.order("nonce-of-light").await;
    let lease = ordered.lease;
    subnet.activate(&ordered).await;
    assert_eq!(subnet.devnet.lease(lease).await.unwrap().fizz, subnet.fizz.0);
    subnet.serve(&ordered).await;

    // The tenant sees the gateway's addresses, and what runs on the light node.
    let client = subnet.client().await;
    // It may answer before its readiness is seen.
    let status = eventually("a replica that is ready", SOON, || async {
        client.status(lease).await.ok().filter(|status| status.services[0].ready == 1)
    })
    .await
    .unwrap();
    let url = format!("http://web-{lease}.apps.localhost:{}/", subnet.http);
    assert_eq!(status.services[0].urls, std::slice::from_ref(&url));
    let port = &status.services[0].ports[0];
    let text =
        reqwest::get(format!("http://{}:{}/", port.host, port.port)).await.unwrap().text().await.unwrap();
    assert!(text.contains("nonce-of-light"), "{text}");
    drop(client.logs(lease, &LogQuery::default()).await.unwrap());
    // The gateway's own interface knows nothing of it, and its key is not the light node's.
    let record = subnet.provider_pin().await;
    let of_gateway = Client::new(&subnet.endpoint, vec![record], Some(&subnet.identity().await)).unwrap();
    assert!(of_gateway.get_manifest(lease).await.is_err());
    let wrong = Client::for_light_node(&subnet.endpoint, subnet.fizz, vec![record], None).unwrap();
    assert!(wrong.provider().await.is_err());

    // It drops off: visitors are told so, the tenant does not pay from then on.
    let lost = now();
    light.1.kill().await.unwrap();
    let paused = subnet.until_state(lease, LeaseState::Paused).await;
    assert!(!subnet.get(&ordered).await);
    assert!((lost.saturating_sub(20)..=lost + 2).contains(&paused.stopped_at), "{lost}: {paused:?}");

    // It is back: the same URL and port, billed again, and no second was billed meanwhile.
    let light = subnet.light_node().await;
    subnet.answers(&ordered).await;
    let active = subnet.until_state(lease, LeaseState::Active).await;
    assert!(u64::from(active.unbilled) + 3 >= now() - lost, "{active:?}");
    let again = eventually("the same ways", SOON, || async {
        let status = client.status(lease).await.ok()?;
        (!status.services[0].ports.is_empty() && !status.services[0].urls.is_empty()).then_some(status)
    })
    .await
    .unwrap();
    assert_eq!(
        (again.services[0].urls[0].as_str(), again.services[0].ports[0].port),
        (url.as_str(), port.port)
    );
    assert_ne!(again.paused_reason, Some(PausedReason::NodeLost));

    subnet.close(lease).await;
    subnet.until_state(lease, LeaseState::Closed).await;
    eventually("no answer", SOON, || async { (!subnet.get(&ordered).await).then_some(()) }).await.unwrap();
    eventually("an empty engine", SOON, || async { subnet.containers(lease).await.is_empty().then_some(()) })
        .await
        .unwrap();
    drop(light);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_killed_finds_its_light_node_and_all_its_ways_again() {
    let subnet = Subnet::open().await;
    let (mut gateway, _light) = (subnet.gateway().await, subnet.light_node().await);
    let ordered = subnet.order("nonce-of-restart").await;
    subnet.activate(&ordered).await;
    subnet.serve(&ordered).await;
    let client = subnet.client().await;
    let before = client.status(ordered.lease).await.unwrap();

    gateway.1.kill().await.unwrap();
    let _gateway = subnet.gateway().await;
    subnet.answers(&ordered).await;
    let after = eventually("the lease API through the new gateway", SOON, || async {
        client.status(ordered.lease).await.ok().filter(|status| !status.services[0].ports.is_empty())
    })
    .await
    .unwrap();
    assert_eq!(after.services[0].urls, before.services[0].urls);
    assert_eq!(after.services[0].ports[0].port, before.services[0].ports[0].port);
    // What was not reached for longer than the owner allows was paused, and is not any more.
    subnet.until_state(ordered.lease, LeaseState::Active).await;
    assert_eq!(subnet.containers(ordered.lease).await.len(), 1);
}

/// Its owner gives the light node's number to another key, and the chain takes that back.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_a_reorg_brings_back_is_admitted_again() {
    let subnet = Subnet::open().await;
    let (_gateway, _light) = (subnet.gateway().await, subnet.light_node().await);
    let anvil = &subnet.devnet.anvil;
    let before = anvil.provider().get_block_number().await.unwrap();
    // The first announces a key, the second drops the one before it.
    for pin in [B256::repeat_byte(7), B256::repeat_byte(8)] {
        let call = IFizzRegistry::rotatePinCall { fizz: subnet.fizz.into(), next: pin };
        let registry = subnet.devnet.book.fizz_registry.unwrap();
        subnet.devnet.send(&anvil.key(4), registry, call).await.unwrap();
    }
    let away = || async { (!subnet.is_light_node_ready().await).then_some(()) };
    eventually("a light node that is turned away", SOON, away).await.unwrap();
    let head = anvil.provider().get_block_number().await.unwrap();
    anvil.reorg(head - before).await.unwrap();
    subnet.light_node_ready().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_claims_another_light_nodes_number_is_refused() {
    let subnet = Subnet::open().await;
    let other =
        subnet.devnet.light_node(&subnet.devnet.anvil.key(4), subnet.provider, B256::repeat_byte(9)).await;
    assert_eq!(other.unwrap().0, subnet.fizz.0 + 1);
    let _gateway = subnet.gateway().await;
    subnet.claim(subnet.fizz.0 + 1);
    let (_light, health) = subnet.light_node_anyhow();
    let refused = || async {
        let answer = reqwest::get(&health).await.ok()?.text().await.ok()?;
        answer.contains("has no light node 2 of provider 1 with this key").then_some(())
    };
    eventually("the refusal in the light node's health", SOON, refused).await.unwrap();
}
