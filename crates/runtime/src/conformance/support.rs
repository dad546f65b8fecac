//! Workloads of busybox, a plain HTTP client, and a router as the switchboard.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::StreamExt;
use iono_primitives::LeaseId;
use iono_router::{HttpOptions, Limits, Route, Router, RouterConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Harness;
use crate::{
    ExecInput, ExecOutput, ExecRequest, LogOptions, Observed, OutputKind, Port, Protocol, PullPolicy,
    Replica, RestartPolicy, Runtime, Secret, Service, Switchboard, Workload,
};

/// Where [`web`] listens.
pub const PORT: u16 = 8080;
/// The name under which [`Routed`] serves it.
pub const HOST: &str = "app.example";

/// A service that runs a line of shell.
pub fn shell(harness: &dyn Harness, name: &str, line: &str) -> Service {
    let mut service = Service::new(name, harness.image());
    service.command = ["/bin/sh", "-c", line].map(str::to_owned).to_vec();
    // No registry has it.
    service.pull = PullPolicy::Never;
    // Many tests run at once on a small machine, and an engine may set aside what each asks for.
    service.limits.cpu_millis = 100;
    service.limits.memory_mib = 64;
    service.limits.ephemeral_mib = 64;
    service.ready_within = Duration::from_secs(30);
    service
}

/// A service that ends once.
pub fn job(harness: &dyn Harness, name: &str, line: &str) -> Service {
    Service { restart: RestartPolicy::Never, ..shell(harness, name, line) }
}

/// A web server that answers with a nonce from its environment and logs it.
pub fn web(harness: &dyn Harness, nonce: &str) -> Service {
    let line = format!(
        "mkdir -p /www; echo body-$NONCE > /www/index.html; echo log-$NONCE; exec httpd -f -p {PORT} -h /www"
    );
    let mut service = shell(harness, "web", &line);
    service.env.insert("NONCE".to_owned(), Secret::from(nonce));
    service.ports = vec![Port::new(PORT, Protocol::Tcp)];
    service
}

/// A workload whose hash follows from its services.
pub fn workload(lease: LeaseId, services: Vec<Service>) -> Workload {
    let text = format!("{services:?}");
    let hash = text.bytes().fold(5_381u64, |hash, byte| hash.wrapping_mul(33) ^ u64::from(byte));
    Workload { lease, manifest_hash: format!("{hash:x}"), services }
}

/// A router for one lease.
pub struct Routed {
    /// The router itself.
    pub router: Router,
}

impl Routed {
    /// One that serves [`web`] under [`HOST`], and `more`.
    pub async fn new(lease: LeaseId, more: Vec<Route>) -> Self {
        let http = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let limits = Limits { hold: Duration::from_secs(30), ..Limits::default() };
        let config = RouterConfig { http, limits, ..RouterConfig::default() };
        let router = Router::start(config).await.expect("a router");
        let web = Route::Host {
            host: HOST.to_owned(),
            service: "web".to_owned(),
            port: PORT,
            options: HttpOptions::default(),
        };
        router.set_routes(lease, [vec![web], more].concat()).await.expect("routes");
        Self { router }
    }

    /// Where it takes requests.
    pub fn address(&self) -> SocketAddr {
        self.router.http_address().expect("it serves HTTP")
    }

    /// Status and body of `GET /`.
    pub async fn get(&self) -> Result<(u16, String), std::io::Error> {
        get(self.address(), HOST).await
    }
}

#[async_trait]
impl Switchboard for Routed {
    async fn route(&self, lease: LeaseId, service: &str, replicas: &[IpAddr], drain: Duration) {
        self.router.switch(lease, service, replicas, drain).await;
    }
}

/// Status and body of `GET /` with this `Host`.
///
/// # Errors
/// When nothing answers, or with something that is no HTTP.
pub async fn get(address: SocketAddr, host: &str) -> Result<(u16, String), std::io::Error> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::InvalidData)?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or(std::io::ErrorKind::InvalidData)?, body.to_owned()))
}

/// Asks every 20 ms until the answer is `Some`.
pub async fn eventually<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "not within a minute: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What the runtime sees of a lease.
pub async fn observed(runtime: &dyn Runtime, lease: LeaseId) -> Option<Observed> {
    let all = runtime.observe().await.expect("the engine answers");
    all.into_iter().find(|observed| observed.lease == lease)
}

/// The containers of a service.
pub async fn replicas(runtime: &dyn Runtime, lease: LeaseId, service: &str) -> Vec<Replica> {
    let observed = observed(runtime, lease).await;
    let services = observed.map(|observed| observed.services).unwrap_or_default();
    services.into_iter().find(|found| found.name == service).map(|found| found.replicas).unwrap_or_default()
}

/// All text that a service has logged.
pub async fn log_text(runtime: &dyn Runtime, lease: LeaseId, service: &str) -> String {
    let lines = runtime.logs(lease, Some(service), LogOptions::default()).await.expect("logs");
    let texts: Vec<String> = lines.map(|line| line.expect("a line").text).collect().await;
    texts.join("\n")
}

/// Output, errors and exit code of a command.
pub struct Ran {
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// Exit code.
    pub code: i64,
}

/// Runs a line of shell in a service, with `input` as all that it gets to read.
pub async fn run(runtime: &dyn Runtime, lease: LeaseId, service: &str, line: &str, input: &str) -> Ran {
    let command = ["/bin/sh", "-c", line].map(str::to_owned).to_vec();
    let request = ExecRequest { service: service.to_owned(), replica: None, command, tty: None };
    let mut session = runtime.exec(lease, request).await.expect("the command starts");
    session.input.send(ExecInput::Stdin(input.to_owned().into())).await.expect("it takes input");
    session.input.send(ExecInput::Eof).await.expect("it takes the end of input");
    let mut ran = Ran { out: String::new(), err: String::new(), code: -1 };
    while let Some(output) = session.output.next().await {
        match output.expect("output") {
            ExecOutput::Output(OutputKind::Stdout, bytes) => ran.out += &String::from_utf8_lossy(&bytes),
            ExecOutput::Output(OutputKind::Stderr, bytes) => ran.err += &String::from_utf8_lossy(&bytes),
            ExecOutput::Exit(code) => ran.code = code,
        }
    }
    ran
}
