//! `iono market`: who offers what, from the registry; exact GPUs and price lists, from the providers themselves; and what
//! recent bids cost.

use std::collections::BTreeMap;

use iono_matching::eligibility::in_region;
use iono_primitives::GpuModel;
use serde_json::{Value, json};

use crate::args::market::Market;
use crate::context::Context;
use crate::error::Result;
use crate::offers::{self, Offers};
use crate::output::{Report, table};
use crate::prices::{Prices, label, show};
use crate::providers::{Provider, stars};
use crate::token::Tokens;

pub(crate) async fn run(context: &Context, args: &Market) -> Result<Report> {
    let chain = context.chain().await?;
    let tokens = Tokens::load(&chain).await?;
    let (all, prices) =
        tokio::try_join!(Provider::all(&chain), Prices::recent(&chain, &tokens, args.blocks))?;
    let here: Vec<&Provider> = all.iter().filter(|provider| may_fit(provider, args)).collect();
    let progress = context.output.progress();
    progress.wait("asking the providers for their prices");
    let offers = offers::ask(&chain, here.iter().copied(), args.timeout).await;
    drop(progress);
    let shown: Vec<&Provider> = here.into_iter().filter(|provider| fits(provider, args, &offers)).collect();
    for provider in &shown {
        if let Some(Err(why)) = offers.get(&provider.id) {
            context.output.note(&format!("provider {} does not say its prices: {why}", provider.id));
        }
    }
    let gpus = free_gpus(&shown, &offers, args.gpu.as_ref());
    let json = json!({
        "providers": shown.iter().map(|provider| provider_json(provider, &offers)).collect::<Vec<_>>(),
        "regions": regions(&shown),
        "gpus": gpus.iter().map(|((model, region), free)| {
            json!({ "model": model, "region": region, "free": free })
        }).collect::<Vec<_>>(),
        "prices": prices.classes(),
        "unit": "1 CPU, 4 GiB memory, 64 GiB storage",
    });
    if shown.is_empty() {
        context.output.note("no provider fits");
    }
    let mut text = vec![providers_table(&shown, &offers)];
    if !gpus.is_empty() {
        let rows =
            gpus.iter().map(|((model, region), free)| vec![model.clone(), region.clone(), free.to_string()]);
        text.push(table(&["GPU", "REGION", "FREE"], rows));
    }
    text.push(prices_table(&prices, args.blocks));
    Ok(Report::new(&json, text.join("\n\n")))
}

/// By what the registry says.
fn may_fit(provider: &Provider, args: &Market) -> bool {
    args.region.is_none_or(|region| in_region(region, provider.region()))
        && args.gpu.as_ref().is_none_or(|gpu| provider.may_have(gpu))
}

/// By what the provider says, where it does.
fn fits(provider: &Provider, args: &Market, offers: &Offers) -> bool {
    match (&args.gpu, offers.get(&provider.id)) {
        (Some(gpu), Some(Ok(offer))) => offer.has(gpu),
        _ => true,
    }
}

/// Free GPUs of providers that take orders, by model and region: exact where the provider answers.
fn free_gpus(
    shown: &[&Provider],
    offers: &Offers,
    wanted: Option<&GpuModel>,
) -> BTreeMap<(String, String), u32> {
    let mut free: BTreeMap<(String, String), u32> = BTreeMap::new();
    for provider in shown.iter().filter(|provider| provider.standing() == "open") {
        let models: Vec<(String, u32)> = match offers.get(&provider.id) {
            Some(Ok(offer)) => {
                let fitting =
                    offer.gpus.iter().filter(|(model, _)| wanted.is_none_or(|w| model.satisfies(w)));
                fitting.map(|(model, (free, _))| (label(model).to_owned(), *free)).collect()
            }
            _ => vec![(provider.gpus_called(), provider.profile.free_gpus.into())],
        };
        for (model, count) in models.into_iter().filter(|(_, count)| *count > 0) {
            let sum = free.entry((model, provider.region().to_string())).or_default();
            *sum = sum.saturating_add(count);
        }
    }
    free
}

fn regions(shown: &[&Provider]) -> Vec<Value> {
    let mut regions: BTreeMap<String, (u32, u32, u32)> = BTreeMap::new();
    for provider in shown.iter().filter(|provider| provider.standing() == "open") {
        let (profile, sums) = (&provider.profile, regions.entry(provider.region().to_string()).or_default());
        *sums = (sums.0 + 1, sums.1 + profile.free_units, sums.2 + u32::from(profile.free_gpus));
    }
    let json = |(region, (providers, units, gpus)): (String, (u32, u32, u32))| json!({ "region": region, "providers": providers, "free_units": units, "free_gpus": gpus });
    regions.into_iter().map(json).collect()
}

/// What chain and provider say; `offer` is null where the provider does not answer, and `offer_error` says why.
fn provider_json(provider: &Provider, offers: &Offers) -> Value {
    let mut json = provider.json();
    let answer = offers.get(&provider.id);
    json["offer"] = json!(answer.and_then(|answer| answer.as_ref().ok()).map(offers::Offer::json));
    json["offer_error"] = json!(answer.and_then(|answer| answer.as_ref().err()));
    json
}

fn providers_table(shown: &[&Provider], offers: &Offers) -> String {
    let rows = shown.iter().map(|provider| {
        let profile = &provider.profile;
        let offer = offers.get(&provider.id).and_then(|answer| answer.as_ref().ok());
        let prices = offer.and_then(|offer| offer.prices.as_ref());
        let mut row = vec![
            provider.id.to_string(),
            provider.standing().to_owned(),
            provider.region().to_string(),
            format!("{}/{}", profile.free_units, profile.total_units),
            offer.map_or_else(|| provider.gpus_shown(), offers::Offer::gpus_shown),
            profile.trust_tier.to_string(),
            stars(profile.rating),
        ];
        row.extend(prices.map_or_else(|| ["–"; 4].map(str::to_owned), offers::List::columns));
        row
    });
    let head = [
        "PROVIDER",
        "STATE",
        "REGION",
        "FREE UNITS",
        "FREE GPUS",
        "TIER",
        "RATING",
        "$/CORE",
        "$/GIB",
        "$/GIB DISK",
        "$/GPU",
    ];
    table(&head, rows)
}

fn prices_table(prices: &Prices, blocks: u64) -> String {
    let classes = prices.classes();
    if classes.is_empty() {
        return format!("no bids in the last {blocks} blocks");
    }
    let rows = classes.iter().map(|(class, range)| {
        let class = if class == "unit" { "unit: 1 CPU, 4 GiB, 64 GiB".to_owned() } else { class.clone() };
        vec![class, show(range.low), show(range.median), show(range.high), range.count.to_string()]
    });
    table(&["$/HOUR IN BIDS", "LOW", "MEDIAN", "HIGH", "BIDS"], rows)
}
