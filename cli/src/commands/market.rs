//! `iono market`, `iono quote`, `iono manifest check`: what there is and what it costs, before anything is signed.

use std::collections::BTreeMap;
use std::path::Path;

use iono_bindings::order_flags;
use iono_manifest::{Deployment, Diagnostics, Format, OrderPlan};
use iono_primitives::Region;
use iono_primitives::money::format_decimal;
use serde_json::{Value, json};

use crate::args::market::{Manifest, Market, Price, Quote};
use crate::chain::Chain;
use crate::context::Context;
use crate::error::{Kind, Result};
use crate::manifest_file;
use crate::order::{DEFAULT_DURATION, Draft, Listed, per_hour};
use crate::output::{Report, facts, table};
use crate::prices::{Prices, Range, dollars, show};
use crate::providers::{Provider, stars};
use crate::time;
use crate::token::{Token, Tokens};

/// Digits of sums in a manifest's own denomination.
const SHOWN: u8 = 6;

pub(crate) async fn market(context: &Context, args: &Market) -> Result<Report> {
    let chain = context.chain().await?;
    let tokens = Tokens::load(&chain).await?;
    let (all, prices) =
        tokio::try_join!(Provider::all(&chain), Prices::recent(&chain, &tokens, args.blocks))?;
    let shown: Vec<&Provider> = all.iter().filter(|provider| wanted(provider, args)).collect();
    let mut regions: BTreeMap<String, (u32, u32, u32)> = BTreeMap::new();
    let mut gpus: BTreeMap<(String, String), u32> = BTreeMap::new();
    for provider in shown.iter().filter(|provider| provider.standing() == "open") {
        let profile = &provider.profile;
        let region = provider.region().to_string();
        let sums = regions.entry(region.clone()).or_default();
        *sums = (sums.0 + 1, sums.1 + profile.free_units, sums.2 + u32::from(profile.free_gpus));
        if profile.free_gpus > 0 {
            *gpus.entry((model(provider), region)).or_default() += u32::from(profile.free_gpus);
        }
    }
    let json = json!({
        "providers": shown.iter().map(|provider| provider.json()).collect::<Vec<_>>(),
        "regions": regions.iter().map(|(region, (providers, units, gpus))| {
            json!({ "region": region, "providers": providers, "free_units": units, "free_gpus": gpus })
        }).collect::<Vec<_>>(),
        "gpus": gpus.iter().map(|((model, region), free)| {
            json!({ "model": model, "region": region, "free": free })
        }).collect::<Vec<_>>(),
        "prices": prices,
        "unit": "1 CPU, 4 GiB memory, 64 GiB storage",
    });
    if shown.is_empty() {
        context.output.note("no provider fits");
    }
    let mut text = vec![providers_table(&shown)];
    if !gpus.is_empty() {
        let rows =
            gpus.iter().map(|((model, region), free)| vec![model.clone(), region.clone(), free.to_string()]);
        text.push(table(&["GPU", "REGION", "FREE"], rows));
    }
    text.push(prices_table(&prices, args.blocks));
    Ok(Report::new(&json, text.join("\n\n")))
}

fn wanted(provider: &Provider, args: &Market) -> bool {
    let region = args.region.is_none_or(|region| within(provider.region(), region));
    let gpu = args.gpu.as_ref().is_none_or(|gpu| {
        provider.gpus() > 0
            && (gpu.eq_ignore_ascii_case("any") || gpu.eq_ignore_ascii_case(&provider.gpu_model()))
    });
    region && gpu
}

/// Whether a place lies in a region: same area, and same zone where one is asked for.
fn within(place: Region, wanted: Region) -> bool {
    wanted == Region::ANY
        || (place.area() == wanted.area() && (wanted.zone() == 0 || place.zone() == wanted.zone()))
}

fn model(provider: &Provider) -> String {
    let model = provider.gpu_model();
    if model.is_empty() { "gpu".to_owned() } else { model }
}

fn providers_table(shown: &[&Provider]) -> String {
    let rows = shown.iter().map(|provider| {
        let profile = &provider.profile;
        let gpus = match provider.gpus() {
            0 => "–".to_owned(),
            total => format!("{}/{total} {}", profile.free_gpus, model(provider)),
        };
        vec![
            provider.id.to_string(),
            provider.standing().to_owned(),
            provider.region().to_string(),
            format!("{}/{}", profile.free_units, profile.total_units),
            gpus,
            profile.trust_tier.to_string(),
            stars(profile.rating),
        ]
    });
    table(&["PROVIDER", "STATE", "REGION", "FREE UNITS", "FREE GPUS", "TIER", "RATING"], rows)
}

fn prices_table(prices: &Prices, blocks: u64) -> String {
    if prices.0.is_empty() {
        return format!("no bids in the last {blocks} blocks");
    }
    let rows = prices.0.iter().map(|(class, range)| {
        let class = if class == "unit" { "unit: 1 CPU, 4 GiB, 64 GiB".to_owned() } else { class.clone() };
        vec![class, show(range.low), show(range.median), show(range.high), range.bids.to_string()]
    });
    table(&["$/HOUR", "LOW", "MEDIAN", "HIGH", "BIDS"], rows)
}

pub(crate) async fn quote(context: &Context, args: &Quote) -> Result<Report> {
    let deployment = manifest_file::read(&args.file, context.output)?;
    let chain = context.chain().await?;
    let (json, pairs) = estimate(context, &chain, &deployment, &args.price, args.blocks).await?;
    Ok(Report::new(&json, facts(&pairs)))
}

/// What a deployment costs by recent bids and at most, with fees and the bracket.
async fn estimate(
    context: &Context,
    chain: &Chain,
    deployment: &Deployment,
    price: &Price,
    blocks: u64,
) -> Result<(Value, Vec<(&'static str, String)>)> {
    let tokens = Tokens::load(chain).await?;
    let draft =
        Draft::new(deployment, &tokens, context.config.token.as_deref(), price, None, Listed::Anyone)?;
    for note in &draft.notes {
        context.output.note(note);
    }
    let cost = draft.cost(chain).await?;
    let (prices, all) = tokio::try_join!(Prices::recent(chain, &tokens, blocks), Provider::all(chain))?;
    let resources = draft.plan.resources;
    let fit = all.iter().filter(|provider| has_room(provider, &draft)).count();
    let range = prices.of(&resources);
    let token = &draft.token;
    let hours = f64::from(draft.duration) / 3_600.0;
    let json = json!({
        "resources": resources,
        "token": token.symbol,
        "duration_seconds": draft.duration,
        "recent_bids": range.map(|range| json!({
            "dollars_per_hour": range, "dollars_in_all": range.times(hours),
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
        "providers_with_room": fit,
    });
    Ok((json, quote_facts(&draft, &cost, range, hours, fit, token)))
}

/// Whether a provider could bid by what the chain knows of it.
fn has_room(provider: &Provider, draft: &Draft) -> bool {
    let (profile, plan) = (&provider.profile, &draft.plan.resources);
    provider.standing() == "open"
        && profile.free_units >= plan.units()
        && profile.free_gpus >= u16::from(plan.gpus)
        && profile.tokens >> draft.token.id & 1 == 1
        && (draft.flags & order_flags::STRICT_REGION == 0 || within(provider.region(), draft.region))
}

fn quote_facts(
    draft: &Draft,
    cost: &crate::order::Cost,
    range: Option<Range>,
    hours: f64,
    fit: usize,
    token: &Token,
) -> Vec<(&'static str, String)> {
    let recent = range.map_or_else(
        || "none for such resources yet".to_owned(),
        |range| {
            let all = range.times(hours);
            format!(
                "{} to {} an hour, median {} ({} bids); in all {} to {}",
                show(range.low),
                show(range.high),
                show(range.median),
                range.bids,
                show(all.low),
                show(all.high)
            )
        },
    );
    vec![
        ("resources", draft.plan.resources.to_string()),
        ("time", time::span(u64::from(draft.duration))),
        ("recent bids", recent),
        ("at most", format!("{} → {}", per_hour(draft.rate, token), token.show(cost.gross))),
        (
            "fees",
            format!("{} payer's fee, {} match fee", token.show(cost.payer_fee), token.show(cost.match_fee)),
        ),
        ("reserved", format!("{}; what the match saves is free again at once", token.show(cost.reserve))),
        (
            "wallet needs",
            format!(
                "{} (bracket {}, minimum {})",
                token.show(cost.needed()),
                token.show(cost.bracket),
                token.show(cost.min_deposit)
            ),
        ),
        ("providers", format!("{fit} have room for it")),
    ]
}

pub(crate) async fn manifest(context: &Context, args: &Manifest) -> Result<Report> {
    let Manifest::Check { file } = args;
    let text = manifest_file::text(file)?;
    let deployment = match manifest_file::parse(&text) {
        Ok(deployment) => deployment,
        Err(found) => return Ok(unusable(file, &text, &found)),
    };
    // Secrets that are not on this machine do not make a manifest bad; a deployment from here would fail.
    let missing = manifest_file::resolve(file, &deployment).err();
    let plan = deployment.order();
    let duration = plan.duration.unwrap_or(DEFAULT_DURATION);
    // Fees and bracket need the chain; everything else does not.
    let estimate = match context.chain().await {
        Ok(chain) => {
            let price = Price { token: None, max_rate: None, duration: None };
            estimate(context, &chain, &deployment, &price, 50_000).await
        }
        Err(failure) => Err(failure),
    };
    let (market, why_not) = match estimate {
        Ok((json, _)) => (Some(json), None),
        Err(failure) => (None, Some(failure.message)),
    };
    let json = json!({
        "file": file,
        "ok": true,
        "dialect": deployment.format,
        "name": deployment.name,
        "mode": deployment.mode,
        "services": deployment.services.iter().map(|entry| json!({
            "name": entry.service.name, "image": entry.service.image, "count": entry.service.count,
        })).collect::<Vec<_>>(),
        "resources": plan.resources,
        "duration_seconds": plan.duration,
        "cost": cost(&plan, duration),
        "market": market,
        "market_unknown": why_not,
        "errors": [],
        "warnings": deployment.warnings,
        "missing_secrets": missing,
    });
    let names: Vec<String> = deployment
        .services
        .iter()
        .map(|entry| format!("{} × {}", entry.service.count, entry.service.name))
        .collect();
    let at_most = plan.max_price.rate.gross(u64::from(duration), SHOWN);
    let denomination = &plan.max_price.denomination;
    let mut pairs = vec![
        ("dialect", dialect(&deployment)),
        ("services", names.join(", ")),
        ("resources", plan.resources.to_string()),
        (
            "time",
            plan.duration
                .map_or_else(|| "not said; a day is taken".to_owned(), |secs| time::span(secs.into())),
        ),
        (
            "at most",
            format!(
                "{} {denomination}/h, {} {denomination} in all",
                plan.max_price.rate.hourly(),
                format_decimal(at_most, SHOWN)
            ),
        ),
    ];
    if !plan.max_price.conversion.is_empty() {
        pairs.push(("price", plan.max_price.conversion.clone()));
    }
    match (&market, &why_not) {
        (Some(market), _) => pairs.push((
            "wallet needs",
            format!("{} {}", plain(&market["wallet_needs"]), plain(&market["token"])),
        )),
        (None, Some(why)) => pairs.push(("market", format!("not asked: {why}"))),
        (None, None) => {}
    }
    for warning in &deployment.warnings {
        pairs.push(("warning", format!("{}:{}: {}", warning.line, warning.column, warning.message)));
    }
    for secret in missing.iter().flat_map(|found| &found.0) {
        pairs.push(("missing", format!("{}:{}: {}", secret.line, secret.column, secret.message)));
    }
    Ok(Report::new(&json, facts(&pairs)))
}

fn plain(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn dialect(deployment: &Deployment) -> String {
    match deployment.format {
        Format::Icl10 => "ICL 1.0",
        Format::Akash20 => "Akash SDL 2.0",
        Format::Akash21 => "Akash SDL 2.1",
    }
    .to_owned()
}

/// The highest bill in the manifest's own denomination, before fees.
fn cost(plan: &OrderPlan, duration: u32) -> Value {
    let price = &plan.max_price;
    json!({
        "denomination": price.denomination,
        "max_rate_per_hour": price.rate.hourly(),
        "duration_seconds": duration,
        "max_cost": format_decimal(price.rate.gross(u64::from(duration), SHOWN), SHOWN),
        "conversion": price.conversion,
    })
}

/// A manifest that cannot be ordered, and why: the result of a check, so it goes to stdout.
fn unusable(file: &Path, text: &str, found: &Diagnostics) -> Report {
    let json = json!({
        "file": file,
        "ok": false,
        "dialect": claimed(text),
        "errors": found,
        "warnings": [],
    });
    Report {
        status: Kind::Manifest as u8,
        ..Report::new(&json, manifest_file::findings(file, found).join("\n"))
    }
}

/// The dialect that a refused file says it is in, by its `version`.
fn claimed(text: &str) -> Option<Format> {
    let version = text.lines().find_map(|line| line.strip_prefix("version:"))?;
    match version.split('#').next().unwrap_or_default().trim().trim_matches(['"', '\'']) {
        "1.0" => Some(Format::Icl10),
        "2.0" => Some(Format::Akash20),
        "2.1" => Some(Format::Akash21),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_files_have_a_dialect_too() {
        assert_eq!(claimed("---\nversion: \"2.0\"\nservices: {}\n"), Some(Format::Akash20));
        assert_eq!(claimed("version: '1.0' # ours\n"), Some(Format::Icl10));
        assert_eq!(claimed("base_model: x\n"), None);
    }

    #[test]
    fn regions_contain_their_zones() {
        let region = |text: &str| text.parse::<Region>().unwrap();
        assert!(within(region("eu-west/3"), region("eu-west")));
        assert!(within(region("eu-west/3"), Region::ANY));
        assert!(!within(region("eu-west/3"), region("eu-west/2")));
        assert!(!within(region("us-east"), region("eu-west")));
    }
}
