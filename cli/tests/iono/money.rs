//! Money outside escrow wallets: the faucet, plain transfers, what was earned on the market.

use alloy::primitives::{Address, U256};
use iono_bindings::{IERC20, ILeaseBook};

use crate::host::{Host, Manners};
use crate::person::{HELLO, Person, market, quick_market};

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_gets_spon_and_sends_it_on() {
    let devnet = quick_market().await;
    let (ann, bob) = (Person::on(&devnet), Person::on(&devnet));
    let plan = ann.json(&["faucet", "--token", "SPON", "--amount", "250", "--dry-run"]);
    assert_eq!((&plan["dry_run"], &plan["transactions"][0]["step"]), (&true.into(), &"transfer".into()));
    let given = ann.json(&["faucet", "--token", "SPON", "--amount", "250"]);
    assert_eq!((&given["given"], &given["balance"]), (&"250".into(), &"250".into()));
    assert_ne!(given["ether_given"], "0", "and something for gas");
    let words = ann.fails(6, &["faucet", "--token", "SPON", "--amount", "1000000000"]);
    assert!(words.contains("ask for less"), "{words}");

    let to = bob.address().to_string();
    let sent = ann.json(&["send", "100.5", "--token", "SPON", "--to", &to]);
    assert_eq!((&sent["sent"], &sent["balance"]), (&"100.5".into(), &"149.5".into()));
    let held = IERC20::new(devnet.book.spon, devnet.anvil.provider());
    let held = held.balanceOf(bob.address()).call().await.unwrap();
    assert_eq!(held, U256::from(1_005) * U256::from(10).pow(U256::from(17)));
    let words = ann.fails(6, &["send", "1", "--to", &to]);
    assert!(words.contains("holds 0 DUSD"), "{words}");
    ann.fails(2, &["send", "0", "--token", "SPON", "--to", &to]);
    let words = ann.fails(2, &["send", "1", "--token", "SPON", "--to", &devnet.book.escrow.to_string()]);
    assert!(words.contains("escrow") && words.contains("iono deposit"), "{words}");
    // Enough to stand surety for a provider: that is what a newcomer wants it for.
    devnet
        .provider(&iono_testkit::ProviderSetup::new(devnet.anvil.key(1), devnet.anvil.key(2)))
        .await
        .unwrap();
    assert_eq!(ann.json(&["stake", "delegate", "1", "25"])["provider"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_earned_is_paid_out_by_anyone() {
    let devnet = market().await;
    let host = Host::start(&devnet, 1, Manners::default()).await;
    let ann = Person::funded(&devnet);
    let file = ann.write("hello.yaml", HELLO);
    ann.json(&["deploy", file.to_str().unwrap()]);

    // The matchmaker's fee, by a stranger; nothing waits for the stranger.
    let keeper = host.hot().to_string();
    let paid = ann.json(&["cash-out", "--payee", &keeper]);
    assert_eq!(
        (&paid["amount"], paid["to"].as_str()),
        (&"0.05".into(), Some(keeper.to_lowercase().as_str()))
    );
    let words = ann.fails(6, &["cash-out", "--payee", &keeper]);
    assert!(words.contains(&format!("no DUSD waits for {keeper}")), "{words}");
    ann.fails(6, &["cash-out"]);
    let words = ann.fails(6, &["provider", "cash-out", "1"]);
    assert!(words.contains("no DUSD waits for provider 1"), "{words}");

    // The foundation's fees wait with the provider until they are collected.
    assert_eq!(ann.json(&["admin", "collect-fees"])["collected"], "0");
    devnet.anvil.advance(2 * 3_600).await.unwrap();
    let settle = ILeaseBook::settleCall { lease: U256::from(1) };
    devnet.send(&devnet.anvil.key(9), devnet.book.lease_book, settle).await.unwrap();
    let collected = ann.json(&["admin", "collect-fees"]);
    // An hour of 0.02 is out of the holdback: 20% commission, 2% of either side.
    let amount: f64 = collected["collected"].as_str().unwrap().parse().unwrap();
    assert!((0.0048..0.0056).contains(&amount), "{collected}");
    assert_eq!(collected["paid_out"], collected["collected"]);
    let foundation: Address = collected["foundation"].as_str().unwrap().parse().unwrap();
    assert_eq!(foundation, devnet.admin().address());
    let dollar = IERC20::new(devnet.dollar().await.unwrap(), devnet.anvil.provider());
    let held = dollar.balanceOf(foundation).call().await.unwrap();
    assert_eq!(held, U256::from((amount * 1e6).round() as u64));
    assert_eq!(ann.run(&["admin", "collect-fees"]).stdout, "no fees wait in DUSD\n");
    let earned = ann.json(&["provider", "cash-out", "1"]);
    assert!(earned["amount"].as_str().unwrap().starts_with("0.01"), "{earned}");
}
