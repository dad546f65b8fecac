//! `iono operator`: from a key to a seat in the set and out of it again (SP-14, SP-15).

use alloy::primitives::Bytes;
use alloy::providers::Provider as _;
use alloy::providers::ext::AnvilApi as _;
use alloy::signers::local::PrivateKeySigner;
use iono_bls::SecretKey;
use iono_testkit::Devnet;
use serde_json::json;

use crate::person::{Person, quick_market};

const DAY: u64 = 86_400;

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_takes_a_seat_and_leaves_it() {
    let devnet = quick_market().await;
    let ann = Person::funded(&devnet);
    ann.json(&["faucet", "--token", "SPON", "--amount", "30000"]);
    let file = ann.path("operator-bls.json").display().to_string();
    let key = ann.json(&["operator", "key", "--out", &file]);
    assert_eq!(key["public_key"].as_str().unwrap().len(), 2 + 512);
    let mode = |name: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        ann.path(name).metadata().unwrap().permissions().mode() & 0o777
    };
    assert_eq!((mode("operator-bls.json"), mode("operator-bls.passphrase")), (0o600, 0o600));
    assert!(ann.fails(3, &["operator", "key", "--out", &file]).contains("operator-bls.json"));

    let endpoint = "http://operator.example:7300";
    let words = ann.fails(2, &["operator", "register", "--bls-key", &file, "--endpoint", "operator.example"]);
    assert!(words.contains("no endpoint"), "{words}");
    let planned = ann.json(&["operator", "register", "--bls-key", &file, "--dry-run"]);
    assert!(planned.to_string().contains("register"), "{planned}");
    let made = ann.json(&["operator", "register", "--bls-key", &file, "--endpoint", endpoint]);
    assert_eq!((&made["operator"], &made["endpoint"]), (&json!(1), &json!(endpoint)));
    let words = ann.fails(5, &["operator", "register", "--bls-key", &file]);
    assert!(words.contains("registered already, as operator 1"), "{words}");

    let words = ann.fails(5, &["operator", "enter", "1"]);
    assert!(words.contains("stake more first"), "{words}");
    assert_eq!(ann.json(&["operator", "stake", "1", "20000"])["operator"], 1);
    assert!(ann.json(&["operator", "enter", "1"])["from_era"].as_u64().unwrap() > 1);
    assert!(ann.fails(5, &["operator", "enter", "1"]).contains("in the set already"));
    // The only one of this key.
    let status = ann.json(&["operator", "status"]);
    assert_eq!(status["operator"], 1);
    assert_eq!((&status["stake"], &status["weight"]), (&json!("20000"), &json!("0")), "{status}");
    assert_eq!(status["weight_next"], "20000");

    devnet.anvil.advance(DAY).await.unwrap();
    let list = ann.json(&["operator", "list"]);
    assert_eq!(list["weight"], "20000", "{list}");
    assert_eq!(list["operators"][0]["endpoint"], endpoint, "{list}");
    let table = ann.run(&["operator", "list"]).stdout;
    assert!(table.contains("100.0%"), "{table}");
    assert!(ann.fails(7, &["operator", "claim", "1"]).contains("nothing waits"));

    ann.json(&["operator", "announce", "1", ""]);
    let left = ann.json(&["operator", "exit", "1"]);
    assert_eq!(left["from_era"].as_u64().unwrap(), list["era"].as_u64().unwrap() + 1);
    assert!(ann.fails(5, &["operator", "exit", "1"]).contains("not in the set"));
    let started = ann.json(&["operator", "unstake", "1", "all"]);
    // A thousandth of a token stays in the pool for good: it keeps the price of a share from being steered.
    assert_eq!((&started["operator"], &started["tokens"]), (&json!(1), &json!("19999.999")));
    let status = ann.json(&["operator", "status", "1"]);
    assert_eq!((&status["weight"], &status["weight_next"]), (&json!("20000"), &json!("0")), "{status}");
    assert_eq!((&status["endpoint"], &status["unbonding"][0]["tokens"]), (&json!(""), &started["tokens"]));
    assert!(ann.fails(7, &["operator", "withdraw"]).contains("nothing has unbonded yet"));
    devnet.anvil.advance(60 * DAY).await.unwrap();
    assert_eq!(ann.json(&["operator", "withdraw"])["withdrawn"], started["tokens"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_and_wrong_keys_are_refused() {
    let devnet = quick_market().await;
    let (ann, bob) = (Person::funded(&devnet), Person::funded(&devnet));
    // A key of the wallet is none of an operator.
    let ethereum = ann.path("keystore/main.json");
    let words = ann.fails(3, &["operator", "register", "--bls-key", &ethereum.display().to_string()]);
    assert!(words.contains("blsPublicKey") && words.contains("iono operator key"), "{words}");
    let file = ann.path("bls.json").display().to_string();
    ann.json(&["operator", "key", "--out", &file]);
    std::fs::write(ann.path("bls.passphrase"), "another\n").unwrap();
    let words = ann.fails(3, &["operator", "register", "--bls-key", &file]);
    assert!(words.contains("--bls-passphrase-file"), "{words}");
    // No passphrase is made beside a key that it does not open, nor a key over its own passphrase.
    std::fs::remove_file(ann.path("bls.passphrase")).unwrap();
    ann.fails(3, &["operator", "key", "--out", &file]);
    ann.fails(3, &["operator", "key", "--out", &ann.path("x.passphrase").display().to_string()]);
    assert!(!ann.path("bls.passphrase").exists() && !ann.path("x.passphrase").exists());
    let second = ann.path("second.json").display().to_string();
    ann.json(&["operator", "key", "--out", &second]);
    ann.json(&["operator", "register", "--bls-key", &second]);

    for args in [
        &["operator", "announce", "1", "http://b.example"][..],
        &["operator", "exit", "1"],
        &["operator", "enter", "1"],
        &["operator", "stake", "1", "5"],
    ] {
        let words = bob.fails(5, args);
        assert!(words.contains("does not own operator 1"), "{words}");
    }
    assert!(bob.fails(7, &["operator", "status", "9"]).contains("no operator 9"));
    assert!(bob.fails(5, &["operator", "stake", "9", "5"]).contains("no operator 9"));
    assert!(bob.fails(7, &["operator", "unstake", "1", "all"]).contains("no stake at operator 1"));
    assert!(bob.fails(7, &["operator", "status"]).contains("owns no operator"));
    let third = ann.path("third.json").display().to_string();
    ann.json(&["operator", "key", "--out", &third]);
    ann.json(&["operator", "register", "--bls-key", &third]);
    assert!(ann.fails(2, &["operator", "status"]).contains("several operators: 1, 2"));
    bob.json(&["operator", "sync", "1"]);
}

/// Makes a set of a hundred seats one of two: the number is an immutable, so it lies in the registry's code.
async fn two_seats(devnet: &Devnet) {
    let (chain, registry) = (devnet.anvil.provider(), devnet.book.operator_registry);
    let push = |seats: u8| [&[0x7f][..], &[0; 31], &[seats]].concat();
    let code = chain.get_code_at(registry).await.unwrap();
    let (hundred, two) = (alloy::hex::encode(push(100)), alloy::hex::encode(push(2)));
    let text = alloy::hex::encode(&code);
    assert!(text.contains(&hundred), "the capacity is not where it was");
    let code = Bytes::from(alloy::hex::decode(text.replace(&hundred, &two)).unwrap());
    chain.anvil_set_code(registry, code).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_set_is_entered_in_a_light_members_place() {
    let devnet = quick_market().await;
    two_seats(&devnet).await;
    let ann = Person::funded(&devnet);
    ann.json(&["faucet", "--token", "SPON", "--amount", "6000"]);
    let file = ann.path("bls.json").display().to_string();
    ann.json(&["operator", "key", "--out", &file]);
    ann.json(&["operator", "register", "--bls-key", &file]);
    ann.json(&["operator", "stake", "1", "5400"]);
    let join = async |number: u8, stake: u64| {
        let secret = SecretKey::derive(&[number; 32]);
        devnet.operator(&PrivateKeySigner::random(), &secret, stake).await.unwrap()
    };
    join(2, 10_000).await;
    let words = ann.fails(5, &["operator", "enter", "1", "--evict", "2"]);
    assert!(words.contains("has room") && words.contains("iono operator enter 1"), "{words}");
    let words = ann.fails(5, &["operator", "enter", "1", "--evict", "7"]);
    assert!(words.contains("operator 7 is not in the set"), "{words}");
    join(3, 5_000).await;

    let words = ann.fails(5, &["operator", "enter", "1"]);
    assert!(words.contains("full with 2 members") && words.contains("enter 1 --evict 3"), "{words}");
    assert!(words.contains("5000 SPON"), "{words}");
    let words = ann.fails(5, &["operator", "enter", "1", "--evict", "2"]);
    assert!(words.contains("weighs 10000 SPON, more than the average of 7500 SPON"), "{words}");
    let words = ann.fails(5, &["operator", "enter", "1", "--evict", "3"]);
    assert!(words.contains("weighs 5400 SPON, and 5500 SPON are needed"), "{words}");
    ann.json(&["operator", "stake", "1", "100"]);
    assert_eq!(ann.json(&["operator", "enter", "1", "--evict", "3"])["evicted"], 3);
    let list = ann.json(&["operator", "list"]);
    let seats: Vec<_> = list["operators"].as_array().unwrap().iter().map(|seat| &seat["operator"]).collect();
    assert_eq!((seats, &list["weight_next"]), (vec![&json!(1), &json!(2)], &json!("15500")));
    // Whoever does not own it hears that first, full or not.
    let bob = Person::funded(&devnet);
    assert!(bob.fails(5, &["operator", "enter", "3"]).contains("does not own operator 3"));
}
