//! A machine behind a router that lets nothing in, with a Docker engine and a `fizz` of its own.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use iono_testkit::lab::{Lab, Line};
use iono_testkit::{Daemon, Proxy, binary, eventually};
use tokio::process::Command;

use crate::{Network, hello};

/// What happens at all happens within this time.
const SOON: Duration = Duration::from_secs(90);
/// The light node's address behind its router, and a port of it that is open to its own network.
pub(super) const INSIDE: (&str, u16) = ("192.168.77.2", 9_184);
/// Removes all containers of the engine at `$0`.
const EMPTY: &str = "docker -H \"$0\" ps -aq | xargs -r docker -H \"$0\" rm -f";

/// A machine behind a router, with its own Docker engine and its own `fizz`.
pub struct LightNode {
    fizz: Option<Daemon>,
    docker: Daemon,
    /// Its network: the cable and the router.
    pub lab: Lab,
    /// The way to the chain, at an address of a private network.
    pub chain: Proxy,
    /// This machine's address in the laboratory.
    pub host: IpAddr,
    /// Where its settings and its data are.
    pub dir: PathBuf,
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
        let docker = engine(&lab, &dir)?;
        let light = Self { fizz: None, docker, lab, chain, host, dir, rpc };
        light.engine_answers().await?;
        light.load(hello::IMAGE).await?;
        Ok(light)
    }

    async fn engine_answers(&self) -> Result<()> {
        let answers = || async { self.docker(&["version"]).await.ok() };
        let started = eventually("the light node's Docker engine", SOON, answers).await;
        started.with_context(|| self.docker.logs()).map(drop)
    }

    /// Has the engine end and start again: its containers end with it.
    ///
    /// # Errors
    /// When it does not come back.
    pub async fn restart_engine(&mut self) -> Result<()> {
        self.docker.terminate(SOON).await?;
        self.docker = engine(&self.lab, &self.dir)?;
        self.engine_answers().await
    }

    fn address(&self) -> String {
        format!("unix://{}", socket(&self.dir))
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
    pub(super) fn configure(&self, network: &Network, tunnel: u16, provider: u32, fizz: u32) -> Result<()> {
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
            socket = socket(&self.dir),
            port = INSIDE.1,
        );
        Ok(std::fs::write(self.config(), text)?)
    }

    fn config(&self) -> PathBuf {
        self.dir.join("fizz.toml")
    }

    /// The pin of its key.
    pub(super) async fn pin(&self) -> Result<String> {
        let mut command = Command::new(binary("fizz")?);
        let output = command.arg("--config").arg(self.config()).arg("pin").output().await?;
        ensure!(output.status.success(), "fizz pin: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Starts `fizz` behind the router and waits until the gateway has said welcome.
    pub(super) async fn run(&mut self) -> Result<()> {
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
    pub(super) async fn inside_answers(&self) -> bool {
        curl(self.lab.client().name(), "/readyz").await
    }

    /// Whether its port answers to the other side of the router.
    pub(super) async fn outside_answers(&self) -> Result<bool> {
        // As somebody who knows the way would try it.
        let gateway = self.lab.gateway();
        let route = ["route", "replace", "192.168.77.0/24", "via", "10.77.0.2"];
        ensure!(gateway.command("ip").args(route).status()?.success(), "no route to the router");
        Ok(curl(gateway.name(), "/readyz").await)
    }

    /// Stops it and its engine.
    ///
    /// # Errors
    /// When one does not end.
    pub async fn end(mut self) -> Result<()> {
        if let Some(fizz) = &mut self.fizz {
            fizz.terminate(SOON).await?;
        }
        self.docker.terminate(SOON).await?;
        Ok(())
    }

    /// What `fizz` has logged.
    #[must_use]
    pub fn logs(&self) -> String {
        self.fizz.as_ref().map(Daemon::logs).unwrap_or_default()
    }
}

/// Starts the engine with all that is its own below `dir`.
fn engine(lab: &Lab, dir: &Path) -> Result<Daemon> {
    let name = |name: &str| dir.join(name).display().to_string();
    Daemon::launch("nsenter")
        .args([&inside(lab), "dockerd", "--host"])
        .arg(format!("unix://{}", socket(dir)))
        .args(["--data-root", &name("docker"), "--exec-root", &name("exec"), "--pidfile", &name("pid")])
        .start()
}

fn socket(dir: &Path) -> String {
    dir.join("docker.sock").display().to_string()
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
