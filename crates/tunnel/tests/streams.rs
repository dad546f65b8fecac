//! What streams promise: every byte in order, half-close both ways, ends told apart from breaks, data connections kept,
//! counters that agree, messages, versions.

#![allow(clippy::unwrap_used)]

mod common;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use common::{
    Pair, Stage, client, connected, echo, eventually, gateway, gateway_with, limits, local, udp_echo, visit,
};
use iono_identity::{peer_client_config, peer_server_config};
use iono_tunnel::wire::{Open, Purpose};
use iono_tunnel::{Event, Limits, State};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;

/// More than one connection's buffers take, and less than those of all on the way to a visitor.
const LONG: usize = 6 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_visitors_get_every_byte_back() {
    let pair = Pair::new(echo().await, limits()).await;
    let port = pair.expose("echo").await;
    let mut visitors = JoinSet::new();
    for n in 0..100u32 {
        let address = port.address();
        visitors.spawn(async move {
            let data: Vec<u8> = (0..(n * 3_001)).map(|i| (i ^ n) as u8).collect();
            assert!(visit(address, &data).await.unwrap() == data, "visitor {n}");
            data.len() as u64
        });
    }
    let mut total = 0;
    while let Some(length) = visitors.join_next().await {
        total += length.unwrap();
    }
    // Both ends counted the same.
    let (ours, theirs) = (pair.session.traffic(), pair.client.traffic());
    eventually("equal counters", || ours.received() == total && theirs.received() == total).await;
    assert_eq!((ours.sent(), theirs.sent()), (total, total));
}

#[tokio::test(flavor = "multi_thread")]
async fn pings_carry_the_counters_to_the_other_end() {
    let quick = Limits { ping: Duration::from_millis(100), ..limits() };
    let pair = Pair::new(echo().await, quick).await;
    let port = pair.expose("echo").await;
    visit(port.address(), &[7; 100_000]).await.unwrap();
    let (ours, theirs) = (pair.session.traffic(), pair.client.traffic());
    eventually("confirmed counters", || ours.confirmed() == 100_000 && theirs.confirmed() == 100_000).await;
    assert!(
        matches!(&*pair.client.state().borrow(), State::Connected { traffic } if *traffic == pair.session.traffic_id())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_half_closes_by_itself() {
    // The service ends first and goes on reading.
    let stage = Stage::new(limits()).await;
    let (mut visitor, mut service) = stage.meet().await;
    service.write_all(b"all I have").await.unwrap();
    service.shutdown().await.unwrap();
    let mut text = String::new();
    visitor.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "all I have");
    visitor.write_all(b"still here").await.unwrap();
    visitor.shutdown().await.unwrap();
    let mut text = String::new();
    service.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "still here");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_break_is_no_end() {
    let stage = Stage::new(limits()).await;
    // The service breaks off: the visitor sees a reset, not the end of the content.
    let (mut visitor, mut service) = stage.meet().await;
    service.write_all(b"half of").await.unwrap();
    let mut half = [0; 7];
    visitor.read_exact(&mut half).await.unwrap();
    service.set_zero_linger().unwrap();
    drop(service);
    assert!(visitor.read(&mut half).await.is_err());
    // The visitor breaks off: so does the connection to the service.
    let (mut visitor, mut service) = stage.meet().await;
    visitor.write_all(b"half of").await.unwrap();
    service.read_exact(&mut half).await.unwrap();
    visitor.set_zero_linger().unwrap();
    drop(visitor);
    assert!(service.read(&mut half).await.is_err());
    // Neither cost a data connection.
    drop(service);
    let (mut visitor, mut service) = stage.meet().await;
    service.write_all(b"another").await.unwrap();
    visitor.read_exact(&mut half).await.unwrap();
    assert_eq!(&half, b"another");
}

/// Visitors that leave in the middle of a download, after their own end or without one, again and again: the connection
/// is used for the next stream, and no byte of one stream comes out of another.
#[tokio::test(flavor = "multi_thread")]
async fn visitors_that_leave_early_leave_nothing_behind() {
    let listener = TcpListener::bind(local()).await.unwrap();
    let service = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut mark = [0; 1];
                if stream.read_exact(&mut mark).await.is_ok() {
                    while stream.write_all(&[mark[0]; 10_000]).await.is_ok() {}
                }
            });
        }
    });
    let pair = Pair::new(service, limits()).await;
    let port = pair.expose("endless").await;
    for n in 0..60u8 {
        let mut visitor = TcpStream::connect(port.address()).await.unwrap();
        visitor.write_all(&[n]).await.unwrap();
        if n % 3 == 0 {
            visitor.shutdown().await.unwrap();
        }
        let mut data = vec![0; 50_000];
        tokio::time::timeout(common::PATIENCE, visitor.read_exact(&mut data)).await.unwrap().unwrap();
        assert!(data.iter().all(|byte| *byte == n), "stream {n}");
    }
}

/// A service that ends its half and breaks off while a visitor still sends: that visitor leaves as if all were well, and
/// the one after it, who gets the same data connection, must not pay for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_breaks_off_late_harms_nobody_after_it() {
    let stage = Stage::new(limits()).await;
    for n in 0..100u8 {
        let (mut visitor, mut service) = stage.meet().await;
        service.shutdown().await.unwrap();
        assert_eq!(visitor.read(&mut [0; 1]).await.unwrap(), 0);
        service.set_zero_linger().unwrap();
        drop(service);
        visitor.write_all(&[n; 20_000]).await.unwrap();
        drop(visitor);

        let mut next = TcpStream::connect(stage.port.address()).await.unwrap();
        let served = async {
            let (mut service, _) = stage.listener.accept().await?;
            next.write_all(&[n]).await?;
            let mut got = [0; 1];
            service.read_exact(&mut got).await?;
            service.write_all(&got).await?;
            next.read_exact(&mut got).await?;
            std::io::Result::Ok(got)
        };
        let served = tokio::time::timeout(common::PATIENCE, served).await;
        assert_eq!(served.expect("nobody came to the service").unwrap(), [n]);
    }
}

/// A visitor that takes nothing for too long is shown out, and does not take what it got for all there was.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_cut_off_does_not_look_whole() {
    let idle = Limits { idle: Duration::from_secs(1), ..limits() };
    let stage = Stage::new(idle).await;
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut visitor = socket.connect(stage.port.address()).await.unwrap();
    let (mut service, _) = stage.listener.accept().await.unwrap();
    visitor.shutdown().await.unwrap();
    // The service is rid of all of it, and has ended, while the visitor has hardly begun.
    service.write_all(&[1; LONG]).await.unwrap();
    service.shutdown().await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut got = Vec::new();
    let read = tokio::time::timeout(common::PATIENCE, visitor.read_to_end(&mut got)).await.unwrap();
    assert!(got.len() < LONG, "the visitor was given everything: this shows nothing");
    assert!(read.is_err(), "{} of {LONG} bytes look like all of them", got.len());
}

/// A visitor that goes on sending to a service that ended its half and broke off is told.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_break_reaches_the_visitor() {
    let stage = Stage::new(limits()).await;
    let (mut visitor, mut service) = stage.meet().await;
    service.shutdown().await.unwrap();
    assert_eq!(visitor.read(&mut [0; 1]).await.unwrap(), 0);
    service.set_zero_linger().unwrap();
    drop(service);
    let told = async { while visitor.write_all(&[1; 10_000]).await.is_ok() {} };
    tokio::time::timeout(common::PATIENCE, told).await.expect("the visitor is never told");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_said_at_once() {
    let free = TcpListener::bind(local()).await.unwrap().local_addr().unwrap();
    let pair = Pair::new(free, limits()).await;
    for service in ["nobody listens", "nothing"] {
        let port = pair.expose(service).await;
        assert!(visit(port.address(), b"hello").await.is_err(), "{service}");
    }
    let unknown = Open { purpose: Purpose::Tcp, service: String::new(), visitor: local() };
    assert!(pair.session.connect(&unknown).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_in_the_hand_speaks_both_ways() {
    let pair = Pair::new(echo().await, limits()).await;
    let open = Open { purpose: Purpose::Control, service: "echo".to_owned(), visitor: local() };
    let mut stream = pair.session.connect(&open).await.unwrap();
    stream.write_all(b"anybody there?").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert_eq!(text, "anybody there?");
}

#[tokio::test(flavor = "multi_thread")]
async fn datagrams_find_their_visitors() {
    let pair = Pair::new(udp_echo().await, limits()).await;
    let port = pair.expose_udp("echo").await;
    let mut sockets = Vec::new();
    for _ in 0..5 {
        let socket = UdpSocket::bind(local()).await.unwrap();
        socket.connect(port.address()).await.unwrap();
        sockets.push(socket);
    }
    let mut buffer = vec![0; 65_536];
    for round in 0..3usize {
        for (n, socket) in sockets.iter().enumerate() {
            let datagram = vec![u8::try_from(n).unwrap(); 1 + n * 9_000 + round];
            // As any program that uses UDP: again, when nothing came.
            let mut answer = None;
            for _ in 0..20 {
                socket.send(&datagram).await.unwrap();
                let wait = Duration::from_millis(500);
                if let Ok(Ok(length)) = tokio::time::timeout(wait, socket.recv(&mut buffer)).await {
                    answer = Some(buffer[..length].to_vec());
                    break;
                }
            }
            assert_eq!(answer.map(|answer| answer[0]), Some(datagram[0]), "visitor {n}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn daemons_talk_to_each_other() {
    let mut pair = Pair::new(echo().await, limits()).await;
    pair.client.send("price 3".into()).unwrap();
    let Some(Event::Joined { pin, .. }) = pair.events.recv().await else { panic!("no arrival") };
    assert_eq!(pair.events.recv().await, Some(Event::Message { pin, bytes: "price 3".into() }));
    pair.session.send("will you run it?".into()).unwrap();
    assert_eq!(pair.messages.recv().await.unwrap(), "will you run it?");
    assert!(pair.client.send(vec![0; 16_385].into()).is_err());
    pair.client.leave(Duration::from_secs(5)).await;
    assert!(matches!(pair.events.recv().await, Some(Event::Lost { pin: lost, .. }) if lost == pin));
    assert!(pair.session.send("anybody?".into()).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_restarts_is_found_again_and_streams_end_in_order() {
    let pair = Pair::new(echo().await, limits()).await;
    let port = pair.expose("echo").await;
    let mut visitor = TcpStream::connect(port.address()).await.unwrap();
    visitor.write_all(b"one").await.unwrap();
    let mut buffer = [0; 3];
    visitor.read_exact(&mut buffer).await.unwrap();
    let (address, keys) = (pair.gateway.address(), pair.keys);
    let draining = tokio::spawn(pair.gateway.drain(common::PATIENCE));
    // Under way while it drains.
    tokio::time::sleep(Duration::from_millis(200)).await;
    visitor.write_all(b"two").await.unwrap();
    visitor.read_exact(&mut buffer).await.unwrap();
    drop(visitor);
    draining.await.unwrap();
    let (second, _events) = gateway(&keys, address, limits()).await;
    let session = second.expect(keys.pin("client"));
    eventually("the client's return", || session.is_present()).await;
    connected(&pair.client).await;
}

/// Strangers are sent away for half a minute; who only came too early is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_does_not_know_its_light_nodes_yet_has_them_soon() {
    let keys = common::Keys::new();
    let known = Arc::new(OnceLock::new());
    let admission = Arc::clone(&known);
    let admission = Arc::new(move |_| admission.get().copied());
    let (gateway, _events) = gateway_with(&keys, local(), limits(), admission).await;
    let (client, _messages) = client(&keys, "client", gateway.address(), local(), limits());
    let mut state = client.state();
    let early = state.wait_for(
        |state| matches!(state, State::Away { why: Some(why) } if why.contains("does not know its light nodes yet")),
    );
    tokio::time::timeout(common::PATIENCE, early).await.unwrap().unwrap();
    known.set(true).unwrap();
    connected(&client).await;
}

/// The newer process with a key has it; the older one keeps away for a while.
#[tokio::test(flavor = "multi_thread")]
async fn the_second_with_a_key_takes_over() {
    let pair = Pair::new(echo().await, limits()).await;
    let before = pair.session.traffic_id();
    let service = echo().await;
    let (second, _messages) = client(&pair.keys, "client", pair.gateway.address(), service, limits());
    connected(&second).await;
    let mut state = pair.client.state();
    let away =
        state.wait_for(|state| matches!(state, State::Away { why: Some(why) } if why.contains("same key")));
    tokio::time::timeout(common::PATIENCE, away).await.unwrap().unwrap();
    assert!(pair.session.is_present());
    assert_ne!(pair.session.traffic_id(), before, "another process, other counters");
}

/// A peer that knows this version among others gets it; one that knows only others is told so by TLS.
#[tokio::test]
async fn versions_are_negotiated() {
    let keys = common::Keys::new();
    let (gateway, _events) = gateway(&keys, local(), limits()).await;
    for (protocols, fits) in [(vec!["iono-tunnel/9", "iono-tunnel/1"], true), (vec!["iono-tunnel/9"], false)]
    {
        let protocols = protocols.into_iter().map(|name| name.as_bytes().to_vec()).collect();
        let config = peer_client_config(vec![keys.pin("gateway")], &keys.get("client"), protocols).unwrap();
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        let tcp = TcpStream::connect(gateway.address()).await.unwrap();
        let name = rustls_pki_types::ServerName::IpAddress(gateway.address().ip().into());
        let tls = connector.connect(name, tcp).await;
        let agreed = tls.ok().and_then(|tls| tls.get_ref().1.alpn_protocol().map(<[u8]>::to_vec));
        assert_eq!(agreed.is_some_and(|agreed| agreed == b"iono-tunnel/1"), fits);
    }
    // A gateway of another version: the client says what is the matter and goes on trying.
    let listener = TcpListener::bind(local()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let config = peer_server_config(&keys.get("gateway"), vec![b"iono-tunnel/9".to_vec()]).unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let _ = acceptor.accept(tcp).await;
        }
    });
    let (client, _messages) = client(&keys, "client", address, local(), limits());
    let mut state = client.state();
    let why = state
        .wait_for(|state| matches!(state, State::Away { why: Some(why) } if why.contains("this release")));
    tokio::time::timeout(common::PATIENCE, why).await.unwrap().unwrap();
}
