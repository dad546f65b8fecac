//! What a provider outlives: its disk lost with and without its containers, the chain or the engine out of reach, a
//! second daemon with its key, a stray transaction, tenants that never send a manifest or name no image.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use std::time::Duration;

use common::{Market, SOON};
use iono_bindings::{ILeaseBook, IProviderRegistry};
use iono_primitives::{CloseReason, LeaseState};
use iono_provider_testkit::hello;
use iono_testkit::{Devnet, Proxy, docker, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_disk_with_containers_is_adopted() {
    let market = Market::open().await;
    let mut daemon = market.start().await;
    let ordered = market.whole_lease("adopted").await;
    let before = market.containers(ordered.lease).await;
    daemon.kill().await.unwrap();
    market.wipe_disk();

    let _daemon = market.start().await;
    market.answers(&ordered).await;
    assert_eq!(market.containers(ordered.lease).await, before);
    market.assert_once(ordered.lease).await;
    let paused = market.count::<ILeaseBook::LeasePaused>(market.devnet.book.lease_book, ordered.lease).await;
    assert_eq!(paused, 0);
    // Its TLS key is a new one that the registry knows.
    assert_eq!(market.client().await.status(ordered.lease).await.unwrap().services[0].ready, 1);
    market.close_and_empty(ordered.lease).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_machine_is_not_billed_until_the_manifest_comes_again() {
    let market = Market::open().await;
    let mut daemon = market.start().await;
    let ordered = market.whole_lease("lost").await;
    daemon.kill().await.unwrap();
    market.wipe_disk();
    market.wipe_engine().await;
    let settled = market.words(ordered.lease).await.settled_to;

    let _daemon = market.start().await;
    let words = market.until_state(ordered.lease, LeaseState::Paused).await;
    // Nothing proves that it ran after what was paid.
    assert_eq!(words.stopped_at, settled);
    let status = market.client().await.status(ordered.lease).await.unwrap();
    assert_eq!(status.paused_reason, Some(iono_lease_api::PausedReason::AwaitingManifest));

    market.serve(&ordered).await;
    let words = market.until_state(ordered.lease, LeaseState::Active).await;
    assert!(words.unbilled > 0);
    market.close_and_empty(ordered.lease).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workloads_outlive_the_rpc_and_health_says_so() {
    let devnet = Devnet::with_block_time(Duration::from_secs(1)).await.unwrap();
    let proxy = Proxy::to(devnet.anvil.port()).await.unwrap();
    let market = Market::on(devnet, Some(proxy.url())).await;
    let _daemon = market.start().await;
    let ordered = market.whole_lease("rpc").await;
    let before = market.containers(ordered.lease).await;

    proxy.cut();
    market.until_red("").await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(market.get(&ordered).await);
    assert_eq!(market.containers(ordered.lease).await, before);
    // What stopped, as everything does in a reboot, is brought back without the chain.
    docker::run(&["stop", "-t", "0", &before[0]]).await.unwrap();
    market.answers(&ordered).await;
    assert_eq!(market.containers(ordered.lease).await, before);
    // The tenant closes meanwhile; nobody here can know.
    market.close(ordered.lease).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(market.containers(ordered.lease).await, before);

    proxy.restore();
    market.until_green().await;
    market.emptied(ordered.lease).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_engine_it_does_not_bid_and_keeps_its_leases() {
    let mut market = Market::open().await;
    let socket = market.dir.join("docker.sock");
    let link = || std::os::unix::fs::symlink("/var/run/docker.sock", &socket).unwrap();
    link();
    market.set.push(format!("runtime.docker={}", socket.display()));
    let _daemon = market.start().await;
    let ordered = market.whole_lease("engine").await;

    std::fs::remove_file(&socket).unwrap();
    market.until_red("").await;
    market.refuses("engine").await;
    assert_eq!(market.words(ordered.lease).await.lease_state(), Some(LeaseState::Active));
    assert!(market.get(&ordered).await);

    link();
    market.until_green().await;
    market.answers(&ordered).await;
    market.close_and_empty(ordered.lease).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_one_daemon_and_a_stray_transaction_does_no_harm() {
    let market = Market::open().await;
    let daemon = market.start().await;
    let mut second = market.start_anyhow();
    let status = second.wait(SOON).await.unwrap();
    assert!(!status.success());
    assert!(second.logs().contains("another process already sends"), "{}", second.logs());

    // Somebody uses the hot key beside the daemon.
    let call = IProviderRegistry::setDrainingCall { provider: market.me.into(), draining: true };
    market.devnet.send(&market.hot, market.devnet.book.provider_registry, call).await.unwrap();
    // A command goes through the running daemon.
    let (done, answer, error) = market.command(&["drain", "off"]).await;
    assert!(done, "{answer} {error}\n{}", daemon.logs());
    let ordered = market.active_lease("stray").await;
    market.assert_once(ordered.lease).await;
    let (done, status, error) = market.command(&["status"]).await;
    assert!(done && status["provider"] == market.me.0, "{status} {error}");
    let (_, checks, _) = market.command(&["check"]).await;
    let failed: Vec<_> = checks.as_array().unwrap().iter().filter(|check| check["ok"] == false).collect();
    // The devnet registered all token ids and another capacity than the configuration's.
    assert!(
        failed.iter().all(|check| ["record: tokens", "record: tiers", "record: capacity", "gas"]
            .contains(&check["name"].as_str().unwrap())
            || check["name"].as_str().unwrap().starts_with("limit")),
        "{failed:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_gas_or_disk_it_does_not_bid_and_says_so() {
    let mut market = Market::open().await;
    let mut daemon = market.start().await;
    market.devnet.anvil.fund(market.hot.address(), 1_000).await.unwrap();
    eventually("the gas to be missed", SOON, || async {
        let (_, status, _) = market.command(&["status"]).await;
        status["bidding"].as_str()?.contains("wei of gas").then_some(())
    })
    .await
    .unwrap();
    market.refuses("wei of gas").await;
    market.devnet.anvil.fund(market.hot.address(), 10_u128.pow(18)).await.unwrap();
    eventually("bidding again", SOON, || async {
        let (_, status, _) = market.command(&["status"]).await;
        (status["bidding"] == "yes").then_some(())
    })
    .await
    .unwrap();
    let ordered = market.active_lease("gas again").await;
    market.assert_once(ordered.lease).await;
    daemon.terminate(SOON).await.unwrap();

    market.set.push("runtime.disk_floor=1000Ti".to_owned());
    // Its health is red from the start, so it is not waited for.
    let _daemon = market.start_anyhow();
    market.until_red("disk full").await;
    market.refuses("disk full").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_price_holds_from_the_next_bid_on_and_a_wrong_one_changes_nothing() {
    let market = Market::open().await;
    let _daemon = market.start().await;
    let first = market.active_lease("cheap").await;
    let text = std::fs::read_to_string(&market.config).unwrap();
    std::fs::write(&market.config, text.replace("cpu = 0.01", "cpu = 0.02")).unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let second = market.active_lease("dear").await;
    let (cheap, dear) = (market.words(first.lease).await.rate, market.words(second.lease).await.rate);
    assert!(dear > cheap, "{dear} {cheap}");
    std::fs::write(&market.config, text.replace("cpu = 0.01", "cpu = 0.03\nsped = 1")).unwrap();
    market.until_red("sped").await;
    let third = market.active_lease("still dear").await;
    assert_eq!(market.words(third.lease).await.rate, dear);
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_does_what_sqlite_does() {
    let postgres = tokio::task::spawn_blocking(|| iono_testkit::Postgres::start().unwrap()).await.unwrap();
    let mut market = Market::open().await;
    market.set.push(format!("store.url={}", postgres.database("provider").unwrap()));
    let mut daemon = market.start().await;
    let ordered = market.whole_lease("postgres").await;
    daemon.kill().await.unwrap();
    let _daemon = market.start().await;
    market.answers(&ordered).await;
    market.assert_once(ordered.lease).await;
    market.close_and_empty(ordered.lease).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_without_a_manifest_or_an_image_is_given_up_with_the_reason() {
    let mut market = Market::open().await;
    market.set.extend(["leases.manifest_timeout=15s".to_owned(), "leases.image_timeout=3s".to_owned()]);
    let _daemon = market.start().await;
    let silent = market.active_lease("silent").await;
    let image = hello("missing", 1, "no.such.registry.invalid/none:1");
    let missing = market.order_manifest("missing", image).await;
    market.activate(&missing).await;
    market.client().await.put_manifest(missing.lease, &missing.manifest).await.unwrap();
    for (lease, reason) in
        [(missing.lease, CloseReason::ImageUnavailable), (silent.lease, CloseReason::ManifestMissing)]
    {
        market.until_state(lease, LeaseState::Closed).await;
        assert_eq!(market.reason(lease).await, Some(reason));
    }
    let answer = market.client().await.status(missing.lease).await;
    assert!(answer.is_ok_and(|status| status.close_reason == Some(CloseReason::ImageUnavailable)));
    assert_eq!(market.words(silent.lease).await.unbilled, 0);
}
