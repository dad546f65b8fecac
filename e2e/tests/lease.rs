//! A lease from outside: what the manifest says comes back by URL, log and shell; the bill follows from block times;
//! nothing is left after the close.
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use alloy::primitives::U256;
use iono_bindings::{IEscrow, ILeaseBook, LeaseWords};
use iono_e2e::cli::{number, text};
use iono_e2e::{Network, NodePlan, accounts, cast, engine, events, hello, http, network};
use iono_primitives::Rate;

/// Market, one provider, one tenant.
async fn market() -> (Network, iono_testkit::Daemon, iono_e2e::Node, iono_e2e::Iono) {
    hello::build().await.unwrap();
    let mut network = Network::start().await.unwrap();
    let matchmaker = network.matchmaker("matchmaker").await.unwrap();
    let mut node = network.provider(NodePlan::new("fair")).await.unwrap();
    node.run().await.unwrap();
    let tenant = network.tenant("tenant").await.unwrap();
    (network, matchmaker, node, tenant)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_comes_back_the_bill_is_exact_and_nothing_is_left() {
    let (network, _matchmaker, node, tenant) = market().await;
    let nonce = format!("n{}", std::process::id());
    let manifest = hello::manifest(network.dir(), &nonce, 1).unwrap();

    let deployed = tenant.json(&["deploy", &manifest, "--token", "1"]).await.unwrap();
    let lease = number(&deployed, "/lease").unwrap();
    let lease_arg = lease.to_string();
    let url = text(&deployed, "/urls/0").unwrap();

    // The nonce by URL, by log and by shell.
    let (_, body) = http::get(&format!("{url}{nonce}")).await.unwrap();
    assert!(body.contains(&format!("nonce {nonce}")), "{body}");
    let log = tenant.output(&["logs", &lease_arg, "--tail", "20"]).await.unwrap();
    let log = String::from_utf8_lossy(&log.stdout).into_owned();
    assert!(log.contains(&format!("GET /{nonce}")), "{log}");
    let shell = tenant
        .output(&["shell", &lease_arg, "--no-tty", "--", "/bin/sh", "-c", "echo $NONCE; exit 7"])
        .await
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&shell.stdout).trim(), nonce);
    assert_eq!(shell.status.code(), Some(7));

    // Two thousand seconds later it is closed; what runs on the machine goes.
    network.anvil.advance(2_000).await.unwrap();
    tenant.json(&["close", &lease_arg]).await.unwrap();
    let labels = [node.owner_label(&network), format!("network.ionosphere.lease={lease}")];
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let gone = || async { engine::labelled(&labels).await.unwrap().is_empty().then_some(()) };
    iono_testkit::eventually("an empty engine", Duration::from_secs(30), gone).await.unwrap();
    assert!(!http::answers(&url, "").await, "the URL still answers");

    // The bill, recomputed by a stranger's tool from block times alone.
    let (chain, book) = (network.anvil.provider(), &network.book);
    let id = U256::from(lease);
    let confirmed =
        events::last::<ILeaseBook::LeaseConfirmed>(chain, book.lease_book, |e| e.lease == id).await.unwrap();
    let closed =
        events::last::<ILeaseBook::LeaseClosed>(chain, book.lease_book, |e| e.lease == id).await.unwrap();
    let rpc = network.anvil.url();
    let start = cast::timestamp(&rpc, confirmed.block).await.unwrap();
    let end = cast::timestamp(&rpc, closed.block).await.unwrap();
    let stored = ILeaseBook::new(book.lease_book, chain).leaseWords(id).call().await.unwrap();
    let words = LeaseWords::read([stored.word0, stored.word1]);
    let gross = Rate(words.rate).gross(end - start, words.decimals);
    assert!(end - start >= 2_000 && gross > U256::ZERO, "{start} {end} {gross}");

    network.anvil.advance(3_700).await.unwrap();
    let signing = network.anvil.signing(&network.anvil.key(0));
    // The provider may have settled already; anyone may.
    if let Ok(sent) = ILeaseBook::new(book.lease_book, &signing).settle(id).send().await {
        sent.get_receipt().await.unwrap();
    }
    let escrow = book.escrow.to_string();
    let (provider, token) = (node.id.to_string(), network::DOLLAR.to_string());
    let ledger =
        cast::call(&rpc, &escrow, "ledgerOf(uint256,uint256)(uint256,uint256)", &[&provider, &token])
            .await
            .unwrap();
    let cashed = events::all::<IEscrow::CashedOut>(chain, book.escrow).await.unwrap();
    let cashed: U256 =
        cashed.iter().filter(|out| out.event.payee == U256::from(node.id)).map(|out| out.event.amount).sum();
    // The commission's part of the last unit stays with the payee or the foundation; both parts sum to gross and fees.
    let payer = gross * U256::from(words.payer_fee) / U256::from(10_000);
    assert_eq!(ledger[0] + ledger[1] + cashed, gross + payer);
    let commission = gross * U256::from(words.fee) / U256::from(10_000);
    let net = ledger[0] + cashed;
    assert!(net <= gross - commission + U256::from(1) && net + U256::from(1) >= gross - commission, "{net}");

    let accounts = accounts::read(chain, book, network::DOLLAR).await.unwrap();
    assert_eq!(accounts.unaccounted(), 0, "{accounts:?}");
    assert_eq!((accounts.reserved, accounts.locked), (0, 0), "{accounts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_to_two_replicas_fails_no_request() {
    let (network, _matchmaker, _node, tenant) = market().await;
    let one = hello::manifest(network.dir(), "one", 1).unwrap();
    let deployed = tenant.json(&["deploy", &one, "--token", "1"]).await.unwrap();
    let (lease, url) =
        (number(&deployed, "/lease").unwrap().to_string(), text(&deployed, "/urls/0").unwrap());

    let hammer = iono_e2e::hammer::Hammer::start(&url).unwrap();
    let two = hello::manifest(network.dir(), "two", 2).unwrap();
    tenant.json(&["update", &lease, &two]).await.unwrap();
    let both = || async {
        let status = tenant.json(&["status", &lease]).await.ok()?;
        (iono_e2e::cli::replicas_ready(&status) == 2).then_some(())
    };
    iono_testkit::eventually("two replicas", Duration::from_secs(60), both).await.unwrap();
    let new = || async { http::answers(&url, "nonce two").await.then_some(()) };
    iono_testkit::eventually("the new manifest", Duration::from_secs(30), new).await.unwrap();
    let (asked, failed) = hammer.stop().await;
    assert!(asked > 20, "only {asked} requests");
    assert_eq!(failed, 0, "of {asked}");
    tenant.json(&["close", &lease]).await.unwrap();
}
