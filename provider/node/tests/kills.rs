//! The daemon dies by SIGKILL at every fail-point, is started again, and afterwards there is one bid, one confirmation,
//! one workload, and the money moved once.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use alloy::primitives::{B256, U256};
use alloy::providers::ext::AnvilApi as _;
use common::{Market, Ordered, SOON, hello};
use iono_bindings::{IEscrow, ILeaseBook};
use iono_lease_api::SaltedManifest;
use iono_primitives::{CloseReason, LeaseState};
use iono_testkit::{docker, eventually};

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
        "provider.manifest.stored",
        "provider.apply.routed",
        "docker.after_network",
        "docker.after_create",
        "docker.after_start",
        "provider.apply.done",
    ] {
        let mut daemon = market.start().await;
        let ordered = market.active_lease(point).await;
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
    market.devnet.send(&market.tenant, market.devnet.book.lease_book, call).await.unwrap();
    let updated = Ordered { manifest, nonce: "after".to_owned(), ..ordered };
    let mut daemon = market.start_to_die("docker.mid_update").await;
    let _ = market.client().await.put_manifest(updated.lease, &updated.manifest).await;
    daemon.wait_killed(SOON).await.unwrap();
    let _daemon = market.start().await;
    market.answers(&updated).await;
    eventually("one container", SOON, || async {
        (market.containers(updated.lease).await.len() == 1).then_some(())
    })
    .await
    .unwrap();
    market.survived("docker.mid_update", updated.lease, 1).await;
    market.close(updated.lease).await;
    eventually("an empty engine", SOON, || async {
        market.containers(updated.lease).await.is_empty().then_some(())
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_workload_is_removed() {
    let market = Market::open().await;
    for point in
        ["provider.remove.before", "provider.remove.unrouted", "docker.mid_remove", "provider.remove.done"]
    {
        let mut daemon = market.start().await;
        let ordered = market.whole_lease(point).await;
        daemon.terminate(SOON).await.unwrap();
        let mut daemon = market.start_to_die(point).await;
        market.close(ordered.lease).await;
        daemon.wait_killed(SOON).await.unwrap();
        let mut daemon = market.start().await;
        eventually("an empty engine", SOON, || async {
            market.containers(ordered.lease).await.is_empty().then_some(())
        })
        .await
        .unwrap();
        let networks =
            docker::run(&["network", "ls", "-q", "--filter", &market.owner_label()]).await.unwrap();
        assert!(networks.is_empty(), "{point}: {networks}");
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
