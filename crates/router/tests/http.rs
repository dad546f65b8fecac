//! Requests by host: what arrives at a replica, retries, limits, swaps under load, WebSocket.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::{Duration, Instant};

use common::{HOST, LEASE, Replica, get, host_route, limits, next_ip, raw, router, status};
use futures::{SinkExt, StreamExt};
use iono_primitives::LeaseId;
use iono_router::{HttpOptions, Limits, RetryCase, Route, RouterError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[tokio::test]
async fn passes_requests_and_says_who_asks() {
    let replica = Replica::start("a", next_ip(), 0).await;
    let router = router(limits(), HttpOptions::default(), replica.port, &[replica.ip]).await;
    let request = "POST /x?y=1 HTTP/1.1\r\nHost: APP.example:80\r\nConnection: close, x-drop\r\nX-Drop: 1\r\nX-Kept: 2\r\n\
         X-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nContent-Length: 5\r\n\r\nhello";
    let answer = raw(&router, request.as_bytes()).await;
    assert_eq!(status(&answer), 200, "{answer}");
    for part in [
        "a POST /x?y=1",
        "x-kept: 2",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-proto: http",
        "host: APP.example:80",
        "\nhello",
    ] {
        assert!(answer.contains(part), "no {part:?} in {answer}");
    }
    for part in ["x-drop", "6.6.6.6", "\nforwarded:"] {
        assert!(!answer.contains(part), "{part:?} in {answer}");
    }
    let unknown = raw(&router, b"GET / HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n").await;
    assert_eq!(status(&unknown), 404);
    router.remove(LEASE).await;
    assert_eq!(status(&get(&router, "/").await), 404);
}

#[tokio::test]
async fn hosts_and_ports_belong_to_one_lease() {
    let router = router(limits(), HttpOptions::default(), 80, &[]).await;
    let mine = |host: &str| vec![host_route(host, 80, HttpOptions::default())];
    let taken = router.set_routes(LeaseId(8), mine("APP.example.")).await;
    assert!(matches!(taken, Err(RouterError::HostTaken(_))));
    router.set_routes(LeaseId(8), mine("b.example")).await.unwrap();
    router.set_routes(LEASE, mine("c.example")).await.unwrap();
    router.set_routes(LeaseId(8), [mine("b.example"), mine("app.example")].concat()).await.unwrap();
    assert_eq!(router.routes(LeaseId(8)).len(), 2);
}

#[tokio::test]
async fn no_request_fails_while_replicas_are_swapped() {
    let (one, two) = (next_ip(), next_ip());
    let mut old = Replica::start("a", one, 0).await;
    let port = old.port;
    let router = Arc::new(router(limits(), HttpOptions::default(), port, &[one]).await);
    let (stop, good) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let clients: Vec<_> = (0..8)
        .map(|n| {
            let (router, stop, good) = (Arc::clone(&router), Arc::clone(&stop), Arc::clone(&good));
            tokio::spawn(async move {
                let mut failed = Vec::new();
                while !stop.load(SeqCst) {
                    let answer = get(&router, if n % 2 == 0 { "/" } else { "/sleep/7" }).await;
                    if status(&answer) == 200 {
                        good.fetch_add(1, SeqCst);
                    } else {
                        failed.push(answer);
                    }
                }
                failed
            })
        })
        .collect();
    for swap in 0..30 {
        let ip = if swap % 2 == 0 { two } else { one };
        let new = Replica::start("b", ip, port).await;
        router.switch(LEASE, "web", &[ip], Duration::from_secs(5)).await;
        // Gone at once, with all its connections: the switch said that nothing was under way.
        drop(std::mem::replace(&mut old, new));
        tokio::time::sleep(Duration::from_millis(10)).await;
        // An update without overlap: requests wait for the replica.
        if swap % 10 == 9 {
            router.switch(LEASE, "web", &[], Duration::from_secs(5)).await;
            tokio::time::sleep(Duration::from_millis(30)).await;
            router.switch(LEASE, "web", &[ip], Duration::from_secs(5)).await;
        }
    }
    stop.store(true, SeqCst);
    for client in clients {
        assert_eq!(client.await.unwrap(), Vec::<String>::new());
    }
    assert!(good.load(SeqCst) > 200, "{}", good.load(SeqCst));
}

#[tokio::test]
async fn goes_to_another_replica_when_the_first_refuses() {
    let (dead, ip) = (next_ip(), next_ip());
    let replica = Replica::start("b", ip, 0).await;
    let router = router(limits(), HttpOptions::default(), replica.port, &[dead, ip]).await;
    for _ in 0..4 {
        let post =
            format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody");
        let answer = raw(&router, post.as_bytes()).await;
        assert!(status(&answer) == 200 && answer.ends_with("\nbody"), "{answer}");
    }
    assert_eq!(replica.seen(), 4);
    router.switch(LEASE, "web", &[dead], Duration::ZERO).await;
    assert_eq!(status(&get(&router, "/").await), 502);
}

/// A service that starts every request by itself has a queue of a handful: when it is full the kernel says nothing.
#[tokio::test]
async fn waits_for_a_replica_whose_queue_is_full() {
    let ip = next_ip();
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind((ip, 0).into()).unwrap();
    let listener = socket.listen(1).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut queued = Vec::new();
    let connect = || tokio::time::timeout(Duration::from_millis(200), TcpStream::connect((ip, port)));
    while let Ok(Ok(stream)) = connect().await {
        queued.push(stream);
    }
    assert!(!queued.is_empty() && queued.len() < 8, "{} fit in the queue", queued.len());

    let limits = Limits { hold: Duration::from_secs(5), ..limits() };
    let router = router(limits, HttpOptions::default(), port, &[ip]).await;
    let start = Instant::now();
    assert_eq!(status(&get(&router, "/").await), 504);
    assert!(
        start.elapsed() >= 3 * Duration::from_millis(500),
        "three tries by default: {:?}",
        start.elapsed()
    );
    let serve = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        Replica::serve("slow", listener)
    };
    let (answer, replica) = tokio::join!(get(&router, "/"), serve);
    assert_eq!(status(&answer), 200, "{answer}");
    assert_eq!(replica.seen(), 1);
}

#[tokio::test]
async fn repeats_only_what_may_be_repeated() {
    let (one, two) = (next_ip(), next_ip());
    let a = Replica::start("a", one, 0).await;
    let b = Replica::start("b", two, a.port).await;
    let options = HttpOptions {
        next_cases: vec![RetryCase::Http503, RetryCase::Timeout],
        read_timeout: 200,
        ..Default::default()
    };
    let router = router(limits(), options, a.port, &[one, two]).await;
    for _ in 0..4 {
        assert_eq!(status(&get(&router, "/status/a/503").await), 200);
    }
    let before = a.seen() + b.seen();
    for _ in 0..2 {
        let post = format!(
            "POST /status/a/503 HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx"
        );
        raw(&router, post.as_bytes()).await;
    }
    assert_eq!(a.seen() + b.seen() - before, 2);
    let before = a.seen() + b.seen();
    assert_eq!(status(&get(&router, "/sleep/2000").await), 504);
    assert_eq!(a.seen() + b.seen() - before, 2);
}

#[tokio::test]
async fn waits_for_a_replica_but_not_for_ever() {
    let replica = Replica::start("a", next_ip(), 0).await;
    let router = router(limits(), HttpOptions::default(), replica.port, &[]).await;
    let start = Instant::now();
    assert_eq!(status(&get(&router, "/").await), 503);
    assert!(start.elapsed() >= Duration::from_millis(300));
    let come = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        router.switch(LEASE, "web", &[replica.ip], Duration::ZERO).await;
    };
    let (answer, ()) = tokio::join!(get(&router, "/"), come);
    assert_eq!(status(&answer), 200);
}

#[tokio::test]
async fn bounds_bodies_whatever_they_claim() {
    let replica = Replica::start("a", next_ip(), 0).await;
    let options = HttpOptions { max_body_size: 1_000, ..HttpOptions::default() };
    let router = router(limits(), options, replica.port, &[replica.ip]).await;
    let post = |rest: &str| format!("POST / HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n{rest}");
    let fits = post(&format!("Content-Length: 1000\r\n\r\n{}", "x".repeat(1_000)));
    assert_eq!(status(&raw(&router, fits.as_bytes()).await), 200);
    let claims = post("Content-Length: 1001\r\n\r\n");
    assert_eq!(status(&raw(&router, claims.as_bytes()).await), 413);
    let hides = post(&format!(
        "Transfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
        format!("100\r\n{}\r\n", "x".repeat(256)).repeat(8)
    ));
    assert_eq!(status(&raw(&router, hides.as_bytes()).await), 413);
}

#[tokio::test]
async fn bounds_what_a_lease_has_under_way() {
    let replica = Replica::start("a", next_ip(), 0).await;
    let router =
        router(Limits { per_lease: 2, ..limits() }, HttpOptions::default(), replica.port, &[replica.ip])
            .await;
    let slow = || get(&router, "/sleep/500");
    let late = async {
        tokio::time::sleep(Duration::from_millis(150)).await;
        get(&router, "/").await
    };
    let (one, two, three) = tokio::join!(slow(), slow(), late);
    assert_eq!([status(&one), status(&two), status(&three)], [200, 200, 503]);
    assert_eq!(status(&get(&router, "/").await), 200);
}

#[tokio::test]
async fn hands_websockets_through_and_drains_them() {
    let ip = next_ip();
    let listener = TcpListener::bind((ip, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
                while let Some(Ok(message)) = socket.next().await {
                    if message.is_text() || message.is_binary() {
                        socket.send(message).await.unwrap();
                    }
                }
            });
        }
    });
    let router = router(limits(), HttpOptions::default(), port, &[ip]).await;
    let stream = TcpStream::connect(router.http_address().unwrap()).await.unwrap();
    let (mut socket, _) =
        tokio_tungstenite::client_async(format!("ws://{HOST}/shell"), stream).await.unwrap();
    for n in 0..100 {
        let text = format!("{n} {}", "x".repeat(n * 100));
        socket.send(text.clone().into()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap().into_text().unwrap().as_str(), text);
    }
    let start = Instant::now();
    let close = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        socket.close(None).await.unwrap();
        drop(socket);
    };
    tokio::join!(router.switch(LEASE, "web", &[], Duration::from_secs(5)), close);
    assert!((100..3_000).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
}

#[tokio::test]
async fn tcp_ports_pass_bytes_and_half_close() {
    let ip = next_ip();
    let listener = TcpListener::bind((ip, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut all = Vec::new();
                stream.read_to_end(&mut all).await.unwrap();
                all.reverse();
                stream.write_all(&all).await.unwrap();
            });
        }
    });
    let router = router(limits(), HttpOptions::default(), 80, &[]).await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let expose = |service: &str, listen| Route::Port {
        protocol: iono_router::Protocol::Tcp,
        listen,
        service: service.to_owned(),
        port,
    };
    router.set_routes(LEASE, vec![expose("db", free.port())]).await.unwrap();
    router.switch(LEASE, "db", &[next_ip(), ip], Duration::ZERO).await;
    for _ in 0..3 {
        let mut client = TcpStream::connect(free).await.unwrap();
        client.write_all(b"abc").await.unwrap();
        client.shutdown().await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "cba");
    }
    // A connection lives through an update of the routes, and its port is free once the lease is gone.
    let mut client = TcpStream::connect(free).await.unwrap();
    client.write_all(b"ab").await.unwrap();
    router
        .set_routes(LEASE, vec![expose("db", free.port()), host_route(HOST, 80, HttpOptions::default())])
        .await
        .unwrap();
    client.write_all(b"c").await.unwrap();
    client.shutdown().await.unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert_eq!(answer, "cba");
    let foreign = router.set_routes(LeaseId(9), vec![expose("x", free.port())]).await;
    assert!(matches!(foreign, Err(RouterError::PortTaken(..))));
    router.remove(LEASE).await;
    TcpListener::bind(free).await.unwrap();
}

#[tokio::test]
async fn udp_ports_echo_and_follow_a_swap() {
    let (one, two) = (next_ip(), next_ip());
    let a = tokio::net::UdpSocket::bind((one, 0)).await.unwrap();
    let port = a.local_addr().unwrap().port();
    let b = tokio::net::UdpSocket::bind((two, port)).await.unwrap();
    for (socket, name) in [(a, b'a'), (b, b'b')] {
        tokio::spawn(async move {
            let mut buffer = [0; 2_000];
            while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
                let answer = [&[name], &buffer[..length]].concat();
                socket.send_to(&answer, peer).await.unwrap();
            }
        });
    }
    let router = router(limits(), HttpOptions::default(), 80, &[]).await;
    let listen = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let protocol = iono_router::Protocol::Udp;
    let route = Route::Port { protocol, listen: listen.port(), service: "dns".to_owned(), port };
    router.set_routes(LEASE, vec![route]).await.unwrap();
    router.switch(LEASE, "dns", &[one], Duration::ZERO).await;
    let client = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    client.connect(listen).await.unwrap();
    let ask = async |text: &[u8]| {
        client.send(text).await.unwrap();
        let mut buffer = [0; 2_000];
        let length =
            tokio::time::timeout(Duration::from_secs(5), client.recv(&mut buffer)).await.unwrap().unwrap();
        buffer[..length].to_vec()
    };
    for n in 0..50u8 {
        assert_eq!(ask(&[n; 3]).await, [b'a', n, n, n]);
    }
    router.switch(LEASE, "dns", &[two], Duration::ZERO).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(ask(b"x").await, b"bx");
    router.remove(LEASE).await;
    tokio::net::UdpSocket::bind(listen).await.unwrap();
}
