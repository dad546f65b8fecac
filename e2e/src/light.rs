//! The light node's trial: a machine with a Docker engine of its own behind a router that lets nothing in earns its keep
//! through the gateway's tunnel; its cable is pulled and plugged in again. The demo tells it, and a test recomputes what
//! was billed meanwhile.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use alloy::primitives::U256;
use anyhow::{Context, Result, ensure};
use iono_bindings::{ILeaseBook, LeaseWords};
use iono_primitives::LeaseState;
use iono_testkit::lab::{Lab, Line};
use iono_testkit::{Daemon, Proxy, binary, eventually};
use tokio::process::Command;

use crate::cli::{field, number, text};
use crate::quorum::Tell;
use crate::{Iono, Network, Node, examples, hello, http};

/// How long the cable is out.
const OUTAGE: Duration = Duration::from_secs(30);
/// What happens at all happens within this time.
const SOON: Duration = Duration::from_secs(90);
/// The light node's address behind its router, and a port of it that is open to its own network.
const INSIDE: (&str, u16) = ("192.168.77.2", 9_184);
/// What light nodes get of a lease, in percent, and what their owner delegates, in SPON.
const TERMS: (&str, &str) = ("80", "10");

/// What makes a provider the gateway of light nodes that connect to port `tunnel`.
#[must_use]
pub fn subnet(tunnel: u16) -> String {
    format!(
        "[subnet]\nlisten = \"0.0.0.0:{tunnel}\"\nlends = {{ cpu = \"1\", memory = \"1Gi\", storage = \"10Gi\" }}\n"
    )
}

/// Removes all containers of the engine at `$0`.
const EMPTY: &str = "docker -H \"$0\" ps -aq | xargs -r docker -H \"$0\" rm -f";

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trial {
    /// Of the first request through the tunnel.
    pub http_status: u16,
    /// From the cable's return to the first answer at the same URL.
    pub seconds_to_resume: f64,
    /// Of the lease's token, in its smallest unit, for the time that the cable was out.
    pub billed_while_down: u128,
    /// The lease.
    pub lease: u64,
    /// Seconds of the chain when the cable was pulled, and when it was plugged in again.
    pub down: (u64, u64),
}

/// A machine behind a router, with its own Docker engine and its own `fizz`.
pub struct LightNode {
    fizz: Option<Daemon>,
    docker: Daemon,
    socket: PathBuf,
    lab: Lab,
    /// The way to the chain, at an address of a private network.
    chain: Proxy,
    /// This machine's address in the laboratory.
    pub host: IpAddr,
    dir: PathBuf,
    rpc: String,
}

impl Drop for LightNode {
    fn drop(&mut self) {
        // Where the trial did not come to its end: containers outlive an engine that is killed.
        let _ = std::process::Command::new("sh")
            .args(["-c", EMPTY])
            .arg(self.address())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
    }
}

impl LightNode {
    /// Builds the laboratory and starts the engine in it, with the image of `examples/hello.yaml`.
    ///
    /// # Errors
    /// Without root, network namespaces or Docker.
    pub async fn start(network: &Network) -> Result<Self> {
        let dir = network.dir().join("light");
        std::fs::create_dir_all(&dir)?;
        let lab = Lab::new(Line { round_trip: Duration::from_millis(30), loss: 0.001, seed: 5 })?;
        let host = lab.uplink()?;
        let port =
            network.anvil.url().rsplit(':').next().and_then(|port| port.trim_matches('/').parse().ok());
        let chain = Proxy::at(host, port.context("the chain's RPC has no port")?).await?;
        let rpc = format!("http://{host}:{}", chain.port());
        let socket = dir.join("docker.sock");
        let name = |name: &str| dir.join(name).display().to_string();
        let docker = Daemon::launch("nsenter")
            .args([&inside(&lab), "dockerd", "--host"])
            .arg(format!("unix://{}", socket.display()))
            .args(["--data-root", &name("docker"), "--exec-root", &name("exec"), "--pidfile", &name("pid")])
            .start()?;
        let light = Self { fizz: None, docker, socket, lab, chain, host, dir, rpc };
        let answers = || async { light.docker(&["version"]).await.ok() };
        let started = eventually("the light node's Docker engine", SOON, answers).await;
        started.with_context(|| light.docker.logs())?;
        light.load(hello::IMAGE).await?;
        Ok(light)
    }

    fn address(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Asks its engine.
    ///
    /// # Errors
    /// With the engine's words when it refuses.
    pub async fn docker(&self, args: &[&str]) -> Result<String> {
        let output = Command::new("docker").arg("-H").arg(self.address()).args(args).output().await?;
        ensure!(output.status.success(), "docker: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Copies an image of this machine's engine to its own.
    async fn load(&self, image: &str) -> Result<()> {
        let copy = "docker save \"$1\" | docker -H \"$0\" load";
        let output = Command::new("sh").args(["-c", copy]).arg(self.address()).arg(image).output().await?;
        ensure!(output.status.success(), "cannot copy {image}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// Writes its settings: the gateway at `tunnel`, its provider and its own number.
    fn configure(&self, network: &Network, tunnel: u16, provider: u32, fizz: u32) -> Result<()> {
        let dir = self.dir.display();
        let text = format!(
            r#"data_dir = "{dir}/data"
[gateway]
address = "{host}:{tunnel}"
provider = {provider}
fizz = {fizz}
[chain]
rpc = ["{rpc}"]
address_book = "{book}"
poll_ms = 200
[runtime]
docker = "{socket}"
addresses = "10.203.0.0/16"
storage_path = "{dir}"
disk_floor = "100Mi"
[reserve]
cpu = "0.05"
memory = "256Mi"
storage = "1Gi"
[offer]
cpu = "1"
memory = "1Gi"
storage = "10Gi"
[prices]
cpu = 0.02
memory = 0.004
[prices.storage]
hdd = 0.0001
ssd = 0.0001
nvme = 0.0001
[bidding]
# The demo moves the chain's clock by hours.
max_clock_skew = "30d"
[leases]
reconcile_every = "1s"
[telemetry]
listen = "0.0.0.0:{port}"
"#,
            host = self.host,
            rpc = self.rpc,
            book = network.book_path.display(),
            socket = self.socket.display(),
            port = INSIDE.1,
        );
        Ok(std::fs::write(self.config(), text)?)
    }

    fn config(&self) -> PathBuf {
        self.dir.join("fizz.toml")
    }

    /// The pin of its key.
    async fn pin(&self) -> Result<String> {
        let mut command = Command::new(binary("fizz")?);
        let output = command.arg("--config").arg(self.config()).arg("pin").output().await?;
        ensure!(output.status.success(), "fizz pin: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Starts `fizz` behind the router and waits until the gateway has said welcome.
    async fn run(&mut self) -> Result<()> {
        let launch = Daemon::launch("nsenter")
            .arg(inside(&self.lab))
            .arg(binary("fizz")?)
            .arg("--config")
            .arg(self.config())
            .arg("run");
        self.fizz = Some(launch.start()?);
        let ready = || async { self.inside_answers().await.then_some(()) };
        let ready = eventually("the light node to be ready", SOON, ready).await;
        ready.with_context(|| self.fizz.as_ref().map(Daemon::logs).unwrap_or_default())
    }

    /// Whether its port answers to its own network.
    async fn inside_answers(&self) -> bool {
        curl(self.lab.client().name(), "/readyz").await
    }

    /// Whether its port answers to the other side of the router.
    async fn outside_answers(&self) -> Result<bool> {
        // As somebody who knows the way would try it.
        let gateway = self.lab.gateway();
        let route = ["route", "replace", "192.168.77.0/24", "via", "10.77.0.2"];
        ensure!(gateway.command("ip").args(route).status()?.success(), "no route to the router");
        Ok(curl(gateway.name(), "/readyz").await)
    }
}

/// Whether a port answers to the tenant's container.
async fn reaches(tenant: &Iono, lease: u64, host: &str, port: u16) -> Result<bool> {
    let ask = format!("echo | nc -w 3 {host} {port} >/dev/null && echo reached");
    let shell =
        tenant.output(&["shell", &lease.to_string(), "--no-tty", "--", "/bin/sh", "-c", &ask]).await?;
    Ok(String::from_utf8_lossy(&shell.stdout).contains("reached"))
}

/// What makes `nsenter` start a program behind the router. `ip` would hide the control groups from it.
fn inside(lab: &Lab) -> String {
    format!("--net=/run/netns/{}", lab.client().name())
}

/// Whether a GET of the light node's port from within a namespace answers 200.
async fn curl(namespace: &str, path: &str) -> bool {
    let (host, port) = INSIDE;
    let url = format!("http://{host}:{port}{path}");
    let args = ["netns", "exec", namespace, "curl", "--silent", "--fail", "--max-time", "2", &url];
    let output = Command::new("ip").args(args).output().await;
    output.is_ok_and(|output| output.status.success())
}

/// Plays it: `gateway` is a provider that runs with a subnet's tunnel at port `tunnel`; the tenant has money.
///
/// # Errors
/// When something does not come about that the trial is about.
pub async fn trial(
    network: &Network,
    gateway: &Node,
    tunnel: u16,
    tenant: &Iono,
    tell: &mut Tell<'_>,
) -> Result<Trial> {
    let mut light = LightNode::start(network).await?;
    tell(
        "light",
        "start an engine behind a router that lets nothing in",
        None,
        &light.dir.display().to_string(),
    );
    let fizz = join(network, gateway, tunnel, &light).await?;
    let note = format!("light node {fizz}: {} % of a lease, {} SPON delegated", TERMS.0, TERMS.1);
    tell("light", "register with the subnet", None, &note);
    light.configure(network, tunnel, gateway.id, fizz)?;
    light.run().await?;
    ensure!(light.inside_answers().await, "its own network does not reach the light node");
    ensure!(!light.outside_answers().await?, "the router lets visitors in");
    tell("anyone", "try its port directly", None, "its own network reaches it, nobody else does");

    let nonce = format!("light-{fizz}");
    let changes = [("hello-ionosphere", nonce.as_str()), ("mode: provider", "mode: fizz")];
    let manifest = examples::adapted(network.dir(), "hello", &nonce, &changes)?;
    let deployed = tenant.json(&["deploy", &manifest, "--token", "1", "--max-rate", "0.1"]).await;
    let deployed = deployed.with_context(|| light.fizz.as_ref().map(Daemon::logs).unwrap_or_default())?;
    let (lease, url) = (number(&deployed, "/lease")?, text(&deployed, "/urls/0")?);
    let (http_status, body) = http::curl(&url).await?;
    ensure!(body.contains(&nonce), "no nonce {nonce} in {body:?}");
    tell(
        "anyone",
        &format!("curl {url}"),
        None,
        &format!("{http_status} through the tunnel: {}", body.trim()),
    );

    let others = [(INSIDE.0.to_owned(), INSIDE.1), (light.host.to_string(), light.chain.port())];
    ensure!(reaches(tenant, lease, "127.0.0.1", hello::PORT).await?, "a container does not reach itself");
    for (host, port) in &others {
        ensure!(
            !reaches(tenant, lease, host, *port).await?,
            "a tenant reaches {host}:{port} of the owner's network"
        );
    }
    tell("tenant", "try the owner's machine and network from the container", None, "nothing answers");

    let pulled = chain_time(network).await?;
    light.lab.pull();
    let since = Instant::now();
    paused(network, lease).await?;
    let status = http::curl(&url).await.map_or(0, |(status, _)| status);
    ensure!(status != 200, "somebody answers for a light node that is away");
    let shown = tenant.json(&["ps"]).await?.to_string();
    ensure!(shown.contains("paused"), "the tenant is not told that the lease is paused: {shown}");
    tell("light", "lose the cable for half a minute", None, "paused: not billed from when it was lost");
    tokio::time::sleep(OUTAGE.saturating_sub(since.elapsed())).await;

    let plugged = chain_time(network).await?;
    light.lab.plug();
    let back = Instant::now();
    let answers = || async { http::answers(&url, &nonce).await.then_some(()) };
    eventually("the same URL to answer", SOON, answers).await.with_context(|| light.logs())?;
    let seconds_to_resume = back.elapsed().as_secs_f64();
    let active = || async {
        (words(network, lease).await.ok()?.lease_state() == Some(LeaseState::Active)).then_some(())
    };
    eventually("the lease to be billed again", SOON, active).await.with_context(|| light.logs())?;
    let down = (pulled, plugged);
    let billed_while_down = billed(network, lease, down).await?;
    let note = format!(
        "the same URL answers after {seconds_to_resume:.1} s; billed while it was out: {billed_while_down}"
    );
    tell("light", "have the cable back", None, &note);
    tenant.json(&["close", &lease.to_string()]).await?;
    let empty = || async { light.docker(&["ps", "-q"]).await.ok()?.is_empty().then_some(()) };
    eventually("an empty engine", SOON, empty).await.with_context(|| light.logs())?;
    light.end().await?;
    Ok(Trial { http_status, seconds_to_resume, billed_while_down, lease, down })
}

impl LightNode {
    /// Stops it and its engine.
    async fn end(mut self) -> Result<()> {
        if let Some(fizz) = &mut self.fizz {
            fizz.terminate(SOON).await?;
        }
        self.docker.terminate(SOON).await?;
        Ok(())
    }

    fn logs(&self) -> String {
        self.fizz.as_ref().map(Daemon::logs).unwrap_or_default()
    }
}

/// Founds the subnet, delegates and registers, by `iono` alone; gives the light node's number.
async fn join(network: &Network, gateway: &Node, tunnel: u16, light: &LightNode) -> Result<u32> {
    let provider = gateway.id.to_string();
    let owner = network.person("subnet-owner", Some(&gateway.owner)).await?;
    owner.json(&["subnet", "found", &provider, "--share", TERMS.0, "--min-delegation", TERMS.1]).await?;
    let lender = network.person("lender", None).await?;
    lender.json(&["faucet", "--amount", "100", "--token", "SPON"]).await?;
    lender.json(&["stake", "delegate", &provider, TERMS.1]).await?;
    // The key is made before the number is known.
    light.configure(network, tunnel, gateway.id, 1)?;
    let pin = light.pin().await?;
    let offer =
        ["--cpu", "1", "--memory", "1Gi", "--storage", "10Gi", "--core", "0.02", "--memory-gib", "0.004"];
    let register = [&["fizz", "register", provider.as_str(), "--pin", pin.as_str()][..], &offer].concat();
    let registered = lender.json(&register).await?;
    let fizz = u32::try_from(number(&registered, "/fizz")?)?;
    owner.json(&["fizz", "accept", &fizz.to_string()]).await?;
    let status = lender.json(&["fizz", "status", &fizz.to_string()]).await?;
    ensure!(field(&status, "/active")? == true, "bids may not name the light node: {status}");
    Ok(fizz)
}

async fn words(network: &Network, lease: u64) -> Result<LeaseWords> {
    let book = ILeaseBook::new(network.book.lease_book, network.anvil.provider());
    let words = book.leaseWords(U256::from(lease)).call().await?;
    Ok(LeaseWords::read([words.word0, words.word1]))
}

async fn paused(network: &Network, lease: u64) -> Result<()> {
    let paused = || async {
        (words(network, lease).await.ok()?.lease_state() == Some(LeaseState::Paused)).then_some(())
    };
    eventually("the lease to be paused", SOON, paused).await
}

async fn chain_time(network: &Network) -> Result<u64> {
    use alloy::providers::Provider as _;
    let block = network.anvil.provider().get_block(alloy::eips::BlockId::latest()).await?;
    Ok(block.context("no block")?.header.timestamp)
}

/// What the lease costs for the seconds of `down` in which it was billed: those before the pause began, and those after it
/// ended.
async fn billed(network: &Network, lease: u64, (pulled, plugged): (u64, u64)) -> Result<u128> {
    let (chain, book) = (network.anvil.provider(), network.book.lease_book);
    let id = U256::from(lease);
    let paused =
        iono_testkit::events::last::<ILeaseBook::LeasePaused>(chain, book, |event| event.lease == id).await?;
    let resumed =
        iono_testkit::events::last::<ILeaseBook::LeaseResumed>(chain, book, |event| event.lease == id)
            .await?;
    let since: u64 = paused.event.since.saturating_to();
    let until = since + resumed.event.unbilledSeconds.saturating_to::<u64>();
    let seconds = since.clamp(pulled, plugged) - pulled + (plugged - until.clamp(pulled, plugged));
    let words = words(network, lease).await?;
    Ok(words.rate().gross(seconds, words.decimals).saturating_to())
}
