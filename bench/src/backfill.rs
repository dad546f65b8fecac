//! Back-fill: a follower that reads 100,000 blocks with 50,000 events into SQLite, against the same `eth_getLogs` requests,
//! as many at once, made bare, whose answers are thrown away unread. Both ask the same Anvil, in turns. Anvil has one core
//! for itself, since an RPC does not compute on its reader's cores; what they do to each other on shared ones is reported.

mod history;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use history::History;
use iono_chain::{AHEAD, ChainConfig, Follower, Rpc, Update};
use iono_telemetry::Health;
use serde_json::json;

use crate::figure::Figure;
use crate::stats::{in_turns, median, seconds};

const RUNS: usize = 15;

/// A range of blocks, both ends included.
type Range = (u64, u64);

/// Builds the history and measures.
pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let history = History::build().await?;
    // Warm up, and learn which ranges the follower asks for.
    let (_, ranges) = follow(&history).await?;
    let (shared_ours, shared_raw) = compare(&history, &ranges).await?;
    history.keep_to_one_core()?;
    let (ours, raw) = compare(&history, &ranges).await?;

    let ratio = median(&ours) / median(&raw);
    let shared = median(&shared_ours) / median(&shared_raw);
    let (blocks, events) = (history::BLOCKS, history::EVENTS);
    let what = format!("back-fill of {blocks} blocks, {events} events into SQLite / raw eth_getLogs");
    Ok(vec![
        Figure::new("backfill_ratio", what, ratio, "times").at_most(1.2),
        Figure::new("backfill_seconds", "  the follower", median(&ours), "s").runs(&ours),
        Figure::new("raw_get_logs_seconds", "  raw eth_getLogs", median(&raw), "s").runs(&raw),
        Figure::new("backfill_shared_cores_ratio", "  where Anvil takes every core itself", shared, "times"),
    ])
}

/// Seconds of the follower's runs and of the bare requests' runs.
async fn compare(history: &History, ranges: &[Range]) -> Result<(Vec<f64>, Vec<f64>)> {
    let http = reqwest::Client::new();
    in_turns(RUNS, async || Ok(follow(history).await?.0), async || ask(&http, history, ranges).await).await
}

/// Seconds that a follower takes from an empty store to the head, and the ranges it read.
async fn follow(history: &History) -> Result<(f64, Vec<Range>)> {
    let dir = tempfile::tempdir()?;
    let store = iono_store::connect(&format!("sqlite:{}", dir.path().join("store.db").display())).await?;
    let config = ChainConfig::new(history.url().parse()?, PathBuf::new());
    let health = Health::default();
    let rpc = Rpc::connect(&config, history.chain_id(), health.check("rpc"))?;

    let start = Instant::now();
    let mut follower = Follower::new(&rpc, store.clone(), &config, 0, vec![history::CONTRACT]).await?;
    let (mut ranges, mut events) = (Vec::new(), 0);
    loop {
        let update = follower.next().await?;
        follower.commit(&update, &[]).await?;
        let Update::Blocks { from, to, logs, blocks, .. } = &update else {
            anyhow::bail!("a chain that nobody touches was re-organised")
        };
        match blocks.as_slice() {
            [_] => ranges.push((*from, to.number)),
            // Near the head it asks block by block.
            each => ranges.extend(each.iter().map(|block| (block.number, block.number))),
        }
        events += logs.len();
        if update.is_caught_up() {
            break;
        }
    }
    let took = seconds(start);
    let cursor = follower.cursor().map(|block| block.number);
    ensure!(cursor == Some(history::BLOCKS), "the follower stopped at {cursor:?}");
    ensure!(events == history::EVENTS, "{events} events arrived instead of {}", history::EVENTS);
    Ok((took, ranges))
}

/// Seconds that the bare requests take, up to the last byte of each answer.
async fn ask(http: &reqwest::Client, history: &History, ranges: &[Range]) -> Result<f64> {
    let start = Instant::now();
    let requests = stream::iter(ranges).map(|range| ask_for(http, history, *range));
    requests.buffer_unordered(AHEAD).try_collect::<()>().await?;
    Ok(seconds(start))
}

async fn ask_for(http: &reqwest::Client, history: &History, (from, to): Range) -> Result<()> {
    let filter = json!({
        "address": history::CONTRACT, "fromBlock": format!("{from:#x}"), "toBlock": format!("{to:#x}"),
    });
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_getLogs", "params": [filter] });
    let answer = http.post(history.url()).json(&request).send().await?.error_for_status()?;
    let bytes = answer.bytes().await?;
    // The logs come after it; an error has none.
    let start = &bytes[..bytes.len().min(64)];
    ensure!(start.windows(8).any(|word| word == b"\"result\""), "eth_getLogs failed for {from} to {to}");
    Ok(())
}
