//! How long a lease takes from its workload to the first answer, against the engine by hand with the same image,
//! network, limits and port.

#![allow(clippy::unwrap_used)]

mod common;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use common::{Docker, IMAGE, output};
use iono_primitives::LeaseId;
use iono_router::{HttpOptions, Route, Router, RouterConfig};
use iono_runtime::conformance::{Harness, with_lease};
use iono_runtime::{Port, Protocol, Service, Switchboard, Workload};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const RUNS: usize = 7;
const LINE: &str = "exec httpd -f -p 8080 -h /etc";

struct Routed(Router);

#[async_trait]
impl Switchboard for Routed {
    async fn route(&self, lease: LeaseId, service: &str, replicas: &[IpAddr], drain: Duration) {
        self.0.switch(lease, service, replicas, drain).await;
    }
}

/// Asks every 2 ms until there is a 200.
async fn first_answer(address: SocketAddr) {
    loop {
        let ask = async {
            let mut stream = TcpStream::connect(address).await?;
            stream
                .write_all(b"GET /hostname HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n\r\n")
                .await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok::<_, std::io::Error>(answer.contains(" 200 "))
        };
        if matches!(ask.await, Ok(true)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn ours(docker: &Docker) -> Duration {
    with_lease(docker, async |lease| {
        let any = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let router = Router::start(RouterConfig { http: any, ..RouterConfig::default() }).await.unwrap();
        let mut service = Service::new("web", IMAGE);
        service.command = ["/bin/sh", "-c", LINE].map(str::to_owned).to_vec();
        service.limits.memory_mib = 64;
        service.ports = vec![Port::new(8080, Protocol::Tcp)];
        let options = HttpOptions::default();
        let route = Route::Host { host: "app.example".into(), service: "web".into(), port: 8080, options };
        router.set_routes(lease, vec![route]).await.unwrap();
        let workload = Workload { lease, manifest_hash: "1".to_owned(), services: vec![service] };
        let (address, routed) = (router.http_address().unwrap(), Routed(router));
        let start = Instant::now();
        let runtime = docker.runtime();
        runtime.store_manifest(lease, b"sealed").await.unwrap();
        let (applied, ()) = tokio::join!(runtime.apply(&workload, &routed), first_answer(address));
        applied.unwrap();
        start.elapsed()
    })
    .await
}

async fn by_hand(n: usize) -> Duration {
    let name = format!("iono-by-hand-{}-{n}", std::process::id());
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let start = Instant::now();
    output("docker", &["network", "create", &name]);
    let publish = format!("127.0.0.1:{port}:8080");
    let args = [
        "run",
        "-d",
        "--name",
        &name,
        "--network",
        &name,
        "-p",
        &publish,
        "--memory",
        "64m",
        "--memory-swap",
        "64m",
        "--cpus",
        "1",
        "--pids-limit",
        "1024",
        "--security-opt",
        "no-new-privileges",
        "--cap-drop",
        "ALL",
        IMAGE,
        "/bin/sh",
        "-c",
        LINE,
    ];
    output("docker", &args);
    first_answer(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await;
    let took = start.elapsed();
    output("docker", &["rm", "-f", &name]);
    output("docker", &["network", "rm", &name]);
    took
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement: wants a machine that does nothing else"]
async fn starts_as_fast_as_by_hand() {
    let docker = Docker::new();
    let (mut one, mut two) = (Vec::new(), Vec::new());
    for n in 0..RUNS {
        one.push(ours(&docker).await);
        two.push(by_hand(n).await);
    }
    one.sort();
    two.sort();
    let ratio = one[RUNS / 2].as_secs_f64() / two[RUNS / 2].as_secs_f64();
    assert!(ratio <= 1.5, "{ratio:.2}: ours {one:?}, by hand {two:?}");
    // Shown by `--no-capture`.
    #[allow(clippy::print_stdout)]
    {
        println!("ratio {ratio:.2}: ours {one:?}, by hand {two:?}");
    }
}
