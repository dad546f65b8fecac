//! `provider earnings`: what was paid out, what waits on the ledger, what running leases have earned; all after the
//! market's fees.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::U256;
use anyhow::Result;
use iono_bindings::LeaseWords;
use iono_identity::keystore;
use iono_primitives::money::format_decimal;
use iono_primitives::{LeaseState, ProviderId, TokenId};
use serde::Serialize;

use super::output;
use crate::chain_link;
use crate::cli::Common;
use crate::paid_out::paid_out;
use crate::treasury;
use iono_host::config::{Config, values::Dollars};
use iono_host::market::book::Book;
use iono_host::market::party::Party;

/// Parts that fees are counted in.
const BASIS_POINTS: u64 = 10_000;

/// One token's earnings, after the market's fees.
#[derive(Debug, Default, Serialize)]
struct Earning {
    token: u16,
    symbol: String,
    /// Cashed out since the provider was registered.
    paid_out: String,
    /// On the ledger, ready to be cashed out.
    ledger: String,
    /// Earned by leases and not settled yet.
    unsettled: String,
    /// All three: everything that was earned.
    net: String,
    /// The same in dollars, by the token's price of now.
    dollars: String,
    running_leases: u32,
}

/// Shows earnings by token.
///
/// # Errors
/// When the chain or the store cannot be read.
pub async fn earnings(common: &Common, config: &Config) -> Result<()> {
    let reader = chain_link::reader(config)?;
    let hot = keystore::address(&config.keys()?.hot_key)?.unwrap_or_default();
    let me = ProviderId(reader.profile_of(hot).await?.id);
    let now = reader.head().await?.timestamp;
    let store = iono_store::connect(&config.store_url()).await?;
    let [_, leases] = Book::namespaces();
    let book = Book::restore(Party::provider(me), &[], &store.documents(leases).await?)?;

    let mut by_token: BTreeMap<u16, (U256, u32)> = BTreeMap::new();
    for lease in book.leases().values() {
        // The words as they are on chain now, not as the daemon saw them last.
        let Some(facts) = reader.facts(lease.id, lease.created, lease.facts.as_ref()).await? else {
            continue;
        };
        let entry = by_token.entry(facts.words.token).or_default();
        entry.0 += unsettled(&facts.words, now);
        entry.1 += u32::from(facts.words.lease_state() == Some(LeaseState::Active));
    }
    let mut paid = paid_out(&store, &reader, me, config.chain.finality_depth).await?;
    // Tokens that are no longer taken may still have brought something.
    let taken = config.public.tokens.iter();
    let tokens: BTreeSet<u16> = taken.chain(by_token.keys()).chain(paid.keys()).copied().collect();
    let mut shown = Vec::new();
    for token in tokens {
        let (unsettled, running_leases) = by_token.remove(&token).unwrap_or_default();
        let paid_out = paid.remove(&token).unwrap_or_default();
        let (id, word) = (TokenId(token), reader.token(TokenId(token)).await?);
        let ledger = reader.ledger_of(me, id).await?;
        let net = paid_out + ledger + unsettled;
        let text = |amount| format_decimal(amount, word.decimals);
        shown.push(Earning {
            token,
            symbol: reader.symbol(id).await,
            paid_out: text(paid_out),
            ledger: text(ledger),
            unsettled: text(unsettled),
            net: text(net),
            dollars: Dollars(treasury::dollars(net, &word).0).to_string(),
            running_leases,
        });
    }
    output::result(common, &shown, |shown| {
        let rows = shown.iter().map(|e| {
            let leases = e.running_leases.to_string();
            let sums = [&e.symbol, &e.paid_out, &e.ledger, &e.unsettled, &e.net, &e.dollars, &leases];
            sums.map(Clone::clone)
        });
        let head = ["token", "paid out", "ledger", "unsettled", "net", "dollars", "running leases"];
        output::table(head, rows)
    })?;
    Ok(())
}

/// What a lease has earned and is not settled, less the fee that a settlement takes.
fn unsettled(words: &LeaseWords, now: u64) -> U256 {
    if words.settled_to == 0 {
        return U256::ZERO;
    }
    let stopped = if words.stopped_at == 0 { words.end } else { words.stopped_at };
    let until = now.min(words.end).min(stopped);
    let seconds = until.saturating_sub(words.settled_to).saturating_sub(words.unbilled.into());
    let gross = words.rate().gross(seconds, words.decimals);
    gross * U256::from(BASIS_POINTS.saturating_sub(words.fee.into())) / U256::from(BASIS_POINTS)
}

#[cfg(test)]
mod tests {
    use iono_primitives::Rate;

    use super::*;

    #[test]
    fn what_is_unsettled_is_less_the_fee_and_stops_with_the_lease() {
        let words = LeaseWords {
            rate: Rate::from_hourly("0.36").unwrap().0,
            decimals: 6,
            fee: 2_200,
            settled_to: 1_000,
            end: 1_000 + 3_600,
            ..LeaseWords::default()
        };
        // 0.0001 a second.
        assert_eq!(unsettled(&words, 1_010), U256::from(780));
        assert_eq!(unsettled(&words, 1_000_000), U256::from(280_800));
        assert_eq!(unsettled(&LeaseWords { stopped_at: 1_005, ..words }, 1_010), U256::from(390));
        assert_eq!(unsettled(&LeaseWords { unbilled: 9, ..words }, 1_010), U256::from(78));
        assert_eq!(unsettled(&LeaseWords { settled_to: 0, ..words }, 1_010), U256::ZERO);
        // Rounded against the one who is paid.
        assert_eq!(unsettled(&LeaseWords { fee: 1, ..words }, 1_001), U256::from(99));
    }
}
