//! Settles leases and cashes the ledgers out: on a schedule in the daemon, at once by `provider cash-out`.

use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::{Bytes, U256};
use alloy::sol_types::SolCall as _;
use iono_bindings::{IEscrow, ILeaseBook, TokenWord};
use iono_chain::{SendError, Sender};
use iono_identity::unix_now;
use iono_primitives::{LeaseId, LeaseState, ProviderId, TokenId};
use iono_store::{Change, StoreError};
use iono_telemetry::fail_point;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use iono_host::config::values::Dollars;
use iono_host::market::lease::{Facts, Lease};
use iono_host::market::reader::{ReadError, Reader};
use iono_host::node::Node;

/// How often the schedule is looked at.
const TICK: Duration = Duration::from_secs(5);
/// Leases settled by one transaction.
const BATCH: usize = 50;
/// Namespace and key of the schedule in the store.
const SCHEDULE: (&str, &str) = ("treasury", "schedule");

/// When things were done last, unix seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Schedule {
    settled: u64,
    cashed_out: u64,
}

/// Why money did not move.
#[derive(Debug, thiserror::Error)]
pub enum TreasuryError {
    /// The chain cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The transaction.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was cashed out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CashedOut {
    /// The token.
    pub token: TokenId,
    /// In its smallest unit.
    pub amount: U256,
    /// The transaction's hash.
    pub transaction: alloy::primitives::B256,
}

/// Works until the token is cancelled.
pub async fn run(node: Arc<Node>, sender: Sender, token: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(TICK) => {}
            () = token.cancelled() => return,
        }
        if node.view().caught_up
            && let Err(error) = due(&node, &sender).await
        {
            tracing::warn!(%error, "settling or cashing out failed; trying again");
        }
    }
}

/// Does what is due.
async fn due(node: &Node, sender: &Sender) -> Result<(), TreasuryError> {
    let (config, now) = (node.config(), unix_now());
    let stored = node.store.document(SCHEDULE.0, SCHEDULE.1).await?;
    // Counted from the first look, so that a fresh provider does not begin with a transaction.
    let fresh = Schedule { settled: now, cashed_out: now };
    let mut schedule = stored.as_ref().map(iono_store::Document::parse).transpose()?.unwrap_or(fresh);
    let before = schedule;
    if now.saturating_sub(schedule.settled) >= config.money.settle_every.0.as_secs() {
        let leases = worth_settling(node, config.money.min_settle).await?;
        settle(sender, &node.reader, &leases, schedule.settled).await?;
        schedule.settled = now;
    }
    if now.saturating_sub(schedule.cashed_out) >= config.money.cash_out_every.0.as_secs() {
        let tokens: Vec<TokenId> = config.public.tokens.iter().copied().map(TokenId).collect();
        let least = config.money.min_cash_out;
        cash_out(sender, &node.reader, node.me.provider, &tokens, least, schedule.cashed_out).await?;
        schedule.cashed_out = now;
    }
    if schedule != before || stored.is_none() {
        node.store.change(&[Change::put(SCHEDULE.0, SCHEDULE.1, &schedule)?]).await?;
    }
    Ok(())
}

/// Leases of which a settlement is worth its gas; the rest of a closed one always is.
async fn worth_settling(node: &Node, least: Dollars) -> Result<Vec<LeaseId>, TreasuryError> {
    let (view, holdback) = (node.view(), node.reader.holdback().await?);
    let until = view.head.timestamp.saturating_sub(holdback);
    let leases: Vec<Lease> = node.book().leases().values().cloned().collect();
    let worth = |lease: &Lease| {
        let facts = lease.facts.as_ref()?;
        let token = view.tokens.get(usize::from(facts.words.token))?;
        is_worth(facts, token, until, least).then_some(lease.id)
    };
    Ok(leases.iter().filter_map(worth).collect())
}

fn is_worth(facts: &Facts, token: &TokenWord, until: u64, least: Dollars) -> bool {
    let words = &facts.words;
    match words.lease_state() {
        Some(LeaseState::Closed) => words.payable_seconds() > 0 && until > words.settled_to,
        Some(LeaseState::Active | LeaseState::Paused) => {
            let seconds = until.min(words.end).saturating_sub(words.settled_to);
            let earned = words.rate().gross(seconds, words.decimals);
            !earned.is_zero() && dollars(earned, token) >= least
        }
        _ => false,
    }
}

/// What an amount in a token's smallest unit is worth, rounded down.
#[must_use]
pub fn dollars(amount: U256, token: &TokenWord) -> Dollars {
    let ten = U256::from(10);
    // 1e-8 dollars a whole token, to 1e-18 dollars.
    Dollars(amount * U256::from(token.price) * ten.pow(ten) / ten.pow(U256::from(token.decimals)))
}

/// Settles leases, many in one transaction; `round` tells attempts of different times apart.
///
/// # Errors
/// [`TreasuryError::Send`].
pub async fn settle(
    sender: &Sender,
    reader: &Reader,
    leases: &[LeaseId],
    round: u64,
) -> Result<(), TreasuryError> {
    for batch in leases.chunks(BATCH) {
        let Some(first) = batch.first() else { continue };
        let call =
            ILeaseBook::settleManyCall { leases: batch.iter().map(|lease| U256::from(lease.0)).collect() };
        let key = format!("settle:{round}:{first}:{}", batch.len());
        fail_point("provider.settle.before_send");
        let mined = sender.submit(&key, reader.book().lease_book, Bytes::from(call.abi_encode())).await?;
        fail_point("provider.settle.after_send");
        tracing::info!(leases = batch.len(), gas = mined.gas_used, "settled");
    }
    Ok(())
}

/// Cashes out every ledger that is worth `least`; `round` tells attempts of different times apart.
///
/// # Errors
/// [`TreasuryError`].
pub async fn cash_out(
    sender: &Sender,
    reader: &Reader,
    me: ProviderId,
    tokens: &[TokenId],
    least: Dollars,
    round: u64,
) -> Result<Vec<CashedOut>, TreasuryError> {
    let mut done = Vec::new();
    for token in tokens.iter().copied() {
        let amount = reader.ledger_of(me, token).await?;
        let word = reader.token(token).await?;
        if amount.is_zero() || dollars(amount, &word) < least {
            continue;
        }
        let call = IEscrow::cashOutCall { payee: me.into(), token: token.into() };
        fail_point("provider.cash_out.before_send");
        let key = format!("cash-out:{round}:{token}");
        let mined = sender.submit(&key, reader.book().escrow, Bytes::from(call.abi_encode())).await?;
        fail_point("provider.cash_out.after_send");
        tracing::info!(%token, %amount, gas = mined.gas_used, "cashed out");
        done.push(CashedOut { token, amount, transaction: mined.transaction });
    }
    Ok(done)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_worth_its_price() {
        let token = TokenWord { price: 250_000_000, decimals: 6, ..TokenWord::default() };
        assert_eq!(dollars(U256::from(2_000_000), &token), Dollars::parse("5").unwrap());
        let spon = TokenWord { price: 10_000_000, decimals: 18, ..TokenWord::default() };
        assert_eq!(dollars(U256::from(10).pow(U256::from(18)), &spon), Dollars::parse("0.1").unwrap());
    }
}
