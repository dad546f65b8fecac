//! A lease's life from the tenant's side, with a provider at the other end of a real connection.

use alloy::primitives::B256;
use iono_bindings::{IProviderRegistry, ProviderRecord};
use serde_json::Value;

use crate::host::{Host, Manners};
use crate::person::{HELLO, Person, market};

#[tokio::test(flavor = "multi_thread")]
async fn from_a_wallet_to_a_url_and_back() {
    let devnet = market().await;
    let host = Host::start(&devnet, 1, Manners::default()).await;
    let other = Host::start(&devnet, 3, Manners { bid: None, matchmaker: false, ..Manners::default() }).await;
    let ann = Person::funded(&devnet);
    let file = ann.write("hello.yaml", HELLO);
    let file = file.to_str().unwrap();

    let deployed = ann.json(&["deploy", file]);
    assert_eq!(
        (deployed["order"].as_u64(), deployed["lease"].as_u64(), deployed["wallet"].as_u64()),
        (Some(1), Some(1), Some(1))
    );
    assert_eq!(deployed["provider"], host.id);
    assert_eq!(deployed["rate_per_hour"], "0.02");
    assert!(deployed["urls"][0].as_str().unwrap().starts_with("http://hello-1.localhost:"), "{deployed}");
    assert_eq!(deployed["ports"][0]["port"], 30_053);
    let steps = deployed["transactions"].as_array().unwrap();
    assert_eq!((steps.len(), steps[0]["step"].as_str()), (1, Some("permit_and_create")), "one signature");
    let block = |name: &str| deployed["blocks"][name].as_u64().unwrap();
    assert!(
        block("lease") - block("order") <= 4 && block("confirm") - block("lease") <= 2,
        "{}",
        deployed["blocks"]
    );
    let seconds = |name: &str| deployed["seconds"][name].as_f64().unwrap();
    assert!(seconds("order") <= seconds("lease") && seconds("manifest") <= seconds("ready"));
    assert!(seconds("manifest_to_http") < 5.0);

    // Found again from the key alone, with a warning because two hours end soon.
    let ps = ann.run(&["ps", "--json"]);
    let leases: Value = serde_json::from_str(&ps.stdout).unwrap();
    assert_eq!((leases[0]["state"].as_str(), leases[0]["lease"].as_u64()), (Some("active"), Some(1)));
    assert_eq!(leases[0]["warning"]["hours"], 6);
    assert!(ps.stderr.contains("`iono extend 1 24h`"), "{}", ps.stderr);
    let status = ann.json(&["status", "1"]);
    assert_eq!(
        (status["services"][0]["ready"].as_u64(), status["state"].as_str()),
        (Some(1), Some("active"))
    );
    assert!(status["locked"].as_str().unwrap().starts_with("0.0"));

    // Why the market decided so.
    let bids = ann.json(&["bids", "1"]);
    assert_eq!(
        (bids["bids"][0]["won"].as_bool(), bids["winner"].as_u64()),
        (Some(true), Some(host.id.into()))
    );
    assert_eq!(bids["declined"][0]["provider"], other.id);
    assert_eq!(bids["declined"][0]["reason"], "memory 3 GiB short on the only node");
    let seen = ann.json(&["quote", file]);
    assert_eq!(seen["recent_bids"]["dollars_per_hour"]["bids"], 1);

    workload(&ann, &host);
    changes(&ann, &host, file).await;

    let closed = ann.json(&["close", "1"]);
    assert_ne!(closed["refund"], "0");
    assert_eq!(ann.json(&["ps"]).as_array().unwrap().len(), 0);
    let ended = ann.json(&["ps", "--all"]);
    assert_eq!(
        (ended[0]["state"].as_str(), ended[0]["close_reason"].as_str()),
        (Some("closed"), Some("tenant_closed"))
    );
    ann.fails(5, &["close", "1"]);
    let words = ann.fails(8, &["send-manifest", "1"]);
    assert!(words.contains("closed"), "{words}");
}

/// Logs, events, shell and files.
fn workload(ann: &Person, host: &Host) {
    assert_eq!(ann.run(&["logs", "1", "--tail", "2"]).stdout, "line 8\nline 9\n");
    assert_eq!(ann.json(&["logs", "1", "--tail", "1"])[0]["text"], "line 9");
    assert!(
        ann.run(&["events", "1"]).stdout.contains("1970-01-01T00:00:01Z  hello/0  ready  hello/0 serves")
    );
    assert_eq!(ann.json(&["events", "1"])[0]["kind"], "ready");

    let run = ann.run(&["shell", "1", "--no-tty", "--", "/bin/sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!((run.code, run.stdout.as_str(), run.stderr.as_str()), (7, "out\n", "err\n"));
    let run = ann.run(&["shell", "1", "--json", "--", "/bin/sh", "-c", "echo out; exit 3"]);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(
        (run.code, document["exit_code"].as_i64(), document["stdout"].as_str()),
        (3, Some(3), Some("out\n"))
    );
    let mut fed = ann.command(&["shell", "1", "--no-tty", "--", "cat"]);
    let stdin = ann.write("input", "from a file");
    fed.stdin(std::fs::File::open(stdin).unwrap());
    assert_eq!(crate::person::run(fed.output().unwrap()).stdout, "from a file");
    ann.fails(125, &["shell", "1", "--", "/no/such/program"]);

    let folder = ann.path("tree");
    std::fs::create_dir_all(folder.join("deep")).unwrap();
    std::fs::write(folder.join("deep/file"), "content").unwrap();
    ann.json(&["cp", folder.to_str().unwrap(), "1:hello:/data/"]);
    assert_eq!(
        std::fs::read_to_string(host.files.path().join("data/data/tree/deep/file")).unwrap(),
        "content"
    );
    let back = ann.path("back");
    ann.json(&["cp", "1:hello:/data/tree/deep/file", back.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(&back).unwrap(), "content");
    ann.fails(2, &["cp", "here", "there"]);
    ann.fails(7, &["cp", "1:hello:/nothing", back.to_str().unwrap()]);
    ann.json(&["restart", "1", "--service", "hello"]);
}

/// Extension, updates, a lost manifest, ratings.
async fn changes(ann: &Person, host: &Host, file: &str) {
    let extended = ann.json(&["extend", "1", "30h"]);
    assert!(extended["seconds_left"].as_u64().unwrap() > 31 * 3_600, "{extended}");
    let words = ann.fails(6, &["extend", "1", "300d"]);
    assert!(words.contains("wallet 1 lacks"), "{words}");

    assert_eq!(ann.json(&["update", "1", file])["changed"], false);
    let other = ann.write("other.yaml", &HELLO.replace("NONCE=hello-ionosphere", "NONCE=other"));
    let updated = ann.json(&["update", "1", other.to_str().unwrap()]);
    assert_eq!(updated["transactions"][0]["step"], "set_manifest_hash");
    assert_eq!(
        (updated["resources_changed"].as_bool(), updated["ready"].as_bool()),
        (Some(false), Some(true))
    );

    let two = ann.write("two.yaml", &HELLO.replace("count: 1", "count: 2"));
    let two = two.to_str().unwrap();
    let words = ann.fails(5, &["update", "1", two, "--max-rate", "0.025"]);
    assert!(words.contains("0.03 an hour, more than the 0.025"), "{words}");
    assert_eq!(ann.json(&["update", "1", two, "--dry-run"])["transactions"][1]["step"], "update");
    // The match fee was paid out of the wallet, so it is a little short of its bracket: topped up first.
    let updated = ann.json(&["update", "1", two]);
    assert_eq!(
        (updated["old_rate_per_hour"].as_str(), updated["rate_per_hour"].as_str()),
        (Some("0.02"), Some("0.03"))
    );
    assert_eq!(updated["transactions"][1]["step"], "update");
    assert_eq!(ann.json(&["status", "1"])["services"][0]["ready"], 2);

    host.lose_manifests();
    assert_eq!(ann.json(&["send-manifest", "1"])["changed"], true);
    assert!(host.has_manifest(1));
    host.lose_manifests();
    assert_eq!(ann.json(&["status", "1"])["services"][0]["ready"], 2, "status sends it again by itself");
    assert_eq!(ann.json(&["send-manifest", "1", two])["changed"], false);
    let words = ann.fails(10, &["send-manifest", "1", file]);
    assert!(words.contains("iono update"), "{words}");
    let words = ann.fails(5, &["rate", "1", "5"]);
    assert!(words.contains("Ratings_TooShort"), "{words}");
    ann.fails(2, &["rate", "1", "6"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rights_decide_who_reaches_a_lease() {
    let devnet = market().await;
    let host = Host::start(&devnet, 1, Manners::default()).await;
    let (ann, bob) = (Person::funded(&devnet), Person::funded(&devnet));
    let file = ann.write("hello.yaml", HELLO);
    ann.json(&["deploy", file.to_str().unwrap()]);

    let words = bob.fails(5, &["logs", "1"]);
    assert!(
        words.contains("has no right to the leases of wallet 1") && words.contains("iono delegate add"),
        "{words}"
    );
    assert_eq!(bob.json(&["ps"]).as_array().unwrap().len(), 0);
    ann.json(&["delegate", "add", &bob.address().to_string()]);
    assert_eq!(bob.run(&["logs", "1", "--tail", "1"]).stdout, "line 9\n");
    // What others let him reach stands in his list, marked.
    let access = |person: &Person| person.json(&["ps"])[0]["access"].as_str().map(str::to_owned);
    assert_eq!((access(&ann).as_deref(), access(&bob).as_deref()), (Some("owner"), Some("read")));
    assert!(bob.run(&["ps"]).stdout.contains("1 (delegate, reads)"));
    bob.fails(5, &["manifest", "get", "1"]);
    let words = bob.fails(125, &["shell", "1", "--", "true"]);
    assert!(words.contains("may only read"), "{words}");
    ann.json(&["delegate", "add", &bob.address().to_string(), "--write"]);
    assert_eq!(bob.run(&["shell", "1", "--no-tty", "--", "true"]).code, 0);
    assert_eq!(access(&bob).as_deref(), Some("write"));
    assert_eq!(bob.json(&["manifest", "get", "1"])["source"], "provider");
    ann.json(&["delegate", "remove", &bob.address().to_string()]);
    assert_eq!(bob.json(&["ps"]).as_array().unwrap().len(), 0, "the right is gone");

    // Revoked certificates are replaced by themselves; the file is the owner's alone.
    ann.json(&["revoke", "1"]);
    assert_eq!(ann.run(&["logs", "1", "--tail", "1"]).stdout, "line 9\n");
    let certificates: Vec<_> = std::fs::read_dir(ann.path("certificates")).unwrap().collect();
    assert_eq!(certificates.len(), 1, "one certificate per wallet and key");
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(certificates[0].as_ref().unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);

    // The wallet passes on, the lease with it.
    ann.json(&["transfer", "1", &bob.address().to_string()]);
    ann.fails(5, &["logs", "1"]);
    assert_eq!((bob.json(&["ps"])[0]["lease"].as_u64(), access(&bob).as_deref()), (Some(1), Some("owner")));

    // A server with another key than the registry's is nobody's provider.
    let registry = IProviderRegistry::new(devnet.book.provider_registry, devnet.anvil.provider());
    let record = registry.record(alloy::primitives::U256::from(host.id)).call().await.unwrap();
    let record = ProviderRecord { pin: B256::repeat_byte(9), ..record };
    let call = IProviderRegistry::setRecordCall { provider: alloy::primitives::U256::from(host.id), record };
    devnet.send(&devnet.anvil.key(1), devnet.book.provider_registry, call).await.unwrap();
    let words = bob.fails(8, &["logs", "1"]);
    assert!(words.contains("is not the provider") && words.contains("do not trust"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_misses_its_confirmation_costs_nothing() {
    let devnet = market().await;
    let host = Host::start(&devnet, 1, Manners { confirms: false, ..Manners::default() }).await;
    let ann = Person::funded(&devnet);
    let file = ann.write("hello.yaml", HELLO);
    let mut child = ann.command(&["deploy", file.to_str().unwrap(), "--json"]);
    let child =
        child.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let pending = async || {
        let leases = ann.json(&["ps"]);
        (leases[0]["state"] == "pending").then_some(())
    };
    iono_testkit::eventually("the match", std::time::Duration::from_secs(60), pending).await.unwrap();
    devnet.anvil.advance(120).await.unwrap();
    let run = crate::person::run(child.wait_with_output().unwrap());
    assert_eq!(run.code, 11, "{}", run.stderr);
    assert!(
        run.stderr.contains("missed the confirmation") && run.stderr.contains(&format!("--deny {}", host.id)),
        "{}",
        run.stderr
    );
    let wallets = ann.json(&["wallets"]);
    assert_eq!(wallets[0]["balances"][0]["free"], "14.95", "all but the match fee: {wallets}");
    assert_eq!(ann.json(&["provider", "show", &host.id.to_string()])["state"], "barred");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forged_quote_is_refused_before_anything_is_sent() {
    let devnet = market().await;
    let _host = Host::start(&devnet, 1, Manners { forges_quotes: true, ..Manners::default() }).await;
    let ann = Person::funded(&devnet);
    let file = ann.write("hello.yaml", HELLO);
    ann.json(&["deploy", file.to_str().unwrap()]);
    let two = ann.write("two.yaml", &HELLO.replace("count: 1", "count: 2"));
    let words = ann.fails(8, &["update", "1", two.to_str().unwrap()]);
    assert!(
        words.contains("not signed by the provider's hot key") && words.contains("nothing was sent"),
        "{words}"
    );
    assert_eq!(ann.json(&["ps"])[0]["rate_per_hour"], "0.02");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_everybody_lost_is_agreed_on_anew() {
    let devnet = market().await;
    let host = Host::start(&devnet, 1, Manners::default()).await;
    let ann = Person::funded(&devnet);
    let file = ann.write("hello.yaml", HELLO);
    let file = file.to_str().unwrap();
    let deployed = ann.json(&["deploy", file]);

    // This machine lost its copy: the provider has one, with the salt.
    let kept = ann.run(&["manifest", "get", "1"]);
    std::fs::remove_dir_all(ann.path("leases")).unwrap();
    let words = ann.fails(3, &["send-manifest", "1", file]);
    assert!(words.contains("iono manifest get 1"), "the file alone says nothing: {words}");
    let got = ann.json(&["manifest", "get", "1"]);
    assert_eq!((&got["source"], &got["manifest_hash"]), (&"provider".into(), &deployed["manifest_hash"]));
    assert_eq!(got["manifest"]["services"][0]["env"]["NONCE"], "hello-ionosphere");
    let again = ann.run(&["manifest", "get", "1"]);
    assert_eq!(again.stdout, kept.stdout, "the very bytes that were hashed");
    let salt: B256 = got["salt"].as_str().unwrap().parse().unwrap();
    let bytes = [salt.as_slice(), again.stdout.trim_end().as_bytes()].concat();
    assert_eq!(alloy::primitives::keccak256(bytes).to_string(), got["manifest_hash"].as_str().unwrap());
    assert_eq!(ann.json(&["manifest", "get", "1"])["source"], "kept");
    host.lose_manifests();
    assert_eq!(ann.json(&["send-manifest", "1", file])["changed"], true);

    // Both lost it: the lease waits unbilled for another one within the same resources.
    host.lose_manifests();
    host.pause(&devnet, 1).await;
    std::fs::remove_dir_all(ann.path("leases")).unwrap();
    assert_eq!(ann.json(&["ps"])[0]["state"], "paused");
    let shown = ann.run(&["status", "1"]).stdout;
    assert!(shown.contains("`iono update 1 FILE`"), "{shown}");
    let words = ann.fails(7, &["manifest", "get", "1"]);
    assert!(words.contains("neither this machine nor the provider"), "{words}");
    let words = ann.fails(3, &["send-manifest", "1"]);
    assert!(words.contains("iono update 1 FILE"), "{words}");
    let two = ann.write("two.yaml", &HELLO.replace("count: 1", "count: 2"));
    let words = ann.fails(5, &["update", "1", two.to_str().unwrap()]);
    assert!(words.contains("is paused") && words.contains("within the same resources"), "{words}");
    let fixed = HELLO.replacen(
        "- global: true\n",
        "- global: true\n      - port: 9\n        use_public_port: true\n        to: [{global: true}]\n",
        1,
    );
    let fixed = ann.write("fixed.yaml", &fixed);
    let words = ann.fails(10, &["update", "1", fixed.to_str().unwrap()]);
    assert!(words.contains("no provider can serve this yet"), "{words}");
    let updated = ann.json(&["update", "1", file]);
    assert_eq!((&updated["changed"], &updated["resources_changed"]), (&true.into(), &false.into()));
    assert_eq!(updated["transactions"][0]["step"], "set_manifest_hash");
    assert_ne!(updated["manifest_hash"], deployed["manifest_hash"], "another salt");
    let served = async || (ann.json(&["ps"])[0]["state"] == "active").then_some(());
    iono_testkit::eventually("a lease that is billed again", std::time::Duration::from_secs(30), served)
        .await
        .unwrap();
}
