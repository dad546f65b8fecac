//! `iono bids`: the bids of an order with their scores, and why other providers did not bid (market promise 1). The
//! chain says what it can; the rest the providers are asked themselves, all at once and not for long.

use std::collections::BTreeSet;
use std::time::Duration;

use alloy::primitives::{B256, U256};
use futures::stream::{self, StreamExt};
use iono_bindings::{IOrderBook, OrderWords};
use iono_lease_api::{BidAnswer, BidDecision, Client};
use iono_matching::eligibility::{Ineligible, why_not_any};
use iono_matching::{Bid, Terms, Weights};
use iono_primitives::{OrderId, OrderState, Rate, Region};
use serde::Serialize;
use serde_json::json;

use crate::agreed;
use crate::args::market::Bids;
use crate::chain::{Call, Chain, topic};
use crate::context::Context;
use crate::error::Result;
use crate::holdings::order_words;
use crate::order::per_hour;
use crate::output::{Report, table};
use crate::providers::{Provider, stars};
use crate::remote;
use crate::token::Tokens;

/// A stored bid with its score.
#[derive(Debug, Clone, Serialize)]
struct Scored {
    provider: u32,
    rate_per_hour: String,
    /// Without the random part.
    static_score: u64,
    /// With it, once the seed is known.
    score: Option<u64>,
    rating: Option<f64>,
    trust_tier: u64,
    won: bool,
    /// Why it did not win.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// A provider without a bid.
#[derive(Debug, Clone, Serialize)]
struct Declined {
    provider: u32,
    reason: String,
    /// What was short or did not fit, as the provider names it.
    dimensions: Vec<String>,
}

pub(crate) async fn run(context: &Context, args: &Bids) -> Result<Report> {
    let chain = context.chain().await?;
    let tokens = Tokens::load(&chain).await?;
    let order = order_words(&chain, args.order).await?;
    let state = order.order_state().unwrap_or(OrderState::None);
    if state == OrderState::None {
        return Err(agreed::unknown("order", args.order));
    }
    let token = tokens.by_id(order.token)?;
    let bids = scored(&chain, args.order, &order).await?;
    let progress = context.output.progress();
    progress.wait("asking the providers that did not bid");
    let declined = declined(&chain, args.order, &order, &bids, args.timeout).await?;
    drop(progress);
    let winner = bids.iter().find(|bid| bid.won).map(|bid| bid.provider);
    let json = json!({
        "order": args.order,
        "state": state,
        "token": token.symbol,
        "max_rate_per_hour": Rate(order.max_rate).hourly(),
        "close_block": order.close_block,
        "winner": winner,
        "bids": bids,
        "declined": declined,
    });
    let mut text =
        format!("order {}: {state}; at most {}", args.order, per_hour(Rate(order.max_rate), token));
    if !bids.is_empty() {
        let rows = bids.iter().map(|bid| {
            vec![
                bid.provider.to_string(),
                format!("{} {}", bid.rate_per_hour, token.symbol),
                bid.score.unwrap_or(bid.static_score).to_string(),
                bid.rating.map_or_else(|| stars(0), |rating| format!("{rating:.2}")),
                bid.trust_tier.to_string(),
                if bid.won { "won".to_owned() } else { bid.reason.clone().unwrap_or_default() },
            ]
        });
        text.push_str("\n\n");
        text.push_str(&table(&["PROVIDER", "PER HOUR", "SCORE", "RATING", "TIER", "OUTCOME"], rows));
    }
    if !declined.is_empty() {
        let rows = declined.iter().map(|entry| vec![entry.provider.to_string(), entry.reason.clone()]);
        text.push_str("\n\n");
        text.push_str(&table(&["NO BID", "WHY"], rows));
    }
    Ok(Report::new(&json, text))
}

/// The stored bids, best first.
async fn scored(chain: &Chain, id: u64, order: &OrderWords) -> Result<Vec<Scored>> {
    let number = U256::from(id);
    let bids = chain.order_book().bidsOf(number).call().await.or_call("cannot read the bids")?;
    let weights = chain
        .policies()
        .weightsOf(U256::from(order.policy))
        .call()
        .await
        .or_call("cannot read the order's match policy")?;
    let terms = Terms {
        weights: Weights::from_word(weights),
        max_rate: Rate(order.max_rate),
        region: Region(order.region),
    };
    let (winner, seed) = outcome(chain, id).await?;
    let mut scored: Vec<Scored> = bids
        .into_iter()
        .map(|word| {
            let bid = Bid(word);
            Scored {
                provider: bid.provider(),
                rate_per_hour: Rate(bid.rate()).hourly(),
                static_score: terms.static_score(&bid),
                score: seed.map(|seed| terms.score(&bid, &seed).score),
                rating: crate::providers::rating(u16::try_from(bid.rating()).unwrap_or_default()),
                trust_tier: bid.trust_tier(),
                won: Some(bid.provider()) == winner,
                reason: None,
            }
        })
        .collect();
    scored.sort_by_key(|bid| std::cmp::Reverse((bid.won, bid.score.unwrap_or(bid.static_score))));
    let best = scored.iter().find(|bid| bid.won).cloned();
    if let Some(best) = best {
        for bid in scored.iter_mut().filter(|bid| !bid.won) {
            bid.reason = Some(lost(bid, &best));
        }
    }
    Ok(scored)
}

/// Winner and seed, once they are known.
async fn outcome(chain: &Chain, id: u64) -> Result<(Option<u32>, Option<B256>)> {
    let matched = chain
        .all_events::<IOrderBook::OrderMatched>(chain.book.order_book, [topic(U256::from(id)), None, None])
        .await?;
    if let Some((event, _)) = matched.into_iter().next_back() {
        return Ok((Some(event.provider.saturating_to()), Some(event.seed)));
    }
    // Decided by the seed already, but by nobody written down; it reverts before.
    let seed = chain.order_book().winnerOf(U256::from(id)).call().await.ok().map(|winner| winner.seed);
    Ok((None, seed.filter(|seed| !seed.is_zero())))
}

fn lost(bid: &Scored, best: &Scored) -> String {
    let (own, top) = (bid.score.unwrap_or(bid.static_score), best.score.unwrap_or(best.static_score));
    let price = if bid.rate_per_hour == best.rate_per_hour {
        String::new()
    } else {
        format!(": {} an hour against {}", bid.rate_per_hour, best.rate_per_hour)
    };
    format!("score {own} against {top}{price}")
}

/// Every provider without a stored bid, with its reason.
async fn declined(
    chain: &Chain,
    id: u64,
    order: &OrderWords,
    bids: &[Scored],
    timeout: Duration,
) -> Result<Vec<Declined>> {
    let have: BTreeSet<u32> = bids.iter().map(|bid| bid.provider).collect();
    let placed = chain
        .all_events::<IOrderBook::BidPlaced>(chain.book.order_book, [topic(U256::from(id)), None, None])
        .await?;
    let pushed: BTreeSet<u32> = placed.into_iter().map(|(event, _)| event.provider.saturating_to()).collect();
    let spec = agreed::agreed(chain, id).await?.spec;
    let listed: Vec<u32> = (0..8)
        .map(|place: usize| -> u32 {
            let word: U256 = (spec.providers >> (32 * place)) & U256::from(u32::MAX);
            word.saturating_to()
        })
        .take_while(|id| *id != 0)
        .collect();
    let others = Provider::all(chain).await?.into_iter().filter(|provider| !have.contains(&provider.id));
    let asked = stream::iter(others).map(|provider| {
        let known = if pushed.contains(&provider.id) {
            let reason = "its bid was replaced by a better one in the same slot".to_owned();
            Some(Declined { provider: provider.id, reason, dimensions: vec!["chain".to_owned()] })
        } else {
            chain_says(&provider, order, &listed)
        };
        async move {
            match known {
                Some(known) => known,
                None => ask(chain, &provider, id, timeout).await,
            }
        }
    });
    let mut declined: Vec<Declined> = asked.buffer_unordered(remote::PARALLEL).collect().await;
    declined.sort_by_key(|entry| entry.provider);
    Ok(declined)
}

/// Why the contract would not take its bid, by what the chain knows of it now. What it has free may have been other when
/// it decided: that it is asked itself.
fn chain_says(provider: &Provider, order: &OrderWords, listed: &[u32]) -> Option<Declined> {
    let why = why_not_any(order, listed, &provider.profile)
        .filter(|why| !matches!(why, Ineligible::Units { .. } | Ineligible::Gpus { .. }))?;
    let dimensions = vec![why.dimension().to_owned()];
    Some(Declined { provider: provider.id, reason: why.to_string(), dimensions })
}

async fn ask(chain: &Chain, provider: &Provider, order: u64, timeout: Duration) -> Declined {
    let question = async |client: Client| client.why_no_bid(OrderId(order)).await;
    let (reason, dimensions) = match remote::ask(chain, provider, timeout, question).await {
        Ok(answer) => words(&answer),
        Err(why) => (format!("it does not say: {why}"), Vec::new()),
    };
    Declined { provider: provider.id, reason, dimensions }
}

fn words(answer: &BidAnswer) -> (String, Vec<String>) {
    let dimensions = answer.reasons.iter().map(|reason| reason.dimension.clone()).collect();
    let reasons: Vec<&str> = answer.reasons.iter().map(|reason| reason.message.as_str()).collect();
    let text = match answer.decision {
        BidDecision::Bid => "it decided to bid, but its bid did not arrive in time".to_owned(),
        BidDecision::Pending => "it has not decided yet".to_owned(),
        BidDecision::Unknown => "it has not seen this order".to_owned(),
        BidDecision::NoBid if reasons.is_empty() => "it gives no reason".to_owned(),
        BidDecision::NoBid => reasons.join("; "),
    };
    (text, dimensions)
}

#[cfg(test)]
mod tests {
    use iono_lease_api::NoBidReason;

    use super::*;

    #[test]
    fn reasons_are_told_in_the_providers_words() {
        let answer = |decision, reasons: &[&str]| BidAnswer {
            order: OrderId(1),
            decision,
            rate: None,
            reasons: reasons
                .iter()
                .map(|text| NoBidReason { dimension: "memory".into(), message: (*text).to_owned() })
                .collect(),
        };
        let (text, dimensions) = words(&answer(BidDecision::NoBid, &["memory 3 GiB short", "no disk"]));
        assert_eq!(text, "memory 3 GiB short; no disk");
        assert_eq!(dimensions, ["memory", "memory"]);
        assert_eq!(words(&answer(BidDecision::NoBid, &[])).0, "it gives no reason");
        assert!(words(&answer(BidDecision::Unknown, &[])).0.contains("has not seen"));
    }

    #[test]
    fn a_lost_bid_names_price_and_score() {
        let bid = |rate: &str, score: u64| Scored {
            provider: 1,
            rate_per_hour: rate.into(),
            static_score: score,
            score: None,
            rating: None,
            trust_tier: 7,
            won: false,
            reason: None,
        };
        assert_eq!(lost(&bid("0.02", 5), &bid("0.01", 9)), "score 5 against 9: 0.02 an hour against 0.01");
        assert_eq!(lost(&bid("0.01", 5), &bid("0.01", 9)), "score 5 against 9");
    }
}
