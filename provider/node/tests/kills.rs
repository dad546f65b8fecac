//! The daemon dies by SIGKILL at every fail-point, is started again, and afterwards there is one bid, one confirmation,
//! one workload, and the money moved once.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use alloy::primitives::{B256, U256};
use alloy::providers::ext::AnvilApi as _;
use common::{Market, SOON};
use iono_bindings::{IEscrow, ILeaseBook, IProviderRegistry};
use iono_lease_api::SaltedManifest;
use iono_primitives::{CloseReason, LeaseState};
use iono_provider_testkit::{Ordered, hello, hello_with_volume};
use iono_testkit::docker;

#[tokio::test(flavor = "multi_thread")]
async fn around_the_bid() {
    let market = Market::open().await;
    let pace = |seconds| market.devnet.anvil.provider().anvil_set_interval_mining(seconds);
    for point in [
        "provider.bid.reserved",
        "provider.bid.before_send",
        "chain.after_journal",
        "chain.after_send",
        "provider.bid.after_send",
    ] {
        let mut daemon = market.start_to_die(point).await;
        // Slow blocks, so that the window is still open after the restart.
        pace(6).await.unwrap();
        let ordered = market.order(point, 1).await;
        daemon.wait_killed(SOON).await.unwrap();
        let mut daemon = market.start().await;
        market.bid_stands(&ordered).await;
        pace(1).await.unwrap();
        market.resolve(&ordered).await;
        market.until_state(ordered.lease, LeaseState::Active).await;
        market.survived(point, ordered.lease, 0).await;
        daemon.terminate(SOON).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn around_the_confirmation() {
    let market = Market::open().await;
    for point in ["provider.confirm.before_send", "provider.confirm.after_send"] {
        let mut daemon = market.start_to_die(point).await;
        let ordered = market.order(point, 1).await;
        market.bid_stands(&ordered).await;
        market.resolve(&ordered).await;
        daemon.wait_killed(SOON).await.unwrap();
        let mut daemon = market.start().await;
        market.until_state(ordered.lease, LeaseState::Active).await;
        market.survived(point, ordered.lease, 0).await;
        daemon.terminate(SOON).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn between_the_manifest_and_the_first_answer() {
    let market = Market::open().await;
    for point in [
        "docker.after_manifest",
        "host.manifest.stored",
        "host.apply.routed",
        "docker.after_network",
        "docker.after_volume",
        "docker.after_create",
        "docker.after_start",
        "host.apply.done",
    ] {
        let mut daemon = market.start().await;
        let manifest = match point {
            "docker.after_volume" => hello_with_volume(point),
            _ => hello(point, 1, docker::HELLO),
        };
        let ordered = market.order_manifest(point, manifest).await;
        market.activate(&ordered).await;
        daemon.terminate(SOON).await.unwrap();

        let mut daemon = market.start_to_die(point).await;
        // The answer may be lost with the daemon.
        let _ = market.client().await.put_manifest(ordered.lease, &ordered.manifest).await;
        daemon.wait_killed(SOON).await.unwrap();
        let mut daemon = market.start().await;
        market.answers(&ordered).await;
        market.survived(point, ordered.lease, 1).await;
        market.close(ordered.lease).await;
        daemon.terminate(SOON).await.unwrap();
    }
    market.wipe_engine().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_an_update() {
    let market = Market::open().await;
    let mut daemon = market.start().await;
    let ordered = market.whole_lease("before").await;
    daemon.terminate(SOON).await.unwrap();

    let manifest = SaltedManifest::new(B256::random(), hello("after", 1, docker::HELLO));
    let call = ILeaseBook::setManifestHashCall { lease: ordered.lease.into(), manifestHash: manifest.hash() };
    market.devnet.send(&market.key, market.devnet.book.lease_book, call).await.unwrap();
    let updated = Ordered { manifest, nonce: "after".to_owned(), ..ordered };
    let mut daemon = market.start_to_die("docker.mid_update").await;
    let _ = market.client().await.put_manifest(updated.lease, &updated.manifest).await;
    daemon.wait_killed(SOON).await.unwrap();
    let _daemon = market.start().await;
    market.answers(&updated).await;
    market.has_containers(updated.lease, 1).await;
    market.survived("docker.mid_update", updated.lease, 1).await;
    market.close_and_empty(updated.lease).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_workload_is_removed() {
    let market = Market::open().await;
    for point in ["host.remove.before", "host.remove.unrouted", "docker.mid_remove", "host.remove.done"] {
        let mut daemon = market.start().await;
        let ordered = market.whole_lease(point).await;
        daemon.terminate(SOON).await.unwrap();
        let mut daemon = market.start_to_die(point).await;
        market.close(ordered.lease).await;
        daemon.wait_killed(SOON).await.unwrap();
        let mut daemon = market.start().await;
        market.emptied(ordered.lease).await;
        market.survived(point, ordered.lease, 0).await;
        daemon.terminate(SOON).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_money_moves() {
    let market = Market::open().await;
    let mut daemon = market.start().await;
    let ordered = market.active_lease("money").await;
    daemon.terminate(SOON).await.unwrap();
    market.devnet.anvil.advance(30 * 24 * 3_600).await.unwrap();
    let escrow = IEscrow::new(market.devnet.book.escrow, market.devnet.anvil.provider());
    let ledger = || async {
        let token = U256::from(market.devnet.dollar_id().0);
        escrow.ledgerOf(U256::from(market.me.0), token).call().await.unwrap().net
    };
    assert!(market.command_dies("provider.settle.before_send", &["cash-out"]).await);
    assert!(ledger().await.is_zero());
    assert!(market.command_dies("provider.settle.after_send", &["cash-out"]).await);
    let earned = ledger().await;
    assert!(!earned.is_zero());
    assert!(market.command_dies("provider.cash_out.before_send", &["cash-out"]).await);
    assert_eq!(ledger().await, earned);
    assert!(market.command_dies("provider.cash_out.after_send", &["cash-out"]).await);
    assert!(ledger().await.is_zero());
    let (done, again, error) = market.command(&["cash-out"]).await;
    assert!(done, "{error}");
    assert_eq!(again, serde_json::json!([]));
    let cashed = market.cash_outs().await;
    assert_eq!(cashed, vec![earned]);
    for point in ["settle.before_send", "settle.after_send", "cash_out.before_send", "cash_out.after_send"] {
        market.survived(&format!("provider.{point}"), ordered.lease, 0).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_lost_workload_is_paused() {
    let market = Market::open().await;
    for point in ["provider.pause.before_send", "provider.pause.after_send"] {
        let mut daemon = market.start().await;
        let ordered = market.whole_lease(point).await;
        daemon.kill().await.unwrap();
        market.wipe_disk();
        market.wipe_engine().await;
        let mut daemon = market.start_to_die_early(point);
        daemon.wait_killed(SOON).await.unwrap();
        let mut daemon = market.start().await;
        market.until_state(ordered.lease, LeaseState::Paused).await;
        let pauses =
            market.count::<ILeaseBook::LeasePaused>(market.devnet.book.lease_book, ordered.lease).await;
        assert_eq!(pauses, 1);
        market.survived(point, ordered.lease, 0).await;
        market.close(ordered.lease).await;
        daemon.terminate(SOON).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_workload_that_is_back_is_billed_again() {
    let market = Market::open().await;
    let point = "provider.resume.before_send";
    let mut daemon = market.start().await;
    let ordered = market.whole_lease(point).await;
    daemon.kill().await.unwrap();
    market.wipe_disk();
    market.wipe_engine().await;
    let mut daemon = market.start_to_die(point).await;
    market.until_state(ordered.lease, LeaseState::Paused).await;
    // The answer may be lost with the daemon.
    let _ = market.client().await.put_manifest(ordered.lease, &ordered.manifest).await;
    daemon.wait_killed(SOON).await.unwrap();
    assert_eq!(market.words(ordered.lease).await.lease_state(), Some(LeaseState::Paused));

    let _daemon = market.start().await;
    market.until_state(ordered.lease, LeaseState::Active).await;
    market.answers(&ordered).await;
    let book = market.devnet.book.lease_book;
    assert_eq!(market.count::<ILeaseBook::LeasePaused>(book, ordered.lease).await, 1);
    assert_eq!(market.count::<ILeaseBook::LeaseResumed>(book, ordered.lease).await, 1);
    market.survived(point, ordered.lease, 1).await;
    market.close_and_empty(ordered.lease).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_chain_is_told_that_a_lease_is_over() {
    let mut market = Market::open().await;
    let point = "provider.expire.before_send";
    // The chain's clock is moved past the lease's end, this machine's is not.
    market.set.push("bidding.max_clock_skew=2h".to_owned());
    let mut daemon = market.start().await;
    let ordered = market.whole_lease(point).await;
    daemon.terminate(SOON).await.unwrap();
    market.devnet.anvil.advance(3_700).await.unwrap();
    let mut daemon = market.start_to_die_early(point);
    daemon.wait_killed(SOON).await.unwrap();
    assert_eq!(market.words(ordered.lease).await.lease_state(), Some(LeaseState::Active));
    // Nobody has ended it, neither the chain nor this machine's clock.
    assert_eq!(market.containers(ordered.lease).await.len(), 1);

    let _daemon = market.start().await;
    market.until_state(ordered.lease, LeaseState::Closed).await;
    assert_eq!(market.reason(ordered.lease).await, Some(CloseReason::Expired));
    market.emptied(ordered.lease).await;
    let closed = market.count::<ILeaseBook::LeaseClosed>(market.devnet.book.lease_book, ordered.lease).await;
    assert_eq!(closed, 1);
    market.survived(point, ordered.lease, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_tls_key_is_replaced() {
    let market = Market::open().await;
    let registry = market.devnet.book.provider_registry;
    let pins = || IProviderRegistry::new(registry, market.devnet.anvil.provider());
    let next = || async { pins().nextPin(market.me.into()).call().await.unwrap() };
    let rotations = || market.count::<IProviderRegistry::PinRotated>(registry, market.me);
    // Whatever key it serves with, the registry knows it.
    let ready = async |lease| market.client().await.status(lease).await.unwrap().services[0].ready;
    let mut daemon = market.start().await;
    let ordered = market.whole_lease("pin").await;
    daemon.terminate(SOON).await.unwrap();
    for (point, announced) in [("provider.pin.written", 0), ("provider.pin.announced", 1)] {
        let (before, pin) = (rotations().await, next().await);
        let mut daemon = market.start_to_die(point).await;
        let (done, _, _) = market.command(&["rotate-pin"]).await;
        assert!(!done, "{point}");
        daemon.wait_killed(SOON).await.unwrap();
        assert_eq!(rotations().await, before + announced, "{point}");
        let mut daemon = market.start().await;
        assert_eq!(ready(ordered.lease).await, 1, "{point}");
        if announced == 0 {
            // Asked again it goes on with the key that was written.
            let (done, answer, error) = market.command(&["rotate-pin"]).await;
            assert!(done, "{point}: {answer} {error}");
        }
        assert_eq!(rotations().await, before + 1, "{point}");
        assert_ne!(next().await, pin, "{point}");
        assert!(!market.dir.join("data/tls-next.pem").exists(), "{point}");
        assert_eq!(ready(ordered.lease).await, 1, "{point}");
        market.survived(point, ordered.lease, 1).await;
        daemon.terminate(SOON).await.unwrap();
    }
    market.wipe_engine().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_lease_is_given_up() {
    let mut market = Market::open().await;
    market.set.push("leases.manifest_timeout=5s".to_owned());
    for point in ["provider.close.before_send", "provider.close.after_send"] {
        let mut daemon = market.start_to_die(point).await;
        let ordered = market.active_lease(point).await;
        daemon.wait_killed(SOON).await.unwrap();
        let mut daemon = market.start().await;
        market.until_state(ordered.lease, LeaseState::Closed).await;
        assert_eq!(market.reason(ordered.lease).await, Some(CloseReason::ManifestMissing));
        market.survived(point, ordered.lease, 0).await;
        daemon.terminate(SOON).await.unwrap();
    }
}

#[test]
fn every_fail_point_is_in_one_of_these_tests() {
    let tests = include_str!("kills.rs");
    for point in
        [iono_provider::FAIL_POINTS, iono_host::FAIL_POINTS, iono_runtime_docker::FAIL_POINTS].concat()
    {
        assert!(tests.contains(&format!("\"{point}\"")), "nothing is killed at {point}");
    }
}
