//! Clients that want to confuse the router or wear it out.

#![allow(clippy::unwrap_used)]

mod common;

use std::time::{Duration, Instant};

use common::{HOST, Replica, limits, next_ip, raw, router, status};
use iono_router::{HttpOptions, Limits};
use rstest::rstest;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// None of these reaches the replica as a second request, and the connection is not used again after it.
#[rstest]
#[case::two_lengths("Content-Length: 5\r\nContent-Length: 30", 400)]
#[case::length_and_list("Content-Length: 5, 30", 400)]
#[case::signed_length("Content-Length: +5", 400)]
#[case::hidden_chunked("Transfer-Encoding: xchunked", 400)]
#[case::chunked_not_last("Transfer-Encoding: chunked, identity", 400)]
#[case::space_before_colon("Content-Length : 5", 400)]
#[case::bare_cr("X: a\rContent-Length: 5", 400)]
#[case::folded("X: a\r\n Content-Length: 5", 400)]
#[case::two_hosts("Host: other.example", 400)]
#[case::nul_byte("X: a\0b", 400)]
#[tokio::test]
async fn refuses_smuggling(#[case] header: &str, #[case] expected: u16) {
    let replica = Replica::start("a", next_ip(), 0).await;
    let router = router(limits(), HttpOptions::default(), replica.port, &[replica.ip]).await;
    let request = format!(
        "POST / HTTP/1.1\r\nHost: {HOST}\r\n{header}\r\n\r\n0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
    );
    let answer = raw(&router, request.as_bytes()).await;
    assert_eq!(status(&answer), expected, "{answer}");
    assert!(!answer.contains("/hidden"), "{answer}");
    assert_eq!(replica.seen(), 0);
}

#[tokio::test]
async fn length_and_chunked_is_read_as_chunked_and_ends_the_connection() {
    let replica = Replica::start("a", next_ip(), 0).await;
    let router = router(limits(), HttpOptions::default(), replica.port, &[replica.ip]).await;
    let request = format!(
        "POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 100\r\nTransfer-Encoding: chunked\r\n\r\n\
         3\r\nabc\r\n0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
    );
    let answer = raw(&router, request.as_bytes()).await;
    assert_eq!(status(&answer), 200, "{answer}");
    assert!(
        answer.contains("\nabc") && !answer.contains("content-length: 100") && !answer.contains("/hidden"),
        "{answer}"
    );
    assert_eq!(replica.seen(), 1);
}

#[rstest]
#[case::absolute_form_for_another("GET http://other.example/ HTTP/1.1\r\nHost: app.example\r\n", 400)]
#[case::no_host("GET / HTTP/1.1\r\n", 400)]
#[case::host_is_a_path("GET / HTTP/1.1\r\nHost: ../../etc\r\n", 400)]
#[case::connect("CONNECT app.example:443 HTTP/1.1\r\nHost: app.example:443\r\n", 405)]
#[case::old_version("GET / HTTP/1.0\r\nHost: app.example\r\n", 200)]
#[tokio::test]
async fn takes_only_honest_targets(#[case] head: &str, #[case] expected: u16) {
    let replica = Replica::start("a", next_ip(), 0).await;
    let router = router(limits(), HttpOptions::default(), replica.port, &[replica.ip]).await;
    let answer = raw(&router, format!("{head}Connection: close\r\n\r\n").as_bytes()).await;
    assert_eq!(status(&answer), expected, "{answer}");
}

#[tokio::test]
async fn bounds_heads_in_size_number_and_time() {
    let replica = Replica::start("a", next_ip(), 0).await;
    let limits = Limits { header_timeout: Duration::from_millis(300), header_bytes: 16_384, ..limits() };
    let router = router(limits, HttpOptions::default(), replica.port, &[replica.ip]).await;
    let head = |rest: &str| format!("GET / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n{rest}\r\n");
    let long = head(&format!("X: {}\r\n", "x".repeat(64 * 1024)));
    assert_eq!(status(&raw(&router, long.as_bytes()).await), 431);
    let many = head(&(0..200).map(|n| format!("x-{n}: 1\r\n")).collect::<String>());
    assert_eq!(status(&raw(&router, many.as_bytes()).await), 431);
    let mut slow = TcpStream::connect(router.http_address().unwrap()).await.unwrap();
    slow.write_all(b"GET / HT").await.unwrap();
    let start = Instant::now();
    let mut rest = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(5), slow.read_to_end(&mut rest))
        .await
        .expect("it is cut off");
    assert!(start.elapsed() < Duration::from_secs(2));
    assert_eq!(replica.seen(), 0);
}

#[tokio::test]
async fn bounds_connections() {
    let replica = Replica::start("a", next_ip(), 0).await;
    let router =
        router(Limits { connections: 3, ..limits() }, HttpOptions::default(), replica.port, &[replica.ip])
            .await;
    let mut held = Vec::new();
    for _ in 0..3 {
        held.push(TcpStream::connect(router.http_address().unwrap()).await.unwrap());
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(common::get(&router, "/").await, "");
    held.clear();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(status(&common::get(&router, "/").await), 200);
}

/// A body that stops half way does not hold its place for ever.
#[tokio::test]
async fn ends_bodies_that_stall() {
    let replica = Replica::start("a", next_ip(), 0).await;
    let options = HttpOptions { send_timeout: 200, read_timeout: 400, ..HttpOptions::default() };
    let router = router(Limits { per_lease: 1, ..limits() }, options, replica.port, &[replica.ip]).await;
    let mut client = TcpStream::connect(router.http_address().unwrap()).await.unwrap();
    let head = format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: 10\r\n\r\nabc");
    client.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let read = tokio::time::timeout(Duration::from_secs(3), client.read_to_string(&mut answer)).await;
    assert!(read.is_ok(), "the connection was held");
    assert!(matches!(status(&answer), 502 | 504 | 408), "{answer}");
    assert_eq!(status(&common::get(&router, "/").await), 200);
}
