//! A light node behind a router: what was billed while its cable was out, recomputed with tools that are not ours; and what
//! becomes of its lease when its address, its engine or its own process goes.
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::{Duration, Instant};

use alloy::primitives::U256;
use iono_bindings::ILeaseBook;
use iono_e2e::{Market, Network, NodePlan, cast, light};
use iono_primitives::LeaseState;
use light::Serving;

#[tokio::test(flavor = "multi_thread")]
async fn a_light_node_behind_nat_is_not_paid_while_its_cable_is_out() {
    let tunnel = iono_testkit::free_port().unwrap();
    let plan = NodePlan { extra: light::subnet(tunnel), ..NodePlan::new("fair") };
    let market = Market::on(Network::start().await.unwrap(), plan).await.unwrap();
    let mut told = Vec::new();
    let mut tell =
        |who: &str, what: &str, _: Option<(u64, u64)>, note: &str| told.push(format!("{who} {what}: {note}"));
    let trial = light::trial(&market.network, &market.node, tunnel, &market.tenant, &mut tell).await.unwrap();
    assert_eq!(trial.http_status, 200);
    assert!(trial.seconds_to_resume <= 5.0, "{trial:?}");

    // `LeasePaused(lease, since)` and `LeaseResumed(lease, unbilledSeconds, refund)` as `cast` reads them.
    let (rpc, book) = (market.network.anvil.url(), market.network.book.lease_book.to_string());
    let numbers = |data: &str| -> Vec<u64> {
        let words = data.trim_start_matches("0x").as_bytes().chunks(64);
        words.map(|word| u64::from_str_radix(&String::from_utf8_lossy(&word[48..]), 16).unwrap()).collect()
    };
    let paused = cast::logs(&rpc, &book, "LeasePaused(uint256 indexed,uint256)").await.unwrap();
    let resumed = cast::logs(&rpc, &book, "LeaseResumed(uint256 indexed,uint256,uint256)").await.unwrap();
    let (since, unbilled) = (numbers(paused.last().unwrap())[0], numbers(resumed.last().unwrap())[0]);
    let (pulled, plugged) = trial.down;
    assert!(since <= pulled, "billed from {pulled} to {since}");
    assert!(
        since + unbilled >= plugged,
        "billed again from {} on, the cable came back at {plugged}",
        since + unbilled
    );
    assert!(plugged - pulled >= 30, "{trial:?}");
    assert_eq!(trial.billed_while_down, 0);

    // An hour later it is paid: four fifths to the light node, and nothing is anywhere else.
    let network = &market.network;
    network.anvil.advance(4_000).await.unwrap();
    let signing = network.anvil.signing(&network.anvil.key(0));
    let leases = ILeaseBook::new(network.book.lease_book, &signing);
    let settle = leases.settle(U256::from(trial.lease)).send().await.unwrap();
    assert!(settle.get_receipt().await.unwrap().status());
    let settled = "LeaseSettled(uint256 indexed,uint256 indexed,uint256,uint256,uint256,uint256)";
    let settled = cast::logs(&rpc, &book, settled).await.unwrap();
    let [_, net, _, share] = numbers(settled.last().unwrap())[..] else { panic!("{settled:?}") };
    assert!(share > 0 && share.abs_diff((net + share) * 4 / 5) <= 1, "{share} beside {net}");
    market.balanced().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_light_node_serves_on_after_another_address_a_restarted_engine_and_a_minute_away() {
    let tunnel = iono_testkit::free_port().unwrap();
    let plan = NodePlan { extra: light::subnet(tunnel), ..NodePlan::new("fair") };
    let market = Market::on(Network::start().await.unwrap(), plan).await.unwrap();
    let mut quiet = |_: &str, _: &str, _: Option<(u64, u64)>, _: &str| {};
    let start = Serving::start(&market.network, &market.node, tunnel, &market.tenant, &mut quiet);
    let mut serving = start.await.unwrap();

    // The router gets another address, and the machine one of another network behind it. A request that was sent into the
    // old way is given up after five seconds.
    for (change, most) in [("router", 20), ("machine", 10)] {
        let lab = &serving.light.lab;
        if change == "router" {
            lab.rebind().unwrap()
        } else {
            lab.move_client().unwrap()
        }
        let since = Instant::now();
        serving.answers().await.unwrap();
        let took = since.elapsed();
        assert!(took < Duration::from_secs(most), "{change}: {took:?}");
    }

    // Containers end with their engine; they are started again, and what was not served was not billed.
    serving.light.restart_engine().await.unwrap();
    serving.answers().await.unwrap();
    serving.until(&market.network, LeaseState::Active).await.unwrap();

    // A minute in which nobody hears of it.
    serving.light.lab.pull();
    serving.until(&market.network, LeaseState::Paused).await.unwrap();
    tokio::time::sleep(Duration::from_secs(60)).await;
    serving.light.lab.plug();
    let since = Instant::now();
    serving.answers().await.unwrap();
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    serving.until(&market.network, LeaseState::Active).await.unwrap();
    serving.close(&market.tenant).await.unwrap();
    market.balanced().await.unwrap();
}
