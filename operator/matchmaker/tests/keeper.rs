//! What a keeper does when nothing goes wrong, and when the world around it does.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use alloy::primitives::{Bytes, address};
use alloy::providers::Provider as _;
use alloy::providers::ext::AnvilApi as _;
use iono_primitives::{OrderState, Rate};
use iono_testkit::{Proxy, eventually};
use support::{LIMIT, World};

#[tokio::test]
async fn resolves_in_the_first_possible_block() {
    let world = World::new().await;
    let keeper = world.keeper(10, None, "").await;
    let daemon = keeper.run().await;
    let created = world.net.anvil.provider().get_block_number().await.unwrap() + 1;
    let order = world.order().await; // order in `created`, bid in the next
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_millis(700)).await;
        world.net.anvil.mine(1).await.unwrap();
    }
    // The head is the seed's block; the keeper's transaction makes the next one.
    let resolved = eventually("resolved", LIMIT, || async {
        (world.order_state(order).await == OrderState::Matched).then_some(())
    });
    resolved.await.unwrap_or_else(|error| panic!("{error}\n{}", daemon.logs()));
    assert_eq!(
        world.net.anvil.provider().get_block_number().await.unwrap(),
        created + 4,
        "{}",
        daemon.logs()
    );
    assert!(world.earned(keeper.key.address()).await > 0);
}

#[tokio::test]
async fn postgres_keeps_it_as_well() {
    let postgres = iono_testkit::Postgres::start().unwrap();
    let world = World::new().await;
    let keeper = world.keeper(10, None, "").await;
    let text = std::fs::read_to_string(&keeper.config).unwrap();
    std::fs::write(&keeper.config, format!("store = '{}'\n{text}", postgres.url())).unwrap();
    for _ in 0..2 {
        let mut daemon = keeper.run().await;
        let order = world.order().await;
        world.until_resolved(order).await;
        assert_eq!(world.order_state(order).await, OrderState::Matched, "{}", daemon.logs());
        daemon.kill().await.unwrap();
    }
    assert!(keeper.json("status").await["cursor"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn an_order_without_bids_is_refunded() {
    let world = World::new().await;
    let keeper = world.keeper(10, None, "").await;
    let _daemon = keeper.run().await;
    let order =
        world.net.order(&world.tenant, world.wallet, Rate::from_hourly("0.1").unwrap()).await.unwrap();
    world.until_resolved(order).await;
    assert_eq!(world.order_state(order).await, OrderState::Void);
}

#[tokio::test]
async fn an_order_older_than_its_seed_is_refunded() {
    let world = World::new().await;
    let order = world.order().await;
    // A chain without EIP-2935's history contract forgets after 256 blocks instead of 8,191.
    let history = address!("0000F90827F1C53a10cb7A02335B175320002935");
    world.net.anvil.provider().anvil_set_code(history, Bytes::new()).await.unwrap();
    world.net.anvil.mine(300).await.unwrap();
    let keeper = world.keeper(10, None, "").await;
    let _daemon = keeper.run().await;
    world.until_resolved(order).await;
    assert_eq!(world.order_state(order).await, OrderState::Void);
}

#[tokio::test]
async fn two_keepers_do_no_harm() {
    let world = World::new().await;
    let (first, second) = (world.keeper(10, None, "").await, world.keeper(11, None, "").await);
    let (a, b) = (first.run().await, second.run().await);
    for round in 1..=3 {
        let order = world.order().await;
        world.until_resolved(order).await;
        assert_eq!(world.matches(order).await, (1, 1), "{}\n{}", a.logs(), b.logs());
        let fees = world.earned(first.key.address()).await + world.earned(second.key.address()).await;
        assert_eq!(fees % round, 0);
    }
    for daemon in [a, b] {
        assert!(!daemon.logs().contains("not possible now"), "{}", daemon.logs());
    }
}

#[tokio::test]
async fn an_outage_of_the_rpc_turns_it_red_and_is_made_up_for() {
    let world = World::new().await;
    let proxy = Proxy::to(world.net.anvil.port()).await.unwrap();
    let keeper = world.keeper(10, Some(proxy.url()), "").await;
    let mut daemon = keeper.run().await;
    proxy.cut();
    let order = world.order().await;
    world.net.anvil.mine(20).await.unwrap();
    eventually("red", LIMIT, || async { (reqwest_status(&keeper.ready).await == 503).then_some(()) })
        .await
        .unwrap();
    proxy.restore();
    world.until_resolved(order).await;
    daemon.ready(&keeper.ready, LIMIT).await.unwrap();
    assert_eq!(world.order_state(order).await, OrderState::Matched);
}

async fn reqwest_status(url: &str) -> u16 {
    alloy::transports::http::reqwest::get(url).await.map(|response| response.status().as_u16()).unwrap_or(0)
}

#[tokio::test]
async fn a_second_daemon_with_the_same_key_is_refused() {
    let world = World::new().await;
    let keeper = world.keeper(10, None, "").await;
    let _first = keeper.run().await;
    let listen = "--set";
    let mut second = keeper.launch().args([listen, "telemetry.listen=127.0.0.1:0", "run"]).start().unwrap();
    assert_eq!(second.wait(LIMIT).await.unwrap().code(), Some(1));
    assert!(second.logs().contains("another process already sends with"), "{}", second.logs());
}

#[tokio::test]
async fn status_and_check_say_how_it_stands() {
    let world = World::new().await;
    let keeper = world.keeper(10, None, "").await;
    let findings = keeper.json("check").await;
    assert!(findings.as_array().unwrap().iter().all(|finding| finding["ok"] == true), "{findings}");

    let daemon = keeper.run().await;
    let order = world.order().await;
    world.until_resolved(order).await;
    let memory = daemon.memory_kib().unwrap();
    assert!(memory < 80 * 1024, "{memory} KiB");
    let status = keeper.json("status").await;
    assert_eq!(status["keeper"], format!("{:#x}", keeper.key.address()));
    let earned: u64 = world.earned(keeper.key.address()).await;
    assert_eq!(status["earned"][1]["amount"], format!("{earned:#x}"), "{status}");

    world.net.anvil.fund(keeper.key.address(), 0).await.unwrap();
    let findings = keeper.json("check").await;
    let gas = findings.as_array().unwrap().iter().find(|finding| finding["name"] == "gas money").unwrap();
    assert!(gas["ok"] == false && gas["detail"].as_str().unwrap().contains("send gas money to"), "{gas}");
}
