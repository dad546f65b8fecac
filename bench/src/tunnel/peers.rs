//! The two tunnels that are compared, each as two processes: ours, made of `iono-tunnel` by this binary, and rathole.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use iono_identity::{Pin, ServerIdentity};
use iono_testkit::lab::Namespace;
use iono_tunnel::{Client, ClientConfig, Gateway, GatewayConfig, Limits};
use tokio::net::TcpListener;

/// Says to a process of ours what it is.
const ROLE: &str = "IONO_BENCH_TUNNEL";
/// The gateway's key, in a pair's folder; clients' keys are numbered.
const GATEWAY_KEY: &str = "gateway.pem";

/// Whose tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Ours,
    Rathole,
}

/// Where a pair of processes lives.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Keys and configuration; one for each pair.
    pub(crate) dir: PathBuf,
    /// The gateway as the clients see it.
    pub(crate) gateway: IpAddr,
    /// Its port for the tunnel.
    pub(crate) port: u16,
    /// First of its ports for visitors, at 127.0.0.1: one for each client.
    pub(crate) visitors: u16,
    /// Where the service is, on the client's side.
    pub(crate) service: SocketAddr,
    /// Light nodes, all in the one client process.
    pub(crate) clients: u16,
}

/// One process of a pair; dropped, it is killed.
pub(crate) struct Process(Child);

impl Process {
    fn start(mut command: Command, log: &Path) -> Result<Self> {
        let file = std::fs::File::create(log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        Ok(Self(command.spawn().context("cannot start a tunnel's process")?))
    }

    /// Its id: `ip netns exec` becomes the program that it starts.
    fn id(&self) -> u32 {
        self.0.id()
    }

    /// Resident memory in KiB.
    pub(crate) fn memory_kib(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
    }

    /// Time on cores so far, of all its threads that live.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let mut total = Duration::ZERO;
        for thread in std::fs::read_dir(format!("/proc/{}/task", self.id()))? {
            let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
            total +=
                Duration::from_nanos(text.split_whitespace().next().context("an empty schedstat")?.parse()?);
        }
        Ok(total)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Kind {
    /// Writes what both processes need.
    pub(crate) fn prepare(self, place: &Place) -> Result<()> {
        std::fs::create_dir_all(&place.dir)?;
        match self {
            Self::Ours => {
                ServerIdentity::load_or_create(&place.dir.join(GATEWAY_KEY))?;
                for number in 0..place.clients {
                    ServerIdentity::load_or_create(&client_key(&place.dir, number))?;
                }
                Ok(())
            }
            Self::Rathole => rathole::prepare(place),
        }
    }

    /// Starts the gateway's process, in a namespace if one is given.
    pub(crate) fn gateway(self, place: &Place, namespace: Option<&Namespace>) -> Result<Process> {
        self.start("gateway", place, namespace)
    }

    /// Starts the clients' process.
    pub(crate) fn client(self, place: &Place, namespace: Option<&Namespace>) -> Result<Process> {
        self.start("client", place, namespace)
    }

    /// Starts the last client alone.
    pub(crate) fn last(self, place: &Place) -> Result<Process> {
        self.start("last", place, None)
    }

    fn start(self, role: &str, place: &Place, namespace: Option<&Namespace>) -> Result<Process> {
        let program = match self {
            Self::Ours => std::env::current_exe()?,
            Self::Rathole => rathole::binary()?,
        };
        let program = program.to_str().context("a path that is no UTF-8")?;
        let mut command = namespace.map_or_else(|| Command::new(program), |space| space.command(program));
        match self {
            Self::Ours => {
                let Place { dir, gateway, port, visitors, service, clients } = place;
                let words =
                    format!("{role} {gateway} {port} {visitors} {service} {clients} {}", dir.display());
                command.env(ROLE, words).arg("tunnel");
            }
            Self::Rathole => {
                let option = if role == "gateway" { "--server" } else { "--client" };
                command.arg(option).arg(place.dir.join(format!("{role}.toml"))).env("RUST_LOG", "error");
            }
        }
        Process::start(command, &place.dir.join(format!("{role}.log")))
    }
}

fn client_key(dir: &Path, number: u16) -> PathBuf {
    dir.join(format!("client-{number}.pem"))
}

/// Whether this process is one of ours; it has run to its end then.
pub(crate) async fn is_apart() -> Result<bool> {
    let Ok(words) = std::env::var(ROLE) else { return Ok(false) };
    let mut words = words.splitn(7, ' ');
    let mut word = || words.next().context("a word is missing");
    let role = word()?.to_owned();
    let place = Place {
        gateway: word()?.parse()?,
        port: word()?.parse()?,
        visitors: word()?.parse()?,
        service: word()?.parse()?,
        clients: word()?.parse()?,
        dir: word()?.into(),
    };
    match role.as_str() {
        "gateway" => run_gateway(&place).await?,
        "client" => run_clients(&place, 0).await?,
        "last" => run_clients(&place, place.clients - 1).await?,
        other => bail!("no role {other}"),
    }
    Ok(true)
}

async fn run_gateway(place: &Place) -> Result<()> {
    let identity = ServerIdentity::load_or_create(&place.dir.join(GATEWAY_KEY))?;
    let pins = (0..place.clients)
        .map(|number| Ok(ServerIdentity::load_or_create(&client_key(&place.dir, number))?.pin()))
        .collect::<Result<Vec<Pin>>>()?;
    let known = pins.iter().copied().collect::<std::collections::HashSet<Pin>>();
    let config = GatewayConfig {
        listener: TcpListener::bind(("0.0.0.0", place.port)).await?,
        identity,
        admission: Arc::new(move |pin| Some(known.contains(&pin))),
        limits: Limits::default(),
    };
    // Two thousand ports for visitors and three connections for each light node.
    let (_, most) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)?;
    nix::sys::resource::setrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE, most, most)?;
    let (gateway, events) = Gateway::start(config)?;
    drop(events);
    let mut exposures = Vec::new();
    for (number, pin) in pins.into_iter().enumerate() {
        let listener = TcpListener::bind(("127.0.0.1", place.visitors + u16::try_from(number)?)).await?;
        exposures.push(gateway.expose_tcp(gateway.expect(pin), listener, "service")?);
    }
    std::future::pending().await
}

async fn run_clients(place: &Place, first: u16) -> Result<()> {
    let pin = ServerIdentity::load_or_create(&place.dir.join(GATEWAY_KEY))?.pin();
    let service = place.service;
    let mut clients = Vec::new();
    for number in first..place.clients {
        let config = ClientConfig {
            gateway: SocketAddr::new(place.gateway, place.port).to_string(),
            pins: vec![pin],
            identity: ServerIdentity::load_or_create(&client_key(&place.dir, number))?,
            services: Arc::new(move |_| Some(service)),
            limits: Limits::default(),
        };
        clients.push(Client::start(config)?);
    }
    std::future::pending().await
}

mod rathole {
    //! rathole 0.5.0 with TLS (P-256, as ours), everything else as it comes.

    use super::{Command, Context as _, Path, PathBuf, Place, Result, SocketAddr, Stdio, ensure};

    /// Where `tools/bench` installs it.
    pub(super) fn binary() -> Result<PathBuf> {
        let cache = std::env::var_os("IONO_CACHE").context("IONO_CACHE is not set; run tools/bench")?;
        let path = Path::new(&cache).join("rathole/bin/rathole");
        ensure!(path.exists(), "{} is missing; tools/bench installs it", path.display());
        Ok(path)
    }

    pub(super) fn prepare(place: &Place) -> Result<()> {
        let dir = &place.dir;
        let openssl = |args: &str| {
            let mut command = Command::new("openssl");
            command
                .current_dir(dir)
                .args(args.split_whitespace())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            let status = command.status().context("cannot run openssl")?;
            ensure!(status.success(), "openssl {args} failed");
            Ok(())
        };
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem";
        openssl(&format!("req -x509 {key} -days 30 -subj /CN=ca"))?;
        let key = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout tls.key -out tls.csr";
        openssl(&format!("req {key} -subj /CN=gateway -addext subjectAltName=DNS:gateway"))?;
        openssl(
            "x509 -req -in tls.csr -CA ca.pem -CAkey ca.key -days 30 -copy_extensions copy -out tls.pem",
        )?;
        openssl("pkcs12 -export -inkey tls.key -in tls.pem -out tls.pfx -passout pass:secret")?;

        let Place { gateway, port, visitors, service, clients, .. } = place;
        let path = |name: &str| dir.join(name).display().to_string();
        let mut server = format!(
            "[server]\nbind_addr = \"0.0.0.0:{port}\"\ndefault_token = \"token\"\n\
             [server.transport]\ntype = \"tls\"\n\
             [server.transport.tls]\npkcs12 = \"{}\"\npkcs12_password = \"secret\"\n",
            path("tls.pfx")
        );
        let mut client = format!(
            "[client]\nremote_addr = \"{}\"\ndefault_token = \"token\"\n\
             [client.transport]\ntype = \"tls\"\n\
             [client.transport.tls]\ntrusted_root = \"{}\"\nhostname = \"gateway\"\n",
            SocketAddr::new(*gateway, *port),
            path("ca.pem")
        );
        for number in 0..*clients {
            let visitors = visitors + number;
            server += &format!("[server.services.s{number}]\nbind_addr = \"127.0.0.1:{visitors}\"\n");
            client += &format!("[client.services.s{number}]\nlocal_addr = \"{service}\"\n");
        }
        std::fs::write(dir.join("gateway.toml"), server)?;
        Ok(std::fs::write(dir.join("client.toml"), client)?)
    }
}
