//! A lease from outside: what the manifest says comes back by URL, log and shell; the bill follows from block times;
//! nothing is left after the close.
#![allow(clippy::unwrap_used, missing_docs)]

use iono_e2e::cli::{number, replicas_ready, text};
use iono_e2e::market::SOON;
use iono_e2e::{Market, bill, hello, http};
use iono_testkit::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn a_nonce_comes_back_the_bill_is_exact_and_nothing_is_left() {
    let market = Market::open().await.unwrap();
    let nonce = format!("n{}", std::process::id());
    let (lease, url) = market.deploy(&nonce).await.unwrap();
    let id = lease.to_string();

    // The nonce by URL, by log and by shell. Nothing of it is in what is asked.
    let mut log = market.tenant.stream(&["logs", &id, "-f"]).unwrap();
    let (status, body) = http::curl(&url).await.unwrap();
    assert_eq!(status, 200);
    assert!(body.contains(&format!("nonce {nonce}")), "{body}");
    log.line_with(&format!("GET /, nonce {nonce}"), SOON).await.unwrap();
    let tail = market.tenant.output(&["logs", &id, "--tail", "20"]).await.unwrap();
    let tail = String::from_utf8_lossy(&tail.stdout).into_owned();
    assert!(tail.contains(&format!("GET /, nonce {nonce}")), "{tail}");
    let say = ["shell", &id, "--no-tty", "--", "/bin/sh", "-c", "echo $NONCE; exit 7"];
    let shell = market.tenant.output(&say).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&shell.stdout).trim(), nonce);
    assert_eq!(shell.status.code(), Some(7));

    // Two thousand seconds later it is closed; what runs on the machine goes.
    market.network.anvil.advance(2_000).await.unwrap();
    market.close(lease).await.unwrap();
    assert!(!http::answers(&url, "").await, "the URL still answers");
    bill::is_exact(&market, lease).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_to_two_replicas_fails_no_request() {
    let market = Market::open().await.unwrap();
    let one = hello::manifest(market.network.dir(), "one", 1).unwrap();
    let deployed = market.tenant.json(&["deploy", &one, "--token", "1"]).await.unwrap();
    let (lease, url) = (number(&deployed, "/lease").unwrap(), text(&deployed, "/urls/0").unwrap());
    let old = market.containers(lease).await.unwrap();
    assert_eq!(old.len(), 1);

    let hammer = iono_e2e::hammer::Hammer::start(&url).unwrap();
    let two = hello::manifest(market.network.dir(), "two", 2).unwrap();
    let id = lease.to_string();
    market.tenant.json(&["update", &id, &two]).await.unwrap();
    // The old replica drains while the new ones serve already: requests go on until it is gone.
    let settled = || async {
        let now = market.containers(lease).await.ok()?;
        (now.len() == 2 && !now.contains(&old[0])).then_some(())
    };
    eventually("two containers, both new", SOON, settled).await.unwrap();
    let status = market.tenant.json(&["status", &id]).await.unwrap();
    assert_eq!(replicas_ready(&status), 2, "{status:#}");
    let (asked, failures) = hammer.stop().await;
    assert!(asked > 20, "only {asked} requests");
    assert!(failures.is_empty(), "of {asked} requests {} failed: {failures:#?}", failures.len());
    assert!(http::answers(&url, "nonce two").await);
    assert_eq!(market.containers(lease).await.unwrap().len(), 2);
    market.close(lease).await.unwrap();
}
