//! `provider earnings`: what was paid, what waits on the ledger, what running leases have earned.

use std::collections::BTreeMap;

use alloy::primitives::U256;
use anyhow::Result;
use iono_identity::keystore;
use iono_primitives::money::format_decimal;
use iono_primitives::{LeaseState, ProviderId, TokenId};
use serde::Serialize;

use super::output;
use crate::chain_link;
use crate::cli::Common;
use crate::config::{Config, values::Dollars};
use crate::market::book::Book;
use crate::market::lease::Facts;
use crate::treasury;

/// One token's earnings, before the market's fee.
#[derive(Debug, Default, Serialize)]
struct Earning {
    token: u16,
    symbol: String,
    /// On the ledger, ready to be cashed out.
    ledger: String,
    /// Earned by leases and not settled yet.
    unsettled: String,
    /// Earned in all by the leases that are remembered here.
    earned: String,
    /// Ledger and unsettled, in dollars.
    dollars: String,
    running_leases: u32,
}

/// Shows earnings by token.
///
/// # Errors
/// When the chain or the store cannot be read.
pub async fn earnings(common: &Common, config: &Config) -> Result<()> {
    let reader = chain_link::reader(config)?;
    let hot = keystore::address(&config.keys.hot_key)?.unwrap_or_default();
    let me = ProviderId(reader.profile_of(hot).await?.id);
    let now = reader.head().await?.timestamp;
    let store = iono_store::connect(&config.store_url()).await?;
    let [_, leases] = Book::namespaces();
    let book = Book::restore(me, &[], &store.documents(leases).await?)?;

    let mut by_token: BTreeMap<u16, (U256, U256, u32)> = BTreeMap::new();
    for lease in book.leases().values() {
        // The words as they are on chain now, not as the daemon saw them last.
        let Some(facts) = reader.facts(lease.id, lease.created, lease.facts.as_ref()).await? else {
            continue;
        };
        let entry = by_token.entry(facts.words.token).or_default();
        let (unsettled, earned) = accrued(&facts, now);
        entry.0 += unsettled;
        entry.1 += earned;
        entry.2 += u32::from(facts.words.lease_state() == Some(LeaseState::Active));
    }
    let mut shown = Vec::new();
    for token in config.public.tokens.iter().copied() {
        let (unsettled, earned, running_leases) = by_token.remove(&token).unwrap_or_default();
        let (id, word) = (TokenId(token), reader.token(TokenId(token)).await?);
        let ledger = reader.ledger_of(me, id).await?;
        let text = |amount| format_decimal(amount, word.decimals);
        shown.push(Earning {
            token,
            symbol: reader.symbol(id).await,
            ledger: text(ledger),
            unsettled: text(unsettled),
            earned: text(earned),
            dollars: Dollars(treasury::dollars(ledger + unsettled, &word).0).to_string(),
            running_leases,
        });
    }
    output::result(common, &shown, |shown| {
        let rows = shown.iter().map(|e| {
            let leases = e.running_leases.to_string();
            [
                e.symbol.clone(),
                e.ledger.clone(),
                e.unsettled.clone(),
                e.earned.clone(),
                e.dollars.clone(),
                leases,
            ]
        });
        output::table(["token", "ledger", "unsettled", "earned", "dollars", "running leases"], rows)
    })?;
    Ok(())
}

/// What a lease has earned and is not settled, and what it has earned in all.
fn accrued(facts: &Facts, now: u64) -> (U256, U256) {
    let words = &facts.words;
    if words.settled_to == 0 {
        return (U256::ZERO, U256::ZERO);
    }
    let stopped = if words.stopped_at == 0 { words.end } else { words.stopped_at };
    let until = now.min(words.end).min(stopped);
    let of = |seconds: u64| words.rate().gross(seconds.saturating_sub(words.unbilled.into()), words.decimals);
    (of(until.saturating_sub(words.settled_to)), of(until.saturating_sub(facts.start())))
}
