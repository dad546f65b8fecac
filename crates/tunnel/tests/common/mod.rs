//! A gateway and a client in one process, and services that they carry visitors to.

#![allow(dead_code, clippy::unwrap_used)] // each test file uses part of it

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use iono_identity::{Pin, ServerIdentity};
use iono_tunnel::{
    Admission, Client, ClientConfig, Event, Exposure, Gateway, GatewayConfig, Limits, Session, State,
};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `check` holds.
pub(crate) async fn eventually(what: &str, mut check: impl FnMut() -> bool) {
    let start = Instant::now();
    while !check() {
        assert!(start.elapsed() < PATIENCE, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Keys by name, in a folder that goes with the test.
pub(crate) struct Keys(TempDir);

impl Keys {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn get(&self, name: &str) -> ServerIdentity {
        ServerIdentity::load_or_create(&self.0.path().join(name)).unwrap()
    }

    pub(crate) fn pin(&self, name: &str) -> Pin {
        self.get(name).pin()
    }
}

/// Short times, so that tests see what happens after them.
pub(crate) fn limits() -> Limits {
    Limits {
        handshake_time: Duration::from_secs(3),
        wait: Duration::from_secs(3),
        idle: Duration::from_secs(30),
        ..Limits::default()
    }
}

/// A gateway that admits the keys "client" and "other".
pub(crate) async fn gateway(keys: &Keys, at: SocketAddr, limits: Limits) -> (Gateway, mpsc::Receiver<Event>) {
    let known = [keys.pin("client"), keys.pin("other")];
    gateway_with(keys, at, limits, Arc::new(move |pin| Some(known.contains(&pin)))).await
}

pub(crate) async fn gateway_with(
    keys: &Keys,
    at: SocketAddr,
    limits: Limits,
    admission: Admission,
) -> (Gateway, mpsc::Receiver<Event>) {
    let listener = TcpListener::bind(at).await.unwrap();
    Gateway::start(GatewayConfig { listener, identity: keys.get("gateway"), admission, limits }).unwrap()
}

/// A client with this key whose services are all at `service`; the service "nothing" does not exist.
pub(crate) fn client(
    keys: &Keys,
    name: &str,
    gateway: SocketAddr,
    service: SocketAddr,
    limits: Limits,
) -> (Client, mpsc::Receiver<bytes::Bytes>) {
    let config = ClientConfig {
        gateway: gateway.to_string(),
        pins: vec![keys.pin("gateway")],
        identity: keys.get(name),
        services: Arc::new(move |open| (open.service != "nothing").then_some(service)),
        limits,
    };
    Client::start(config).unwrap()
}

pub(crate) fn local() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, 0).into()
}

/// A gateway with one light node, connected.
pub(crate) struct Pair {
    pub keys: Keys,
    pub gateway: Gateway,
    pub client: Client,
    pub session: Arc<Session>,
    pub events: mpsc::Receiver<Event>,
    pub messages: mpsc::Receiver<bytes::Bytes>,
}

impl Pair {
    pub(crate) async fn new(service: SocketAddr, limits: Limits) -> Self {
        let keys = Keys::new();
        let (gateway, events) = gateway(&keys, local(), limits.clone()).await;
        let (client, messages) = client(&keys, "client", gateway.address(), service, limits);
        connected(&client).await;
        let session = gateway.expect(keys.pin("client"));
        Self { keys, gateway, client, session, events, messages }
    }

    /// A port for visitors.
    pub(crate) async fn expose(&self, service: &str) -> Exposure {
        let listener = TcpListener::bind(local()).await.unwrap();
        self.gateway.expose_tcp(Arc::clone(&self.session), listener, service).unwrap()
    }

    pub(crate) async fn expose_udp(&self, service: &str) -> Exposure {
        let socket = UdpSocket::bind(local()).await.unwrap();
        self.gateway.expose_udp(Arc::clone(&self.session), socket, service).unwrap()
    }
}

/// A service that the test plays itself, and a port for its visitors.
pub(crate) struct Stage {
    pub listener: TcpListener,
    pub port: Exposure,
    _pair: Pair,
}

impl Stage {
    pub(crate) async fn new(limits: Limits) -> Self {
        let listener = TcpListener::bind(local()).await.unwrap();
        let pair = Pair::new(listener.local_addr().unwrap(), limits).await;
        let port = pair.expose("stage").await;
        Self { listener, port, _pair: pair }
    }

    /// A visitor, and the service's end of its stream.
    pub(crate) async fn meet(&self) -> (TcpStream, TcpStream) {
        let visitor = TcpStream::connect(self.port.address()).await.unwrap();
        let (service, _) = self.listener.accept().await.unwrap();
        (visitor, service)
    }
}

pub(crate) async fn connected(client: &Client) {
    let mut state = client.state();
    let there = state.wait_for(|state| matches!(state, State::Connected { .. }));
    tokio::time::timeout(PATIENCE, there).await.expect("a tunnel").unwrap();
}

/// Sends back what comes, and ends when that ends.
pub(crate) async fn echo() -> SocketAddr {
    let listener = TcpListener::bind(local()).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reader, mut writer) = stream.split();
                let _ = tokio::io::copy(&mut reader, &mut writer).await;
                let _ = writer.shutdown().await;
            });
        }
    });
    address
}

/// Answers each datagram with the same.
pub(crate) async fn udp_echo() -> SocketAddr {
    let socket = UdpSocket::bind(local()).await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = vec![0; 65_536];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let _ = socket.send_to(&buffer[..length], from).await;
        }
    });
    address
}

/// Sends `data`, half-closes and reads the rest.
pub(crate) async fn visit(port: SocketAddr, data: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(port).await?;
    let (mut reader, mut writer) = stream.split();
    let mut answer = Vec::new();
    let send = async {
        writer.write_all(data).await?;
        writer.shutdown().await
    };
    let (sent, read) =
        tokio::time::timeout(PATIENCE, async { tokio::join!(send, reader.read_to_end(&mut answer)) })
            .await
            .map_err(|_| std::io::Error::other("no end of the answer"))?;
    sent?;
    read?;
    Ok(answer)
}
