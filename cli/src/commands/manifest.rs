//! `iono manifest check`: whether a file can be deployed, and what it costs. `iono manifest get`: the manifest that a
//! lease was agreed on, from the kept copy or from the provider.

use std::path::Path;

use iono_manifest::{Deployment, Diagnostic, Diagnostics, Format, OrderPlan};
use iono_primitives::money::format_decimal;
use serde_json::{Value, json};

use super::quote::estimate;
use crate::agreed;
use crate::args::market::{Manifest, Price};
use crate::context::Context;
use crate::error::{Failure, Kind, Result};
use crate::lease_file::LeaseFile;
use crate::manifest_file;
use crate::order::DEFAULT_DURATION;
use crate::output::{Report, facts, write_out};
use crate::remote::{Need, Remote, Remotely};
use crate::time;

/// Digits of sums in a manifest's own denomination.
const SHOWN: u8 = 6;
/// Blocks back in which bids count as recent.
const RECENT: u64 = 50_000;

pub(crate) async fn run(context: &Context, args: &Manifest) -> Result<Report> {
    match args {
        Manifest::Check { file } => check(context, file).await,
        Manifest::Get { lease } => get(context, *lease).await,
    }
}

async fn check(context: &Context, file: &Path) -> Result<Report> {
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
            estimate(context, &chain, &deployment, &price, RECENT, None).await
        }
        Err(failure) => Err(failure),
    };
    let (market, why_not) = match estimate {
        Ok((json, _)) => (Some(json), None),
        Err(failure) => (None, Some(failure.message)),
    };
    let ok = deployment.unavailable.is_empty();
    let json = json!({
        "file": file,
        "ok": ok,
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
        "unavailable": deployment.unavailable,
        "warnings": deployment.warnings,
        "missing_secrets": missing,
    });
    let text = describe(&deployment, &plan, duration, market.as_ref(), why_not.as_deref(), missing.as_ref());
    let status = if ok { 0 } else { Kind::Manifest as u8 };
    Ok(Report { status, ..Report::new(&json, text) })
}

fn describe(
    deployment: &Deployment,
    plan: &OrderPlan,
    duration: u32,
    market: Option<&Value>,
    why_not: Option<&str>,
    missing: Option<&Diagnostics>,
) -> String {
    let services = deployment.services.iter().map(|entry| &entry.service);
    let names: Vec<String> =
        services.map(|service| format!("{} × {}", service.count, service.name)).collect();
    let denomination = &plan.max_price.denomination;
    let at_most = format_decimal(plan.max_price.rate.gross(u64::from(duration), SHOWN), SHOWN);
    let span = plan.duration.map(|secs| time::span(secs.into()));
    let mut pairs = vec![
        ("dialect", dialect(deployment).to_owned()),
        ("services", names.join(", ")),
        ("resources", plan.resources.to_string()),
        ("time", span.unwrap_or_else(|| "not said; a day is taken".to_owned())),
        (
            "at most",
            format!("{} {denomination}/h, {at_most} {denomination} in all", plan.max_price.rate.hourly()),
        ),
    ];
    if !plan.max_price.conversion.is_empty() {
        pairs.push(("price", plan.max_price.conversion.clone()));
    }
    match (market, why_not) {
        (Some(market), _) => {
            let needs = format!("{} {}", plain(&market["wallet_needs"]), plain(&market["token"]));
            pairs.push(("wallet needs", needs));
        }
        (None, Some(why)) => pairs.push(("market", format!("not asked: {why}"))),
        (None, None) => {}
    }
    let secrets = missing.map(|found| found.0.as_slice()).unwrap_or_default();
    for (key, found) in [
        ("unavailable", deployment.unavailable.as_slice()),
        ("warning", deployment.warnings.as_slice()),
        ("missing", secrets),
    ] {
        pairs.extend(found.iter().map(|one| (key, placed(one))));
    }
    facts(&pairs)
}

fn placed(one: &Diagnostic) -> String {
    format!("{}:{}: {}", one.line, one.column, one.message)
}

fn plain(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn dialect(deployment: &Deployment) -> &'static str {
    match deployment.format {
        Format::Icl10 => "ICL 1.0",
        Format::Akash20 => "Akash SDL 2.0",
        Format::Akash21 => "Akash SDL 2.1",
    }
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
        "unavailable": [],
        "warnings": [],
    });
    Report {
        status: Kind::Manifest as u8,
        ..Report::new(&json, manifest_file::findings(file, &found.0).join("\n"))
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

/// The lease's manifest as the chain has its hash. What comes from the provider is kept here again, with its salt.
async fn get(context: &Context, lease: u64) -> Result<Report> {
    let chain = context.chain().await?;
    let hash = agreed::agreed(&chain, lease).await?.manifest_hash;
    let (salted, source) = match LeaseFile::load(&context.home, hash)? {
        Some(kept) => (kept.salted()?, "kept"),
        None => {
            let remote = Remote::open(context, &chain, lease, Need::Write).await?;
            let salted = remote
                .client
                .get_manifest(remote.lease)
                .await
                .or_remote("neither this machine nor the provider has the manifest")?;
            if salted.hash() != hash {
                return Err(Failure::new(
                    Kind::Provider,
                    format!("the provider returned another manifest than the one agreed on ({hash})"),
                )
                .hint("nothing was kept; `iono update LEASE FILE` agrees on a manifest that you have"));
            }
            let mut file = LeaseFile::new(&chain, context.address().await?, &salted)?;
            (file.order, file.done) = (Some(lease), true);
            file.save(&context.home)?;
            context.output.note("the provider returned the manifest; it is kept here again");
            (salted, "provider")
        }
    };
    if !context.global.json {
        // The very bytes that were hashed, and nothing of anybody else's.
        write_out(salted.canonical(), true)?;
        return Ok(Report::streamed(0));
    }
    let manifest: Value = serde_json::from_slice(salted.canonical()).unwrap_or(Value::Null);
    let json = json!({
        "lease": lease, "source": source, "manifest_hash": hash, "salt": salted.salt(), "manifest": manifest,
    });
    Ok(Report::new(&json, ""))
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
}
