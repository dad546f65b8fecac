//! The examples' manifests through the whole path, from `iono deploy` to the engine, looked at from outside: UDP and TCP
//! ports, service names, volumes, secrets from files, a registry's login, files in and out, restarts, delegates; and
//! nothing of them left on the machine afterwards.
#![allow(clippy::unwrap_used, missing_docs)]

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;

use iono_e2e::actor::{self, playing, playing_from};
use iono_e2e::cli::{number, text};
use iono_e2e::engine::Engine;
use iono_e2e::examples::adapted;
use iono_e2e::market::SOON;
use iono_e2e::{Market, Network, NodePlan, http};
use iono_testkit::registry::{PASSWORD, USER};
use iono_testkit::{Registry, docker, eventually};
use serde_json::Value;

/// What an answer on an open port takes at most.
const ANSWER: Duration = Duration::from_secs(5);

/// A public port of a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Port {
    inner: u64,
    protocol: String,
    number: u16,
}

fn ports(deployed: &Value) -> Vec<Port> {
    let all = deployed["ports"].as_array().unwrap().iter();
    all.map(|port| Port {
        inner: number(port, "/container_port").unwrap(),
        protocol: text(port, "/protocol").unwrap(),
        number: u16::try_from(number(port, "/port").unwrap()).unwrap(),
    })
    .collect()
}

fn public(ports: &[Port], inner: u64, protocol: &str) -> u16 {
    let found = ports.iter().find(|port| port.inner == inner && port.protocol == protocol);
    found.unwrap_or_else(|| panic!("no {inner}/{protocol} in {ports:?}")).number
}

fn udp(port: u16, payload: &str) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(ANSWER)).unwrap();
    socket.send_to(payload.as_bytes(), ("127.0.0.1", port)).unwrap();
    let mut answer = [0; 2_048];
    let (size, _) = socket.recv_from(&mut answer).unwrap();
    String::from_utf8(answer[..size].to_vec()).unwrap()
}

fn tcp(port: u16, line: &str) -> String {
    let mut peer = TcpStream::connect(("127.0.0.1", port)).unwrap();
    peer.set_read_timeout(Some(ANSWER)).unwrap();
    writeln!(peer, "{line}").unwrap();
    let mut answer = String::new();
    peer.read_to_string(&mut answer).unwrap();
    answer
}

/// Whether nobody has a public port any more.
fn is_free(port: &Port) -> bool {
    match port.protocol.as_str() {
        "udp" => UdpSocket::bind(("0.0.0.0", port.number)).is_ok(),
        _ => TcpListener::bind(("0.0.0.0", port.number)).is_ok(),
    }
}

/// What lies below a folder or is mounted there.
fn below(folder: &Path) -> Vec<String> {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let name = folder.to_str().unwrap();
    let mut found: Vec<String> =
        mounts.lines().filter(|line| line.contains(name)).map(str::to_owned).collect();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).into_iter().flatten().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => found.push(entry.path().display().to_string()),
            }
        }
    }
    found
}

/// A market whose provider has room for three leases, and the secrets' files beside the manifests.
async fn market() -> Market {
    actor::build().await.unwrap();
    let network = Network::start().await.unwrap();
    let market = Market::on(network, NodePlan::new("fair")).await.unwrap();
    let secrets = market.network.dir().join("secrets");
    std::fs::create_dir(&secrets).unwrap();
    for (file, content) in [
        ("db-password.txt", b"correct horse\n".as_slice()),
        ("registry-token.txt", PASSWORD.as_bytes()),
        ("database-url.txt", b"postgres://elsewhere\n"),
        ("tls.key", b"-- a key --\n"),
        ("license.bin", &[0, 159, 146, 150]),
    ] {
        std::fs::write(secrets.join(file), content).unwrap();
    }
    market
}

/// A lease of the tenant.
struct Deployed {
    lease: u64,
    id: String,
    ports: Vec<Port>,
    deployed: Value,
}

impl Deployed {
    async fn new(market: &Market, manifest: &str) -> Self {
        let deploy = ["deploy", manifest, "--token", "1", "--duration", "1h"];
        let deployed = market.tenant.json(&deploy).await.unwrap();
        let lease = number(&deployed, "/lease").unwrap();
        Self { lease, id: lease.to_string(), ports: ports(&deployed), deployed }
    }

    /// Closes the lease: nothing is left in the engine, and its ports are everybody's again.
    async fn ends(self, market: &Market) {
        assert!(!self.ports.iter().any(is_free), "{:?}", self.ports);
        market.close(self.lease).await.unwrap();
        let free = || async { self.ports.iter().all(is_free).then_some(()) };
        eventually("free ports", SOON, free).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_do_what_they_say() {
    let market = market().await;
    a_game_answers_on_udp_and_tcp(&market).await;
    secrets_arrive_from_files_and_the_image_from_behind_a_login(&market).await;
    a_website_reaches_its_database_by_name_and_the_volume_outlives_everything(&market).await;
    // Of three leases the provider has nothing any more: no network or volume of the engine, no file system of its own.
    let owner = &market.node.label;
    assert_eq!(Engine::Docker.left(owner, None).await.unwrap(), Vec::<String>::new());
    assert_eq!(below(&market.node.dir().join("data/engine/volumes")), Vec::<String>::new());
    market.balanced().await.unwrap();
}

async fn a_game_answers_on_udp_and_tcp(market: &Market) {
    let changes = [
        ("image: ghcr.io/example/game-server:1.4", &*playing("game")),
        ("units: 2", "units: 0.1"),
        ("size: 2Gi", "size: 64Mi"),
        ("size: 5Gi", "size: 64Mi"),
    ];
    let manifest = adapted(market.network.dir(), "udp", "game", &changes).unwrap();
    let game = Deployed::new(market, &manifest).await;
    assert_eq!(game.ports.len(), 6, "{:?}", game.ports);
    assert_eq!(udp(public(&game.ports, 27_015, "udp"), "ping"), "udp ping");
    assert_eq!(tcp(public(&game.ports, 27_015, "tcp"), "ping"), "tcp ping\n");
    for inner in 30_000..30_004 {
        assert_eq!(tcp(public(&game.ports, inner, "tcp"), ""), format!("port {inner}\n"));
    }
    game.ends(market).await;
}

async fn secrets_arrive_from_files_and_the_image_from_behind_a_login(market: &Market) {
    let registry = Registry::start().await.unwrap();
    let image = registry.push(actor::IMAGE, "private/api:2.1").await.unwrap();
    let host = format!("host: {}", registry.host());
    let user = format!("username: {USER}");
    let changes = [
        ("image: ghcr.io/example/private-api:2.1", &*playing_from(&image, "api")),
        ("host: ghcr.io", &host),
        ("username: example", &user),
        ("units: 500m", "units: 100m"),
        ("size: 256Mi", "size: 64Mi"),
        ("size: 1Gi", "size: 64Mi"),
    ];
    let manifest = adapted(market.network.dir(), "secrets", "api", &changes).unwrap();
    let api = Deployed::new(market, &manifest).await;
    // As a variable without the newline at the end, as files byte for byte.
    let said = tcp(public(&api.ports, 8_443, "tcp"), "");
    let key = b"-- a key --\n";
    let expected = format!(
        "postgres://elsewhere\n/etc/api/tls.key {key:?}\n/run/secrets/license {:?}\n",
        [0, 159, 146, 150]
    );
    assert_eq!(said, expected);
    let script = "stat -c %a /etc/api/tls.key; echo more >> /etc/api/tls.key || echo read-only";
    let shell = ["shell", &api.id, "--no-tty", "--", "/bin/sh", "-c", script];
    let shell = market.tenant.output(&shell).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&shell.stdout), "400\nread-only\n");
    // Nobody who lists the engine's containers reads a file's secret.
    let container = &market.containers(api.lease).await.unwrap()[0];
    let listed = docker::run(&["inspect", container]).await.unwrap();
    assert!(!listed.contains("a key") && !listed.contains(PASSWORD), "{listed}");
    api.ends(market).await;
    docker::run(&["rmi", &image]).await.unwrap();
}

async fn a_website_reaches_its_database_by_name_and_the_volume_outlives_everything(market: &Market) {
    let dir = market.network.dir();
    let (web, db) = (playing("web"), playing("db"));
    let changes = [
        ("image: wordpress:6.7-apache", web.as_str()),
        ("image: mariadb:10.11", &db),
        ("units: 1", "units: 0.1"),
        ("size: 1Gi", "size: 64Mi"),
        ("size: 4Gi", "size: 64Mi"),
        ("size: 10Gi", "size: 64Mi"),
        ("class: nvme", "class: default"),
    ];
    let manifest = adapted(dir, "web-and-database", "blog", &changes).unwrap();
    let blog = Deployed::new(market, &manifest).await;
    assert_eq!(market.containers(blog.lease).await.unwrap().len(), 3);
    assert_eq!(blog.ports, [], "the database is open to the outside");
    let url = text(&blog.deployed, "/urls/0").unwrap();
    let row = page(&url, "wordpress ").await;
    // Also under the tenant's own name.
    let own = format!("http://blog.example.com:{}/", market.node.http_port);
    assert_eq!(http::curl(&own).await.unwrap(), (200, row.clone()));

    files_go_in_and_out(market, &blog).await;
    a_delegate_may_what_it_was_given(market, &blog).await;

    // The volume outlives a restart, during which the database starts anew.
    let old = started_at(market, &blog, "db").await;
    market.tenant.json(&["restart", &blog.id, "--service", "db"]).await.unwrap();
    let anew = || async { (started_at(market, &blog, "db").await > old).then_some(()) };
    eventually("a start of the database", SOON, anew).await.unwrap();
    assert_eq!(page(&url, "wordpress ").await, row);

    // And an update, which replaces its container.
    let renamed = [&changes[..], &[("MARIADB_DATABASE=wordpress", "MARIADB_DATABASE=renamed")]].concat();
    let manifest = adapted(dir, "web-and-database", "renamed", &renamed).unwrap();
    let before = market.containers(blog.lease).await.unwrap();
    market.tenant.json(&["update", &blog.id, &manifest]).await.unwrap();
    assert_eq!(page(&url, "renamed ").await, row.replace("wordpress", "renamed"));
    let after = market.containers(blog.lease).await.unwrap();
    assert_ne!(after, before);
    blog.ends(market).await;
    assert!(!http::answers(&url, "").await && !http::answers(&own, "").await, "a URL still answers");
}

/// What the website shows once it begins with `start`.
async fn page(url: &str, start: &str) -> String {
    let shown = || async {
        let (status, body) = http::curl(url).await.ok()?;
        (status == 200 && body.starts_with(start)).then_some(body)
    };
    eventually(&format!("a page that begins with {start:?}"), SOON, shown).await.unwrap()
}

/// When a service's first replica started, milliseconds since 1970; 0 while it does not run.
async fn started_at(market: &Market, blog: &Deployed, service: &str) -> u64 {
    let status = market.tenant.json(&["status", &blog.id]).await.unwrap();
    let mut services = status["services"].as_array().unwrap_or_else(|| panic!("{status:#}")).iter();
    let found = services.find(|found| found["name"] == service).unwrap();
    found["replicas"][0]["started_at_ms"].as_u64().unwrap_or_default()
}

async fn files_go_in_and_out(market: &Market, blog: &Deployed) {
    let dir = market.network.dir();
    std::fs::write(dir.join("note.txt"), "to the volume and back").unwrap();
    let (there, here) = (format!("{}:db:/var/lib/mysql/note.txt", blog.id), dir.join("note.txt"));
    market.tenant.json(&["cp", here.to_str().unwrap(), &there]).await.unwrap();
    let shell = ["shell", &blog.id, "--service", "db", "--no-tty", "--", "cat", "/var/lib/mysql/note.txt"];
    let read = market.tenant.output(&shell).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&read.stdout), "to the volume and back");
    let back = dir.join("back.txt");
    market.tenant.json(&["cp", &there, back.to_str().unwrap()]).await.unwrap();
    assert_eq!(std::fs::read_to_string(back).unwrap(), "to the volume and back");
}

async fn a_delegate_may_what_it_was_given(market: &Market, blog: &Deployed) {
    let friend = market.network.tenant("friend").await.unwrap();
    let account = text(&friend.json(&["wallet", "show"]).await.unwrap(), "/address").unwrap();
    let shell = ["shell", &blog.id, "--service", "web", "--no-tty", "--", "echo", "hello"];
    let logs = ["logs", &blog.id, "--service", "web", "--tail", "5"];
    let (_, words) = friend.refused(&logs).await.unwrap();
    assert!(words.contains("has no right"), "{words}");

    // A right reaches the provider with the next block.
    market.tenant.json(&["delegate", "add", &account, "--for", "1h"]).await.unwrap();
    let reads = || async { friend.output(&logs).await.ok()?.status.success().then_some(()) };
    eventually("the delegate's log", SOON, reads).await.unwrap();
    let (_, words) = friend.refused(&shell).await.unwrap();
    assert!(words.contains("may only read"), "{words}");

    market.tenant.json(&["delegate", "add", &account, "--for", "1h", "--write"]).await.unwrap();
    let speaks = || async {
        let output = friend.output(&shell).await.ok()?;
        (output.stdout == b"hello\n").then_some(())
    };
    eventually("the delegate's shell", SOON, speaks).await.unwrap();

    market.tenant.json(&["delegate", "remove", &account]).await.unwrap();
    let (_, words) = friend.refused(&logs).await.unwrap();
    assert!(words.contains("has no right"), "{words}");
}
