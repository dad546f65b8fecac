//! A light node behind a router: what was billed while its cable was out, recomputed with tools that are not ours.
#![allow(clippy::unwrap_used, missing_docs)]

use iono_e2e::{Market, Network, NodePlan, cast, light};

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
    market.balanced().await.unwrap();
}
