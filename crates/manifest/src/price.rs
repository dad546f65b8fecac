//! The most that a tenant pays, per second in one denomination.
//!
//! ICL prices are whole tokens per hour and replica. Akash's are millionths of a token per block and replica, a block
//! taken as six seconds: `amount ÷ 10^6 ÷ 6` tokens per second. Both are rounded up, so that a price is never below
//! what the file says.

use alloy::primitives::U256;
use iono_primitives::Rate;
use serde::{Deserialize, Serialize};

use crate::node::Place;

/// Seconds of an Akash block, as taken here.
const AKASH_BLOCK: u64 = 6;

/// The highest price of a whole deployment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// Token that the file names, without the `u` of millionths: `SPON`, `USDC`, `AKT`, `ACT`. The last two are Akash's
    /// and no payment tokens here: the tenant says in which token he pays instead.
    pub denomination: String,
    /// Of all services and replicas together, in 1e-18 tokens per second.
    pub rate: Rate,
    /// How the file's figures were converted, for people; empty when they were not.
    pub conversion: String,
}

/// Price of one replica of one compute profile.
#[derive(Debug, Clone)]
pub(crate) struct Quote {
    pub(crate) denomination: String,
    pub(crate) rate: Rate,
    pub(crate) conversion: String,
    pub(crate) place: Place,
}

/// Why there is no price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoPrice {
    Token,
    TooHigh,
}

impl Quote {
    /// ICL: tokens per hour. The `u` of `uSPON` is part of the name only.
    pub(crate) fn hourly(token: &str, rate: Rate) -> Result<Self, NoPrice> {
        let symbol = match token.strip_prefix('u') {
            Some(rest) if rest.starts_with(|c: char| c.is_ascii_uppercase()) => rest,
            _ => token,
        };
        Ok(Self { denomination: symbol_of(symbol)?, rate, conversion: String::new(), place: Place::START })
    }

    /// Akash: `amount` (in 1e-18) millionths of a token per block.
    pub(crate) fn per_block(denom: &str, text: &str, amount: U256) -> Result<Self, NoPrice> {
        let symbol = denom.strip_prefix('u').ok_or(NoPrice::Token)?;
        let denomination = symbol_of(symbol)?;
        let rate = amount.div_ceil(U256::from(1_000_000 * AKASH_BLOCK));
        let rate =
            u128::try_from(rate).map(Rate).ok().filter(|rate| *rate <= Rate::MAX).ok_or(NoPrice::TooHigh)?;
        let hourly = rate.hourly();
        let conversion =
            format!("{text} {denom} per block of {AKASH_BLOCK} s = {hourly} {denomination} per hour");
        Ok(Self { denomination, rate, conversion, place: Place::START })
    }
}

fn symbol_of(text: &str) -> Result<String, NoPrice> {
    let good = !text.is_empty() && text.len() <= 11 && text.bytes().all(|b| b.is_ascii_alphanumeric());
    if good { Ok(text.to_ascii_uppercase()) } else { Err(NoPrice::Token) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn akash_blocks_become_hours() {
        let quote =
            Quote::per_block("uact", "10000", U256::from(10_000) * U256::from(10).pow(U256::from(18)))
                .unwrap();
        assert_eq!(quote.denomination, "ACT");
        assert_eq!(quote.rate.hourly(), "6");
        assert_eq!(quote.conversion, "10000 uact per block of 6 s = 6 ACT per hour");
    }

    #[test]
    fn tokens_have_symbols() {
        assert_eq!(Quote::hourly("uSPON", Rate(1)).unwrap().denomination, "SPON");
        assert_eq!(Quote::hourly("USDC", Rate(1)).unwrap().denomination, "USDC");
        assert_eq!(Quote::hourly("ibc/170C", Rate(1)).unwrap_err(), NoPrice::Token);
        assert_eq!(Quote::per_block("akt", "1", U256::from(1)).unwrap_err(), NoPrice::Token);
    }
}
