//! `iono operator list` and `status`: the set, and one operator in full.

use alloy::primitives::{U256, keccak256};
use iono_quorum::OperatorSet;
use serde_json::{Value, json};

use super::stake::{self, Pools};
use crate::chain::Call;
use crate::context::Context;
use crate::error::Result;
use crate::operators;
use crate::output::{Report, facts, table};
use crate::time;
use crate::token::{Token, Tokens};

pub(super) async fn list(context: &Context) -> Result<Report> {
    let chain = context.chain().await?;
    let tokens = Tokens::load(&chain).await?;
    let spon = tokens.by_id(0)?;
    let (roster, era) = (operators::roster(&chain).await?, operators::current_era(&chain).await?);
    let [now, next] = [era, era + 1].map(|era| roster.set_at(era));
    let [total, total_next] =
        [&now, &next].map(|set| set.as_ref().map(OperatorSet::weight).unwrap_or_default());
    let (mut rows, mut json) = (Vec::new(), Vec::new());
    for (number, operator) in roster.operators() {
        let [weight, weight_next] = [&now, &next].map(|set| operators::weight_in(set.as_ref(), number));
        if weight == 0 && weight_next == 0 {
            continue;
        }
        rows.push(vec![
            number.to_string(),
            spon.plain(U256::from(weight)),
            share(weight, total),
            spon.plain(U256::from(weight_next)),
            share(weight_next, total_next),
            if operator.ejected { "ejected".to_owned() } else { operator.endpoint.clone() },
        ]);
        json.push(json!({
            "operator": number, "endpoint": operator.endpoint, "ejected": operator.ejected,
            "weight": spon.plain(U256::from(weight)), "weight_next": spon.plain(U256::from(weight_next)),
        }));
    }
    let json = json!({
        "era": era, "weight": spon.plain(U256::from(total)),
        "weight_next": spon.plain(U256::from(total_next)), "operators": json,
    });
    if rows.is_empty() {
        context.output.note("nobody is in the set: orders are resolved one by one");
        return Ok(Report::new(&json, ""));
    }
    let (now, next) = (format!("ERA {era}"), format!("ERA {}", era + 1));
    let head = ["ID", &now, "SHARE", &next, "SHARE", "ENDPOINT"];
    Ok(Report::new(&json, format!("SPON in the sets of this era and the next\n{}", table(&head, rows))))
}

/// A part in percent, with one decimal.
fn share(part: u128, whole: u128) -> String {
    let tenths = (part * 1000).checked_div(whole).unwrap_or_default();
    format!("{}.{}%", tenths / 10, tenths % 10)
}

pub(super) async fn status(context: &Context, asked: Option<u32>) -> Result<Report> {
    let chain = context.chain().await?;
    let number = operators::one(context, &chain, asked).await?;
    let tokens = Tokens::load(&chain).await?;
    let spon = tokens.by_id(0)?;
    let (roster, era) = (operators::roster(&chain).await?, operators::current_era(&chain).await?);
    let operator = operators::find(&roster, number)?;
    let owner = operators::owner(&chain, number).await?;
    let pools = Pools::of_operators(&chain);
    let stake = pools.counted(number).await?;
    let [now, next] = [era, era + 1].map(|era| operators::weight_in(roster.set_at(era).as_ref(), number));
    let (_, time_now) = chain.head().await?;
    let unbonding: Vec<_> = stake::requests(&chain, &pools, owner)
        .await?
        .into_iter()
        .filter(|request| request.provider == number)
        .collect();
    let eras = operators::recent_eras(&chain, &roster, number).await?;
    let done = operators::performance(&chain, &tokens, number, &eras).await?;
    let ejected_in = operators::registry(&chain).ejectedIn(U256::from(number)).call().await;
    let ejected_in = ejected_in.or_call("cannot read the operator")?;

    let state = match (operator.ejected, now, next) {
        (true, ..) => format!("slashed and ejected in era {ejected_in}"),
        (_, 0, 0) => "not in the set".to_owned(),
        (_, 0, _) => format!("in the set from era {} on", era + 1),
        (_, _, 0) => "in the set until this era ends".to_owned(),
        _ => "in the set".to_owned(),
    };
    let key_hash = keccak256(operator.key.to_bytes());
    let endpoint = if operator.endpoint.is_empty() { "none" } else { &operator.endpoint };
    let mut pairs = vec![
        ("operator", number.to_string()),
        ("owner", owner.to_string()),
        ("key hash", key_hash.to_string()),
        ("endpoint", endpoint.to_owned()),
        ("state", state.clone()),
        ("stake", spon.show(stake)),
        ("weight", format!("{} in era {era}, {} in the next", shown(spon, now), shown(spon, next))),
    ];
    for request in &unbonding {
        let left = request.until.saturating_sub(time_now);
        let when = if left == 0 { "now".to_owned() } else { format!("in {}", time::span(left)) };
        pairs.push((
            "unbonding",
            format!("request {}: {} withdrawable {when}", request.id, spon.show(request.tokens)),
        ));
    }
    let rows = done.iter().map(|part| {
        let numbers = [part.era.to_string(), part.matched.to_string(), part.missed.to_string()];
        [&numbers[..], &[part.token.show(part.unclaimed)]].concat()
    });
    let mut text = facts(&pairs);
    if !done.is_empty() {
        text = format!("{text}\n\n{}", table(&["ERA", "MATCHED", "MISSED", "UNCLAIMED"], rows));
    }
    let eras: Vec<Value> = done
        .iter()
        .map(|part| {
            json!({
                "era": part.era, "token": part.token.symbol, "matched": part.matched.saturating_to::<u64>(),
                "missed": part.missed.saturating_to::<u64>(), "unclaimed": part.token.plain(part.unclaimed),
            })
        })
        .collect();
    let requests: Vec<Value> = unbonding
        .iter()
        .map(|request| {
            json!({ "request": request.id, "tokens": spon.plain(request.tokens), "until": request.until })
        })
        .collect();
    let json = json!({
        "operator": number, "owner": owner, "key_hash": key_hash, "endpoint": operator.endpoint, "state": state,
        "ejected": operator.ejected, "era": era, "stake": spon.plain(stake),
        "weight": spon.plain(U256::from(now)), "weight_next": spon.plain(U256::from(next)),
        "unbonding": requests, "eras": eras,
    });
    Ok(Report::new(&json, text))
}

fn shown(spon: &Token, wei: u128) -> String {
    spon.show(U256::from(wei))
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn shares_are_percent() {
        assert_eq!([share(1, 3), share(3, 3), share(0, 5), share(0, 0)], ["33.3%", "100.0%", "0.0%", "0.0%"]);
    }
}
