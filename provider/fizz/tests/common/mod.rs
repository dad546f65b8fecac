//! A subnet on a real chain and a real engine: a provider that is the gateway of one light node, and a tenant who orders from
//! light nodes alone.
#![allow(clippy::unwrap_used, clippy::print_stderr, dead_code, missing_docs, unreachable_pub)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use iono_bindings::IFizzRegistry;
use iono_bindings::words::order_flags;
use iono_identity::{Passphrase, Pin, ServerIdentity, keystore};
use iono_lease_api::Client;
use iono_manifest::{Expose, LeaseManifest, Protocol, Secret};
use iono_primitives::{FizzId, LeaseId, ProviderId};
use iono_provider_testkit::{Ordered, Tenant, listed};
use iono_testkit::{Daemon, Devnet, ProviderSetup, docker, eventually, free_port};

pub mod tap;

pub use tap::Tap;

pub use iono_provider_testkit::SOON;

/// The parts, with nothing running yet.
pub struct Subnet {
    tenant: Tenant,
    pub provider: ProviderId,
    pub fizz: FizzId,
    pub endpoint: String,
    dir: PathBuf,
    health: [u16; 2],
    /// All that goes between the gateway and tenants' lease API clients, and between it and the light node.
    pub taps: [Tap; 2],
}

/// A daemon whose log is shown when the test fails.
pub struct Running(pub &'static str, pub Daemon);

impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("log of {}:\n{}", self.0, self.1.logs());
        }
    }
}

impl std::ops::Deref for Subnet {
    type Target = Tenant;
    fn deref(&self) -> &Tenant {
        &self.tenant
    }
}

impl Subnet {
    pub async fn open() -> Self {
        let devnet = Devnet::with_block_time(Duration::from_secs(1)).await.unwrap();
        docker::hello_image().await.unwrap();
        let (owner, hot, key, lender) =
            (devnet.anvil.key(1), devnet.anvil.key(2), devnet.anvil.key(3), devnet.anvil.key(4));
        let [api, http, tunnel, one, other] = [(); 5].map(|()| free_port().unwrap());
        let taps = [Tap::to(api).await, Tap::to(tunnel).await];
        let endpoint = format!("127.0.0.1:{}", taps[0].port);
        let mut setup = ProviderSetup::new(owner.clone(), hot.clone());
        (setup.endpoint, setup.offers_fizz) = (endpoint.clone(), true);
        let dir = devnet.dir().join("subnet");
        for name in ["provider", "fizz"] {
            std::fs::create_dir_all(dir.join(name)).unwrap();
        }
        // The gateway shows the key that the registry has of its provider.
        std::fs::create_dir_all(dir.join("provider/data")).unwrap();
        setup.pin = ServerIdentity::load_or_create(&dir.join("provider/data/tls.pem")).unwrap().pin().0;
        let provider = devnet.provider(&setup).await.unwrap();
        devnet.subnet(&owner, provider, 8_000).await.unwrap();
        std::fs::create_dir_all(dir.join("fizz/data")).unwrap();
        let pin = ServerIdentity::load_or_create(&dir.join("fizz/data/tls.pem")).unwrap().pin();
        let fizz = devnet.light_node(&lender, provider, pin.0).await.unwrap();
        let wallet = devnet.wallet(&key, 1_000_000_000).await.unwrap();

        std::fs::write(dir.join("passphrase"), "correct horse\n").unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(dir.join("passphrase"), private).unwrap();
        let secret = hex::encode(hot.to_bytes());
        keystore::import_key(&dir.join("hot.json"), &secret, &Passphrase::new("correct horse"))
            .await
            .unwrap();
        let tenant = Tenant { devnet, key, wallet, http };
        let this = Self { tenant, provider, fizz, endpoint, dir, health: [one, other], taps };
        this.write_settings(api, tunnel);
        this
    }

    fn write_settings(&self, api: u16, tunnel: u16) {
        let Self { dir, endpoint, .. } = self;
        let http = self.http;
        let (dir, first) = (dir.display(), 41_000 + (http % 200) * 100);
        let [provider_health, fizz_health] = self.health;
        let common = format!(
            r#"[chain]
rpc = ["{rpc}"]
address_book = "{book}"
poll_ms = 100
[chain.sender]
lock_dir = "{dir}/locks"
[prices]
cpu = 0.01
memory = 0.002
[prices.storage]
hdd = 0.0001
ssd = 0.0001
nvme = 0.0001
[leases]
reconcile_every = "1s"
manifest_timeout = "10m"
[reserve]
cpu = "0"
memory = "256Mi"
storage = "1Gi"
"#,
            rpc = self.devnet.anvil.url(),
            book = self.devnet.book_path().display(),
        );
        let provider = format!(
            r#"data_dir = "{dir}/provider/data"
{common}
[keys]
hot_key = "{dir}/hot.json"
passphrase_file = "{dir}/passphrase"
[listen]
lease_api = "127.0.0.1:{api}"
http = "127.0.0.1:{http}"
ports = "{first}-{middle}"
[public]
endpoint = "{endpoint}"
domain = "apps.localhost"
tokens = [0, 1]
[runtime]
disk_floor = "100Mi"
[subnet]
listen = "127.0.0.1:{tunnel}"
pause_after = "3s"
[telemetry]
listen = "127.0.0.1:{provider_health}"
filter = "info,iono_provider=debug,iono_host=debug"
"#,
            middle = first + 49,
        );
        let fizz = format!(
            r#"data_dir = "{dir}/fizz/data"
{common}
[gateway]
address = "127.0.0.1:{}"
provider = {}
fizz = {}
[listen]
ports = "{}-{}"
[runtime]
addresses = "10.202.0.0/16"
disk_floor = "100Mi"
[telemetry]
listen = "127.0.0.1:{fizz_health}"
filter = "info,iono_fizz=debug,iono_host=debug,iono_tunnel=debug"
"#,
            self.taps[1].port,
            self.provider,
            self.fizz,
            first + 50,
            first + 99,
        );
        std::fs::write(self.dir.join("provider.toml"), provider).unwrap();
        std::fs::write(self.dir.join("fizz.toml"), fizz).unwrap();
    }

    fn config(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.toml"))
    }

    pub async fn gateway(&self) -> Running {
        let binary = iono_testkit::binary("provider").unwrap();
        self.start("gateway", &binary, "provider", self.health[0]).await
    }

    pub async fn light_node(&self) -> Running {
        self.start("light node", Path::new(env!("CARGO_BIN_EXE_fizz")), "fizz", self.health[1]).await
    }

    /// Where settings and data of both are.
    pub fn folder(&self) -> &Path {
        &self.dir
    }

    /// Waits until the light node, however it was started, says that it is ready.
    pub async fn light_node_ready(&self) {
        let ready = || async { self.is_light_node_ready().await.then_some(()) };
        eventually("a light node that is ready", SOON, ready).await.unwrap();
    }

    /// Whether it says so now.
    pub async fn is_light_node_ready(&self) -> bool {
        let health = format!("http://127.0.0.1:{}/readyz", self.health[1]);
        reqwest::get(health).await.is_ok_and(|answer| answer.status().is_success())
    }

    /// Starts the light node without waiting until it is ready; with where its health is told.
    pub fn light_node_anyhow(&self) -> (Running, String) {
        let launch =
            Daemon::launch(env!("CARGO_BIN_EXE_fizz")).arg("--config").arg(self.config("fizz")).arg("run");
        let health = format!("http://127.0.0.1:{}/readyz", self.health[1]);
        (Running("light node", launch.start().unwrap()), health)
    }

    /// Has the light node say that it is another one.
    pub fn claim(&self, fizz: u32) {
        let file = self.config("fizz");
        let text = std::fs::read_to_string(&file).unwrap();
        let own = format!("fizz = {}\n", self.fizz);
        assert!(text.contains(&own));
        std::fs::write(file, text.replace(&own, &format!("fizz = {fizz}\n"))).unwrap();
    }

    async fn start(&self, name: &'static str, binary: &Path, config: &str, health: u16) -> Running {
        let launch = Daemon::launch(binary).arg("--config").arg(self.config(config)).arg("run");
        let mut running = Running(name, launch.start().unwrap());
        running.1.ready(&format!("http://127.0.0.1:{health}/readyz"), SOON).await.unwrap();
        running
    }

    /// Orders an hour of the hello image from light nodes alone.
    pub async fn order(&self, nonce: &str) -> Ordered {
        self.order_with(nonce, &[]).await
    }

    /// The same with more variables.
    pub async fn order_with(&self, nonce: &str, variables: &[(&str, &str)]) -> Ordered {
        let mut manifest = hello(nonce);
        for (name, value) in variables {
            manifest.services[0].env.insert((*name).to_owned(), Secret::new(*value));
        }
        self.order_of(nonce, manifest).await
    }

    /// Orders an hour of what answers with `nonce`.
    pub async fn order_of(&self, nonce: &str, manifest: LeaseManifest) -> Ordered {
        self.place_order(nonce, manifest, self.terms(order_flags::FIZZ)).await
    }

    /// The tenant's client of the light node's lease API.
    pub async fn client(&self) -> Client {
        let registry = self.devnet.book.fizz_registry.unwrap();
        let registry = IFizzRegistry::new(registry, self.devnet.anvil.provider());
        let node = registry.node(self.fizz.into()).call().await.unwrap();
        let identity = self.identity().await;
        Client::for_light_node(&self.endpoint, self.fizz, vec![Pin(node.pin)], Some(&identity)).unwrap()
    }

    /// The key that the registry has of the gateway's provider.
    pub async fn provider_pin(&self) -> Pin {
        self.pins_of(self.provider).await[0]
    }

    /// The light node's containers for a lease.
    pub async fn containers(&self, lease: LeaseId) -> Vec<String> {
        let book = &self.devnet.book;
        let owner = format!("{}.{:#x}.{}", book.chain_id, book.fizz_registry.unwrap(), self.fizz);
        listed(&["ps", "-a"], &owner, lease).await
    }

    /// Sends the manifest through the gateway and waits for the answer with its nonce.
    pub async fn serve(&self, ordered: &Ordered) {
        self.send_manifest(&self.client().await, ordered).await;
    }
}

/// A web server that answers with `nonce`, by name and at a port of its own.
pub fn hello(nonce: &str) -> LeaseManifest {
    let mut manifest = iono_provider_testkit::hello(nonce, 1, docker::HELLO);
    let ports = &mut manifest.services[0].expose;
    ports.push(Expose { protocol: Protocol::Tcp, external: 8_080, ..ports[0].clone() });
    manifest
}
