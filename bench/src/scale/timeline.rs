//! From the close of bidding to submission: what operators compute is computed here and its time counts; what lies
//! between them, gossip and network, takes the time that a seeded draw gives it.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Instant;

use alloy::primitives::{Address, keccak256};
use anyhow::{Context, Result, ensure};
use iono_bls::SecretKey;
use iono_quorum::{
    Anchor, ClosedOrder, Domain, Member, OperatorSet, Pool, Results, SignedShare, TURN_BLOCKS, aggregators,
};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::{BATCH, CLOSE_BLOCK, ERA};
use crate::stats::seconds;

/// Seconds between blocks.
pub(super) const BLOCK: f64 = 2.0;
/// Seconds until an operator has a block.
const GOSSIP: Range<f64> = 0.05..0.5;
/// Seconds from one operator to another: around the world.
const ONE_WAY: Range<f64> = 0.01..0.15;
/// One way for each of: opening the connection, its answer, the request.
const WAYS: f64 = 3.0;
/// Seconds that an aggregator waits for slow operators, as the daemon does unless told otherwise.
const GRACE: f64 = 0.3;
/// Bytes of a request around its body, and of its answer.
const HTTP: usize = 160 + 130;

/// What goes wrong.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Faults {
    /// Operators that sign nothing.
    pub(super) silent: usize,
    /// Operators that take shares and submit nothing, first in turn.
    pub(super) dead_aggregators: usize,
}

/// How it went.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outcome {
    /// From the close of bidding until the batches are sent.
    pub(super) seconds: f64,
    /// Of which on one operator's core: ranking, checking, adding up.
    pub(super) computing: f64,
    /// Requests and answers between operators.
    pub(super) messages: usize,
    /// In them.
    pub(super) bytes: usize,
}

struct Arrival {
    at: f64,
    body: Vec<u8>,
}

/// Plays one closing block through.
pub(super) fn play(orders: &[ClosedOrder], secrets: &[SecretKey], faults: Faults) -> Result<Outcome> {
    let mut rng = StdRng::seed_from_u64(secrets.len() as u64);
    let domain = Domain { chain_id: 31_337, tasks: Address::repeat_byte(7) };
    let anchor = Anchor { close_hash: keccak256("closing block"), seed: keccak256("seed") };
    let set = set_of(secrets);
    let turns = aggregators(&set, anchor.close_hash);
    ensure!(faults.dead_aggregators + faults.silent < turns.len(), "nobody is left");

    let start = Instant::now();
    let results = Results::compute(&domain, CLOSE_BLOCK, ERA, anchor, orders).context("no bids")?;
    let ranking = seconds(start);

    // All live operators, with the second after the close in which each has the block that gives the seed and its results.
    let live = &turns[faults.dead_aggregators..turns.len() - faults.silent];
    let aggregator = live[0];
    let mut own = (0.0, 0.0);
    let (mut messages, mut bytes, mut arrivals) = (0, 0, Vec::new());
    for operator in live {
        let secret = &secrets[*operator as usize - 1];
        let gossip = rng.random_range(GOSSIP);
        let start = Instant::now();
        let share = results.sign(*operator, secret);
        let ready = BLOCK + gossip + ranking + seconds(start);
        if *operator == aggregator {
            own = (ready, seconds(start));
            continue;
        }
        let body = serde_json::to_vec(&share)?;
        // To each aggregator in turn until one submits.
        messages += 2 * (1 + faults.dead_aggregators);
        bytes += (body.len() + HTTP) * (1 + faults.dead_aggregators);
        let turn = BLOCK + gossip + (TURN_BLOCKS as usize * faults.dead_aggregators) as f64 * BLOCK;
        arrivals.push(Arrival { at: ready.max(turn) + WAYS * rng.random_range(ONE_WAY), body });
    }
    arrivals.sort_by(|a, b| a.at.total_cmp(&b.at));

    let mut pool = Pool::new(results.digest(), set, BTreeSet::new());
    pool.hold(aggregator, results.sign(aggregator, &secrets[aggregator as usize - 1]).point()?);
    let (submitted, checking) = gather(&mut pool, own.0, &arrivals)?;

    let start = Instant::now();
    let batches = results.batches(&pool.quorum()?, |_| true, BATCH);
    let adding = seconds(start);
    ensure!(
        batches.iter().map(|batch| batch.matches.len()).sum::<usize>() == orders.len(),
        "orders are missing"
    );
    let computing = ranking + own.1 + checking + adding;
    Ok(Outcome { seconds: submitted + adding, computing, messages, bytes })
}

/// Takes shares in as they come, one after another, until the aggregator goes ahead: when that is, and how long it
/// computed.
fn gather(pool: &mut Pool, ready: f64, arrivals: &[Arrival]) -> Result<(f64, f64)> {
    let (mut clock, mut quorum_since, mut computing) = (ready, None, 0.0);
    for arrival in arrivals {
        clock = arrival.at.max(clock);
        if quorum_since.is_some_and(|since| clock > since + GRACE) {
            break;
        }
        let start = Instant::now();
        let share: SignedShare = serde_json::from_slice(&arrival.body)?;
        pool.offer(share.operator, share.point()?);
        let is_quorum = pool.settle();
        let spent = seconds(start);
        (clock, computing) = (clock + spent, computing + spent);
        if is_quorum {
            quorum_since.get_or_insert(clock);
        }
        if is_quorum && pool.is_complete() {
            return Ok((clock, computing));
        }
    }
    let since: f64 = quorum_since.context("no quorum")?;
    Ok((since + GRACE, computing))
}

/// Of equal weight.
fn set_of(secrets: &[SecretKey]) -> OperatorSet {
    let members = (1..).zip(secrets).map(|(operator, secret)| Member {
        operator,
        point: 1,
        weight: 1,
        key: secret.public_key(),
    });
    OperatorSet { era: ERA, point: 1, members: members.collect() }
}

#[cfg(test)]
mod tests {
    use super::super::auctions;
    use super::*;
    use crate::world::secret;

    #[test]
    fn faults_cost_time_and_orders_cost_no_messages() {
        let secrets: Vec<SecretKey> = (1..=9).map(secret).collect();
        let (few, many) = (auctions::closed(2), auctions::closed(7));
        let plain = play(&few, &secrets, Faults::default()).unwrap();
        assert_eq!(plain.messages, 16);
        let more = play(&many, &secrets, Faults::default()).unwrap();
        assert_eq!((more.messages, more.bytes), (plain.messages, plain.bytes));

        // The grace is waited for, and a turn of two blocks.
        let silent = play(&few, &secrets, Faults { silent: 2, ..Faults::default() }).unwrap();
        assert!(silent.seconds > BLOCK + GRACE && silent.messages == 12, "{silent:?}");
        let dead = play(&few, &secrets, Faults { dead_aggregators: 1, ..Faults::default() }).unwrap();
        assert!(dead.seconds > 3.0 * BLOCK && dead.messages == 28, "{dead:?}");
        assert!(play(&few, &secrets, Faults { silent: 3, ..Faults::default() }).is_err(), "no quorum");
    }
}
