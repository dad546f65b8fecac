//! The follower on a real Anvil: nothing is lost and nothing comes twice, whatever happens to process, chain and RPC.

#![allow(clippy::unwrap_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use alloy::transports::http::reqwest;
use axum::routing::post;
use axum::{Json, Router};

use iono_chain::{ChainError, Rpc, Update};
use iono_store::{Batch, Change};
use iono_telemetry::Health;
use iono_testkit::{Anvil, Proxy, free_port};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::{Rig, catch_up};

#[tokio::test]
async fn uncommitted_updates_come_again() {
    let rig = Rig::new(Anvil::start().await.unwrap()).await;
    let mut follower = rig.follower().await;
    rig.emit("a").await;
    catch_up(&mut follower).await;
    rig.emit("b").await;
    let Update::Blocks { logs, .. } = follower.next().await.unwrap() else { panic!("no blocks") };
    assert_eq!(logs.len(), 1);
    drop(follower); // died before the commit

    let mut follower = rig.follower().await;
    rig.emit("c").await;
    let update = follower.next().await.unwrap();
    follower.commit(&update, &[Change::put("n", "k", &"with the logs").unwrap()]).await.unwrap();
    assert_eq!(rig.stored().await, ["a", "b", "c"]);
    assert_eq!(rig.store.document("n", "k").await.unwrap().unwrap().body, "with the logs");
    assert!(matches!(follower.commit(&update, &[]).await, Err(ChainError::OutOfOrder { .. })));
    assert_eq!(rig.stored().await, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_start_at_the_head_says_so() {
    let rig = Rig::new(Anvil::start().await.unwrap()).await;
    catch_up(&mut rig.follower().await).await;
    let mut follower = rig.follower().await;
    let updates = catch_up(&mut follower).await;
    assert!(
        matches!(&updates[..], [Update::Blocks { logs, blocks, .. }] if logs.is_empty() && blocks.is_empty())
    );
    assert!(
        tokio::time::timeout(Duration::from_millis(500), follower.next()).await.is_err(),
        "said it twice"
    );
    rig.emit("next").await;
    catch_up(&mut follower).await;
    assert_eq!(rig.stored().await, ["next"]);
}

#[tokio::test]
async fn a_commit_that_the_last_process_left_under_way_does_no_harm() {
    let rig = Rig::new(Anvil::start().await.unwrap()).await;
    let mut follower = rig.follower().await;
    catch_up(&mut follower).await;
    rig.emit("a").await;
    let update = follower.next().await.unwrap();
    // The database carries it out only now, after the new process has read where it stands.
    let Update::Blocks { from, logs, blocks, .. } = &update else { panic!("no blocks") };
    rig.store.apply(&Batch { from: *from, logs, blocks, ..Batch::default() }).await.unwrap();
    follower.commit(&update, &[]).await.unwrap();
    rig.emit("b").await;
    catch_up(&mut follower).await;
    assert_eq!(rig.stored().await, ["a", "b"]);
}

#[tokio::test]
async fn reorgs_are_rolled_back_and_read_again() {
    let rig = Rig::new(Anvil::start().await.unwrap()).await;
    let mut follower = rig.follower().await;
    for text in ["a", "b", "c", "d"] {
        rig.emit(text).await;
    }
    catch_up(&mut follower).await;
    rig.anvil.reorg(2).await.unwrap();
    let updates = catch_up(&mut follower).await;
    assert!(matches!(updates[0], Update::Rollback { .. }), "{updates:?}");
    assert_eq!(rig.stored().await, ["a", "b"]);
    rig.emit("e").await;
    catch_up(&mut follower).await;
    assert_eq!(rig.stored().await, ["a", "b", "e"]);

    // While nobody looks, too: the daemon was down.
    drop(follower);
    rig.anvil.reorg(1).await.unwrap();
    rig.emit("f").await;
    let mut follower = rig.follower().await;
    let updates = catch_up(&mut follower).await;
    assert!(matches!(updates[0], Update::Rollback { .. }), "{updates:?}");
    assert_eq!(rig.stored().await, ["a", "b", "f"]);
}

#[tokio::test]
async fn a_reorg_deeper_than_remembered_is_survived() {
    let mut rig = Rig::new(Anvil::start().await.unwrap()).await;
    rig.config.finality_depth = 2;
    let mut follower = rig.follower().await;
    for text in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"] {
        rig.emit(text).await;
        catch_up(&mut follower).await;
    }
    rig.anvil.reorg(8).await.unwrap();
    catch_up(&mut follower).await;
    assert_eq!(rig.stored().await, rig.echoed().await);
    assert_eq!(rig.stored().await, ["a", "b"]);
}

#[tokio::test]
async fn a_devnet_started_anew_is_another_chain() {
    let mut rig = Rig::new(Anvil::start().await.unwrap()).await;
    catch_up(&mut rig.follower().await).await;
    let store = rig.store.clone();
    tokio::time::sleep(Duration::from_secs(1)).await; // another second, another first block
    rig = Rig::new(Anvil::start().await.unwrap()).await;
    rig.store = store;
    let error = rig.follower().await.next().await.unwrap_err().to_string();
    assert!(error.contains("give each deployment its own store"), "{error}");
}

#[tokio::test]
async fn long_histories_are_read_in_ranges() {
    let mut rig = Rig::new(Anvil::start().await.unwrap()).await;
    for text in ["a", "b", "c"] {
        rig.emit(text).await;
        rig.anvil.mine(200).await.unwrap();
    }
    rig.config.max_range = 70;
    let mut follower = rig.follower().await;
    let updates = catch_up(&mut follower).await;
    assert!(updates.len() >= 600 / 70, "{}", updates.len());
    assert_eq!(rig.stored().await, ["a", "b", "c"]);
}

/// An endpoint that refuses ranges of more than `most` blocks, as public ones do, in front of a real chain.
async fn stingy(target: String, most: u64, refusals: Arc<AtomicUsize>) -> String {
    let client = reqwest::Client::new();
    let answer = move |Json(request): Json<Value>| {
        let (client, target, refusals) = (client.clone(), target.clone(), refusals.clone());
        async move {
            let number = |key: &str| {
                let text = request["params"][0][key].as_str()?.trim_start_matches("0x").to_owned();
                u64::from_str_radix(&text, 16).ok()
            };
            if let (Some(from), Some(to)) = (number("fromBlock"), number("toBlock"))
                && to - from >= most
            {
                refusals.fetch_add(1, Ordering::SeqCst);
                let error = json!({ "code": -32005, "message": "block range is too wide" });
                return Json(json!({ "jsonrpc": "2.0", "id": request["id"], "error": error }));
            }
            let answer = client.post(target).json(&request).send().await.unwrap();
            Json(serde_json::from_str(&answer.text().await.unwrap()).unwrap())
        }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/", post(answer))).await });
    url
}

#[tokio::test]
async fn refused_ranges_are_halved() {
    let mut rig = Rig::new(Anvil::start().await.unwrap()).await;
    for text in ["a", "b", "c"] {
        rig.emit(text).await;
        rig.anvil.mine(300).await.unwrap();
    }
    let refusals = Arc::new(AtomicUsize::new(0));
    rig.config.rpc = vec![stingy(rig.anvil.url(), 100, refusals.clone()).await.parse().unwrap()];
    let updates = catch_up(&mut rig.follower().await).await;
    assert_eq!(rig.stored().await, ["a", "b", "c"]);
    let (updates, refusals) = (updates.len(), refusals.load(Ordering::SeqCst));
    assert!(updates < 30 && refusals < 20, "{updates} updates, {refusals} refusals");
}

#[tokio::test]
async fn an_outage_turns_health_red_and_is_back_filled() {
    let mut rig = Rig::new(Anvil::start().await.unwrap()).await;
    let proxy = Proxy::to(rig.anvil.port()).await.unwrap();
    rig.config.rpc = vec![proxy.url().parse().unwrap()];
    let mut follower = rig.follower().await;
    catch_up(&mut follower).await;
    assert!(rig.health.is_ok());

    proxy.cut();
    rig.emit("during").await;
    let waited = tokio::time::timeout(Duration::from_secs(2), follower.next()).await;
    assert!(waited.is_err(), "an update without an RPC");
    assert!(!rig.health.is_ok(), "{:?}", rig.health.report());
    rig.anvil.mine(30).await.unwrap();
    rig.emit("late").await;

    proxy.restore();
    catch_up(&mut follower).await;
    catch_up_to(&rig, &mut follower, 2).await;
    assert!(rig.health.is_ok());
    assert_eq!(rig.stored().await, ["during", "late"]);
}

async fn catch_up_to(rig: &Rig, follower: &mut iono_chain::Follower, logs: usize) {
    while rig.stored().await.len() < logs {
        catch_up(follower).await;
    }
}

#[tokio::test]
async fn the_next_endpoint_steps_in() {
    let mut rig = Rig::new(Anvil::start().await.unwrap()).await;
    let (first, second) =
        (Proxy::to(rig.anvil.port()).await.unwrap(), Proxy::to(rig.anvil.port()).await.unwrap());
    let dead = format!("http://127.0.0.1:{}", free_port().unwrap());
    rig.config.rpc = [dead, first.url(), second.url()].map(|url| url.parse().unwrap()).to_vec();
    let mut follower = rig.follower().await;
    rig.emit("a").await;
    catch_up(&mut follower).await;
    first.cut();
    rig.emit("b").await;
    catch_up(&mut follower).await;
    second.cut();
    first.restore();
    tokio::time::sleep(Duration::from_millis(600)).await;
    rig.emit("c").await;
    catch_up(&mut follower).await;
    assert_eq!(rig.stored().await, ["a", "b", "c"]);
}

#[tokio::test]
async fn another_chain_is_never_read() {
    let rig = Rig::new(Anvil::start().await.unwrap()).await;
    let health = Health::default();
    let rpc = Rpc::connect(&rig.config, 1, health.check("rpc")).unwrap();
    let error = alloy::providers::Provider::get_block_number(rpc.provider()).await.unwrap_err();
    assert!(error.to_string().contains("and not 1;"), "{error}");
    assert!(!health.is_ok());
}

#[tokio::test]
async fn a_socket_wakes_before_the_poll() {
    let mut rig = Rig::new(Anvil::start().await.unwrap()).await;
    rig.config.ws = Some(rig.anvil.ws_url().parse().unwrap());
    rig.config.poll_ms = 30_000;
    let mut follower = rig.follower().await;
    catch_up(&mut follower).await;
    let (update, ()) = tokio::join!(tokio::time::timeout(Duration::from_secs(10), follower.next()), async {
        tokio::time::sleep(Duration::from_millis(1_000)).await;
        rig.emit("woken").await;
    });
    assert!(matches!(update.unwrap().unwrap(), Update::Blocks { logs, .. } if logs.len() == 1));
}

#[derive(Debug, Clone)]
enum Step {
    Emit,
    Mine(u64),
    Reorg(u64),
    CatchUp,
    Restart,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 50, failure_persistence: None, ..ProptestConfig::default() })]
    /// Whatever the chain does and whenever the daemon dies, store and chain agree in the end.
    #[test]
    fn store_and_chain_agree(steps in prop::collection::vec(prop_oneof![
        4 => Just(Step::Emit),
        2 => (1u64..12).prop_map(Step::Mine),
        2 => (1u64..7).prop_map(Step::Reorg),
        4 => Just(Step::CatchUp),
        1 => Just(Step::Restart),
    ], 1..25)) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let rig = Rig::new(Anvil::start().await.unwrap()).await;
            let mut follower = rig.follower().await;
            for (index, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Emit => rig.emit(&format!("log {index}")).await,
                    Step::Mine(blocks) => rig.anvil.mine(blocks).await.unwrap(),
                    Step::Reorg(depth) => rig.anvil.reorg(depth).await.unwrap(),
                    Step::CatchUp => {
                        rig.anvil.mine(1).await.unwrap();
                        catch_up(&mut follower).await;
                        assert_eq!(rig.stored().await, rig.echoed().await);
                    }
                    Step::Restart => follower = rig.follower().await,
                }
            }
            rig.anvil.mine(1).await.unwrap();
            catch_up(&mut follower).await;
            assert_eq!(rig.stored().await, rig.echoed().await);
        });
    }
}
