//! A market whose seeds are drand's: matchmakers bring them, orders wait for them, and nobody else's word is taken.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use alloy::primitives::U256;
use iono_bindings::{IDrandRandomness, IRandomness};
use iono_primitives::{OrderId, OrderState};
use iono_testkit::{Devnet, events, eventually};
use serde_json::json;
use support::drand::{Clock, Mood, Relay};
use support::quorum::{PATIENT, Quorum};
use support::{LIMIT, World};

/// Mines as a chain with blocks of a second does, until the order is no longer open.
async fn until_decided(net: &Devnet, world: &World, order: OrderId) {
    eventually("the order is decided", LIMIT, || async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        net.anvil.mine(1).await.unwrap();
        (world.order_state(order).await != OrderState::Open).then_some(())
    })
    .await
    .unwrap();
}

async fn mine_slowly(net: &Devnet, blocks: u64) {
    for _ in 0..blocks {
        tokio::time::sleep(Duration::from_secs(1)).await;
        net.anvil.mine(1).await.unwrap();
    }
}

async fn seeds(net: &Devnet) -> Vec<events::Mined<IDrandRandomness::SeedStored>> {
    events::all(net.anvil.provider(), net.book.randomness).await.unwrap()
}

#[tokio::test]
async fn a_keeper_brings_the_round_whatever_the_relay_says_and_whatever_kills_it() {
    let (clock, net) = Clock::market().await;
    let world = World::on(net).await;
    let relay = Relay::start(Mood::Silent).await;

    // The market decides which configuration is right.
    let wrong = world.keeper(12, None, "").await;
    let findings = wrong.json("check").await;
    let seeds_finding = findings.as_array().unwrap().iter().find(|f| f["name"] == "seeds").unwrap();
    assert!(
        seeds_finding["ok"] == false && seeds_finding["detail"].as_str().unwrap().contains("keeper.drand")
    );
    let mut refused = wrong.start(None);
    assert!(!refused.wait(LIMIT).await.unwrap().success());

    let keeper = world.keeper(10, None, &format!("[keeper]\ndrand = '{}'", relay.url)).await;
    clock.start(&world.net.anvil).await;
    let order = world.order().await;
    let mut daemon = keeper.run().await;
    // Without a round and with a false one the order waits; nothing is stored and nothing is paid.
    mine_slowly(&world.net, 8).await;
    eventually("the round was asked for", LIMIT, || async { relay.asked().first().copied() }).await.unwrap();
    relay.set_mood(Mood::Lying);
    mine_slowly(&world.net, 4).await;
    assert_eq!(world.order_state(order).await, OrderState::Open);
    assert!(seeds(&world.net).await.is_empty(), "{}", daemon.logs());
    daemon.terminate(LIMIT).await.unwrap();

    // Killed on the way, it brings it once.
    relay.set_mood(Mood::Honest);
    for point in ["matchmaker.before_seed", "matchmaker.after_seed"] {
        let mut victim = keeper.start(Some(point));
        let death = victim.wait_killed(LIMIT);
        tokio::select! {
            killed = death => killed.unwrap_or_else(|error| panic!("{point}: {error:#}")),
            () = mine_slowly(&world.net, 600) => {}
        }
        iono_testkit::faults::record("matchmaker", point, &json!({"seeds": seeds(&world.net).await.len()}))
            .unwrap();
    }
    let daemon = keeper.run().await;
    until_decided(&world.net, &world, order).await;
    assert_eq!(world.order_state(order).await, OrderState::Matched, "{}", daemon.logs());
    let seeds = seeds(&world.net).await;
    assert_eq!(seeds.len(), 1);
    assert_eq!(world.matches(order).await, (1, 1));
    let (stored, randomness) =
        (&seeds[0].event, IRandomness::new(world.net.book.randomness, world.net.anvil.provider()));
    assert_eq!(randomness.seedOf(U256::from(stored.blockNumber)).call().await.unwrap(), stored.seed);
}

#[tokio::test]
async fn operators_wait_for_the_round_and_match_by_quorum() {
    let (clock, net) = Clock::market().await;
    let relay = Relay::start(Mood::Honest).await;
    let quorum = Quorum::on(World::on(net).await, 4, &format!("{PATIENT}drand = '{}'\n", relay.url)).await;
    clock.start(&quorum.net().anvil).await;
    let order = quorum.order().await;
    let daemons = quorum.run().await;
    until_decided(quorum.net(), &quorum.world, order).await;
    let batches = quorum.batches().await;
    let logs = || daemons.iter().map(iono_testkit::Daemon::logs).collect::<Vec<_>>().join("\n----\n");
    assert_eq!(batches.len(), 1, "{}", logs());
    let set = quorum.roster().await.set_at(batches[0].setEra.to()).unwrap();
    assert_eq!(batches[0].signed.to::<u128>(), set.weight(), "everybody signed");
    assert_eq!(seeds(quorum.net()).await.len(), 1);
    assert_eq!(quorum.world.matches(order).await, (1, 1));
}
