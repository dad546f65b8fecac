//! What people get wrong before any chain is involved: told in a sentence, with a hint and a stable exit code.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::person::{HELLO, Person};

#[test]
fn nothing_is_configured_at_first() {
    let person = Person::stranger();
    let words = person.fails(3, &["market"]);
    assert!(words.contains("no RPC is configured") && words.contains("hint: run `iono init"), "{words}");
    let words = person.fails(3, &["ps"]);
    assert!(words.contains("iono wallet new"), "{words}");
    person.fails(2, &["init"]);
    person.fails(2, &["frobnicate"]);
}

#[test]
fn failures_are_documents_too() {
    let run = Person::stranger().run(&["market", "--json"]);
    assert_eq!(run.code, 3);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(document["error"]["code"], "setup");
    assert!(document["error"]["message"].is_string() && document["error"]["hint"].is_string());
    assert!(run.stderr.starts_with("error: "));
}

#[test]
fn unknown_keys_of_the_configuration_are_refused() {
    let person = Person::stranger();
    person.write("config.toml", "rpc = []\nadress_book = \"x\"\n");
    let words = person.fails(3, &["market"]);
    assert!(words.contains("adress_book") && words.contains("known keys"), "{words}");
}

#[test]
fn an_rpc_that_is_not_there_is_named() {
    let person = Person::stranger();
    let port = iono_testkit::free_port().unwrap();
    let book = person.path("book.json");
    let address = |n: u8| format!("\"0x{:040x}\"", n);
    let names = [
        "spon",
        "paymentTokens",
        "providerRegistry",
        "stakingManager",
        "escrow",
        "orderBook",
        "leaseBook",
        "matchPolicy",
        "randomness",
        "ratings",
        "leaseAccess",
        "blsVerifier",
        "operatorRegistry",
        "operatorStaking",
        "matchTaskManager",
        "eraClock",
        "accessManager",
        "deployer",
    ];
    let fields: Vec<String> =
        names.iter().zip(1u8..).map(|(name, n)| format!("\"{name}\":{}", address(n))).collect();
    person.write("book.json", &format!("{{\"chainId\":31337,\"startBlock\":0,{}}}", fields.join(",")));
    let url = format!("http://127.0.0.1:{port}");
    let words = person.fails(4, &["init", "--rpc", &url, "--address-book", book.to_str().unwrap()]);
    assert!(words.contains(&format!("127.0.0.1:{port}")), "{words}");
    assert!(!person.path("config.toml").exists(), "a failed init writes nothing");
    let words = person.fails(3, &["init", "--rpc", &url, "--address-book", "/nowhere.json"]);
    assert!(words.contains("/nowhere.json"), "{words}");
}

#[test]
fn keys_are_made_imported_and_never_overwritten() {
    let person = Person::stranger();
    let made = person.json(&["wallet", "new"]);
    assert_eq!(made["name"], "main");
    let mode = |name: &str| std::fs::metadata(person.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("keystore/main.json"), mode("passphrase"), mode("keystore")), (0o600, 0o600, 0o700));
    person.fails(2, &["wallet", "new"]);

    let words = "test test test test test test test test test test test junk\n";
    let file = person.write("words", words);
    let imported = person.json(&[
        "wallet",
        "import",
        "second",
        "--mnemonic-file",
        file.to_str().unwrap(),
        "--index",
        "1",
    ]);
    assert_eq!(imported["address"], "0x70997970c51812dc3a010c7d01b50e0d17dc79c8");
    let hex = person.write("hex", "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80\n");
    person.json(&["wallet", "import", "first", "--private-key-file", hex.to_str().unwrap()]);
    // The keystore is of the usual form: it can be carried to another home.
    let other = Person::stranger();
    let (file, pass) = (person.path("keystore/first.json"), person.path("passphrase"));
    let carried = other.json(&[
        "wallet",
        "import",
        "--keystore-file",
        file.to_str().unwrap(),
        "--keystore-passphrase-file",
        pass.to_str().unwrap(),
    ]);
    assert_eq!(carried["address"], "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266");

    let list = person.json(&["wallet", "list"]);
    let defaults: Vec<&Value> =
        list.as_array().unwrap().iter().filter(|key| key["default"] == true).collect();
    assert_eq!((list.as_array().unwrap().len(), defaults.len()), (3, 1));
    assert_eq!(defaults[0]["name"], "main");
    assert_eq!(person.json(&["wallet", "show", "second"])["address"], imported["address"]);
    person.fails(3, &["wallet", "show", "third"]);
    person.fails(2, &["wallet", "new", "../escape"]);
    person.fails(3, &["wallet", "import", "bad", "--private-key-file", pass.join("x").to_str().unwrap()]);
}

#[test]
fn manifests_are_checked_without_a_chain() {
    let person = Person::stranger();
    let good = person.write("good.yaml", HELLO);
    let report = person.json(&["manifest", "check", good.to_str().unwrap()]);
    assert_eq!((&report["ok"], &report["dialect"]), (&Value::Bool(true), &Value::from("icl-1.0")));
    assert_eq!(report["cost"]["max_cost"], "1");
    assert_eq!(report["cost"]["max_rate_per_hour"], "0.5");
    assert!(report["market_unknown"].is_string() && report["market"].is_null());

    let bad = person.write("bad.yaml", &HELLO.replace("image:", "imgae:"));
    let run = person.run(&["manifest", "check", bad.to_str().unwrap(), "--json"]);
    assert_eq!(run.code, 10);
    let report: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(report["ok"], false);
    assert_eq!(report["errors"][0]["line"], 7, "{report}");
    let words = person.fails(10, &["manifest", "check", "/nowhere.yaml"]);
    assert!(words.contains("/nowhere.yaml"), "{words}");
}

#[test]
fn manifests_of_other_networks_are_read() {
    let person = Person::stranger();
    let text = "version: \"2.0\"\nservices:\n  web:\n    image: nginx:1\n    expose:\n      - port: 80\n        to:\n          - global: true\nprofiles:\n  compute:\n    web:\n      resources:\n        cpu:\n          units: 1\n        memory:\n          size: 512Mi\n        storage:\n          size: 1Gi\n  placement:\n    dc:\n      pricing:\n        web:\n          denom: uact\n          amount: 10000\ndeployment:\n  web:\n    dc:\n      profile: web\n      count: 1\n";
    let file = person.write("akash.yaml", text);
    let report = person.json(&["manifest", "check", file.to_str().unwrap()]);
    assert_eq!(report["dialect"], "akash-2.0");
    assert!(report["cost"]["conversion"].as_str().unwrap().contains("per block"));
}

#[test]
fn secrets_that_are_missing_are_named() {
    let person = Person::stranger();
    let text = std::fs::read_to_string(crate::person::repository("examples/secrets.yaml")).unwrap();
    let file = person.write("secrets.yaml", &text);
    let report = person.json(&["manifest", "check", file.to_str().unwrap()]);
    assert!(report["missing_secrets"][0]["message"].as_str().unwrap().contains("cannot read"), "{report}");
}
