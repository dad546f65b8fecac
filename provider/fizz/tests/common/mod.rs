//! A subnet on a real chain and a real engine: a provider that is the gateway of one light node, and a tenant who orders from
//! light nodes alone.
#![allow(clippy::unwrap_used, clippy::print_stderr, dead_code, missing_docs, unreachable_pub)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use alloy::primitives::aliases::{U24, U48, U80};
use alloy::primitives::{B256, U256};
use alloy::signers::local::PrivateKeySigner;
use iono_bindings::words::order_flags;
use iono_bindings::{IFizzRegistry, ILeaseBook, IOrderBook, IProviderRegistry, LeaseWords, Spec, Terms};
use iono_identity::authorisation::Domain;
use iono_identity::{ClientIdentity, IdentityRequest, Passphrase, Pin, ServerIdentity, keystore};
use iono_lease_api::{Client, SaltedManifest};
use iono_manifest::{
    Expose, HttpOptions, LeaseManifest, Protocol, PullPolicy, Secret, Service, ServiceResources,
};
use iono_primitives::{FizzId, Group, LeaseId, LeaseState, OrderId, ProviderId, Rate, Resources, WalletId};
use iono_testkit::{Daemon, Devnet, ProviderSetup, docker, eventually, free_port};

pub mod tap;

pub use tap::Tap;

pub const SOON: Duration = Duration::from_secs(90);

/// The parts, with nothing running yet.
pub struct Subnet {
    pub devnet: Devnet,
    pub provider: ProviderId,
    pub fizz: FizzId,
    pub tenant: PrivateKeySigner,
    pub wallet: WalletId,
    pub endpoint: String,
    pub http: u16,
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

/// A lease and the manifest that its order names.
pub struct Ordered {
    pub lease: LeaseId,
    pub manifest: SaltedManifest,
    pub nonce: String,
}

impl Subnet {
    pub async fn open() -> Self {
        let devnet = Devnet::with_block_time(Duration::from_secs(1)).await.unwrap();
        docker::hello_image().await.unwrap();
        let (owner, hot, tenant, lender) =
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
        let wallet = devnet.wallet(&tenant, 1_000_000_000).await.unwrap();

        std::fs::write(dir.join("passphrase"), "correct horse\n").unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(dir.join("passphrase"), private).unwrap();
        let secret = hex::encode(hot.to_bytes());
        keystore::import_key(&dir.join("hot.json"), &secret, &Passphrase::new("correct horse"))
            .await
            .unwrap();
        let this =
            Self { devnet, provider, fizz, tenant, wallet, endpoint, http, dir, health: [one, other], taps };
        this.write_settings(api, tunnel);
        this
    }

    fn write_settings(&self, api: u16, tunnel: u16) {
        let Self { dir, endpoint, http, .. } = self;
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
        let health = format!("http://127.0.0.1:{}/readyz", self.health[1]);
        let ready = || async { reqwest::get(&health).await.ok()?.status().is_success().then_some(()) };
        eventually("a light node that is ready", SOON, ready).await.unwrap();
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
        let manifest = SaltedManifest::new(B256::random(), manifest);
        let terms = Terms {
            wallet: U48::from(self.wallet.0),
            token: self.devnet.dollar_id().0,
            duration: 3_600,
            maxRate: U80::from(Rate::from_hourly("1").unwrap().0),
            region: 0,
            requirements: U24::ZERO,
            flags: order_flags::FIZZ,
        };
        let call = IOrderBook::createOrderCall { terms, spec: spec(&manifest) };
        let receipt = self.devnet.send(&self.tenant, self.devnet.book.order_book, call).await.unwrap();
        let created = receipt.decoded_log::<IOrderBook::OrderCreated>().unwrap();
        Ordered { lease: LeaseId(created.order.to()), manifest, nonce: nonce.to_owned() }
    }

    /// Bid, match and confirmation.
    pub async fn activate(&self, ordered: &Ordered) {
        let orders = IOrderBook::new(self.devnet.book.order_book, self.devnet.anvil.provider());
        let order = OrderId::from(ordered.lease);
        eventually("the bid", SOON, || async {
            let bids = orders.bidsOf(order.into()).call().await.ok()?;
            (!bids.is_empty()).then_some(())
        })
        .await
        .unwrap();
        eventually("the match", SOON, || async {
            let call = IOrderBook::resolveCall { order: order.into() };
            self.devnet.send(&self.tenant, self.devnet.book.order_book, call).await.ok()
        })
        .await
        .unwrap();
        self.until(ordered.lease, LeaseState::Active).await;
    }

    pub async fn until(&self, lease: LeaseId, state: LeaseState) -> LeaseWords {
        eventually(&format!("lease {lease} {state:?}"), SOON, || async {
            let words = self.devnet.lease(lease).await.ok()?;
            (words.lease_state() == Some(state)).then_some(words)
        })
        .await
        .unwrap()
    }

    /// The tenant's client of the light node's lease API.
    pub async fn client(&self) -> Client {
        let registry = self.devnet.book.fizz_registry.unwrap();
        let registry = IFizzRegistry::new(registry, self.devnet.anvil.provider());
        let node = registry.node(self.fizz.into()).call().await.unwrap();
        let identity = self.identity().await;
        Client::for_light_node(&self.endpoint, self.fizz, vec![Pin(node.pin)], Some(&identity)).unwrap()
    }

    pub async fn identity(&self) -> ClientIdentity {
        let domain =
            Domain { chain_id: self.devnet.book.chain_id, lease_access: self.devnet.book.lease_access };
        let request = IdentityRequest {
            domain,
            wallet: self.wallet,
            lease: None,
            write: true,
            nonce: 0,
            lifetime: Duration::from_secs(3_600),
        };
        ClientIdentity::issue(&self.tenant, &request).await.unwrap()
    }

    /// The key that the registry has of the gateway's provider.
    pub async fn provider_pin(&self) -> Pin {
        let registry =
            IProviderRegistry::new(self.devnet.book.provider_registry, self.devnet.anvil.provider());
        Pin(registry.record(self.provider.into()).call().await.unwrap().pin)
    }

    pub async fn close(&self, lease: LeaseId) {
        let call = ILeaseBook::closeCall { lease: lease.into() };
        self.devnet.send(&self.tenant, self.devnet.book.lease_book, call).await.unwrap();
    }

    /// Names of the light node's containers for a lease.
    pub async fn containers(&self, lease: LeaseId) -> Vec<String> {
        let book = &self.devnet.book;
        let owner = format!("{}.{:#x}.{}", book.chain_id, book.fizz_registry.unwrap(), self.fizz);
        let owner = format!("label=network.ionosphere.owner={owner}");
        let lease = format!("label=network.ionosphere.lease={lease}");
        let listed = docker::run(&["ps", "-aq", "--filter", &owner, "--filter", &lease]).await.unwrap();
        listed.lines().map(str::to_owned).collect()
    }

    /// Sends the manifest through the gateway and waits for the answer with its nonce.
    pub async fn serve(&self, ordered: &Ordered) {
        let client = self.client().await;
        eventually("the manifest to be taken", SOON, || async {
            client.put_manifest(ordered.lease, &ordered.manifest).await.inspect_err(|e| eprintln!("{e}")).ok()
        })
        .await
        .unwrap();
        self.answers(ordered).await;
    }

    /// Waits for HTTP 200 with the nonce at the gateway.
    pub async fn answers(&self, ordered: &Ordered) {
        eventually("HTTP 200 with the nonce", SOON, || async { self.get(ordered).await.then_some(()) })
            .await
            .unwrap();
    }

    /// Whether the gateway's URL answers with the nonce now.
    pub async fn get(&self, ordered: &Ordered) -> bool {
        let host = format!("web-{}.apps.localhost:{}", ordered.lease, self.http);
        let answer = reqwest::Client::new()
            .get(format!("http://127.0.0.1:{}/", self.http))
            .header("host", host)
            .timeout(Duration::from_secs(2))
            .send()
            .await;
        match answer {
            Ok(answer) if answer.status().is_success() => {
                answer.text().await.unwrap_or_default().contains(&ordered.nonce)
            }
            _ => false,
        }
    }
}

/// A web server that answers with `nonce`.
pub fn hello(nonce: &str) -> LeaseManifest {
    let expose = Expose {
        port: 8_080,
        external: 80,
        protocol: Protocol::Http,
        global: true,
        public_port: false,
        ip: None,
        accept: Vec::new(),
        to: Vec::new(),
        http_options: HttpOptions::default(),
    };
    let service = Service {
        name: "web".to_owned(),
        image: docker::HELLO.to_owned(),
        command: Vec::new(),
        args: Vec::new(),
        env: [("NONCE".to_owned(), Secret::new(nonce))].into(),
        files: Vec::new(),
        credentials: None,
        pull_policy: PullPolicy::IfNotPresent,
        count: 1,
        resources: ServiceResources { cpu: 100, memory: 64, ephemeral: 64, gpu: None },
        expose: vec![expose.clone(), Expose { protocol: Protocol::Tcp, external: 8_080, ..expose }],
        volumes: Vec::new(),
    };
    LeaseManifest { endpoints: Vec::new(), services: vec![service], version: LeaseManifest::VERSION }
}

fn spec(manifest: &SaltedManifest) -> Spec {
    let groups = manifest.manifest().groups();
    let sum = |of: fn(&Group) -> u32| groups.iter().map(|group| of(group) * u32::from(group.count)).sum();
    let resources = Resources {
        cpu: sum(|group| group.cpu),
        memory: sum(|group| group.memory),
        storage: sum(|group| group.ephemeral + group.persistent),
        endpoints: 2,
        ..Resources::default()
    };
    Spec {
        resources: resources.word(),
        manifestHash: manifest.hash(),
        providers: U256::ZERO,
        groups: Group::encode(&groups).into(),
    }
}
