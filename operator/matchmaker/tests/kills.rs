//! The real binary on a real chain, killed at every fail-point and started again: afterwards there is one match, one
//! lease, and one fee.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use iono_primitives::{LeaseState, OrderState};
use serde_json::json;
use support::quorum::Quorum;
use support::{LIMIT, World};

/// The places that resolving one order passes. The others need a re-org, a fee that rises or an unconfirmed lease, and
/// have tests of their own below.
const POINTS: [&str; 14] = [
    "matchmaker.started",
    "chain.before_apply",
    "chain.after_apply",
    "matchmaker.before_commit",
    "matchmaker.after_commit",
    "matchmaker.before_resolve",
    "chain.before_journal",
    "chain.after_journal",
    "chain.before_send",
    "chain.after_send",
    "chain.before_mined",
    "chain.after_mined",
    "matchmaker.after_resolve",
    "chain.before_final",
];

fn record(point: &str, found: serde_json::Value) {
    iono_testkit::faults::record("matchmaker", point, &found).unwrap();
}

#[tokio::test]
async fn one_lease_and_one_fee_whatever_kills_it() {
    let world = World::new().await;
    let keeper = world.keeper(10, None, "").await;
    let mut fee = None;
    for (round, point) in POINTS.into_iter().enumerate() {
        let order = world.order().await;
        let before = world.earned(keeper.key.address()).await;
        let mut victim = keeper.start(Some(point));
        let death = victim.wait_killed(LIMIT);
        let mining = async {
            loop {
                tokio::time::sleep(Duration::from_millis(200)).await;
                world.net.anvil.mine(1).await.unwrap();
            }
        };
        tokio::select! {
            killed = death => killed.unwrap_or_else(|error| panic!("{point}: {error:#}")),
            () = mining => {}
        }

        let mut daemon = keeper.run().await;
        world.until_resolved(order).await;
        world.net.anvil.mine(8).await.unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(world.order_state(order).await, OrderState::Matched, "{point}");
        assert_eq!(world.matches(order).await, (1, 1), "{point}");
        assert_eq!(world.lease_state(order).await, LeaseState::Pending, "{point}");
        let earned = world.earned(keeper.key.address()).await - before;
        assert!(earned > 0 && *fee.get_or_insert(earned) == earned, "{point}: {earned} after {fee:?}");
        assert_eq!(world.earned(keeper.key.address()).await, earned * (round as u64 + 1), "{point}");
        assert!(daemon.terminate(LIMIT).await.unwrap().success(), "{point}: {}", daemon.logs());
        let (matches, leases) = world.matches(order).await;
        record(
            point,
            json!({ "matches": matches, "leases": leases, "fees_paid": earned / fee.unwrap_or(1) }),
        );
    }
}

#[tokio::test]
async fn killed_while_a_reorg_is_rolled_back() {
    let world = World::new().await;
    let keeper = world.keeper(10, None, "").await;
    let order = world.order().await;
    let mut victim = keeper.start(Some("chain.before_rollback"));
    victim.ready(&keeper.ready, LIMIT).await.unwrap();
    world.until_resolved(order).await;
    world.net.anvil.mine(1).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    world.net.anvil.reorg(3).await.unwrap();
    victim.wait_killed(LIMIT).await.unwrap();

    let daemon = keeper.run().await;
    world.until_resolved(order).await;
    assert_eq!(world.order_state(order).await, OrderState::Matched, "{}", daemon.logs());
    let (matches, leases) = world.matches(order).await;
    assert_eq!((matches, leases), (1, 1));
    record("chain.before_rollback", json!({ "matches": matches, "leases": leases }));
}

#[tokio::test]
async fn killed_while_the_fee_is_raised() {
    use alloy::providers::ext::AnvilApi as _;
    let world = World::new().await;
    let keeper = world.keeper(10, None, "").await;
    let config = std::fs::read_to_string(&keeper.config).unwrap();
    std::fs::write(&keeper.config, config.replace("[keys]", "bump_after_s = 1\n[keys]")).unwrap();
    let order = world.order().await;
    world.net.anvil.mine(2).await.unwrap();
    let anvil = world.net.anvil.provider();
    anvil.anvil_set_auto_mine(false).await.unwrap();
    let mut victim = keeper.start(Some("chain.before_replace"));
    victim.wait_killed(LIMIT).await.unwrap();

    let _daemon = keeper.run().await;
    anvil.anvil_set_auto_mine(true).await.unwrap();
    world.until_resolved(order).await;
    assert_eq!(world.order_state(order).await, OrderState::Matched);
    let (matches, leases) = world.matches(order).await;
    assert_eq!((matches, leases), (1, 1));
    record("chain.before_replace", json!({ "matches": matches, "leases": leases }));
}

#[tokio::test]
async fn killed_while_a_lease_expires() {
    let world = World::new().await;
    let keeper = world.keeper(10, None, "[keeper]\nexpire_leases = true\n").await;
    for point in ["matchmaker.before_expire", "matchmaker.after_expire"] {
        let order = world.order().await;
        let mut victim = keeper.start(Some(point));
        victim.ready(&keeper.ready, LIMIT).await.unwrap();
        world.until_resolved(order).await;
        world.net.anvil.advance(120).await.unwrap(); // beyond the confirmation window
        world.net.anvil.mine(1).await.unwrap();
        victim.wait_killed(LIMIT).await.unwrap();

        let mut daemon = keeper.run().await;
        world.net.anvil.mine(1).await.unwrap();
        let closed = iono_testkit::eventually("the lease is closed", LIMIT, || async {
            (world.lease_state(order).await == LeaseState::Closed).then_some(())
        });
        closed.await.unwrap_or_else(|error| panic!("{point}: {error}\n{}", daemon.logs()));
        daemon.terminate(LIMIT).await.unwrap();
        record(point, json!({ "leases_closed": world.closes(order).await }));
        // The provider was barred for it, and its stake no longer lets it bid: one round is enough per provider.
        if point == "matchmaker.before_expire" {
            world.restake().await;
        }
    }
}

/// The aggregator's places; afterwards the order has one lease, and nobody has signed two things.
#[tokio::test]
async fn killed_while_it_signs_and_submits() {
    // Alone in the set, it is always its own aggregator.
    let quorum = Quorum::new(1, "").await;
    let operator = &quorum.operators[0];
    for point in ["before_sign", "after_sign", "before_submit", "after_submit"] {
        let point = format!("matchmaker.{point}");
        let order = quorum.order().await;
        let mut victim = operator.keeper.start(Some(&point));
        quorum.until_seed(order).await;
        victim.wait_killed(LIMIT).await.unwrap_or_else(|error| panic!("{point}: {error:#}"));
        let mut daemon = operator.keeper.run().await;
        quorum.until_matched(order).await;
        let (matches, leases) = quorum.world.matches(order).await;
        assert_eq!((matches, leases), (1, 1), "{point}");
        let slashed = quorum.is_ejected(1).await;
        assert!(!slashed, "{point}");
        daemon.terminate(LIMIT).await.unwrap();
        record(&point, json!({ "matches": matches, "leases": leases, "slashed": slashed }));
    }
    assert_eq!(quorum.batches().await.len(), 4, "none had to be resolved");
}

/// The places of who hands its share to another.
#[tokio::test]
async fn killed_while_it_hands_its_share_over() {
    let quorum = Quorum::new(2, "").await;
    for point in ["before_share", "after_share"] {
        let point = format!("matchmaker.{point}");
        let order = quorum.order().await;
        // Both must sign; who has the second turn hands its share to who has the first.
        let turns = quorum.turns(order).await;
        let (first, second) = (turns[0] as usize - 1, turns[1] as usize - 1);
        let mut aggregator = quorum.operators[first].keeper.run().await;
        let mut victim = quorum.operators[second].keeper.start(Some(&point));
        quorum.until_seed(order).await;
        victim.wait_killed(LIMIT).await.unwrap_or_else(|error| panic!("{point}: {error:#}"));
        let mut again = quorum.operators[second].keeper.run().await;
        quorum.until_matched(order).await;
        let (matches, leases) = quorum.world.matches(order).await;
        assert_eq!((matches, leases), (1, 1), "{point}");
        quorum.nobody_is_punished(1..=2).await;
        aggregator.terminate(LIMIT).await.unwrap();
        again.terminate(LIMIT).await.unwrap();
        record(&point, json!({ "matches": matches, "leases": leases }));
    }
    assert_eq!(quorum.batches().await.len(), 2, "none had to be resolved");
}

#[tokio::test]
async fn an_unknown_fail_point_is_refused() {
    let world = World::new().await;
    let keeper = world.keeper(10, None, "").await;
    let mut daemon = keeper.start(Some("matchmaker.typo"));
    assert_eq!(daemon.wait(LIMIT).await.unwrap().code(), Some(1));
    assert!(daemon.logs().contains("names no fail-point of this daemon"), "{}", daemon.logs());
}

#[tokio::test]
async fn every_fail_point_has_a_test() {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_matchmaker"))
        .args(["run", "--list-failpoints", "--json"])
        .output()
        .await
        .unwrap();
    let mut listed: Vec<String> = serde_json::from_slice(&output.stdout).unwrap();
    let apart = [
        "matchmaker.before_sign",
        "matchmaker.after_sign",
        "matchmaker.before_share",
        "matchmaker.after_share",
        "matchmaker.before_submit",
        "matchmaker.after_submit",
        "matchmaker.before_seed",
        "matchmaker.after_seed",
        "chain.before_rollback",
        "chain.before_replace",
        "matchmaker.before_expire",
        "matchmaker.after_expire",
    ];
    let mut tested: Vec<_> = POINTS.into_iter().chain(apart).map(str::to_owned).collect();
    listed.sort();
    tested.sort();
    assert_eq!(listed, tested);
}
