//! Matching by a quorum as the market grows: ten thousand providers, up to a thousand orders that close together, up to a
//! hundred operators. Time, messages and bytes are simulated with the daemon's own ranking, signing, checking and adding;
//! gas is that of real transactions.

mod auctions;
mod timeline;

use alloy::primitives::U256;
use anyhow::{Context as _, Result, ensure};
use iono_bindings::IMatchTaskManager;
use iono_bls::SecretKey;
use iono_testkit::Ballot;

use crate::figure::Figure;
use crate::world::{World, secret};
use timeline::{Faults, Outcome, play};

const CLOSE_BLOCK: u64 = 100;
const ERA: u32 = 3;
/// Orders in one transaction, as the daemon sends them unless told otherwise.
const BATCH: usize = 50;
/// On the real chain: each is bid for by one provider, as gas does not depend on the bids that lost.
const PROVIDERS: usize = 100;
/// Most gas for each of the most orders: that of a batch of ten.
const GAS: f64 = 120_000.0;

/// Operators, and the orders that they match.
const POINTS: [(u8, &[u64]); 3] = [(4, &[MOST]), (20, &[MOST]), (100, &[10, 100, MOST])];
const MOST: u64 = 1_000;

/// Plays all points, and the largest with faults.
pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (operators, counts) in POINTS {
        let secrets: Vec<SecretKey> = (1..=operators).map(secret).collect();
        let world = World::open(operators, PROVIDERS).await?;
        for count in counts {
            let orders = auctions::closed(*count);
            let key = format!("scale_{count}_orders_{operators}_operators");
            let what = format!("{count} orders, {} bids each, {operators} operators", auctions::PROVIDERS);
            let outcome = play(&orders, &secrets, Faults::default())?;
            figures.extend(describe(&key, &what, outcome));
            let gas = gas_per_order(&world, *count).await?;
            let gas = Figure::new(format!("{key}_gas_per_order"), "  gas of each order", gas, "gas");
            figures.push(if *count == MOST { gas.at_most(GAS) } else { gas });
            if (operators, *count) == (100, MOST) {
                let silent = Faults { silent: 33, ..Faults::default() };
                figures.extend(with_faults(&key, "33 operators silent", play(&orders, &secrets, silent)?));
                let dead = Faults { dead_aggregators: 1, ..Faults::default() };
                figures.extend(with_faults(
                    &key,
                    "the first aggregator dead",
                    play(&orders, &secrets, dead)?,
                ));
            }
        }
    }
    Ok(figures)
}

#[allow(clippy::cast_precision_loss)] // far below 2^52
fn describe(key: &str, what: &str, outcome: Outcome) -> Vec<Figure> {
    let figure =
        |name: &str, what: &str, value, unit| Figure::new(format!("{key}_{name}"), what, value, unit);
    vec![
        figure("seconds", what, outcome.seconds, "s"),
        figure("computing", "  of which one operator's core", outcome.computing, "s"),
        figure("messages", "  messages among operators", outcome.messages as f64, "messages"),
        figure("bytes", "  bytes among operators", outcome.bytes as f64, "bytes"),
    ]
}

fn with_faults(key: &str, fault: &str, outcome: Outcome) -> Vec<Figure> {
    let name = fault.replace(' ', "_");
    vec![Figure::new(format!("{key}_{name}_seconds"), format!("  with {fault}"), outcome.seconds, "s")]
}

/// Of all batches together, leases included.
#[allow(clippy::cast_precision_loss)] // far below 2^52
async fn gas_per_order(world: &World, count: u64) -> Result<f64> {
    let orders = world.orders(usize::try_from(count)?, 1).await?;
    let ballot = Ballot::honest(world.net.anvil.provider(), &world.net.book, &orders).await?;
    let whole = world.batch(&ballot, 0).await?;
    let (mut gas, mut matched) = (0, U256::ZERO);
    for matches in whole.matches.chunks(BATCH) {
        let mut call = whole.clone();
        call.matches = matches.to_vec();
        let receipt = world.send(world.net.book.match_task_manager, call).await?;
        let responded = receipt.decoded_log::<IMatchTaskManager::BatchResponded>().context("no batch")?;
        (gas, matched) = (gas + receipt.gas_used, matched + responded.matched);
    }
    ensure!(matched == U256::from(count), "{matched} of {count} matched");
    Ok(gas as f64 / count as f64)
}
