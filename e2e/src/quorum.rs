//! The quorum's trial: seven operators match orders, one of them is killed and one lies; the others go on, and the liar
//! loses half its stake by its own share. The demo tells it, and a test looks at it with tools that are not ours.

use std::time::Duration;

use alloy::primitives::U256;
use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use iono_bindings::{IMatchTaskManager, IOrderBook};
use iono_primitives::OrderId;
use iono_testkit::{events, eventually};

use crate::cli::{field, number};
use crate::operators::{Operator, STAKE};
use crate::{Iono, Network, Node, http};

/// Operators at the beginning.
pub const OPERATORS: usize = 7;
/// Tenants that order at the same time.
pub const TENANTS: usize = 5;
/// How often each of them does after the faults.
const ROUNDS: usize = 2;
/// A liar is slashed within this time.
const SOON: Duration = Duration::from_secs(60);

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trial {
    /// Operators in the set.
    pub operators: u64,
    /// How many of them run no honest daemon any more: killed, or lying.
    pub operators_faulty: u64,
    /// Orders that a quorum matched after that.
    pub matches_after_fault: u64,
    /// Times that an operator lost half its stake.
    pub liars_slashed: u64,
    /// Number of the operator that lied.
    pub liar: u32,
}

/// Who does what, in which block with how much gas, and what is worth saying of it.
pub type Tell<'a> = dyn FnMut(&str, &str, Option<(u64, u64)>, &str) + 'a;

/// Plays it on a network whose providers run, two of them able to serve any order; the tenants have money. Each round
/// begins on empty engines: providers of a demo may share one machine.
///
/// # Errors
/// When something does not come about that the trial is about.
pub async fn trial(
    network: &Network,
    nodes: &[Node],
    operators: &mut [Operator],
    tenants: &[Iono],
    deploy: &[&str],
    tell: &mut Tell<'_>,
) -> Result<Trial> {
    let first = rent(&tenants[0], deploy).await?;
    let note = format!("order {first}, by a batch of the quorum");
    let batch = batch_of(network, first).await?;
    tell("operators", "match the first order", Some((batch.block, batch.gas)), &note);

    let (dead, liar) = (0, operators.len() - 1);
    operators[dead].matchmaker.daemon.kill().await?;
    // The liar does without the honest daemon.
    operators[liar].matchmaker.daemon.kill().await?;
    tell(&format!("operator {}", operators[dead].number), "is killed", None, "SIGKILL; its turns pass");

    let share = network.lie(&operators[liar], OrderId(first)).await?;
    let number = operators[liar].number;
    for operator in &operators[1..liar] {
        let status = operator.post(&share).await?;
        ensure!(status == 409, "operator {} answered {status} to a lie", operator.number);
    }
    tell(&format!("operator {number}"), "signs a losing bid", None, "and shows the share to all others");
    let (chain, tasks) = (network.anvil.provider(), network.book.match_task_manager);
    let punished = || async {
        let wanted = |event: &IMatchTaskManager::OperatorPunished| event.operator == U256::from(number);
        events::last(chain, tasks, wanted).await.ok()
    };
    let punished = eventually("the liar is slashed", SOON, punished).await?;
    let half = U256::from(STAKE / 2) * U256::from(10_u64.pow(18));
    ensure!(punished.event.slashed == half, "it lost {} instead of half", punished.event.slashed);
    let note = format!("operator {number} loses {} SPON and its seat", STAKE / 2);
    tell("operators", "prove the lie", Some((punished.block, punished.gas)), &note);

    let before = network.matched_by_quorum().await?;
    for round in 1..=ROUNDS {
        let left = || async {
            for node in nodes {
                if !node.engine.left(&node.label, None).await.ok()?.is_empty() {
                    return None;
                }
            }
            Some(())
        };
        eventually("empty engines", SOON, left).await?;
        let orders = try_join_all(tenants.iter().map(|tenant| rent(tenant, deploy))).await?;
        let batch = batch_of(network, orders[0]).await?;
        let note = format!("orders {orders:?}: every URL answered");
        tell("operators", &format!("match round {round}"), Some((batch.block, batch.gas)), &note);
    }
    let matches_after_fault = network.matched_by_quorum().await? - before;
    let ended = operators.iter().filter(|operator| operator.matchmaker.daemon.pid().is_none()).count();
    let punished = events::all::<IMatchTaskManager::OperatorPunished>(chain, tasks).await?;
    Ok(Trial {
        operators: operators.len() as u64,
        operators_faulty: ended as u64,
        matches_after_fault,
        liars_slashed: punished.len() as u64,
        liar: number,
    })
}

/// Rents a container, asks its URL, and closes the lease; the order.
async fn rent(tenant: &Iono, deploy: &[&str]) -> Result<u64> {
    let deployed = tenant.json(deploy).await?;
    let url = field(&deployed, "/urls/0")?.as_str().context("no URL")?.to_owned();
    let (status, body) = http::curl(&url).await?;
    ensure!(status == 200, "{url} answered {status}: {body}");
    tenant.json(&["close", &number(&deployed, "/lease")?.to_string()]).await?;
    number(&deployed, "/order")
}

/// The batch that matched an order.
async fn batch_of(network: &Network, order: u64) -> Result<events::Mined<IMatchTaskManager::BatchResponded>> {
    let chain = network.anvil.provider();
    let matched = events::last::<IOrderBook::OrderMatched>(chain, network.book.order_book, |event| {
        event.order == U256::from(order)
    });
    let transaction = matched.await?.transaction;
    let batches =
        events::all::<IMatchTaskManager::BatchResponded>(chain, network.book.match_task_manager).await?;
    let batch = batches.into_iter().find(|batch| batch.transaction == transaction);
    batch.with_context(|| format!("order {order} was matched without the quorum"))
}
