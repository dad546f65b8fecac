//! What matching by a quorum costs in gas, by the receipts of whole transactions on a real Anvil: the check of a quorum,
//! batches of orders, and orders with many bids, resolved and challenged. First times are not counted: an operators' era,
//! a keeper's ledger and a window's sum are written once and then used by everybody.

mod world;

use alloy::primitives::U256;
use anyhow::{Context, Result};
use iono_bindings::{IMatchTaskManager, IOperatorRegistry, IOrderBook};
use iono_matching::Bid;
use iono_primitives::OrderId;

use crate::figure::Figure;
use world::World;

/// Orders in a batch, and the names of their figures.
const BATCHES: [(usize, &str); 3] =
    [(1, "gas_respond_1_per_order"), (10, "gas_respond_10_per_order"), (50, "gas_respond_50_per_order")];
/// Bids of a crowded order, and the names of its figures.
const CROWDS: [(usize, &str, &str); 3] = [
    (8, "gas_quorum_resolve_8", "gas_challenge_8"),
    (32, "gas_quorum_resolve_32", "gas_challenge_32"),
    (64, "gas_quorum_resolve_64", "gas_challenge_64"),
];

/// Measures on one chain, in this order.
pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let world = World::open().await?;
    let mut figures = checks(&world).await?;
    figures.extend(batches(&world).await?);
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
        [(0, "gas_quorum_0_silent"), (5, "gas_quorum_5_silent"), (20, "gas_quorum_20_silent")]
    {
        let (digest, quorum) = world.quorum_over_anything(silent).await?;
        let call = IOperatorRegistry::checkQuorumCall { digest, quorum };
        let receipt = world.send(world.net.book.operator_registry, call).await?;
        let what = format!("check a quorum of {} operators, {silent} of them silent", world::OPERATORS);
        let figure = gas(name, what, receipt.gas_used);
        figures.push(if silent == 0 { figure.at_most(155_000.0) } else { figure });
    }
    Ok(figures)
}

/// `respondBatch` of orders with three bids each.
async fn batches(world: &World) -> Result<Vec<Figure>> {
    let tasks = world.net.book.match_task_manager;
    let warm = world.batch(&world.orders(2, 3).await?, |_, best| best).await?;
    world.send(tasks, warm).await?;
    let mut figures = Vec::new();
    for (count, name) in BATCHES {
        let call = world.batch(&world.orders(count, 3).await?, |_, best| best).await?;
        let receipt = world.send(tasks, call).await?;
        let responded = receipt.decoded_log::<IMatchTaskManager::BatchResponded>().context("no batch")?;
        anyhow::ensure!(responded.matched == U256::from(count), "{} of {count} matched", responded.matched);
        let what = format!("a batch of {count}, leases included, per order");
        let figure = gas(name, what, receipt.gas_used / count as u64);
        figures.push(if count == 10 { figure.at_most(120_000.0) } else { figure });
    }
    Ok(figures)
}

/// `resolve` of an order with many bids, and `challenge` of a wrong match of one like it.
async fn crowds(world: &World) -> Result<Vec<Figure>> {
    let (orders, tasks) = (world.net.book.order_book, world.net.book.match_task_manager);
    let resolve = |order: OrderId| IOrderBook::resolveCall { order: order.into() };
    world.send(orders, resolve(world.orders(1, 3).await?[0])).await?;
    let mut figures = Vec::new();
    for (bids, resolved, challenged) in CROWDS {
        let bound = match bids {
            8 => Some(165_000.0),
            64 => Some(350_000.0),
            _ => None,
        };
        let bounded = |figure: Figure| match bound {
            Some(most) => figure.at_most(most),
            None => figure,
        };
        let order = world.crowded(bids).await?;
        let receipt = world.send(orders, resolve(order)).await?;
        let what = format!("resolve an order of {bids} bids by a keeper, lease included");
        figures.push(bounded(gas(resolved, what, receipt.gas_used)));

        let order = world.crowded(bids).await?;
        let losing = |bids: &[Bid], best| bids.iter().copied().find(|bid| *bid != best).unwrap_or(best);
        let wrong = world.batch(&[order], losing).await?;
        let receipt = world.send(tasks, wrong).await?;
        let call = world::challenge_of(order, &receipt)?;
        let receipt = world.send(tasks, call).await?;
        let proven = receipt.decoded_log::<IMatchTaskManager::MatchProvenWrong>().context("not proven")?;
        anyhow::ensure!(proven.amended, "the lease was not given to the right bid");
        let what = format!("challenge a wrong match of {bids} bids, the right lease included");
        figures.push(bounded(gas(challenged, what, receipt.gas_used)));
    }
    Ok(figures)
}
