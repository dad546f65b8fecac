//! What matching by a quorum costs in gas, by the receipts of whole transactions on a real Anvil: the check of a quorum,
//! batches of orders, and orders with many bids, resolved and challenged. What has a bound is not a first time: an
//! operators' era, a keeper's ledger and a window's sum are written once and then used by everybody. First times, silent
//! operators, deep trees and confirmed leases are reported beside it, indented.

use alloy::primitives::U256;
use anyhow::{Context, Result, ensure};
use iono_bindings::{IMatchTaskManager, IOperatorRegistry, IOrderBook};
use iono_matching::Bid;
use iono_primitives::OrderId;
use iono_testkit::Ballot;

use crate::figure::Figure;
use crate::world::{self, World};

/// Orders in a batch, and the names of their figures.
const BATCHES: [(usize, &str); 3] =
    [(1, "gas_respond_1_per_order"), (10, "gas_respond_10_per_order"), (50, "gas_respond_50_per_order")];
/// Orders of a task of which ten go into one batch: their paths are longer.
const DEEP: usize = 150;
const OPERATORS: u8 = 64;
/// Nearly always enough to fill all slots of some order.
const PROVIDERS: usize = 400;
/// Operators that do not sign where some are silent: more than two thirds are left.
const SILENT: u32 = 20;
/// Bids of a crowded order, and the names of its figures.
const CROWDS: [Crowd; 3] = [
    Crowd {
        bids: 8,
        resolved: "gas_quorum_resolve_8",
        pending: "gas_challenge_8",
        confirmed: "gas_challenge_8_confirmed",
        most: Some(165_000.0),
    },
    Crowd {
        bids: 32,
        resolved: "gas_quorum_resolve_32",
        pending: "gas_challenge_32",
        confirmed: "gas_challenge_32_confirmed",
        most: None,
    },
    Crowd {
        bids: 64,
        resolved: "gas_quorum_resolve_64",
        pending: "gas_challenge_64",
        confirmed: "gas_challenge_64_confirmed",
        most: Some(350_000.0),
    },
];

struct Crowd {
    bids: usize,
    resolved: &'static str,
    pending: &'static str,
    confirmed: &'static str,
    /// Gas, whichever way it ends.
    most: Option<f64>,
}

/// Measures on one chain, in this order.
pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let world = World::open(OPERATORS, PROVIDERS).await?;
    let mut figures = checks(&world).await?;
    figures.extend(batches(&world).await?);
    figures.extend(silent_batches(&world).await?);
    figures.extend(crowds(&world).await?);
    Ok(figures)
}

#[allow(clippy::cast_precision_loss)] // far below 2^52
fn gas(name: &'static str, what: String, gas: u64) -> Figure {
    Figure::new(name, what, gas as f64, "gas")
}

/// `checkQuorum` as a transaction of its own.
async fn checks(world: &World) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (silent, name) in
        [(0, "gas_quorum_0_silent"), (5, "gas_quorum_5_silent"), (SILENT, "gas_quorum_20_silent")]
    {
        let (digest, quorum) = world.quorum_over_anything(silent).await?;
        let call = IOperatorRegistry::checkQuorumCall { digest, quorum };
        let receipt = world.send(world.net.book.operator_registry, call).await?;
        let what = format!("check a quorum of {} operators, {silent} of them silent", OPERATORS);
        let figure = gas(name, what, receipt.gas_used);
        figures.push(if silent == 0 { figure.at_most(155_000.0) } else { figure });
    }
    Ok(figures)
}

/// `respondBatch` of orders with three bids each, signed by all.
async fn batches(world: &World) -> Result<Vec<Figure>> {
    let first = respond(world, &world.orders(10, 3).await?, 10, 0).await?;
    let what = "  the first batch of 10 of an era, a window and a keeper, per order".to_owned();
    let first = gas("gas_respond_10_first_per_order", what, first);
    let mut figures = Vec::new();
    for (count, name) in BATCHES {
        let spent = respond(world, &world.orders(count, 3).await?, count, 0).await?;
        let figure = gas(name, format!("a batch of {count}, leases included, per order"), spent);
        figures.push(if count == 10 { figure.at_most(120_000.0) } else { figure });
    }
    let deep = respond(world, &world.orders(DEEP, 1).await?, 10, 0).await?;
    let what = format!("  a batch of 10 out of {DEEP} that close together, per order");
    figures.extend([first, gas("gas_respond_10_of_150_per_order", what, deep)]);
    Ok(figures)
}

/// The same with silent operators, of whom each is noted once for an era and counted from then on.
async fn silent_batches(world: &World) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (name, time) in [
        ("gas_respond_10_20_silent_first_per_order", "first time"),
        ("gas_respond_10_20_silent_per_order", "not for the first time"),
    ] {
        let spent = respond(world, &world.orders(10, 3).await?, 10, SILENT).await?;
        let what = format!("  a batch of 10 with {SILENT} operators silent {time}, per order");
        figures.push(gas(name, what, spent));
    }
    Ok(figures)
}

/// Gas for each of the first `count` orders of a task in one batch.
async fn respond(world: &World, task: &[OrderId], count: usize, silent: u32) -> Result<u64> {
    let ballot = Ballot::honest(world.net.anvil.provider(), &world.net.book, task).await?;
    let mut call = world.batch(&ballot, silent).await?;
    call.matches.truncate(count);
    let receipt = world.send(world.net.book.match_task_manager, call).await?;
    let responded = receipt.decoded_log::<IMatchTaskManager::BatchResponded>().context("no batch")?;
    ensure!(responded.matched == U256::from(count), "{} of {count} matched", responded.matched);
    Ok(receipt.gas_used / count as u64)
}

/// `resolve` of an order with many bids, and `challenge` of a wrong match of one like it.
async fn crowds(world: &World) -> Result<Vec<Figure>> {
    let resolve = async |order: OrderId| {
        let call = IOrderBook::resolveCall { order: order.into() };
        anyhow::Ok(world.send(world.net.book.order_book, call).await?.gas_used)
    };
    resolve(world.orders(1, 3).await?[0]).await?;
    let mut figures = Vec::new();
    for Crowd { bids, resolved, pending, confirmed, most } in CROWDS {
        let mut add = |name, what, spent| {
            let figure = gas(name, what, spent);
            figures.push(most.map_or(figure.clone(), |most| figure.at_most(most)));
        };
        let spent = resolve(world.crowded(bids).await?).await?;
        add(resolved, format!("resolve an order of {bids} bids by a keeper, lease included"), spent);
        let spent = challenge(world, bids, false).await?;
        add(pending, format!("challenge a wrong match of {bids} bids, the right lease included"), spent);
        let spent = challenge(world, bids, true).await?;
        add(confirmed, format!("  once its lease is confirmed: {bids} bids"), spent);
    }
    Ok(figures)
}

/// Gas of a challenge of what a quorum signed, before or after the provider confirmed the lease.
async fn challenge(world: &World, bids: usize, confirmed: bool) -> Result<u64> {
    let (order, tasks) = (world.crowded(bids).await?, world.net.book.match_task_manager);
    let ballot = Ballot::lying(world.net.anvil.provider(), &world.net.book, &[order]).await?;
    let wrong = world.batch(&ballot, 0).await?;
    let winner = Bid(wrong.matches[0].bid).provider();
    let call = world::challenge_of(order, &world.send(tasks, wrong).await?)?;
    if confirmed {
        world.confirm(order, winner).await?;
    }
    let receipt = world.send(tasks, call).await?;
    let proven = receipt.decoded_log::<IMatchTaskManager::MatchProvenWrong>().context("not proven")?;
    ensure!(proven.amended != confirmed, "a pending lease goes to the right bid, a confirmed one stands");
    Ok(receipt.gas_used)
}
