//! The registry's record: `check` compares it field by field, `set-record` brings it up to what the configuration and the
//! machine say, and then orders that ask for tiers are bid on.
#![allow(clippy::unwrap_used, missing_docs)]

mod common;

use alloy::primitives::aliases::U24;
use alloy::primitives::{Address, U256};
use common::{Market, SOON};
use iono_bindings::words::order_flags;
use iono_bindings::{IEscrow, Terms};
use iono_identity::{Passphrase, keystore};
use iono_lease_api::BidDecision;
use iono_primitives::attributes::{Compliance, Compute, Connectivity};
use iono_primitives::{Attributes, StorageClass};
use iono_provider_testkit::{Ordered, hello};
use iono_testkit::{docker, eventually};
use serde_json::Value;

const TIERS: [&str; 6] = [
    "--set",
    "public.compute=general",
    "--set",
    "public.connectivity=high",
    "--set",
    "public.compliance=[\"soc2\"]",
];

/// One check by its name.
fn check(checks: &Value, name: &str) -> (bool, String) {
    let found = checks.as_array().unwrap().iter().find(|check| check["name"] == name);
    let found = found.unwrap_or_else(|| panic!("no check {name} in {checks:#}"));
    (found["ok"] == true, found["message"].as_str().unwrap().to_owned())
}

/// Orders an hour on a machine with at least these tiers.
async fn order(market: &Market, tiers: &Attributes) -> Ordered {
    let terms = Terms { requirements: U24::from(tiers.word()), ..market.terms(order_flags::PROVIDER) };
    market.place_order("tiers", hello("tiers", 1, docker::HELLO), terms).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hot_key_that_a_stranger_registered_is_taken_back() {
    let market = Market::open().await;
    let (mine, key) = (market.devnet.anvil.key(4), market.dir.join("mine.json"));
    let secret = alloy::hex::encode(mine.to_bytes());
    keystore::import_key(&key, &secret, &Passphrase::new("correct horse")).await.unwrap();
    let (key, passphrase) = (key.display().to_string(), market.dir.join("passphrase").display().to_string());
    let register = ["register", "--owner-key", &key, "--owner-passphrase-file", &passphrase];

    // The devnet's provider has the key already: to this owner it is a stranger's.
    let (done, _, error) = market.command(&register).await;
    let advice = format!("provider admit {}", mine.address());
    assert!(!done && error.contains(&advice), "{error}");
    let (done, answer, error) = market.command(&["admit", &mine.address().to_string()]).await;
    assert!(done && answer["admitted"] == mine.address().to_string().to_lowercase(), "{answer} {error}");
    let (done, answer, error) = market.command(&register).await;
    assert!(done && answer["provider"].as_u64() > Some(market.me.0.into()), "{answer} {error}");
    // It is this owner's now.
    let (done, _, error) = market.command(&register).await;
    assert!(!done && error.contains("set-record"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_record_is_compared_mended_and_bid_with() {
    let mut market = Market::open().await;
    let key = market.dir.join("owner.json");
    let secret = alloy::hex::encode(market.owner.to_bytes());
    keystore::import_key(&key, &secret, &Passphrase::new("correct horse")).await.unwrap();
    let (key, passphrase) = (key.display().to_string(), market.dir.join("passphrase").display().to_string());
    let checks = async |market: &Market| market.command(&[&TIERS[..], &["check"]].concat()).await.1;

    // The devnet registered another machine, without tiers.
    let before = checks(&market).await;
    for (name, ok, words) in [
        ("record: endpoint", true, market.endpoint.as_str()),
        ("record: region", true, "local"),
        ("record: tokens", false, "here: 0, 1;"),
        ("record: tiers", false, "registered: none; here: compute general"),
        ("record: capacity", false, "registered: 16 CPU, 65536 MiB memory"),
    ] {
        let found = check(&before, name);
        assert!(found.0 == ok && found.1.contains(words), "{name}: {found:?}");
    }
    let owner = ["--owner-key", &key, "--owner-passphrase-file", &passphrase];
    let (done, answer, error) = market.command(&[&TIERS[..], &["set-record"], &owner].concat()).await;
    assert!(done && answer["changed"] == true, "{answer} {error}");
    let after = checks(&market).await;
    for name in ["endpoint", "region", "tokens", "tiers", "capacity"] {
        let found = check(&after, &format!("record: {name}"));
        assert!(found.0, "{name}: {found:?}");
    }
    let tiers = check(&after, "record: tiers").1;
    assert!(tiers.ends_with("connectivity high, compliance soc2"), "{tiers}");
    let (_, hardware, _) = market.command(&[&TIERS[..], &["hardware"]].concat()).await;
    assert_eq!((&hardware["tiers"]["compute"], &hardware["tiers"]["gpu"]), (&"general".into(), &0.into()));

    // Where the money goes is said, and what to do about it.
    assert!(check(&after, "payout").1.contains("iono provider sweep 1"), "{after:#}");
    let payout = Address::repeat_byte(7);
    let call = IEscrow::setPayoutCall { provider: U256::from(market.me.0), payout };
    market.devnet.send(&market.owner, market.devnet.book.escrow, call).await.unwrap();
    assert_eq!(check(&checks(&market).await, "payout"), (true, payout.to_string()));

    // What is vouched for is bid on, what is not is declined with the tier.
    market.set = TIERS.into_iter().filter(|word| *word != "--set").map(str::to_owned).collect();
    let _daemon = market.start().await;
    let fitting = Attributes {
        compute: Some(Compute::General),
        connectivity: Some(Connectivity::Medium),
        compliance: [Compliance::Soc2].into(),
        ..Attributes::default()
    };
    let ordered = order(&market, &fitting).await;
    market.bid_stands(&ordered).await;
    let client = market.client().await;
    for (tiers, words) in [
        (Attributes { compute: Some(Compute::Hpc), ..fitting.clone() }, "compute hpc is asked for"),
        (Attributes { compliance: [Compliance::Gdpr].into(), ..fitting.clone() }, "gdpr is asked for"),
        (Attributes { gpu: 1, storage: StorageClass::Any, ..fitting }, "GPU tier 1 is asked for"),
    ] {
        let ordered = order(&market, &tiers).await;
        let answer = eventually("a decision", SOON, || async {
            let answer = client.why_no_bid(ordered.lease.into()).await.ok()?;
            (answer.decision == BidDecision::NoBid).then_some(answer)
        })
        .await
        .unwrap();
        assert!(answer.reasons[0].message.contains(words), "{answer:?}");
    }
}
