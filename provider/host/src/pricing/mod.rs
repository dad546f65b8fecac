//! What a lease costs here (SP-27): by the owner's table, by an expression over it, or by a program of the owner; in
//! dollars an hour, turned into the chain's rate by the token's governed price. Every rounding is up.

mod answer;
mod expression;
mod language;
mod request;
mod script;
mod table;

use std::time::Duration;

use alloy::primitives::U256;
use iono_primitives::{Rate, StorageClass, money::HOUR};
use serde::{Deserialize, Serialize};

use crate::config::values::Dollars;
pub use expression::{BadExpression, Expression};
pub use request::{Purpose, Request, Token, tier};
pub use script::{Fault, Said, Script};
pub use table::{Allocation, PriceTable};

/// The longest that a script may take for one price, whatever the order's window is.
pub const LONGEST: Duration = Duration::from_secs(10);

/// How prices are made beside the table. With neither key the table's price is the price.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pricing {
    /// A program and its arguments, asked for each order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub script: Option<Script>,
    /// A formula, worked out for each order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expression: Option<Expression>,
}

/// Why there is no price.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoPrice {
    /// The table has no line for this model.
    #[error("no price for GPU model {0}; add it to [prices.gpu]")]
    Gpu(String),
    /// The table has no line for this class.
    #[error("no price for {0:?} storage; add it to [prices.storage]")]
    Storage(StorageClass),
    /// Governance has set no price for the token, or an absurd one.
    #[error("payment token has no dollar price")]
    Token,
    /// Beyond the chain's 80 bits.
    #[error("the price is beyond what the chain can hold")]
    TooHigh,
    /// The expression has no value for this order.
    #[error("the price expression gives no price: {0}; see pricing.expression")]
    Expression(String),
    /// The owner's program does not want the order.
    #[error("the pricing script declines: {0}")]
    Declined(String),
    /// The owner's program did not answer as it should; what it said last on stderr, if anything.
    #[error("{0}{said}", said = if .1.is_empty() { String::new() } else { format!("; it said: {}", .1) })]
    Script(Fault, String),
}

impl Pricing {
    /// Whether the table alone makes the prices, so that it can be published as a price list.
    #[must_use]
    pub fn is_table(&self) -> bool {
        self.script.is_none() && self.expression.is_none()
    }

    /// The price in dollars an hour, where it can be told without asking a program; `None` where it cannot.
    #[must_use]
    pub fn at_once(&self, table: &PriceTable, request: &Request) -> Option<Result<Dollars, NoPrice>> {
        self.script.is_none().then(|| self.worked_out(table, request))
    }

    /// The price in dollars an hour; a program gets `limit` for it.
    ///
    /// # Errors
    /// [`NoPrice`] says why there is none.
    pub async fn hourly(
        &self,
        table: &PriceTable,
        request: &Request,
        limit: Duration,
    ) -> Result<Dollars, NoPrice> {
        match &self.script {
            Some(script) => script.ask(request, limit).await.price.map(|price| price.max(table.minimum)),
            None => self.worked_out(table, request),
        }
    }

    fn worked_out(&self, table: &PriceTable, request: &Request) -> Result<Dollars, NoPrice> {
        match &self.expression {
            Some(expression) => expression.hourly(table, request).map(|price| price.max(table.minimum)),
            None => table.hourly(&request.allocation),
        }
    }
}

/// Dollars an hour as a rate of a token worth `token_price` (1e-8 dollars per whole token), rounded up.
///
/// # Errors
/// [`NoPrice::Token`] for a price of zero, [`NoPrice::TooHigh`] beyond 80 bits.
pub fn to_rate(hourly: Dollars, token_price: u128) -> Result<Rate, NoPrice> {
    if token_price == 0 {
        return Err(NoPrice::Token);
    }
    let scaled = hourly.0.checked_mul(U256::from(100_000_000_u64)).ok_or(NoPrice::TooHigh)?;
    let rate = scaled.div_ceil(U256::from(token_price) * U256::from(HOUR));
    match u128::try_from(rate) {
        Ok(rate) if rate <= Rate::MAX.0 => Ok(Rate(rate)),
        _ => Err(NoPrice::TooHigh),
    }
}

/// A rate in dollars an hour, rounded down: for people.
#[must_use]
pub fn to_dollars(rate: Rate, token_price: u128) -> Dollars {
    let product = U256::from(rate.0) * U256::from(HOUR) * U256::from(token_price);
    Dollars(product / U256::from(100_000_000_u64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn dollars(text: &str) -> Dollars {
        Dollars::parse(text).unwrap()
    }

    #[test]
    fn a_dollar_an_hour_in_a_two_dollar_token_is_half_a_token() {
        let rate = to_rate(dollars("1"), 200_000_000).unwrap();
        assert_eq!(rate, Rate::from_hourly("0.5").unwrap());
        assert_eq!(to_rate(dollars("1"), 0), Err(NoPrice::Token));
        assert_eq!(to_rate(Dollars(U256::from(u128::MAX)), 1), Err(NoPrice::TooHigh));
    }

    #[tokio::test]
    async fn the_minimum_holds_whoever_makes_the_price() {
        let request = Request::example();
        let table: PriceTable = toml::from_str("cpu = 0\nmemory = 0\nminimum = 0.5").unwrap();
        let price = async |toml: &str| {
            let pricing: Pricing = toml::from_str(toml).unwrap();
            pricing.hourly(&table, &request, LONGEST).await.unwrap().to_string()
        };
        let says = |price: &str| format!("script = ['/bin/echo', '{{\"hourly\": {price}}}']");
        assert_eq!(price("expression = '0.1'").await, "0.5");
        assert_eq!(price("expression = '0.7'").await, "0.7");
        assert_eq!(price(&says("0.1")).await, "0.5");
        assert_eq!(price(&says("0.7")).await, "0.7");
    }

    proptest! {
        #[test]
        fn the_rate_never_bills_less_than_the_price(cents in 1u64..100_000_000, price in 1_000_000u64..1_000_000_000_000) {
            let hourly = Dollars(U256::from(cents) * U256::from(10_u64.pow(14)));
            if let Ok(rate) = to_rate(hourly, price.into()) {
                let billed = U256::from(rate.0) * U256::from(HOUR) * U256::from(price);
                let asked = hourly.0 * U256::from(100_000_000_u64);
                prop_assert!(billed >= asked);
                let one_less = U256::from(rate.0 - 1) * U256::from(HOUR) * U256::from(price);
                prop_assert!(one_less < asked);
            }
        }
    }
}
