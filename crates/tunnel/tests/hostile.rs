//! Peers and visitors that mean no good, or are broken: each is bounded, and others are served meanwhile.

#![allow(clippy::unwrap_used)]

mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{Keys, Pair, client, echo, eventually, gateway, limits, local, udp_echo, visit};
use iono_identity::peer_client_config;
use iono_tunnel::wire::{Header, Kind, Message, Role};
use iono_tunnel::{Limits, State};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_rustls::client::TlsStream;

type Raw = TlsStream<TcpStream>;

/// A connection with a light node's real key that then says whatever the test likes.
async fn raw(keys: &Keys, name: &str, gateway: SocketAddr) -> Raw {
    let protocols = vec![b"iono-tunnel/1".to_vec()];
    let config = peer_client_config(vec![keys.pin("gateway")], &keys.get(name), protocols).unwrap();
    let tcp = TcpStream::connect(gateway).await.unwrap();
    let address = rustls_pki_types::ServerName::IpAddress(gateway.ip().into());
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(address, tcp).await.unwrap()
}

async fn say(raw: &mut Raw, message: &Message) {
    raw.write_all(&message.frame().unwrap()).await.unwrap();
}

async fn hear(raw: &mut Raw) -> std::io::Result<Message> {
    let mut header = [0; Header::SIZE];
    raw.read_exact(&mut header).await?;
    let header = Header::decode(header).unwrap();
    let mut payload = vec![0; usize::from(header.length)];
    raw.read_exact(&mut payload).await?;
    Ok(Message::decode(header.kind, &payload).unwrap())
}

/// A control connection of "other"; gives its epoch.
async fn control(keys: &Keys, gateway: SocketAddr) -> (Raw, u64) {
    let mut raw = raw(keys, "other", gateway).await;
    say(&mut raw, &Message::Hello(Role::Control { process: 1 })).await;
    let Message::Welcome { epoch, .. } = hear(&mut raw).await.unwrap() else { panic!("not welcome") };
    (raw, epoch)
}

/// Ends, whatever it still says.
async fn ends(raw: &mut Raw, limit: Duration) {
    let mut rest = Vec::new();
    let end = tokio::time::timeout(limit, raw.read_to_end(&mut rest)).await;
    assert!(end.is_ok(), "the connection is still open");
}

/// Serves the honest light node of `pair`.
async fn honest_visit(pair: &Pair) {
    let port = pair.expose("echo").await;
    assert_eq!(visit(port.address(), b"hello").await.unwrap(), b"hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_key_than_the_pinned_one_gets_nowhere() {
    let keys = Keys::new();
    let (gateway, mut events) = gateway(&keys, local(), limits()).await;
    // A stranger's key: told to stay away.
    let (stranger, _messages) = client(&keys, "stranger", gateway.address(), local(), limits());
    let mut state = stranger.state();
    let refused = state
        .wait_for(|state| matches!(state, State::Away { why: Some(why) } if why.contains("not registered")));
    tokio::time::timeout(common::PATIENCE, refused).await.unwrap().unwrap();
    assert!(gateway.session(keys.pin("stranger")).is_none(), "nothing is kept of a stranger");
    assert!(events.try_recv().is_err());
    // A certificate of the light node without its key: TLS finds out. The key of "stranger" signs for "client".
    let folder = tempfile::tempdir().unwrap();
    for name in ["client", "stranger"] {
        iono_identity::ServerIdentity::load_or_create(&folder.path().join(name)).unwrap();
    }
    let part = |name: &str, label: &str| {
        let text = std::fs::read_to_string(folder.path().join(name)).unwrap();
        let start = text.find(&format!("-----BEGIN {label}")).unwrap();
        let end = text.find(&format!("-----END {label}")).unwrap();
        text[start..end].to_owned() + &format!("-----END {label}-----\n")
    };
    let forged = part("client", "CERTIFICATE") + &part("stranger", "PRIVATE KEY");
    std::fs::write(folder.path().join("forged"), forged).unwrap();
    let forged = iono_identity::ServerIdentity::load_or_create(&folder.path().join("forged")).unwrap();
    assert!(
        peer_client_config(vec![keys.pin("gateway")], &forged, vec![]).is_err(),
        "rustls sees that key and certificate do not belong together"
    );
    // A gateway with another key than the pinned one: the client does not stay.
    let config =
        peer_client_config(vec![keys.pin("stranger")], &keys.get("client"), vec![b"iono-tunnel/1".to_vec()]);
    let tcp = TcpStream::connect(gateway.address()).await.unwrap();
    let name = rustls_pki_types::ServerName::IpAddress(gateway.address().ip().into());
    assert!(tokio_rustls::TlsConnector::from(Arc::new(config.unwrap())).connect(name, tcp).await.is_err());
}

/// A light node may open data connections only under an epoch of its own.
#[tokio::test(flavor = "multi_thread")]
async fn data_connections_of_others_are_refused() {
    let pair = Pair::new(echo().await, limits()).await;
    let (_control, epoch) = control(&pair.keys, pair.gateway.address()).await;
    for (name, epoch) in [("client", epoch), ("other", epoch.wrapping_add(1))] {
        let mut data = raw(&pair.keys, name, pair.gateway.address()).await;
        say(&mut data, &Message::Hello(Role::Data { epoch })).await;
        ends(&mut data, Duration::from_secs(5)).await;
    }
    honest_visit(&pair).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_floods_connections_gets_no_more_than_its_share() {
    let few = Limits { streams: 8, ready: 2, ..limits() };
    let pair = Pair::new(echo().await, few).await;
    let (_control, epoch) = control(&pair.keys, pair.gateway.address()).await;
    let mut open = Vec::new();
    for _ in 0..30 {
        let mut data = raw(&pair.keys, "other", pair.gateway.address()).await;
        say(&mut data, &Message::Hello(Role::Data { epoch })).await;
        open.push(data);
    }
    let mut refused = 0;
    for data in &mut open {
        let mut byte = [0; 64];
        if let Ok(ended) = tokio::time::timeout(Duration::from_millis(300), data.read(&mut byte)).await {
            refused += usize::from(ended.is_ok_and(|count| count > 0));
        }
    }
    assert_eq!(refused, 20);
    honest_visit(&pair).await;
}

/// Half a frame, frames out of place, frames that are too long, and what is no TLS at all.
#[tokio::test(flavor = "multi_thread")]
async fn who_breaks_the_protocol_is_cut_off() {
    let pair = Pair::new(echo().await, limits()).await;
    let gateway = pair.gateway.address();
    let frame = |kind, payload: &[u8]| Header::frame(kind, payload).unwrap();
    let odd = [
        frame(Kind::Data, b"data"),
        frame(Kind::Welcome, &[0; 18]),
        frame(Kind::Message, &[0; 16_385]),
        frame(Kind::Ping, &[0; 7]),
        vec![99, 0, 0, 0],
        vec![Kind::Ping as u8, 1, 0, 8],
    ];
    for bytes in odd {
        let (mut control, _) = control(&pair.keys, gateway).await;
        control.write_all(&bytes).await.unwrap();
        ends(&mut control, Duration::from_secs(5)).await;
    }
    // Half a frame is waited for, but not for ever; half a hello even less.
    let (mut half, _) = control(&pair.keys, gateway).await;
    half.write_all(&[Kind::Ping as u8, 0, 0]).await.unwrap();
    let mut hello = raw(&pair.keys, "client", gateway).await;
    hello.write_all(&[Kind::Hello as u8]).await.unwrap();
    let mut silent = TcpStream::connect(gateway).await.unwrap();
    let mut noise = TcpStream::connect(gateway).await.unwrap();
    noise.write_all(&[0xff; 2_000]).await.unwrap();
    ends(&mut hello, Duration::from_secs(5)).await;
    ends(&mut half, Duration::from_secs(13)).await;
    for stream in [&mut silent, &mut noise] {
        let mut rest = Vec::new();
        // A reset is an end as well.
        let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await.unwrap();
    }
    honest_visit(&pair).await;
}

/// A client that takes a stream and never reads: its visitor waits, the gateway's memory does not grow, others go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_reads_holds_up_nobody_else() {
    let short = Limits { idle: Duration::from_millis(700), ..limits() };
    let pair = Pair::new(echo().await, short).await;
    let (_control, epoch) = control(&pair.keys, pair.gateway.address()).await;
    let mut data = raw(&pair.keys, "other", pair.gateway.address()).await;
    say(&mut data, &Message::Hello(Role::Data { epoch })).await;
    let session = pair.gateway.expect(pair.keys.pin("other"));
    let listener = TcpListener::bind(local()).await.unwrap();
    let port = pair.gateway.expose_tcp(Arc::clone(&session), listener, "never").unwrap();
    let mut visitor = TcpStream::connect(port.address()).await.unwrap();
    let start = Instant::now();
    // As much as the kernels hold, until the stream is given up.
    let chunk = vec![0; 1 << 16];
    let mut written = 0;
    while start.elapsed() < common::PATIENCE {
        match tokio::time::timeout(Duration::from_secs(5), visitor.write(&chunk)).await {
            Ok(Ok(count)) => written += count,
            Ok(Err(_)) => break,
            Err(_) => {}
        }
    }
    assert!(start.elapsed() < common::PATIENCE, "the stream was never given up");
    assert!(written < 64 << 20, "{written} bytes were taken from the visitor");
    honest_visit(&pair).await;
}

/// Ten thousand connections of one visitor: it holds as many as its limit says, the others are closed at once, and another
/// address is served.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_connections_of_a_visitor_leave_room_for_others() {
    let few = Limits { streams: 64, waiting: 32, streams_per_visitor: 40, ..limits() };
    let pair = Pair::new(echo().await, few).await;
    let port = pair.expose("echo").await;
    let mut held = Vec::new();
    for _ in 0..10_000 {
        let Ok(mut stream) = TcpStream::connect(port.address()).await else { continue };
        let end = tokio::time::timeout(Duration::from_millis(200), stream.read(&mut [0])).await;
        // Nobody says anything to who says nothing: an answer is the end.
        match end {
            Ok(end) => assert!(!end.is_ok_and(|count| count > 0)),
            Err(_) => held.push(stream),
        }
        assert!(held.len() <= 40, "more than its share");
    }
    let served = async {
        loop {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.77:0".parse().unwrap()).unwrap();
            let mut answer = [0; 5];
            let answered = async {
                let mut other = socket.connect(port.address()).await?;
                other.write_all(b"hello").await?;
                other.read_exact(&mut answer).await
            };
            if answered.await.is_ok() {
                return answer;
            }
        }
    };
    assert_eq!(&tokio::time::timeout(common::PATIENCE, served).await.unwrap(), b"hello");
}

/// Slow loris: visitors that say nothing hold a stream each until it has been idle for too long.
#[tokio::test(flavor = "multi_thread")]
async fn silent_visitors_are_shown_out() {
    let short = Limits { idle: Duration::from_millis(500), ..limits() };
    let pair = Pair::new(echo().await, short).await;
    let port = pair.expose("echo").await;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(port.address()).await.unwrap());
    }
    for stream in &mut silent {
        let mut byte = [0];
        let end = tokio::time::timeout(common::PATIENCE, stream.read(&mut byte)).await.unwrap();
        assert!(!end.is_ok_and(|count| count > 0));
    }
    honest_visit(&pair).await;
}

/// Datagrams from thousands of addresses: the answered visitor keeps its flow.
#[tokio::test(flavor = "multi_thread")]
async fn spoofed_datagrams_do_not_push_out_a_visitor() {
    let few = Limits { flows: 64, unanswered_flows: 16, ..limits() };
    // The service answers "ping" alone.
    let socket = UdpSocket::bind(local()).await.unwrap();
    let service = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 64];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            if &buffer[..length] == b"ping" {
                let _ = socket.send_to(&from.port().to_be_bytes(), from).await;
            }
        }
    });
    let pair = Pair::new(service, few).await;
    let port = pair.expose_udp("ping").await;
    let visitor = UdpSocket::bind(local()).await.unwrap();
    visitor.connect(port.address()).await.unwrap();
    let first = ping(&visitor).await;
    for n in 0..2_000u32 {
        let ip = std::net::Ipv4Addr::from_bits(0x7f00_0100 + n % 250);
        let spoofed = UdpSocket::bind((ip, 0)).await.unwrap();
        spoofed.send_to(b"noise", port.address()).await.unwrap();
    }
    assert_eq!(ping(&visitor).await, first, "the same flow, so the same socket at the light node");
}

/// Asks until answered: the port from which the light node speaks to its service.
async fn ping(visitor: &UdpSocket) -> [u8; 2] {
    let mut answer = [0; 2];
    for _ in 0..40 {
        visitor.send(b"ping").await.unwrap();
        if let Ok(Ok(2)) = tokio::time::timeout(Duration::from_millis(500), visitor.recv(&mut answer)).await {
            return answer;
        }
    }
    panic!("no answer");
}

/// Handshakes that never end take their places from one address only, and only for a time.
#[tokio::test(flavor = "multi_thread")]
async fn half_open_connections_pass() {
    let few = Limits { handshakes: 64, handshakes_per_address: 16, ..limits() };
    let keys = Keys::new();
    let (gateway, _events) = gateway(&keys, local(), few.clone()).await;
    let mut flood = Vec::new();
    for _ in 0..500 {
        flood.push(TcpStream::connect(gateway.address()).await.unwrap());
    }
    let (client, _messages) = client(&keys, "client", gateway.address(), udp_echo().await, few);
    common::connected(&client).await;
    eventually("a session", || {
        gateway.session(keys.pin("client")).is_some_and(|session| session.is_present())
    })
    .await;
}
