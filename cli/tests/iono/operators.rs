//! `iono operator`: from a key to a seat in the set and out of it again (SP-14, SP-15).

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
    let status = ann.json(&["operator", "status", "1"]);
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
    ann.json(&["operator", "exit", "1"]);
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
    let words = ann.fails(
        3,
        &[
            "operator",
            "register",
            "--bls-key",
            &ethereum.display().to_string(),
            "--bls-passphrase-file",
            &ann.path("passphrase").display().to_string(),
        ],
    );
    assert!(words.contains("blsPublicKey") && words.contains("iono operator key"), "{words}");
    let file = ann.path("bls.json").display().to_string();
    ann.json(&["operator", "key", "--out", &file]);
    std::fs::write(ann.path("bls.passphrase"), "another\n").unwrap();
    ann.fails(3, &["operator", "register", "--bls-key", &file]);
    let second = ann.path("second.json").display().to_string();
    ann.json(&["operator", "key", "--out", &second]);
    ann.json(&["operator", "register", "--bls-key", &second]);

    for args in [
        &["operator", "announce", "1", "http://b.example"][..],
        &["operator", "exit", "1"],
        &["operator", "enter", "1"],
    ] {
        let words = bob.fails(5, args);
        assert!(words.contains("does not own operator 1"), "{words}");
    }
    assert!(bob.fails(7, &["operator", "status", "9"]).contains("no operator 9"));
    bob.json(&["operator", "sync", "1"]);
}
