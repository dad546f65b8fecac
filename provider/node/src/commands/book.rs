//! `provider bids` and `provider leases`: what the daemon wrote down, whether it runs or not.

use anyhow::Result;
use iono_primitives::{LeaseState, OrderId, ProviderId};
use iono_store::SharedStore;
use serde::Serialize;

use super::output;
use crate::cli::Common;
use iono_host::api::offer::bid_answer;
use iono_host::config::Config;
use iono_host::market::book::Book;
use iono_host::market::lease::Lease;
use iono_host::market::party::Party;
use iono_host::market::tracked::{Outcome, Tracked};

#[derive(Debug, Serialize)]
struct BidLine {
    order: OrderId,
    decision: String,
    rate_per_hour: Option<String>,
    outcome: String,
    reason: String,
}

#[derive(Debug, Serialize)]
struct LeaseLine {
    lease: u64,
    wallet: u64,
    state: LeaseState,
    words: String,
    rate_per_hour: String,
    resources: String,
    ends_at: u64,
    trouble: Option<String>,
}

/// Shows decisions, the newest first.
///
/// # Errors
/// When the store cannot be read.
pub async fn bids(common: &Common, config: &Config, order: Option<u64>, limit: u32) -> Result<()> {
    let (book, me) = read(config).await?;
    let wanted = |tracked: &&Tracked| order.is_none_or(|order| tracked.order.id.0 == order);
    let lines: Vec<BidLine> = book
        .orders()
        .values()
        .rev()
        .filter(wanted)
        .take(limit as usize)
        .map(|tracked| bid_line(tracked, me))
        .collect();
    output::result(common, &lines, |lines| {
        let rows = lines.iter().map(|line| {
            let rate = line.rate_per_hour.clone().unwrap_or_default();
            [line.order.to_string(), line.decision.clone(), rate, line.outcome.clone(), line.reason.clone()]
        });
        output::table(["order", "decision", "tokens/h", "outcome", "reason"], rows)
    })?;
    Ok(())
}

fn bid_line(tracked: &Tracked, me: ProviderId) -> BidLine {
    let answer = bid_answer(tracked.order.id, Some(tracked));
    let decision = serde_json::to_value(answer.decision).ok();
    let rate =
        answer.rate.and_then(|rate| rate.parse().ok()).map(|rate| iono_primitives::Rate(rate).hourly());
    let outcome = match &tracked.outcome {
        Outcome::Open => "open".to_owned(),
        Outcome::Matched { provider, .. } if *provider == me => "won".to_owned(),
        Outcome::Matched { provider, .. } => format!("won by provider {provider}"),
        Outcome::Over { .. } => "cancelled or void".to_owned(),
        Outcome::Lost { .. } => "lost".to_owned(),
    };
    let reasons: Vec<String> =
        answer.reasons.iter().map(|reason| format!("{}: {}", reason.dimension, reason.message)).collect();
    BidLine {
        order: tracked.order.id,
        decision: decision.and_then(|text| text.as_str().map(str::to_owned)).unwrap_or_default(),
        rate_per_hour: rate,
        outcome,
        reason: reasons.join("; "),
    }
}

/// Shows leases.
///
/// # Errors
/// When the store cannot be read.
pub async fn leases(common: &Common, config: &Config, all: bool) -> Result<()> {
    let (book, _) = read(config).await?;
    let open = |lease: &&Lease| all || !matches!(lease.state(), LeaseState::Closed | LeaseState::None);
    let lines: Vec<LeaseLine> = book.leases().values().filter(open).filter_map(lease_line).collect();
    output::result(common, &lines, |lines| {
        let rows = lines.iter().map(|line| {
            let trouble = line.trouble.clone().unwrap_or_default();
            [
                line.lease.to_string(),
                line.words.clone(),
                line.rate_per_hour.clone(),
                line.resources.clone(),
                trouble,
            ]
        });
        output::table(["lease", "state", "tokens/h", "resources", "trouble"], rows)
    })?;
    Ok(())
}

fn lease_line(lease: &Lease) -> Option<LeaseLine> {
    let facts = lease.facts.as_ref()?;
    let state = lease.state();
    let words = match (state, facts.words.close_reason()) {
        (LeaseState::Closed, Some(reason)) => format!("closed: {reason}"),
        (state, _) => state.to_string(),
    };
    Some(LeaseLine {
        lease: lease.id.0,
        wallet: facts.words.wallet,
        state,
        words,
        rate_per_hour: facts.words.rate().hourly(),
        resources: facts.spec.resources.to_string(),
        ends_at: facts.words.end,
        trouble: lease.trouble.as_ref().map(|trouble| trouble.message.clone()),
    })
}

async fn read(config: &Config) -> Result<(Book, ProviderId)> {
    let store: SharedStore = iono_store::connect(&config.store_url()).await?;
    let me = match store.document("self", "provider").await? {
        Some(stored) => stored.parse()?,
        None => ProviderId(0),
    };
    let [orders, leases] = Book::namespaces();
    Ok((
        Book::restore(Party::provider(me), &store.documents(orders).await?, &store.documents(leases).await?)?,
        me,
    ))
}
