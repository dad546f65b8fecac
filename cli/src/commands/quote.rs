//! `iono quote`: what a deployment would cost, before anything is signed: by recent bids, else by the providers' price
//! lists, and at most.

use std::time::Duration;

use iono_manifest::Deployment;
use serde_json::{Value, json};

use crate::args::market::{Price, Quote};
use crate::census::Census;
use crate::chain::Chain;
use crate::context::Context;
use crate::error::Result;
use crate::manifest_file;
use crate::offers;
use crate::order::{Cost, Draft, Listed, per_hour};
use crate::output::{Report, facts};
use crate::prices::{Prices, Range, dollars, show};
use crate::providers::Provider;
use crate::time;
use crate::token::Tokens;

pub(crate) async fn run(context: &Context, args: &Quote) -> Result<Report> {
    let deployment = manifest_file::read(&args.file, context.output)?;
    for found in manifest_file::findings(&args.file, &deployment.unavailable) {
        context.output.warn(&found);
    }
    let chain = context.chain().await?;
    let (json, pairs) =
        estimate(context, &chain, &deployment, &args.price, args.blocks, Some(args.timeout)).await?;
    Ok(Report::new(&json, facts(&pairs)))
}

/// What providers' price lists say.
struct Lists {
    /// Dollars an hour; `count` are the providers with room and prices.
    range: Option<Range>,
    asked: usize,
    silent: usize,
}

/// What a deployment costs by recent bids and at most, with fees and the bracket. Where nobody bid for the like lately,
/// providers are asked for their price lists, for no longer than `ask`.
pub(crate) async fn estimate(
    context: &Context,
    chain: &Chain,
    deployment: &Deployment,
    price: &Price,
    blocks: u64,
    ask: Option<Duration>,
) -> Result<(Value, Vec<(&'static str, String)>)> {
    let tokens = Tokens::load(chain).await?;
    let listed = Listed::named(chain, &deployment.providers).await?;
    let draft = Draft::new(deployment, &tokens, context.config.token.as_deref(), price, None, listed)?;
    for note in &draft.notes {
        context.output.note(note);
    }
    let cost = draft.cost(chain).await?;
    let (prices, all) = tokio::try_join!(Prices::recent(chain, &tokens, blocks), Provider::all(chain))?;
    let resources = draft.plan.resources;
    let census = Census::take(&all, &draft.words(), draft.listed.ids(), &resources.gpu_model);
    if census.eligible.is_empty() && !all.is_empty() {
        context.output.warn("no registered provider can take this order now");
    }
    let range = prices.of(&resources);
    let lists = match (range, ask) {
        (None, Some(timeout)) => Some(lists(context, chain, &census, &draft, timeout).await),
        _ => None,
    };
    let token = &draft.token;
    let hours = f64::from(draft.duration) / 3_600.0;
    let json = json!({
        "resources": resources,
        "token": token.symbol,
        "duration_seconds": draft.duration,
        "recent_bids": range.map(|range| json!({
            "dollars_per_hour": range, "dollars_in_all": range.times(hours),
        })),
        "price_lists": lists.as_ref().map(|lists| json!({
            "asked": lists.asked,
            "silent": lists.silent,
            "with_room": lists.range.map_or(0, |range| range.count),
            "dollars_per_hour": lists.range.map(|range| json!({
                "low": range.low, "median": range.median, "high": range.high,
            })),
        })),
        "max_rate_per_hour": draft.rate.hourly(),
        "max_dollars_per_hour": dollars(draft.rate, token.price),
        "max_cost": token.plain(cost.gross),
        "payer_fee": token.plain(cost.payer_fee),
        "match_fee": token.plain(cost.match_fee),
        "reserve": token.plain(cost.reserve),
        "min_deposit": token.plain(cost.min_deposit),
        "bracket": token.plain(cost.bracket),
        "wallet_needs": token.plain(cost.needed()),
        "providers": census.json(),
        "unavailable": deployment.unavailable,
    });
    let mut pairs = vec![
        ("resources", resources.to_string()),
        ("time", time::span(u64::from(draft.duration))),
        (
            "recent bids",
            range.map_or_else(|| "none for such resources yet".to_owned(), |r| words(r, hours, "bids")),
        ),
    ];
    if let Some(lists) = &lists {
        let silent =
            if lists.silent == 0 { String::new() } else { format!("; {} do not answer", lists.silent) };
        let what = lists.range.map_or_else(
            || "nobody who could take it says a price".to_owned(),
            |range| format!("{}; without ports", words(range, hours, "providers")),
        );
        pairs.push(("price lists", format!("{what}{silent}")));
    }
    pairs.extend(money(&draft, &cost));
    pairs.push(("providers", census.words()));
    Ok((json, pairs))
}

/// Asks those that could take the order what it would cost by their lists.
async fn lists(
    context: &Context,
    chain: &Chain,
    census: &Census<'_>,
    draft: &Draft,
    timeout: Duration,
) -> Lists {
    let progress = context.output.progress();
    progress.wait("asking the providers for their prices");
    let offers = offers::ask(chain, census.eligible.iter().copied(), timeout).await;
    drop(progress);
    let answers = offers.values().filter_map(|answer| answer.as_ref().ok());
    let seen = answers.filter_map(|offer| offer.estimate(&draft.plan.resources)).collect();
    let silent = offers.values().filter(|answer| answer.is_err()).count();
    Lists { range: Range::of(seen), asked: offers.len(), silent }
}

fn words(range: Range, hours: f64, what: &str) -> String {
    let all = range.times(hours);
    format!(
        "{} to {} an hour, median {} ({} {what}); in all {} to {}",
        show(range.low),
        show(range.high),
        show(range.median),
        range.count,
        show(all.low),
        show(all.high)
    )
}

/// The sums of the order itself.
fn money(draft: &Draft, cost: &Cost) -> [(&'static str, String); 4] {
    let token = &draft.token;
    let (payer, keeper) = (token.show(cost.payer_fee), token.show(cost.match_fee));
    let needs = format!(
        "{} (bracket {}, minimum {})",
        token.show(cost.needed()),
        token.show(cost.bracket),
        token.show(cost.min_deposit)
    );
    [
        ("at most", format!("{} → {}", per_hour(draft.rate, token), token.show(cost.gross))),
        ("fees", format!("{payer} payer's fee, {keeper} match fee")),
        ("reserved", format!("{}; what the match saves is free again at once", token.show(cost.reserve))),
        ("wallet needs", needs),
    ]
}
