//! A market of one provider on a real chain and a real engine, and a tenant who speaks to both directly.
#![allow(clippy::unwrap_used, clippy::print_stderr, dead_code, missing_docs, unreachable_pub)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use alloy::primitives::aliases::{U24, U48, U80};
use alloy::primitives::{Address, B256, U256};
use alloy::providers::Provider as _;
use alloy::rpc::types::Filter;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::SolEvent;
use iono_bindings::words::order_flags;
use iono_bindings::{ILeaseBook, IOrderBook, IProviderRegistry, LeaseWords, Spec, Terms};
use iono_identity::authorisation::Domain;
use iono_identity::{ClientIdentity, IdentityRequest, Passphrase, Pin, keystore};
use iono_lease_api::{Client, SaltedManifest};
use iono_manifest::{
    Expose, HttpOptions, LeaseManifest, Protocol, PullPolicy, Secret, Service, ServiceResources,
};
use iono_primitives::{
    CloseReason, Group, LeaseId, LeaseState, OrderId, ProviderId, Rate, Resources, WalletId,
};
use iono_testkit::{Daemon, Devnet, ProviderSetup, docker, eventually, free_port};

pub const SOON: Duration = Duration::from_secs(90);

/// A chain with one provider that is registered and configured.
pub struct Market {
    pub devnet: Devnet,
    pub me: ProviderId,
    pub hot: PrivateKeySigner,
    pub owner: PrivateKeySigner,
    pub tenant: PrivateKeySigner,
    pub wallet: WalletId,
    pub config: PathBuf,
    pub endpoint: String,
    pub http: u16,
    pub health: String,
    pub dir: PathBuf,
    /// Settings that a test changes, as `--set` takes them.
    pub set: Vec<String>,
}

/// A daemon whose log is shown when the test fails.
pub struct Running(pub Daemon);

impl std::ops::Deref for Running {
    type Target = Daemon;
    fn deref(&self) -> &Daemon {
        &self.0
    }
}
impl std::ops::DerefMut for Running {
    fn deref_mut(&mut self) -> &mut Daemon {
        &mut self.0
    }
}
impl Drop for Running {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the provider's log:\n{}", self.0.logs());
        }
    }
}

/// A lease and the manifest that its order names.
pub struct Ordered {
    pub lease: LeaseId,
    pub manifest: SaltedManifest,
    pub nonce: String,
}

impl Market {
    pub async fn open() -> Self {
        Self::with_rpc(None).await
    }

    /// `rpc` is the provider's own way to the chain, such as a proxy that a test cuts.
    pub async fn with_rpc(rpc: Option<String>) -> Self {
        Self::on(Devnet::with_block_time(Duration::from_secs(1)).await.unwrap(), rpc).await
    }

    pub async fn on(devnet: Devnet, rpc: Option<String>) -> Self {
        docker::hello_image().await.unwrap();
        let (owner, hot, tenant) = (devnet.anvil.key(1), devnet.anvil.key(2), devnet.anvil.key(3));
        let (api, http, health) = (free_port().unwrap(), free_port().unwrap(), free_port().unwrap());
        let endpoint = format!("127.0.0.1:{api}");
        let mut setup = ProviderSetup::new(owner.clone(), hot.clone());
        setup.endpoint = endpoint.clone();
        let me = devnet.provider(&setup).await.unwrap();
        let wallet = devnet.wallet(&tenant, 1_000_000_000).await.unwrap();

        let dir = devnet.dir().join("provider");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("passphrase"), "correct horse\n").unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(dir.join("passphrase"), private).unwrap();
        keystore::import_key(
            &dir.join("hot.json"),
            &hex::encode(hot.to_bytes()),
            &Passphrase::new("correct horse"),
        )
        .await
        .unwrap();
        let first = 41_000 + (http % 200) * 100;
        let text = format!(
            r#"data_dir = "{dir}/data"
[chain]
rpc = ["{rpc}"]
address_book = "{book}"
poll_ms = 100
[chain.sender]
lock_dir = "{dir}/locks"
[keys]
hot_key = "{dir}/hot.json"
passphrase_file = "{dir}/passphrase"
[listen]
lease_api = "{endpoint}"
http = "127.0.0.1:{http}"
ports = "{first}-{last}"
[public]
endpoint = "{endpoint}"
domain = "apps.localhost"
region = "local"
tokens = [0, 1]
[runtime]
disk_floor = "100Mi"
[reserve]
cpu = "0"
memory = "256Mi"
storage = "1Gi"
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
[telemetry]
listen = "127.0.0.1:{health}"
filter = "info,iono_provider=debug"
"#,
            dir = dir.display(),
            rpc = rpc.unwrap_or_else(|| devnet.anvil.url()),
            book = devnet.book_path().display(),
            last = first + 99,
        );
        std::fs::write(dir.join("provider.toml"), text).unwrap();
        let health = format!("http://127.0.0.1:{health}");
        Self {
            devnet,
            me,
            hot,
            owner,
            tenant,
            wallet,
            config: dir.join("provider.toml"),
            endpoint,
            http,
            health,
            dir,
            set: Vec::new(),
        }
    }

    fn launch(&self) -> iono_testkit::daemon::Launch {
        let launch = Daemon::launch(env!("CARGO_BIN_EXE_provider")).arg("--config").arg(&self.config);
        self.set.iter().fold(launch, |launch, set| launch.arg("--set").arg(set)).arg("run")
    }

    /// Starts the daemon and waits until it is ready.
    pub async fn start(&self) -> Running {
        let mut daemon = Running(self.launch().start().unwrap());
        daemon.ready(&format!("{}/readyz", self.health), SOON).await.unwrap();
        daemon
    }

    /// Starts a daemon that dies at a fail-point.
    pub async fn start_to_die(&self, failpoint: &str) -> Running {
        let mut daemon = Running(self.launch().failpoint(failpoint).start().unwrap());
        daemon.ready(&format!("{}/readyz", self.health), SOON).await.unwrap();
        daemon
    }

    /// The same without waiting until it is ready, for what happens at once.
    pub fn start_to_die_early(&self, failpoint: &str) -> Running {
        Running(self.launch().failpoint(failpoint).start().unwrap())
    }

    /// After a kill and a restart: one bid, one confirmation, so many containers; goes to the table of kills.
    pub async fn survived(&self, point: &str, lease: LeaseId, workloads: usize) {
        self.assert_once(lease).await;
        assert_eq!(self.containers(lease).await.len(), workloads, "{point}");
        let found = serde_json::json!({ "bids": 1, "leases": 1, "confirmations": 1, "workloads": workloads });
        iono_testkit::faults::record("provider", point, &found).unwrap();
    }

    /// Runs a command that dies at a fail-point; true when it did.
    pub async fn command_dies(&self, failpoint: &str, args: &[&str]) -> bool {
        use std::os::unix::process::ExitStatusExt as _;
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_provider"));
        command.arg("--config").arg(&self.config).args(args).env("IONO_FAILPOINT", failpoint);
        command.output().await.unwrap().status.signal() == Some(9)
    }

    /// Bid, match and confirmation with a daemon that runs.
    pub async fn active_lease(&self, nonce: &str) -> Ordered {
        let ordered = self.order(nonce, 1).await;
        self.bid_stands(&ordered).await;
        self.resolve(&ordered).await;
        self.until_state(ordered.lease, LeaseState::Active).await;
        ordered
    }

    /// One bid, one confirmation.
    pub async fn assert_once(&self, lease: LeaseId) {
        let book = &self.devnet.book;
        assert_eq!(self.count::<IOrderBook::BidPlaced>(book.order_book, lease).await, 1, "bids of {lease}");
        assert_eq!(
            self.count::<ILeaseBook::LeaseConfirmed>(book.lease_book, lease).await,
            1,
            "confirmations of {lease}"
        );
    }

    /// What `/readyz` says while it is red.
    pub async fn red(&self) -> Option<String> {
        let answer = reqwest::get(format!("{}/readyz", self.health)).await.ok()?;
        if answer.status().is_success() { None } else { answer.text().await.ok() }
    }

    /// Orders, and expects no bid for a reason with these words, told to everyone.
    pub async fn refuses(&self, words: &str) {
        let ordered = self.order("refused", 1).await;
        let client = self.client().await;
        let answer = eventually("a decision", SOON, || async {
            let answer = client.why_no_bid(OrderId::from(ordered.lease)).await.ok()?;
            (!answer.reasons.is_empty()).then_some(answer)
        })
        .await
        .unwrap();
        assert!(answer.reasons[0].message.contains(words), "{answer:?}");
    }

    /// Whether `/readyz` is green.
    pub async fn is_green(&self) -> bool {
        reqwest::get(format!("{}/readyz", self.health)).await.is_ok_and(|answer| answer.status().is_success())
    }

    /// Starts a daemon without waiting.
    pub fn start_anyhow(&self) -> Running {
        Running(self.launch().start().unwrap())
    }

    /// One of the binary's commands with `--json`.
    pub async fn command(&self, args: &[&str]) -> (bool, serde_json::Value, String) {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_provider"));
        let output =
            command.arg("--config").arg(&self.config).arg("--json").args(args).output().await.unwrap();
        let value = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.success(), value, String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// Orders an hour of the hello image with a nonce.
    pub async fn order(&self, nonce: &str, count: u16) -> Ordered {
        self.order_image(nonce, count, docker::HELLO).await
    }

    pub async fn order_image(&self, nonce: &str, count: u16, image: &str) -> Ordered {
        let manifest = SaltedManifest::new(B256::random(), hello(nonce, count, image));
        let call = IOrderBook::createOrderCall { terms: self.terms(), spec: spec(&manifest) };
        let receipt = self.devnet.send(&self.tenant, self.devnet.book.order_book, call).await.unwrap();
        let created = receipt.decoded_log::<IOrderBook::OrderCreated>().unwrap();
        Ordered { lease: LeaseId(created.order.to()), manifest, nonce: nonce.to_owned() }
    }

    fn terms(&self) -> Terms {
        Terms {
            wallet: U48::from(self.wallet.0),
            token: self.devnet.dollar_id().0,
            duration: 3_600,
            maxRate: U80::from(Rate::from_hourly("1").unwrap().0),
            region: 0,
            requirements: U24::ZERO,
            flags: order_flags::PROVIDER,
        }
    }

    /// Resolves an order as soon as its seed is there, as a keeper does.
    pub async fn resolve(&self, ordered: &Ordered) {
        let order = OrderId::from(ordered.lease);
        eventually("the match", SOON, || async {
            let call = IOrderBook::resolveCall { order: order.into() };
            self.devnet.send(&self.tenant, self.devnet.book.order_book, call).await.ok()
        })
        .await
        .unwrap();
    }

    /// Waits until a bid of this provider stands.
    pub async fn bid_stands(&self, ordered: &Ordered) {
        let orders = IOrderBook::new(self.devnet.book.order_book, self.devnet.anvil.provider());
        eventually("the bid", SOON, || async {
            let bids = orders.bidsOf(OrderId::from(ordered.lease).into()).call().await.ok()?;
            (!bids.is_empty()).then_some(())
        })
        .await
        .unwrap();
    }

    pub async fn words(&self, lease: LeaseId) -> LeaseWords {
        let leases = ILeaseBook::new(self.devnet.book.lease_book, self.devnet.anvil.provider());
        let words = leases.leaseWords(lease.into()).call().await.unwrap();
        LeaseWords::read([words.word0, words.word1])
    }

    pub async fn until_state(&self, lease: LeaseId, state: LeaseState) -> LeaseWords {
        eventually(&format!("lease {lease} {state:?}"), SOON, || async {
            let words = self.words(lease).await;
            (words.lease_state() == Some(state)).then_some(words)
        })
        .await
        .unwrap()
    }

    pub async fn reason(&self, lease: LeaseId) -> Option<CloseReason> {
        self.words(lease).await.close_reason()
    }

    /// The tenant's client.
    pub async fn client(&self) -> Client {
        let registry =
            IProviderRegistry::new(self.devnet.book.provider_registry, self.devnet.anvil.provider());
        let pin = Pin(registry.record(self.me.into()).call().await.unwrap().pin);
        let next = Pin(registry.nextPin(self.me.into()).call().await.unwrap());
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
        let identity = ClientIdentity::issue(&self.tenant, &request).await.unwrap();
        Client::new(&self.endpoint, vec![pin, next], Some(&identity)).unwrap()
    }

    /// Sends the manifest and waits for the answer with its nonce.
    pub async fn serve(&self, ordered: &Ordered) {
        let client = self.client().await;
        eventually("the manifest to be taken", SOON, || async {
            client.put_manifest(ordered.lease, &ordered.manifest).await.ok()
        })
        .await
        .unwrap();
        self.answers(ordered).await;
    }

    /// Waits for HTTP 200 with the nonce.
    pub async fn answers(&self, ordered: &Ordered) {
        eventually("HTTP 200 with the nonce", SOON, || async { self.get(ordered).await.then_some(()) })
            .await
            .unwrap();
    }

    /// Whether the URL answers with the nonce now.
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

    /// From the order to the answer.
    pub async fn whole_lease(&self, nonce: &str) -> Ordered {
        let ordered = self.order(nonce, 1).await;
        self.bid_stands(&ordered).await;
        self.resolve(&ordered).await;
        self.until_state(ordered.lease, LeaseState::Active).await;
        self.serve(&ordered).await;
        ordered
    }

    /// How often an event of a lease or order was emitted.
    pub async fn count<E: SolEvent>(&self, contract: Address, id: LeaseId) -> usize {
        let filter = Filter::new()
            .address(contract)
            .event_signature(E::SIGNATURE_HASH)
            .topic1(B256::from(U256::from(id.0)))
            .from_block(0);
        self.devnet.anvil.provider().get_logs(&filter).await.unwrap().len()
    }

    /// The engine's filter for all that belongs to this provider.
    pub fn owner_label(&self) -> String {
        let book = &self.devnet.book;
        format!("label=network.ionosphere.owner={}.{:#x}.{}", book.chain_id, book.provider_registry, self.me)
    }

    /// Amounts of all cash-outs.
    pub async fn cash_outs(&self) -> Vec<U256> {
        let filter = Filter::new()
            .address(self.devnet.book.escrow)
            .event_signature(iono_bindings::IEscrow::CashedOut::SIGNATURE_HASH)
            .topic1(B256::from(U256::from(self.me.0)))
            .from_block(0);
        let logs = self.devnet.anvil.provider().get_logs(&filter).await.unwrap();
        let amount = |log| iono_bindings::IEscrow::CashedOut::decode_log(log).unwrap().data.amount;
        logs.iter().map(|log| amount(&log.inner)).collect()
    }

    /// Names of this provider's containers for a lease.
    pub async fn containers(&self, lease: LeaseId) -> Vec<String> {
        let owner = self.owner_label();
        let lease = format!("label=network.ionosphere.lease={lease}");
        let listed = docker::run(&["ps", "-aq", "--filter", &owner, "--filter", &lease]).await.unwrap();
        listed.lines().map(str::to_owned).collect()
    }

    /// Removes everything of this provider from the engine.
    pub async fn wipe_engine(&self) {
        let owner = self.owner_label();
        for (list, remove) in [
            (vec!["ps", "-aq"], vec!["rm", "-f", "-v"]),
            (vec!["network", "ls", "-q"], vec!["network", "rm"]),
            (vec!["volume", "ls", "-q"], vec!["volume", "rm", "-f"]),
        ] {
            let args: Vec<&str> = list.into_iter().chain(["--filter", owner.as_str()]).collect();
            for id in docker::run(&args).await.unwrap().lines() {
                let args: Vec<&str> = remove.iter().copied().chain([id]).collect();
                let _ = docker::run(&args).await;
            }
        }
    }

    /// Removes the daemon's own files, as when its disk is lost.
    pub fn wipe_disk(&self) {
        std::fs::remove_dir_all(self.dir.join("data")).unwrap();
    }

    pub fn data(&self) -> &Path {
        &self.dir
    }

    pub async fn close(&self, lease: LeaseId) {
        let call = ILeaseBook::closeCall { lease: lease.into() };
        self.devnet.send(&self.tenant, self.devnet.book.lease_book, call).await.unwrap();
    }
}

/// A service that answers with a nonce.
pub fn hello(nonce: &str, count: u16, image: &str) -> LeaseManifest {
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
        image: image.to_owned(),
        command: Vec::new(),
        args: Vec::new(),
        env: [("NONCE".to_owned(), Secret::new(nonce))].into(),
        files: Vec::new(),
        credentials: None,
        pull_policy: PullPolicy::IfNotPresent,
        count,
        resources: ServiceResources { cpu: 100, memory: 64, ephemeral: 64, gpu: None },
        expose: vec![expose],
        volumes: Vec::new(),
    };
    LeaseManifest { endpoints: Vec::new(), services: vec![service], version: LeaseManifest::VERSION }
}

/// What is ordered for a manifest.
pub fn spec(manifest: &SaltedManifest) -> Spec {
    let groups = manifest.manifest().groups();
    let sum = |of: fn(&Group) -> u32| groups.iter().map(|group| of(group) * u32::from(group.count)).sum();
    let resources = Resources {
        cpu: sum(|group| group.cpu),
        memory: sum(|group| group.memory),
        storage: sum(|group| group.ephemeral + group.persistent),
        endpoints: 1,
        ..Resources::default()
    };
    Spec {
        resources: resources.word(),
        manifestHash: manifest.hash(),
        providers: U256::ZERO,
        groups: Group::encode(&groups).into(),
    }
}
