//! The client against the server: every route, refusals in words, streams that end when they must, limits, drain.

#![allow(clippy::unwrap_used, missing_docs)]

mod fake;

use std::num::NonZeroU32;
use std::time::Duration;

use alloy::primitives::{Address, keccak256};
use bytes::Bytes;
use fake::{DOMAIN, LEASE, WALLET, World, manifest};
use futures::{StreamExt as _, TryStreamExt as _};
use iono_identity::{Pin, ServerIdentity};
use iono_lease_api::*;
use iono_primitives::{LeaseId, OrderId};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(10);

fn shell(words: &[&str]) -> ShellRequest {
    let command = words.iter().map(|word| (*word).to_owned()).collect();
    ShellRequest { service: "web".into(), replica: Some(0), command, tty: None }
}

fn file(path: &str) -> FilePath {
    FilePath { service: "web".into(), replica: None, path: path.into() }
}

/// Standard output, standard error, exit code or the error's code.
async fn collect(mut session: ShellSession<ClientError>) -> (String, String, Result<i64, String>) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    while let Some(item) = timeout(SOON, session.output.next()).await.unwrap() {
        match item {
            Ok(ShellOutput::Stdout(bytes)) => out.extend_from_slice(&bytes),
            Ok(ShellOutput::Stderr(bytes)) => err.extend_from_slice(&bytes),
            Ok(ShellOutput::Exit(code)) => {
                return (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap(), Ok(code));
            }
            Err(error) => return (String::new(), String::new(), Err(error.code().unwrap_or("?").to_owned())),
        }
    }
    panic!("no exit code");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_does_what_it_says() {
    let world = World::start();
    let client = world.client().await;

    assert_eq!(client.provider().await.unwrap().lease_access, DOMAIN.lease_access);
    assert_eq!(client.why_no_bid(OrderId(5)).await.unwrap().reasons[0].message, "memory 3 GiB short");

    assert_eq!(client.get_manifest(LEASE).await.unwrap_err().code(), Some("not_found"));
    let sent = manifest("secret");
    let receipt = client.put_manifest(LEASE, &sent).await.unwrap();
    assert_eq!(receipt, ManifestReceipt { hash: sent.hash(), changed: true });
    assert!(!client.put_manifest(LEASE, &sent).await.unwrap().changed);
    assert_eq!(client.get_manifest(LEASE).await.unwrap(), sent);

    let status = client.status(LEASE).await.unwrap();
    assert_eq!((status.lease, status.warnings[0].hours), (LEASE, 1));

    let query = LogQuery { tail: Some(3), ..LogQuery::default() };
    let lines: Vec<LogLine> = client.logs(LEASE, &query).await.unwrap().try_collect().await.unwrap();
    assert_eq!(
        lines.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(),
        ["line 97", "line 98", "line 99"]
    );
    let query = EventQuery { after: Some(2), follow: false };
    let events: Vec<LeaseEvent> = client.events(LEASE, &query).await.unwrap().try_collect().await.unwrap();
    assert_eq!(events.iter().map(|event| event.sequence).collect::<Vec<_>>(), [3, 4]);

    let quote = QuoteRequest { spec: vec![1, 2].into(), max_rate: None };
    let signed = client.quote(LEASE, &quote).await.unwrap();
    assert_eq!((signed.spec_hash, signed.rate), (keccak256([1, 2]), u128::MAX.to_string()));
    let dear = QuoteRequest { max_rate: Some("1".into()), ..quote };
    assert_eq!(
        client.quote(LEASE, &dear).await.unwrap_err().to_string(),
        "it would cost 2 a second; pay more"
    );

    client.restart(LEASE, Some("web")).await.unwrap();
    client.restart(LEASE, None).await.unwrap();
    assert_eq!(*world.provider.restarts.lock().unwrap(), [Some("web".to_owned()), None]);

    let pieces = (0..100).map(|n| Ok::<_, std::io::Error>(Bytes::from(vec![n; 10_000])));
    client.copy_in(LEASE, &file("/data/ä b"), futures::stream::iter(pieces)).await.unwrap();
    let back: Vec<Bytes> =
        client.copy_out(LEASE, &file("/data/ä b")).await.unwrap().try_collect().await.unwrap();
    assert_eq!(back.concat().len(), 1_000_000);
    assert_eq!(client.copy_out(LEASE, &file("/no")).await.err().unwrap().code(), Some("not_found"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shell_carries_bytes_both_ways_and_the_exit_code() {
    let world = World::start();
    let client = world.client().await;

    let session = client.shell(LEASE, &shell(&["sh", "-c", "echo out; echo err >&2; exit 7"])).await.unwrap();
    assert_eq!(collect(session).await, ("out\n".into(), "err\n".into(), Ok(7)));

    // Half-close: cat ends at the end of its input, and its output still arrives.
    let session = client.shell(LEASE, &shell(&["cat"])).await.unwrap();
    let megabyte = Bytes::from("0123456789".repeat(100_000));
    let input = session.input.clone();
    let sent = megabyte.clone();
    tokio::spawn(async move {
        input.send(ShellInput::Resize(TtySize { rows: 50, columns: 132 })).await.unwrap();
        input.send(ShellInput::Stdin(sent)).await.unwrap();
        input.send(ShellInput::Eof).await.unwrap();
    });
    let (out, _, exit) = collect(session).await;
    assert_eq!((out.len(), exit), (megabyte.len(), Ok(0)));
    assert_eq!(*world.provider.resizes.lock().unwrap(), [TtySize { rows: 50, columns: 132 }]);

    let wrong = ShellRequest { service: "db".into(), ..shell(&["sh"]) };
    let error = client.shell(LEASE, &wrong).await.err().unwrap();
    assert_eq!(error.to_string(), "there is no service `db`; services: web");
}

/// Input for a command that has ended finds nobody; what the command said before is on its way and must arrive.
#[tokio::test(flavor = "multi_thread")]
async fn input_after_the_end_of_a_command_costs_nothing_of_its_output() {
    let world = World::start();
    let client = world.client().await;
    let command = shell(&["sh", "-c", "head -c 400000 /dev/zero; exit 7"]);
    let session = client.shell(LEASE, &command).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    for _ in 0..5 {
        session.input.send(ShellInput::Stdin("late".into())).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (out, _, exit) = collect(session).await;
    assert_eq!((out.len(), exit), (400_000, Ok(7)));
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_a_shell_ends_the_command() {
    let world = World::start();
    let mark = world.folder.path().join("alive");
    let script = format!("while true; do touch {}; sleep 0.1; done", mark.display());
    let session = world.client().await.shell(LEASE, &shell(&["sh", "-c", &script])).await.unwrap();
    let appears = async {
        while !mark.exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(SOON, appears).await.unwrap();
    drop(session);
    tokio::time::sleep(Duration::from_millis(500)).await;
    std::fs::remove_file(&mark).unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!mark.exists(), "the command still runs");
}

#[tokio::test(flavor = "multi_thread")]
async fn shells_and_streams_end_with_the_right_to_them() {
    for (end, code) in [("transfer", "not_allowed"), ("revoke", "revoked"), ("close", "lease_closed")] {
        let world = World::start();
        let client = world.client().await;
        let session = client.shell(LEASE, &shell(&["sleep", "60"])).await.unwrap();
        let follow = LogQuery { follow: true, ..LogQuery::default() };
        let mut lines = client.logs(LEASE, &follow).await.unwrap();
        lines.next().await.unwrap().unwrap();
        match end {
            "transfer" => world.access.transfer(WALLET, Address::repeat_byte(1)),
            "revoke" => world.access.revoke(WALLET),
            _ => world.access.lease(LEASE.0, WALLET, false),
        }
        assert_eq!(collect(session).await.2, Err(code.to_owned()));
        if end == "close" {
            // Logs of a closed lease stay readable.
            lines.next().await.unwrap().unwrap();
            continue;
        }
        let last =
            timeout(SOON, lines.by_ref().filter(|item| std::future::ready(item.is_err())).next()).await;
        assert_eq!(last.unwrap().unwrap().unwrap_err().code(), Some(code));
        assert!(lines.next().await.is_none());
        // On the connections that are open already, too.
        assert_eq!(client.status(LEASE).await.unwrap_err().code(), Some(code));
        let cut: Vec<_> = world.audit.0.lock().unwrap().iter().map(|r| r.outcome.clone()).collect();
        assert!(cut.contains(&Outcome::CutOff(code.to_owned())), "{cut:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_breaks_says_why() {
    let world = World::start();
    let query = EventQuery { follow: true, after: None };
    let items: Vec<_> = world.client().await.events(LEASE, &query).await.unwrap().collect().await;
    assert_eq!(items.len(), 6);
    assert_eq!(items[5].as_ref().unwrap_err().code(), Some("runtime_unreachable"));
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_that_pass_are_tried_again() {
    let world = World::start();
    *world.provider.faults.lock().unwrap() = 2;
    world.client().await.status(LEASE).await.unwrap();
    *world.provider.faults.lock().unwrap() = 50;
    let error = world.client().await.status(LEASE).await.unwrap_err();
    assert_eq!(error.code(), Some("runtime_unreachable"));
    assert_eq!(*world.provider.faults.lock().unwrap(), 46, "once and three times again");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_pinned_server_is_trusted() {
    let world = World::start();
    let identity = world.identity().await;
    let other = Pin::of_spki(b"another key");
    let client = Client::new(&world.endpoint, vec![other], Some(&identity)).unwrap();
    let error = client.status(LEASE).await.unwrap_err();
    assert!(matches!(error, ClientError::WrongServer { .. }), "{error:?}");
    assert!(error.to_string().contains(&world.pin.to_string()), "{error}");
    let error = client.shell(LEASE, &shell(&["sh"])).await.err().unwrap();
    assert!(matches!(error, ClientError::WrongServer { .. }), "{error:?}");
    // While a key changes, the registry names two.
    let client = Client::new(&world.endpoint, vec![other, world.pin], Some(&identity)).unwrap();
    client.status(LEASE).await.unwrap();

    let nobody = Client::new(&world.endpoint, vec![world.pin], None).unwrap();
    assert_eq!(nobody.provider().await.unwrap().api, 1);
    assert_eq!(nobody.status(LEASE).await.unwrap_err().code(), Some("no_certificate"));
    for bad in ["", "host:x", "host/path", "user@host:1", "a b:1"] {
        assert!(matches!(Client::new(bad, vec![], None), Err(ClientError::BadEndpoint(_))), "{bad}");
    }
    let gone = Client::new("127.0.0.1:1", vec![world.pin], None).unwrap();
    assert!(gone.provider().await.unwrap_err().is_transient());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_key_breaks_no_connection() {
    let world = World::start();
    let next = ServerIdentity::load_or_create(&world.folder.path().join("next.pem")).unwrap();
    let old = Client::new(&world.endpoint, vec![world.pin], None).unwrap();
    let both = Client::new(&world.endpoint, vec![world.pin, next.pin()], None).unwrap();
    old.provider().await.unwrap();
    world.server.as_ref().unwrap().use_identity(&next).unwrap();
    old.provider().await.unwrap();
    both.provider().await.unwrap();
    let late = Client::new(&world.endpoint, vec![world.pin], None).unwrap();
    assert!(matches!(late.provider().await, Err(ClientError::WrongServer { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold_and_go_by_wallet() {
    let count = |n| NonZeroU32::new(n).unwrap();
    let limits = Limits {
        wallet_rate: count(1),
        wallet_burst: count(5),
        streams_per_wallet: 2,
        upload_bytes: 100,
        ..Limits::default()
    };
    let world = World::with_limits(limits);
    let client = world.client().await;
    let _first = client.shell(LEASE, &shell(&["sleep", "60"])).await.unwrap();
    let _second = client.shell(LEASE, &shell(&["sleep", "60"])).await.unwrap();
    let error = client.shell(LEASE, &shell(&["sleep", "60"])).await.err().unwrap();
    assert_eq!(error.code(), Some("too_many_streams"));
    drop(_first);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let large = futures::stream::iter([Ok::<_, std::io::Error>(Bytes::from(vec![0; 101]))]);
    assert_eq!(client.copy_in(LEASE, &file("/x"), large).await.unwrap_err().code(), Some("body_too_large"));
    let refused = async {
        loop {
            if let Err(error) =
                client.quote(LEASE, &QuoteRequest { spec: vec![].into(), max_rate: None }).await
            {
                return error;
            }
        }
    };
    assert_eq!(timeout(SOON, refused).await.unwrap().code(), Some("too_many_requests"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_access_is_recorded_without_secrets() {
    let world = World::start();
    let client = world.client().await;
    client.put_manifest(LEASE, &manifest("hunter2")).await.unwrap();
    let _ = collect(client.shell(LEASE, &shell(&["echo", "hunter2"])).await.unwrap()).await;
    let _ = client.status(LeaseId(20)).await;
    let _ = Client::new(&world.endpoint, vec![world.pin], None).unwrap().status(LEASE).await;
    let records = world.audit.0.lock().unwrap();
    let seen: Vec<_> =
        records.iter().map(|r| (r.lease.0, r.action, r.outcome.clone(), r.account.is_some())).collect();
    assert_eq!(
        seen,
        [
            (10, Action::PutManifest, Outcome::Allowed, true),
            (10, Action::Shell, Outcome::Allowed, true),
            (20, Action::Status, Outcome::Refused("foreign_lease".into()), true),
            (10, Action::Status, Outcome::Refused("no_certificate".into()), false),
        ]
    );
    assert_eq!(records[0].account, Some(world.owner.address()));
    assert!(!format!("{records:?}").contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn draining_ends_streams_with_a_word_and_takes_no_more() {
    let mut world = World::start();
    let client = world.client().await;
    let session = client.shell(LEASE, &shell(&["sleep", "60"])).await.unwrap();
    let follow = LogQuery { follow: true, ..LogQuery::default() };
    let lines = client.logs(LEASE, &follow).await.unwrap();
    let server = world.server.take().unwrap();
    let started = std::time::Instant::now();
    let (end, items, ()) = tokio::join!(collect(session), lines.collect::<Vec<_>>(), server.drain(SOON));
    assert!(started.elapsed() < SOON, "it did not wait for the deadline");
    assert_eq!(end.2, Err("draining".to_owned()));
    assert_eq!(items.last().unwrap().as_ref().unwrap_err().code(), Some("draining"));
    assert!(client.provider().await.unwrap_err().is_transient());
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_say_nothing_are_closed() {
    use tokio::io::AsyncReadExt as _;
    let world =
        World::with_limits(Limits { header_timeout: Duration::from_millis(300), ..Limits::default() });
    let mut silent = tokio::net::TcpStream::connect(&world.endpoint).await.unwrap();
    let mut buffer = [0; 16];
    let read = timeout(Duration::from_secs(3), silent.read(&mut buffer)).await.unwrap();
    assert!(matches!(read, Ok(0) | Err(_)));
}
