//! `iono manifest check` on every published sample: which can be deployed, why not, and what it costs. The samples lie
//! outside the repository; where they are absent, the test says so and passes over them.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

use std::path::{Path, PathBuf};

use iono_e2e::cli::text;
use iono_e2e::{Iono, Network, hello};
use iono_manifest::parse;
use iono_primitives::money::format_decimal;
use iono_primitives::{Rate, money};
use serde_json::{Value, json};

/// Digits of the test dollar.
const DECIMALS: u8 = 6;
/// The devnet's fee on top of a bill in basis points.
const PAYER_FEE: u16 = 200;

/// Every published sample, or none.
fn samples() -> Vec<PathBuf> {
    let folder = iono_testkit::repo_root().unwrap().join("../shared/data/manifests");
    let entries = |folder: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
    };
    let mut found: Vec<PathBuf> = entries(&folder).iter().flat_map(|dialect| entries(dialect)).collect();
    found.sort();
    if found.is_empty() {
        eprintln!("passed over: no samples at {}", folder.display());
    }
    found
}

/// What the command says of a file, and whether its exit code says the same.
async fn check(iono: &Iono, file: &Path) -> Value {
    let output = iono.output(&["manifest", "check", file.to_str().unwrap(), "--json"]).await.unwrap();
    let said: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{}: {error}: {output:?}", file.display()));
    assert_eq!(said["ok"], output.status.success(), "{}: {said:#}", file.display());
    said
}

/// The price in a manifest's own denomination, without a chain.
fn cost(rate: Rate, denomination: &str, seconds: u64) -> [Value; 3] {
    let most = format_decimal(rate.gross(seconds, DECIMALS), DECIMALS);
    [json!(denomination), json!(rate.hourly()), json!(most)]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_is_priced_or_refused_with_the_reason() {
    let home = tempfile::tempdir().unwrap();
    let offline = Iono::new(home.path()).unwrap();
    let (mut deployable, mut refused) = (0, 0);
    for file in samples() {
        let said = check(&offline, &file).await;
        let name = file.display();
        match parse(&std::fs::read_to_string(&file).unwrap()) {
            Ok(deployment) => {
                // Right, but perhaps nothing that a provider can serve today: then it says what is in the way.
                assert_eq!(said["errors"], json!([]), "{name}");
                assert_eq!(said["unavailable"], json!(deployment.unavailable), "{name}");
                assert_eq!(said["ok"], deployment.unavailable.is_empty(), "{name}");
                let plan = deployment.order();
                let seconds = u64::from(plan.duration.unwrap_or(86_400));
                let price = &plan.max_price;
                let told =
                    ["denomination", "max_rate_per_hour", "max_cost"].map(|key| said["cost"][key].clone());
                assert_eq!(told, cost(price.rate, &price.denomination, seconds), "{name}: {said:#}");
                assert_ne!(said["cost"]["max_cost"], "0", "{name}");
                assert!(said["market_unknown"].is_string(), "no chain was named: {name}: {said:#}");
                deployable += usize::from(said["ok"] == true);
            }
            Err(problems) => {
                assert_eq!(said["ok"], false, "{name}");
                assert_eq!(said["errors"], json!(problems), "{name}");
                refused += 1;
            }
        }
    }
    if deployable + refused > 0 {
        assert!(deployable >= 10 && refused >= 10, "{deployable} can be deployed, {refused} are malformed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_a_chain_it_says_what_the_wallet_needs() {
    let network = Network::start().await.unwrap();
    let tenant = network.tenant("tenant").await.unwrap();
    let hello = hello::manifest(network.dir(), "priced", 2).unwrap();
    for file in samples().into_iter().chain([PathBuf::from(hello)]) {
        let said = check(&tenant, &file).await;
        let name = file.display();
        let (Some(rate), Some(seconds)) =
            (said["cost"]["max_rate_per_hour"].as_str(), said["cost"]["duration_seconds"].as_u64())
        else {
            assert_ne!(said["errors"], json!([]), "{name}");
            continue;
        };
        if let Some(why) = said["market_unknown"].as_str() {
            // A foreign token that nobody knows the price of: the tenant must name its own.
            assert_eq!(said["cost"]["denomination"], "AKT", "{name}: {why}");
            assert!(why.contains("AKT, which has no price here"), "{name}: {why}");
            continue;
        }
        // Every number follows from the manifest's rate, the fees and the bracket.
        let market = &said["market"];
        // SPON is paid without a fee.
        let (decimals, fee) = if market["token"] == "SPON" { (18, 0) } else { (DECIMALS, PAYER_FEE) };
        let units =
            |key: &str| money::parse_decimal(&text(market, &format!("/{key}")).unwrap(), decimals).unwrap();
        let gross = Rate::from_hourly(rate).unwrap().gross(seconds, decimals);
        assert_eq!(units("max_cost"), gross, "{name}");
        assert_eq!(units("payer_fee"), money::payer_fee(gross, fee), "{name}");
        assert!(!units("match_fee").is_zero(), "{name}");
        assert_eq!(units("reserve"), gross + units("payer_fee") + units("match_fee"), "{name}");
        let most = units("reserve").max(units("bracket")).max(units("min_deposit"));
        assert_eq!(units("wallet_needs"), most, "{name}");
    }
}
