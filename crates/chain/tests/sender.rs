//! The sender on a real Anvil: one effect per intent, whatever happens to process, mempool, nonces and chain.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use alloy::network::TransactionBuilder;
use alloy::primitives::{Bytes, U256};
use alloy::providers::Provider;
use alloy::providers::ext::AnvilApi;
use alloy::rpc::types::TransactionRequest;
use iono_chain::{SendError, Sender};
use iono_store::IntentState;
use iono_testkit::{Anvil, Proxy, eventually};
use support::Rig;

const LIMIT: Duration = Duration::from_secs(20);

fn text(text: &str) -> Bytes {
    Bytes::from(text.as_bytes().to_vec())
}

/// Submits in the background.
fn submit(
    rig: &Rig,
    sender: &Sender,
    key: &str,
) -> tokio::task::JoinHandle<Result<iono_chain::Mined, SendError>> {
    let (sender, echo, key) = (sender.clone(), rig.echo, key.to_owned());
    tokio::spawn(async move { sender.submit(&key, echo, text(&key)).await })
}

async fn state_is(sender: &Sender, key: &str, wanted: IntentState) {
    let what = format!("{key} {wanted:?}");
    eventually(&what, LIMIT, || async { (sender.state(key).await.unwrap() == Some(wanted)).then_some(()) })
        .await
        .unwrap();
}

async fn pool_size(rig: &Rig) -> u64 {
    let key = rig.anvil.key(1).address();
    let provider = rig.anvil.provider();
    provider.get_transaction_count(key).pending().await.unwrap()
        - provider.get_transaction_count(key).await.unwrap()
}

async fn pool_holds(rig: &Rig, count: u64) {
    eventually("mempool", LIMIT, || async { (pool_size(rig).await == count).then_some(()) }).await.unwrap();
}

/// A transaction of the sender's key that the sender knows nothing of: the next one after those that are mined, paid well
/// enough to take the place of one that waits.
async fn stray(rig: &Rig) {
    let key = rig.anvil.key(1);
    let nonce = rig.anvil.provider().get_transaction_count(key.address()).await.unwrap();
    let request =
        TransactionRequest::default().with_to(key.address()).with_value(U256::from(1)).with_nonce(nonce);
    let request = request.with_max_fee_per_gas(1 << 40).with_max_priority_fee_per_gas(1 << 40);
    let _sent = rig.anvil.signing(&key).send_transaction(request).await.unwrap();
}

#[tokio::test]
async fn a_key_is_sent_once() {
    let rig = Rig::new(Anvil::start().await.unwrap()).await;
    let sender = rig.sender().await;
    let tasks: Vec<_> = (0..5).map(|_| submit(&rig, &sender, "once")).collect();
    let mut mined = Vec::new();
    for task in tasks {
        mined.push(task.await.unwrap().unwrap());
    }
    assert!(mined.iter().all(|m| *m == mined[0]));
    assert!(mined[0].gas_used > 21_000);
    assert_eq!(sender.submit("once", rig.echo, text("other data")).await.unwrap(), mined[0]);
    assert_eq!(rig.echoed().await, ["once"]);
    rig.anvil.mine(10).await.unwrap();
    state_is(&sender, "once", IntentState::Final).await;
    assert_eq!(sender.open(), 0);
    assert_eq!(sender.submit("once", rig.echo, text("later")).await.unwrap(), mined[0]);
    assert_eq!(rig.echoed().await, ["once"]);
}

#[tokio::test]
async fn many_intents_share_the_nonces() {
    let rig = Rig::new(Anvil::with_block_time(Duration::from_millis(500)).await.unwrap()).await;
    let sender = rig.sender().await;
    let keys: Vec<_> = (0..30).map(|i| format!("k{i:02}")).collect();
    let tasks: Vec<_> = keys.iter().map(|key| submit(&rig, &sender, key)).collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    let mut echoed = rig.echoed().await;
    echoed.sort();
    assert_eq!(echoed, keys);
}

#[tokio::test]
async fn a_refused_call_costs_nothing_and_says_why() {
    let rig = Rig::new(Anvil::start().await.unwrap()).await;
    let sender = rig.sender().await;
    let error = sender.submit("bad", rig.echo, Bytes::new()).await.unwrap_err();
    assert!(matches!(error, SendError::Reverted(_)), "{error}");
    let address = sender.address();
    assert_eq!(rig.anvil.provider().get_transaction_count(address).await.unwrap(), 0);
    // Failed stays failed until it is forgotten.
    assert!(sender.submit("bad", rig.echo, text("good")).await.is_err());
    sender.forget("bad").await.unwrap();
    sender.submit("bad", rig.echo, text("good")).await.unwrap();
    assert_eq!(rig.echoed().await, ["good"]);
}

#[tokio::test]
async fn stray_transactions_do_not_jam_the_nonces() {
    let rig = Rig::new(Anvil::start().await.unwrap()).await;
    let sender = rig.sender().await;
    submit(&rig, &sender, "a").await.unwrap().unwrap();
    stray(&rig).await;
    stray(&rig).await;
    submit(&rig, &sender, "b").await.unwrap().unwrap();

    // The stray one takes the very nonce of a transaction that is in flight.
    rig.anvil.provider().anvil_set_auto_mine(false).await.unwrap();
    let task = submit(&rig, &sender, "c");
    pool_holds(&rig, 1).await;
    rig.anvil.provider().anvil_drop_all_transactions().await.unwrap();
    stray(&rig).await;
    rig.anvil.mine(1).await.unwrap();
    rig.anvil.provider().anvil_set_auto_mine(true).await.unwrap();
    rig.anvil.mine(1).await.unwrap();
    tokio::time::timeout(LIMIT, task).await.unwrap().unwrap().unwrap();
    assert_eq!(rig.echoed().await, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_nonce_that_nothing_uses_is_filled() {
    let rig = Rig::new(Anvil::start().await.unwrap()).await;
    rig.anvil.provider().anvil_set_auto_mine(false).await.unwrap();
    stray(&rig).await;
    pool_holds(&rig, 1).await;
    let sender = rig.sender().await;
    let task = submit(&rig, &sender, "behind");
    pool_holds(&rig, 2).await;
    // The stray transaction vanishes, and ours waits behind its nonce.
    rig.anvil.provider().anvil_drop_all_transactions().await.unwrap();
    pool_holds(&rig, 2).await;
    rig.anvil.mine(1).await.unwrap();
    tokio::time::timeout(LIMIT, task).await.unwrap().unwrap().unwrap();
    assert_eq!(rig.echoed().await, ["behind"]);
}

#[tokio::test]
async fn a_dropped_transaction_is_sent_again() {
    let rig = Rig::new(Anvil::start().await.unwrap()).await;
    let sender = rig.sender().await;
    rig.anvil.provider().anvil_set_auto_mine(false).await.unwrap();
    let task = submit(&rig, &sender, "dropped");
    pool_holds(&rig, 1).await;
    rig.anvil.provider().anvil_drop_all_transactions().await.unwrap();
    pool_holds(&rig, 1).await;
    rig.anvil.mine(1).await.unwrap();
    task.await.unwrap().unwrap();
    assert_eq!(rig.echoed().await, ["dropped"]);
}

#[tokio::test]
async fn a_cheap_transaction_is_replaced() {
    let mut rig = Rig::new(Anvil::start().await.unwrap()).await;
    rig.config.sender.bump_after_s = 1;
    let sender = rig.sender().await;
    let provider = rig.anvil.provider();
    provider.anvil_set_auto_mine(false).await.unwrap();
    let task = submit(&rig, &sender, "cheap");
    pool_holds(&rig, 1).await;
    // The base fee jumps above what was offered, and stays there.
    for _ in 0..8 {
        provider.anvil_set_next_block_base_fee_per_gas(50_000_000_000).await.unwrap();
        rig.anvil.mine(1).await.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    tokio::time::timeout(LIMIT, task).await.unwrap().unwrap().unwrap();
    assert_eq!(rig.echoed().await, ["cheap"]);
    assert_eq!(provider.get_transaction_count(sender.address()).await.unwrap(), 1);
}

#[tokio::test]
async fn a_reorg_takes_it_back_and_it_is_sent_again() {
    let rig = Rig::new(Anvil::start().await.unwrap()).await;
    let sender = rig.sender().await;
    submit(&rig, &sender, "again").await.unwrap().unwrap();
    rig.anvil.mine(1).await.unwrap();
    rig.anvil.reorg(3).await.unwrap();
    rig.anvil.mine(1).await.unwrap();
    eventually("the transaction is back", LIMIT, || async {
        (rig.echoed().await == ["again"]).then_some(())
    })
    .await
    .unwrap();
    rig.anvil.mine(12).await.unwrap();
    state_is(&sender, "again", IntentState::Final).await;
    assert_eq!(rig.echoed().await, ["again"]);
}

#[tokio::test]
async fn two_daemons_with_one_key() {
    let rig = Rig::new(Anvil::start().await.unwrap()).await;
    let first = rig.sender().await;
    let second = Sender::start(
        &rig.rpc(),
        iono_store::connect("sqlite::memory:").await.unwrap(),
        rig.anvil.key(1),
        &rig.config.sender,
        &rig.health,
        &rig.shutdown,
    )
    .await;
    let error = second.err().unwrap().to_string();
    assert!(
        error.contains("another process already sends with") && error.contains("held by process"),
        "{error}"
    );
    submit(&rig, &first, "still fine").await.unwrap().unwrap();
}

#[tokio::test]
async fn a_restart_goes_on_with_the_same_transaction() {
    let mut rig = Rig::new(Anvil::start().await.unwrap()).await;
    let sender = rig.sender().await;
    rig.anvil.provider().anvil_set_auto_mine(false).await.unwrap();
    let task = submit(&rig, &sender, "kept");
    pool_holds(&rig, 1).await;
    rig.shutdown.begin();
    assert!(matches!(task.await.unwrap(), Err(SendError::Ending)));
    assert!(rig.shutdown.drain(LIMIT).await);
    drop(sender);

    rig.shutdown = iono_telemetry::Shutdown::new();
    let sender = rig.sender().await;
    let task = submit(&rig, &sender, "kept");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(pool_size(&rig).await, 1);
    rig.anvil.mine(1).await.unwrap();
    task.await.unwrap().unwrap();
    assert_eq!(rig.echoed().await, ["kept"]);
}

#[tokio::test]
async fn an_outage_is_waited_out() {
    let mut rig = Rig::new(Anvil::start().await.unwrap()).await;
    let proxy = Proxy::to(rig.anvil.port()).await.unwrap();
    rig.config.rpc = vec![proxy.url().parse().unwrap()];
    let sender = rig.sender().await;
    proxy.cut();
    let task = submit(&rig, &sender, "patient");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!task.is_finished());
    proxy.restore();
    tokio::time::timeout(LIMIT, task).await.unwrap().unwrap().unwrap();
    assert_eq!(rig.echoed().await, ["patient"]);
}

#[tokio::test]
async fn gas_money_that_ran_out_is_told_and_waited_for() {
    let rig = Rig::new(Anvil::start().await.unwrap()).await;
    rig.anvil.fund(rig.anvil.key(1).address(), 1_000).await.unwrap();
    let sender = rig.sender().await;
    let task = submit(&rig, &sender, "broke");
    let gas_check = || async { rig.health.report()["gas"].reason.clone() };
    let reason = eventually("a red gas check", LIMIT, gas_check).await.unwrap();
    assert!(reason.contains("top it up"), "{reason}");
    assert!(!task.is_finished());
    rig.anvil.fund(sender.address(), 10_u128.pow(18)).await.unwrap();
    tokio::time::timeout(LIMIT, task).await.unwrap().unwrap().unwrap();
    assert_eq!(rig.echoed().await, ["broke"]);
    eventually("a green gas check", Duration::from_secs(40), || async {
        rig.health.report()["gas"].ok.then_some(())
    })
    .await
    .unwrap();
}
