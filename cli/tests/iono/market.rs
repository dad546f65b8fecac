//! Looking around: GPUs by the names that people use, providers' own word on prices, and what nobody can serve.

use iono_testkit::ProviderSetup;
use serde_json::Value;

use crate::host::{Host, Manners, machine};
use crate::person::{HELLO, Person, quick_market, repository};

/// Neither bids nor decides: only there to be looked at.
fn shown(
    gpus: &'static [(&'static str, u8)],
    gpu_prices: &'static [(&'static str, &'static str)],
) -> Manners {
    Manners { bid: None, matchmaker: false, gpus, gpu_prices, ..Manners::default() }
}

fn numbers(providers: &Value) -> Vec<u64> {
    providers.as_array().unwrap().iter().map(|entry| entry["provider"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn gpus_are_found_by_their_plain_name_and_providers_say_their_prices() {
    let devnet = quick_market().await;
    let _h100 = Host::start(&devnet, 1, shown(&[("h100-sxm-80gi", 4)], &[("h100", "1.99")])).await;
    let several: &[_] = &[("h100-pcie-80gi", 1), ("rtx4090-24gi", 2)];
    let _mixed = Host::start(&devnet, 3, shown(several, &[("h100", "1.5"), ("rtx4090", "0.35")])).await;
    // Several models as well, and nobody answers there.
    let silent = ProviderSetup::new(devnet.anvil.key(5), devnet.anvil.key(6));
    // Bound and not listening: nobody else gets the port meanwhile.
    let nobody = tokio::net::TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let silent = ProviderSetup {
        endpoint: nobody.local_addr().unwrap().to_string(),
        capacity: machine(&[("l4", 1), ("t4", 1)]),
        ..silent
    };
    devnet.provider(&silent).await.unwrap();
    let _plain = Host::start(&devnet, 7, shown(&[], &[])).await;

    let ann = Person::on(&devnet);
    let found = |gpu: &str| numbers(&ann.json(&["market", "--gpu", gpu])["providers"]);
    assert_eq!(found("h100"), [1, 2, 3]);
    assert_eq!(found("H100-SXM"), [1, 3]);
    assert_eq!(found("rtx4090"), [2, 3]);
    assert_eq!(found("a100"), [3], "only who does not answer may have one");
    assert_eq!(found("any"), [1, 2, 3]);
    ann.fails(2, &["market", "--gpu", "the fastest one there is"]);

    let market = ann.json(&["market"]);
    assert_eq!(numbers(&market["providers"]), [1, 2, 3, 4]);
    assert_eq!(market["providers"][0]["offer"]["dollars_per_hour"]["gpus"]["h100"], 1.99);
    assert_eq!(market["providers"][1]["offer"]["gpus"][1]["model"], "rtx4090-24gi");
    assert!(market["providers"][2]["offer"].is_null());
    assert!(market["providers"][2]["offer_error"].as_str().unwrap().contains("cannot be reached"));
    assert!(market["providers"][3]["offer"]["dollars_per_hour"].is_null(), "it publishes no list");
    let free = |model: &str| {
        let gpus = market["gpus"].as_array().unwrap();
        gpus.iter().find(|gpu| gpu["model"] == model).map(|gpu| gpu["free"].as_u64().unwrap())
    };
    assert_eq!((free("h100-sxm-80gi"), free("rtx4090-24gi"), free("mixed")), (Some(4), Some(2), Some(2)));

    let run = ann.run(&["market"]);
    assert!(run.stderr.contains("provider 3 does not say its prices"), "{}", run.stderr);
    for words in ["$/CORE", "4/4 h100-sxm-80gi", "h100 $1.99", "rtx4090 $0.3500", "2/2 mixed"] {
        assert!(run.stdout.contains(words), "{words} is missing in\n{}", run.stdout);
    }
    let run = ann.run(&["provider", "show", "2"]);
    assert!(
        run.stdout.contains("a core $0.0100") && run.stdout.contains("rtx4090 $0.3500"),
        "{}",
        run.stdout
    );
    assert!(ann.json(&["provider", "show", "3"])["offer_error"].is_string());

    // No bids yet: the lists say what it would cost, and the model decides who could take it.
    let text = std::fs::read_to_string(repository("examples/gpu.yaml")).unwrap();
    let file = ann.write("gpu.yaml", &text.replace("model: a100", "model: h100"));
    let quote = ann.json(&["quote", file.to_str().unwrap()]);
    assert!(quote["recent_bids"].is_null());
    let lists = &quote["price_lists"];
    assert_eq!((lists["asked"].as_u64(), lists["silent"].as_u64()), (Some(3), Some(1)), "{quote:#}");
    assert_eq!(lists["with_room"], 2);
    // 8 cores, 64 GiB, 220 GiB and one GPU.
    let near = |found: &Value, wanted: f64| (found.as_f64().unwrap() - wanted).abs() < 1e-6;
    let range = &lists["dollars_per_hour"];
    assert!(near(&range["low"], 0.08 + 0.128 + 0.022 + 1.5), "{quote:#}");
    assert!(near(&range["high"], 0.08 + 0.128 + 0.022 + 1.99), "{quote:#}");
    assert_eq!(quote["providers"]["eligible"], 3, "the silent one may have it");
    assert_eq!(quote["providers"]["lacking"]["gpu"], 1);
    let run = ann.run(&["quote", file.to_str().unwrap()]);
    assert!(run.stdout.contains("price lists") && run.stdout.contains("1 do not answer"), "{}", run.stdout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trust_tier_that_nobody_has_is_told_before_the_order() {
    let devnet = quick_market().await;
    let _host = Host::start(&devnet, 1, shown(&[], &[])).await;
    let admin = Person::admin(&devnet);
    let file = admin
        .write("secured.yaml", &HELLO.replace("  duration: 2h\n", "  duration: 2h\n  tiers: [secured]\n"));
    let file = file.to_str().unwrap();
    let run = admin.run(&["quote", file, "--json"]);
    let quote: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&quote["providers"]["registered"], &quote["providers"]["eligible"]), (&1.into(), &0.into()));
    assert_eq!(quote["providers"]["lacking"]["trust_tier"], 1);
    assert_eq!(quote["providers"]["by_tier"][0]["tier"], 7);
    assert!(run.stderr.contains("no registered provider can take this order"), "{}", run.stderr);

    let ann = Person::funded(&devnet);
    ann.fails(5, &["admin", "provider", "tier", "1", "3"]);
    admin.fails(2, &["admin", "provider", "tier", "1", "8"]);
    admin.fails(7, &["admin", "provider", "tier", "9", "3"]);
    let raised = admin.json(&["admin", "provider", "tier", "1", "3"]);
    assert_eq!((&raised["before"], &raised["state"]), (&7.into(), &"open".into()));
    let run = admin.run(&["quote", file]);
    assert!(run.stdout.contains("1 of 1 registered could take it (tier 3: 1 of 1)"), "{}", run.stdout);
    // Its stake must be that of its tier.
    admin.json(&["admin", "tier-stake", "3", "2000000"]);
    let run = admin.run(&["admin", "provider", "tier", "1", "3", "--json"]);
    assert!(run.stderr.contains("may not bid until it stakes"), "{}{}", run.stdout, run.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_can_serve_is_refused_before_it_is_ordered() {
    let devnet = quick_market().await;
    let ann = Person::funded(&devnet);
    let port = "      - port: 9000\n        use_public_port: true\n        to:\n          - global: true\n";
    let address = "      - port: 9000\n        to:\n          - global: true\n            ip: pool\n";
    let more = |port: &str| HELLO.replacen("- global: true\n", &format!("- global: true\n{port}"), 1);
    let cases = [
        ("port.yaml", more(port), vec!["17:9: use_public_port"]),
        (
            "address.yaml",
            more(address).replace("services:", "endpoints:\n  pool: {kind: ip}\nservices:"),
            vec!["6:3: endpoints", "21:17: to: no provider leases IP addresses"],
        ),
    ];
    for (name, text, places) in cases {
        let file = ann.write(name, &text);
        let file = file.to_str().unwrap();
        let run = ann.run(&["manifest", "check", file, "--json"]);
        assert_eq!(run.code, 10, "{}{}", run.stdout, run.stderr);
        let report: Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!(
            (&report["ok"], report["errors"].as_array().unwrap().len()),
            (&false.into(), 0),
            "{report:#}"
        );
        assert_eq!(report["unavailable"].as_array().unwrap().len(), places.len(), "{report:#}");
        assert!(report["cost"]["max_cost"].is_string(), "what it would cost is said all the same");
        let words = ann.run(&["manifest", "check", file]).stdout;
        let refusal = ann.fails(10, &["deploy", file]);
        assert!(
            refusal.contains("no provider can serve this yet") && refusal.contains("nothing is paid"),
            "{refusal}"
        );
        for place in places {
            let told = words.lines().any(|line| line.starts_with("unavailable") && line.contains(place));
            assert!(told, "{place} is missing in\n{words}");
            assert!(refusal.contains(place), "{place} is missing in\n{refusal}");
        }
        let quoted = ann.run(&["quote", file, "--json"]);
        assert_eq!(quoted.code, 0, "{}", quoted.stderr);
        assert!(quoted.stderr.contains(name), "{}", quoted.stderr);
    }
    assert_eq!(ann.json(&["ps", "--all"]).as_array().unwrap().len(), 0);
    assert_eq!(ann.json(&["wallets"]).as_array().unwrap().len(), 0, "not even a wallet was opened");
}
