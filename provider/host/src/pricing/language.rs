//! The language of price expressions: numbers, names, signs and a few functions, and nothing else of Rhai.

use std::fmt;

use iono_primitives::GpuModel;
use rhai::{AST, ASTNode, Engine, Expr, FnCallExpr, Position, Stmt, Token};
use rust_decimal::{Decimal, RoundingStrategy};

use super::Allocation;
use super::expression::BadExpression;

/// Most steps of one evaluation. Without loops the text bounds them already.
const STEPS: u64 = 10_000;
/// How deep an expression may be, by its parentheses and by its signs in a row.
const DEPTH: usize = 100;
/// Longest text between quotes.
const LONGEST: usize = 100;
/// Most digits after the point that a number is rounded to.
const DIGITS: u32 = 18;

/// The functions that it may call, with the number of their arguments.
const FUNCTIONS: [(&str, usize); 6] =
    [("gpu", 1), ("min", 2), ("max", 2), ("floor", 1), ("ceil", 1), ("round", 2)];
/// The signs that it may use beside `&&` and `||`.
const SIGNS: [&str; 12] = ["+", "-", "*", "/", "%", "<", "<=", ">", ">=", "==", "!=", "!"];

impl BadExpression {
    fn at(position: Position, why: impl fmt::Display) -> Self {
        Self(format!("{why} ({position})"))
    }
}

/// What works an expression out for something that gets `allocation`.
pub(super) fn engine(allocation: &Allocation) -> Engine {
    let mut engine = Engine::new_raw();
    engine.set_strict_variables(true).set_allow_switch_expression(false).set_allow_looping(false);
    engine.set_max_expr_depths(DEPTH).set_max_operations(STEPS).set_max_string_size(LONGEST);
    // Marked so because it may change with a release of Rhai. All numbers are decimals, since 1 / 2 of integers is 0.
    #[allow(deprecated)]
    engine.on_parse_token(|token, _, _| match token {
        Token::IntegerConstant(number) => {
            Token::DecimalConstant(Box::new((number.into(), String::new().into())))
        }
        token => token,
    });
    let gpus = allocation.gpus.clone();
    engine.register_fn("gpu", move |model: &str| {
        let Ok(wanted) = model.parse::<GpuModel>() else { return Decimal::ZERO };
        let fitting = gpus.iter().filter(|(model, _)| model.satisfies(&wanted));
        Decimal::from(fitting.map(|(_, count)| count).sum::<u64>())
    });
    engine.register_fn("min", |a: Decimal, b: Decimal| a.min(b));
    engine.register_fn("max", |a: Decimal, b: Decimal| a.max(b));
    engine.register_fn("floor", |number: Decimal| number.floor());
    engine.register_fn("ceil", |number: Decimal| number.ceil());
    engine.register_fn("round", |number: Decimal, digits: Decimal| {
        let digits = u32::try_from(digits).unwrap_or(DIGITS).min(DIGITS);
        number.round_dp_with_strategy(digits, RoundingStrategy::MidpointAwayFromZero)
    });
    engine.register_fn("-", |number: Decimal| -number);
    engine.register_fn("!", |truth: bool| !truth);
    engine
}

/// Refuses functions and signs that are not known, and finds out whether the table's price is needed.
pub(super) fn check(tree: &AST, by_table: &mut bool) -> Result<(), BadExpression> {
    let mut wrong = Ok(());
    tree.walk(&mut |path| {
        wrong = match path.last() {
            Some(ASTNode::Expr(Expr::Variable(name, ..))) => {
                *by_table |= name.1 == "table";
                Ok(())
            }
            Some(
                ASTNode::Expr(Expr::FnCall(call, position)) | ASTNode::Stmt(Stmt::FnCall(call, position)),
            ) => check_call(call, *position),
            _ => Ok(()),
        };
        wrong.is_ok()
    });
    wrong
}

fn check_call(call: &FnCallExpr, position: Position) -> Result<(), BadExpression> {
    let name = call.name.as_str();
    if call.op_token.is_some() {
        return if SIGNS.contains(&name) {
            Ok(())
        } else {
            Err(BadExpression::at(
                position,
                format!("`{name}` is not known here; the signs are {}", SIGNS.join(" ")),
            ))
        };
    }
    match FUNCTIONS.into_iter().find(|(known, _)| *known == name) {
        None => {
            let known = FUNCTIONS.map(|(name, _)| name).join(", ");
            Err(BadExpression::at(position, format!("there is no function `{name}`; there are {known}")))
        }
        Some((_, wanted)) if call.args.len() != wanted => Err(BadExpression::at(
            position,
            format!("`{name}` takes {wanted} values, here are {}", call.args.len()),
        )),
        Some(("gpu", _)) => match call.args.first() {
            Some(Expr::StringConstant(model, _)) if model.parse::<GpuModel>().is_ok() => Ok(()),
            _ => Err(BadExpression::at(position, "`gpu` takes a model in quotes, such as gpu(\"h100\")")),
        },
        Some(_) => Ok(()),
    }
}
