//! `openssl s_client`, `curl` and a stock WebSocket client against the server: who is refused is told why.

#![allow(clippy::unwrap_used, missing_docs)]

mod fake;
mod stock;

use std::path::Path;

use alloy::primitives::Address;
use alloy::signers::local::PrivateKeySigner;
use fake::{DOMAIN, LEASE, WALLET, World, request};
use iono_identity::{Domain, IdentityRequest, unix_now};
use iono_primitives::{LeaseId, WalletId};
use stock::{Refused, Shown, Target, copied_authorisation, plain_certificate, python_websockets};

fn target(world: &World) -> Target {
    Target { endpoint: world.endpoint.clone(), pin: world.pin.to_string() }
}

fn both(pem: &Path) -> Shown<'_> {
    Some((pem, pem))
}

fn packages() -> std::path::PathBuf {
    python_websockets(Path::new(env!("CARGO_TARGET_TMPDIR")))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrong_certificate_is_refused_with_its_reason() {
    let world = World::start();
    let target = target(&world);
    let (folder, now) = (world.folder.path(), unix_now());
    let stranger = PrivateKeySigner::random();
    world.access.transfer(2, stranger.address());

    let owner = world.owner_pem().await;
    target.assert_allowed(both(&owner), LEASE.0);

    let plain = plain_certificate(folder);
    let copied = copied_authorisation(&owner, folder);
    let foreign_account = world.pem("foreign-account.pem", &stranger, &request(), now).await;
    let foreign_wallet = IdentityRequest { wallet: WalletId(2), ..request() };
    let foreign_wallet = world.pem("foreign-wallet.pem", &stranger, &foreign_wallet, now).await;
    let other_lease = IdentityRequest { lease: Some(LeaseId(11)), ..request() };
    let other_lease = world.pem("other-lease.pem", &world.owner, &other_lease, now).await;
    let chain = IdentityRequest { domain: Domain { chain_id: 1, ..DOMAIN }, ..request() };
    let chain = world.pem("chain.pem", &world.owner, &chain, now).await;
    let registry = IdentityRequest { domain: Domain { lease_access: Address::ZERO, ..DOMAIN }, ..request() };
    let registry = world.pem("registry.pem", &world.owner, &registry, now).await;
    let expired = world.pem("expired.pem", &world.owner, &request(), now - 2 * 3_600).await;
    let future = world.pem("future.pem", &world.owner, &request(), now + 3_600).await;

    let refused = |shown, lease, status, code| target.assert_refused(&Refused { shown, lease, status, code });
    refused(None, LEASE.0, 401, "no_certificate");
    refused(Some((plain.0.as_path(), plain.1.as_path())), LEASE.0, 401, "no_authorisation");
    refused(Some((copied.0.as_path(), copied.1.as_path())), LEASE.0, 401, "wrong_key");
    refused(both(&foreign_account), LEASE.0, 403, "not_allowed");
    refused(both(&foreign_wallet), LEASE.0, 403, "foreign_lease");
    refused(both(&owner), 20, 403, "foreign_lease");
    refused(both(&owner), 99, 404, "unknown_lease");
    refused(both(&other_lease), LEASE.0, 403, "wrong_lease");
    refused(both(&chain), LEASE.0, 401, "wrong_chain");
    refused(both(&registry), LEASE.0, 401, "wrong_registry");
    refused(both(&expired), LEASE.0, 401, "expired");
    refused(both(&future), LEASE.0, 401, "not_yet_valid");

    target.assert_key_not_proven(&owner, LEASE.0, folder);

    world.access.revoke(WALLET);
    refused(both(&owner), LEASE.0, 401, "revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pin_decides() {
    let world = World::start();
    let owner = world.owner_pem().await;
    target(&world).assert_pin_decides(both(&owner), LEASE.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_a_saved_session_nor_an_open_connection_outlives_a_transfer() {
    let world = World::start();
    let owner = world.owner_pem().await;
    target(&world).assert_no_resumption(both(&owner), LEASE.0, world.folder.path(), || {
        world.access.transfer(WALLET, Address::repeat_byte(1));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_websocket_client_gets_a_shell_and_its_exit_code() {
    let world = World::start();
    let (target, owner, packages) = (target(&world), world.owner_pem().await, packages());
    let script = "cmd=sh&cmd=-c&cmd=read%20x%3B%20echo%20got%20%24x%3B%20exit%207";
    let mut shell = target.shell(&packages, &owner, LEASE.0, &format!("service=web&{script}"));
    assert_eq!(shell.next(), r#"{"open": true}"#);
    shell.write("hello\n");
    assert_eq!(shell.next(), r#"{"channel": 1, "text": "got hello\n"}"#);
    assert_eq!(shell.next(), r#"{"control": {"type": "exit", "code": 7}}"#);
    assert_eq!(shell.next(), r#"{"closed": 1000, "reason": ""}"#);

    // Half-close: the end of input reaches the command and its output comes back.
    let mut shell = target.shell(&packages, &owner, LEASE.0, "service=web&cmd=wc&cmd=-l");
    assert_eq!(shell.next(), r#"{"open": true}"#);
    shell.write("a\nb\n");
    shell.close_input();
    assert_eq!(shell.next(), r#"{"channel": 1, "text": "2\n"}"#);
    assert_eq!(shell.next(), r#"{"control": {"type": "exit", "code": 0}}"#);

    let refused = target.shell(&packages, &owner, 20, "service=web&cmd=sh").rest();
    assert_eq!(refused.len(), 1);
    assert!(refused[0].contains("\"status\": 403") && refused[0].contains("foreign_lease"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_shell_is_closed_when_the_wallet_changes_hands() {
    let world = World::start();
    let owner = world.owner_pem().await;
    let mut shell = target(&world).shell(&packages(), &owner, LEASE.0, "service=web&cmd=sleep&cmd=60");
    assert_eq!(shell.next(), r#"{"open": true}"#);
    world.access.transfer(WALLET, Address::repeat_byte(1));
    let lines = shell.rest();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].contains("\"code\": \"not_allowed\"") && lines[0].contains("hint"), "{lines:?}");
    assert_eq!(lines[1], r#"{"closed": 1008, "reason": "not_allowed"}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn public_paths_need_no_certificate_and_wrong_ones_are_answered_in_words() {
    let world = World::start();
    let target = target(&world);
    let document = target.curl(None, "/v1/openapi.json");
    assert_eq!(
        (document.status, document.body.trim_end()),
        (200, iono_lease_api::openapi::text().trim_end())
    );
    assert!(target.curl(None, "/v1/provider").body.contains("\"api\":1"));
    assert!(target.curl(None, "/v1/orders/7/bid").body.contains("memory 3 GiB short"));
    for (path, status, code) in [
        ("/v1/nothing", 404, "not_found"),
        ("/v1/orders/x/bid", 400, "bad_request"),
        ("/v1/leases/10/restart", 405, "method_not_allowed"),
    ] {
        let answer = target.curl(None, path);
        assert_eq!(answer.status, status, "{answer:?}");
        assert!(answer.body.contains(&format!("\"code\":\"{code}\"")), "{answer:?}");
    }
    let owner = world.owner_pem().await;
    let shown = both(&owner);
    let shell = target.curl(shown, "/v1/leases/10/shell?service=web&cmd=sh");
    assert!(shell.body.contains("websocket_expected"), "{shell:?}");
    let logs = target.curl(shown, "/v1/leases/10/logs?tail=2");
    assert_eq!(logs.body.lines().count(), 2, "{logs:?}");
    assert!(target.curl(shown, "/v1/leases/10/logs?tail=many").body.contains("`tail`"));
}
