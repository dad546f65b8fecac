//! A price as a formula in the settings, such as `table * if gpus > 0 { 0.9 } else { 1 } + 0.001 * endpoints`. It is
//! checked when it is read: no name, function or sign that is not known, and nothing that could run for long.

use std::fmt;
use std::sync::Arc;

use alloy::primitives::U256;
use iono_primitives::StorageClass;
use rhai::{AST, Dynamic, EvalAltResult, ParseErrorType, Scope};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::language::{check, engine};
use super::{Allocation, NoPrice, PriceTable, Request};
use crate::config::values::Dollars;

/// Longest text.
const LONGEST: usize = 2_000;
/// Digits of dollars after the point.
const DIGITS: u32 = 18;

/// The names that an expression may use.
const VARIABLES: [&str; 11] =
    ["cpu", "memory", "storage", "hdd", "ssd", "nvme", "gpus", "endpoints", "hours", "free_percent", "table"];

/// A formula that was checked. Its numbers are decimals of 28 digits: a cent stays a cent.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Expression {
    text: String,
    // Rhai with all but expressions compiled out is kept up, does no I/O, bounds steps and depth, has decimals and tells
    // positions; `evalexpr` is under the AGPL by now, `fasteval` has floats alone and is no longer kept up.
    tree: Arc<AST>,
    /// Whether it needs the table's price.
    by_table: bool,
}

/// Why a formula cannot be used, with line and position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadExpression(pub(super) String);

impl TryFrom<String> for Expression {
    type Error = BadExpression;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.len() > LONGEST {
            return Err(BadExpression(format!("the expression has more than {LONGEST} bytes")));
        }
        let (engine, mut scope) = (engine(&Allocation::default()), Scope::new());
        for name in VARIABLES {
            scope.push(name, Decimal::ONE);
        }
        let tree = engine.compile_expression_with_scope(&scope, &text).map_err(|error| {
            let names = format!("; the names are {}", VARIABLES.join(", "));
            let unknown = matches!(error.err_type(), ParseErrorType::VariableUndefined(_));
            BadExpression(format!("{error}{}", if unknown { &names } else { "" }))
        })?;
        let mut by_table = false;
        check(&tree, &mut by_table)?;
        // With ones for all names, for what shows only when it is worked out, such as a sum of a number and a comparison.
        match engine.eval_ast_with_scope::<Dynamic>(&mut scope, &tree) {
            Ok(value) if value.as_decimal().is_err() => {
                return Err(BadExpression(
                    "the expression gives no number; does an `if` lack its `else`?".to_owned(),
                ));
            }
            // Such as a division by zero, which other orders may not bring about.
            Err(error) if !matches!(*error, EvalAltResult::ErrorArithmetic(..)) => {
                return Err(BadExpression(error.to_string()));
            }
            _ => {}
        }
        Ok(Self { text, tree: Arc::new(tree), by_table })
    }
}

impl From<Expression> for String {
    fn from(expression: Expression) -> Self {
        expression.text
    }
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

impl Expression {
    /// Dollars an hour for a request, rounded up.
    ///
    /// # Errors
    /// [`NoPrice`] when the table lacks a line that it needs, or for a division by zero or a result below zero.
    pub fn hourly(&self, table: &PriceTable, request: &Request) -> Result<Dollars, NoPrice> {
        let by_table = match table.hourly(&request.allocation) {
            Ok(price) => to_decimal(price).ok_or(NoPrice::TooHigh)?,
            Err(error) if self.by_table => return Err(error),
            Err(_) => Decimal::ZERO,
        };
        let mut scope = Scope::new();
        for (name, value) in VARIABLES.into_iter().zip(values(request, by_table)) {
            scope.push(name, value);
        }
        let engine = engine(&request.allocation);
        let worked_out = engine.eval_ast_with_scope::<Decimal>(&mut scope, &self.tree);
        let price = worked_out.map_err(|error| NoPrice::Expression(error.to_string()))?;
        to_dollars(price).ok_or_else(|| NoPrice::Expression(format!("{} is below zero", price.normalize())))
    }
}

/// The values of [`VARIABLES`].
fn values(request: &Request, by_table: Decimal) -> [Decimal; VARIABLES.len()] {
    let Allocation { cpu, memory, storage, gpus, endpoints } = &request.allocation;
    let gib = |mib: u64| Decimal::from(mib) / Decimal::from(1_024);
    let class = |class| gib(storage.get(&class).copied().unwrap_or_default());
    [
        Decimal::from(*cpu) / Decimal::from(1_000),
        gib(*memory),
        gib(storage.values().sum()),
        class(StorageClass::Hdd),
        class(StorageClass::Ssd),
        class(StorageClass::Nvme),
        gpus.values().sum::<u64>().into(),
        (*endpoints).into(),
        Decimal::from(request.duration) / Decimal::from(3_600),
        request.free_percent.into(),
        by_table,
    ]
}

/// `None` beyond 28 digits, which are some 10 billion dollars.
fn to_decimal(price: Dollars) -> Option<Decimal> {
    Decimal::try_from_i128_with_scale(i128::try_from(price.0).ok()?, DIGITS).ok()
}

/// Rounded up; `None` below zero.
fn to_dollars(price: Decimal) -> Option<Dollars> {
    let digits = U256::from(u128::try_from(price.mantissa()).ok()?);
    let step = |digits: u32| U256::from(10).pow(U256::from(digits));
    Some(Dollars(match price.scale() {
        scale @ ..=DIGITS => digits * step(DIGITS - scale),
        scale => digits.div_ceil(step(scale - DIGITS)),
    }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn table() -> PriceTable {
        toml::from_str("cpu = 0.01\nmemory = 0\n[storage]\nssd = 0.002\n[gpu]\nh100 = 2").unwrap()
    }

    fn expression(text: &str) -> Result<Expression, BadExpression> {
        Expression::try_from(text.to_owned())
    }

    fn price(text: &str) -> Result<String, NoPrice> {
        let price = expression(text).unwrap().hourly(&table(), &Request::example());
        price.map(|price| price.to_string())
    }

    #[test]
    fn every_name_has_its_value() {
        for (text, value) in [
            ("cpu", "2"),
            ("memory", "4"),
            ("storage", "10"),
            ("hdd + nvme", "0"),
            ("ssd", "10"),
            ("gpus", "2"),
            ("endpoints", "1"),
            ("hours", "1"),
            ("free_percent", "75"),
            ("table", "4.04"),
            ("gpu(\"h100\")", "2"),
            ("gpu(\"h100-80gi\") + gpu(\"a100\")", "2"),
        ] {
            assert_eq!(price(text).as_deref(), Ok(value), "{text}");
        }
    }

    #[test]
    fn numbers_are_exact_decimals() {
        for (text, value) in [
            ("table * if gpus > 0 { 0.9 } else { 1.0 } + 0.001 * endpoints", "3.637"),
            ("1 / 2", "0.5"),
            ("0.1 + 0.2", "0.3"),
            ("1 / 3", "0.333333333333333334"),
            ("2 * -3 + 7 % 4 + 5", "2"),
            ("if !(cpu >= 2 && memory < 4) || gpus == 7 { max(1, 2) } else { min(1, 2) }", "2"),
            ("floor(2.5) + ceil(2.1) + round(1.005, 2)", "6.01"),
        ] {
            assert_eq!(price(text).as_deref(), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_cannot_work_is_refused_with_its_place() {
        for (text, words) in [
            ("tabel * 2", "tabel"),
            ("tabel * 2", "line 1, position 1"),
            ("table * cost", "position 9"),
            ("table *", "position 8"),
            ("table 2", "position 7"),
            ("pow(2, 3)", "no function `pow`; there are gpu, min"),
            ("1 + eval(\"2\")", "position 5"),
            ("print(\"hello\")", "no function"),
            ("min(1)", "`min` takes 2 values, here are 1"),
            ("gpu(cpu)", "model in quotes"),
            ("gpu(\"no model at all\")", "model in quotes"),
            ("2 ** 3", "`**` is not known"),
            ("if cpu > 1 { gpu(\"?\") } else { 1 }", "model in quotes"),
            ("cpu > 1", "no number"),
            ("if cpu > 7 { 1 }", "no number"),
            ("cpu + (cpu > 1)", "line 1"),
            ("let x = 1; x", "position"),
            ("while true { 1 }", "position"),
            ("fn f() { 1 }", "position"),
            ("cpu = 2", "position"),
            ("[1, 2]", "position"),
            ("switch cpu { 1 => 2, _ => 3 }", "position"),
            ("", "line 1"),
        ] {
            let error = expression(text).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
        assert_eq!(price(&format!("{}1", "1+".repeat(90))).as_deref(), Ok("91"));
        let deep = format!("{}1{}", "(".repeat(500), ")".repeat(500));
        assert!(expression(&deep).is_err() && expression(&"1+".repeat(5_000)).is_err());
        let unknown = toml::from_str::<super::super::Pricing>("\nexpression = \"tabel\"").unwrap_err();
        assert!(unknown.to_string().contains("line 2"), "{unknown}");
    }

    #[test]
    fn an_order_without_a_price_is_told_why() {
        let error = |text| price(text).unwrap_err().to_string();
        assert!(error("1 / (cpu - 2)").contains("Division by zero"), "{}", error("1 / (cpu - 2)"));
        assert!(error("table - 5").contains("-0.96 is below zero"));
        let lacking: PriceTable = toml::from_str("cpu = 0.01\nmemory = 0").unwrap();
        let hourly = |text| expression(text).unwrap().hourly(&lacking, &Request::example());
        assert!(hourly("table * 2").unwrap_err().to_string().contains("[prices."));
        assert_eq!(hourly("cpu * 2").unwrap().to_string(), "4");
    }

    proptest! {
        #[test]
        fn no_text_is_too_much(text in "[a-z0-9+*/(){}<>!=\"., -]{0,60}") {
            if let Ok(expression) = expression(&text) {
                let _ = expression.hourly(&table(), &Request::example());
            }
        }

        #[test]
        fn the_tables_price_stays_what_it_is(units in 0u64..) {
            let price = Dollars(U256::from(units));
            prop_assert_eq!(to_dollars(to_decimal(price).unwrap()), Some(price));
        }

        #[test]
        fn a_division_is_never_rounded_below_its_value(cents in 1u64..10_000, parts in 1u64..10_000) {
            let text = format!("{cents} / {parts}");
            let price = expression(&text).unwrap().hourly(&table(), &Request::example()).unwrap();
            let back = price.0 * U256::from(parts);
            let whole = U256::from(cents) * U256::from(10_u64.pow(18));
            prop_assert!(back >= whole && back < whole + U256::from(parts));
        }
    }
}
