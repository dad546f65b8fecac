//! Rates and amounts in integers. A rate is 1e-18 whole tokens per second; an amount is in the token's smallest unit.
//! The conversion is cumulative, as in `LeaseBook`: ⌊rate × seconds ÷ 10^(18 − decimals)⌋, never a sum of rounded parts.

use std::fmt;

use alloy::primitives::U256;
use serde::{Deserialize, Serialize};

/// An amount in a token's smallest unit.
pub type Amount = U256;

/// Seconds in an hour, the unit people think of prices in.
pub const HOUR: u64 = 3_600;

/// Price per second in 1e-18 whole tokens; 80 bits on chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Rate(pub u128);

/// Why a price is not a rate.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum MoneyError {
    /// Not a decimal number.
    #[error("`{0}` is not a decimal amount such as 12 or 0.05")]
    NotDecimal(String),
    /// More digits after the point than the token has.
    #[error("`{text}` has more than {decimals} digits after the point")]
    TooPrecise {
        /// The text as given.
        text: String,
        /// Digits that the token has.
        decimals: u8,
    },
    /// Does not fit the chain's field.
    #[error("`{0}` is too large")]
    TooLarge(String),
}

impl Rate {
    /// The largest rate that the chain's 80 bits hold.
    pub const MAX: Rate = Rate((1 << 80) - 1);

    /// Parses whole tokens per hour, such as `0.05`; rounds up to the next 1e-18 per second, so that a price is never
    /// below what was asked.
    ///
    /// # Errors
    /// [`MoneyError`] when the text is no decimal number of at most 18 digits after the point or too large.
    pub fn from_hourly(text: &str) -> Result<Self, MoneyError> {
        let per_hour = parse_decimal(text, 18)?;
        let rate = per_hour.div_ceil(U256::from(HOUR));
        match u128::try_from(rate) {
            Ok(rate) if rate <= Self::MAX.0 => Ok(Self(rate)),
            _ => Err(MoneyError::TooLarge(text.to_owned())),
        }
    }

    /// What `seconds` cost in the smallest unit of a token with `decimals` digits, rounded down.
    #[must_use]
    pub fn gross(self, seconds: u64, decimals: u8) -> Amount {
        let product = U256::from(self.0) * U256::from(seconds);
        product / U256::from(10).pow(U256::from(18_u8.saturating_sub(decimals)))
    }

    /// Whole tokens per hour as a decimal with up to nine digits after the point.
    #[must_use]
    pub fn hourly(self) -> String {
        let per_hour = U256::from(self.0) * U256::from(HOUR);
        let rounded = (per_hour + U256::from(500_000_000_u64)) / U256::from(1_000_000_000_u64);
        format_decimal(rounded, 9)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/h", self.hourly())
    }
}

/// `basis_points` of `gross`, rounded down as `Bill.sol` does: the payer's fee.
#[must_use]
pub fn payer_fee(gross: Amount, basis_points: u16) -> Amount {
    gross * U256::from(basis_points) / U256::from(10_000)
}

/// Parses a decimal such as `12.5` into units of 10^-decimals.
///
/// # Errors
/// [`MoneyError`] when the text is no decimal number, has too many digits after the point or is too large.
pub fn parse_decimal(text: &str, decimals: u8) -> Result<Amount, MoneyError> {
    let not_decimal = || MoneyError::NotDecimal(text.to_owned());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || text.ends_with('.') {
        return Err(not_decimal());
    }
    let fraction = fraction.trim_end_matches('0');
    if fraction.len() > usize::from(decimals) {
        return Err(MoneyError::TooPrecise { text: text.to_owned(), decimals });
    }
    let padded = format!("{whole}{fraction:0<width$}", width = usize::from(decimals));
    let trimmed = padded.trim_start_matches('0');
    if trimmed.len() > 60 {
        return Err(MoneyError::TooLarge(text.to_owned()));
    }
    U256::from_str_radix(if trimmed.is_empty() { "0" } else { trimmed }, 10).map_err(|_| not_decimal())
}

/// Writes units of 10^-decimals as a decimal without trailing zeros.
#[must_use]
pub fn format_decimal(amount: Amount, decimals: u8) -> String {
    let digits = format!("{amount:0>width$}", amount = amount.to_string(), width = usize::from(decimals) + 1);
    let (whole, fraction) = digits.split_at(digits.len() - usize::from(decimals));
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_cent_an_hour_in_six_decimals_loses_nothing() {
        let rate = Rate::from_hourly("0.01").unwrap();
        assert_eq!(rate.gross(3_600, 6), U256::from(10_000));
        assert_eq!(rate.gross(3_600 * 24 * 365, 6), U256::from(87_600_000));
    }

    #[test]
    fn decimals_are_read_and_refused() {
        assert_eq!(parse_decimal("12.5", 6).unwrap(), U256::from(12_500_000));
        assert_eq!(parse_decimal("0.10", 1).unwrap(), U256::from(1));
        for bad in ["", ".", "1.", ".5", "-1", "1e3", "1,5", "0x1"] {
            assert_eq!(parse_decimal(bad, 6), Err(MoneyError::NotDecimal(bad.into())), "{bad}");
        }
        assert!(matches!(parse_decimal("0.1234567", 6), Err(MoneyError::TooPrecise { .. })));
        assert!(matches!(Rate::from_hourly("99999999999999"), Err(MoneyError::TooLarge(_))));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(units in 0u128.., decimals in 0u8..=18) {
            let text = format_decimal(U256::from(units), decimals);
            prop_assert_eq!(parse_decimal(&text, decimals).unwrap(), U256::from(units));
        }

        #[test]
        fn split_bills_sum_to_the_whole(rate in 0u128..1 << 80, a in 0u64..10_000_000, b in 0u64..10_000_000, decimals in 0u8..=18) {
            let rate = Rate(rate);
            let whole = rate.gross(a + b, decimals);
            let first = rate.gross(a, decimals);
            prop_assert_eq!(first + (whole - first), whole);
            prop_assert!(whole - first >= rate.gross(b, decimals));
        }
    }
}
