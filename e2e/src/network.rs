//! A whole market on one machine: a chain with 1-second blocks, the contracts deployed by `iono admin deploy`, a
//! matchmaker and providers, each a real process with a home folder of its own.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use alloy::signers::local::PrivateKeySigner;
use anyhow::{Context, Result, ensure};
use iono_bindings::{AddressBook, IERC20};
use iono_identity::passphrase::Passphrase;
use iono_testkit::{Anvil, Daemon, Devnet, binary, free_port};
use tempfile::TempDir;
use tokio::process::Command;

use crate::Iono;
use crate::engine::Engine;

/// Payment token of the story: the devnet's test dollar.
pub const DOLLAR: u16 = 1;
/// Block time of the chain.
const BLOCK: Duration = Duration::from_secs(1);
/// What daemons take where nobody says otherwise.
const FINALITY: u64 = 64;
/// A daemon that is not ready by then is broken.
const READY: Duration = Duration::from_secs(60);

/// The chain and where its contracts are.
pub struct Network {
    /// The chain; account 0 deployed the contracts and governs them.
    pub anvil: Anvil,
    /// Where the contracts are.
    pub book: AddressBook,
    /// The address book as a file.
    pub book_path: PathBuf,
    /// How daemons that are made from now on reach the chain; a test puts a proxy there that it can cut.
    pub rpc: String,
    /// What runs the leases of providers that are made from now on.
    pub engine: Engine,
    /// Blocks after which daemons that are made from now on expect no re-org.
    pub finality_depth: u64,
    dir: TempDir,
    next_key: usize,
}

/// What a provider's owner writes into its configuration.
#[derive(Debug, Clone)]
pub struct NodePlan {
    /// Name of its folder.
    pub name: String,
    /// Cores that it offers, such as `2` or `0.25`.
    pub cpu: String,
    /// Memory that it offers, such as `1Gi`.
    pub memory: String,
    /// Dollars per core and hour; the other prices follow from it.
    pub price: f64,
    /// Whole SPON that it stakes.
    pub stake: u32,
    /// Address of this machine that tenants reach it at.
    pub host: IpAddr,
    /// More of the TOML file, for what a test changes.
    pub extra: String,
}

impl NodePlan {
    /// Two cores and two GiB at a cent per core and hour.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            cpu: "2".to_owned(),
            memory: "2Gi".to_owned(),
            price: 0.01,
            stake: 1_000,
            host: [127, 0, 0, 1].into(),
            extra: String::new(),
        }
    }
}

/// A matchmaker that runs.
pub struct Matchmaker {
    /// Its process.
    pub daemon: Daemon,
    /// Its key, to whose address match fees are credited.
    pub key: PrivateKeySigner,
    /// Health and metrics.
    pub metrics: String,
}

/// A provider: its folder, its addresses and, while it runs, its process.
pub struct Node {
    /// How it is configured.
    pub plan: NodePlan,
    /// Its id in the registry.
    pub id: u32,
    /// Its configuration file.
    pub config: PathBuf,
    /// Its hot key.
    pub hot: PrivateKeySigner,
    /// Its owner's key.
    pub owner: PrivateKeySigner,
    /// `host:port` of its lease API.
    pub endpoint: String,
    /// Port of its tenants' HTTP services.
    pub http_port: u16,
    /// Health and metrics.
    pub metrics: String,
    /// What runs its leases.
    pub engine: Engine,
    /// The engine's label of everything that is this provider's.
    pub label: String,
    dir: PathBuf,
    daemon: Option<Daemon>,
}

impl Drop for Node {
    fn drop(&mut self) {
        // The daemon first: it would make anew what is removed.
        self.daemon = None;
        // Without an id it has no label, and an empty one would fit everything.
        if self.id != 0 {
            self.engine.clear(&self.label, &self.dir);
        }
    }
}

impl Network {
    /// Starts an empty chain and deploys the contracts onto it as an administrator would.
    ///
    /// # Errors
    /// When Anvil does not start or the deployment fails.
    pub async fn deploy() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("ionosphere-").tempdir()?;
        let anvil = Anvil::with_block_time(BLOCK).await?;
        let book_path = dir.path().join("addresses.json");
        let key_file = dir.path().join("deployer.key");
        private_file(&key_file, &hex_key(&anvil.key(0)))?;
        let admin = Iono::new(dir.path().join("admin"))?;
        let (out, key) = (path(&book_path)?, path(&key_file)?);
        admin
            .json(&[
                "admin",
                "deploy",
                "--dev",
                "--rpc",
                &anvil.url(),
                "--private-key-file",
                key,
                "--out",
                out,
            ])
            .await?;
        let book = AddressBook::load(&book_path)?;
        Ok(Self::on(anvil, book, book_path, dir))
    }

    /// Starts a chain on which the contracts stand already, which takes less than a second.
    ///
    /// # Errors
    /// As [`Network::deploy`].
    pub async fn start() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("ionosphere-").tempdir()?;
        let devnet = Devnet::with_block_time(BLOCK).await?;
        let book_path = dir.path().join("addresses.json");
        std::fs::copy(devnet.book_path(), &book_path)?;
        Ok(Self::on(devnet.anvil, devnet.book, book_path, dir))
    }

    fn on(anvil: Anvil, book: AddressBook, book_path: PathBuf, dir: TempDir) -> Self {
        let rpc = anvil.url();
        Self {
            anvil,
            book,
            book_path,
            rpc,
            engine: Engine::default(),
            finality_depth: FINALITY,
            dir,
            next_key: 1,
        }
    }

    /// Folder of everything that belongs to this network; gone when it is dropped.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// One of Anvil's funded keys that nobody uses yet.
    ///
    /// # Panics
    /// After the nineteenth.
    pub fn fresh_key(&mut self) -> PrivateKeySigner {
        let key = self.anvil.key(self.next_key);
        self.next_key += 1;
        key
    }

    /// A person with a wallet key and test dollars, but nothing in escrow yet.
    ///
    /// # Errors
    /// When a command fails.
    pub async fn tenant(&self, name: &str) -> Result<Iono> {
        let iono = Iono::new(self.dir().join(name))?;
        let book = path(&self.book_path)?;
        iono.json(&["init", "--rpc", &self.anvil.url(), "--address-book", book, "--token", "1"]).await?;
        iono.json(&["wallet", "new"]).await?;
        iono.json(&["faucet", "--amount", "100"]).await?;
        Ok(iono)
    }

    /// Somebody with a wallet key, or the one given, and ether for gas.
    ///
    /// # Errors
    /// When a command fails.
    pub async fn person(&self, name: &str, key: Option<&PrivateKeySigner>) -> Result<Iono> {
        let iono = Iono::new(self.dir().join(name))?;
        let book = path(&self.book_path)?;
        iono.json(&["init", "--rpc", &self.anvil.url(), "--address-book", book, "--token", "1"]).await?;
        match key {
            Some(key) => {
                let file = self.dir().join(format!("{name}.key"));
                private_file(&file, &hex_key(key))?;
                iono.json(&["wallet", "import", "--private-key-file", path(&file)?]).await?;
            }
            None => {
                iono.json(&["wallet", "new"]).await?;
                iono.json(&["faucet", "--amount", "1"]).await?;
            }
        }
        Ok(iono)
    }

    /// Starts a matchmaker with a key of its own.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn matchmaker(&mut self, name: &str) -> Result<Matchmaker> {
        let key = self.fresh_key();
        self.matchmaker_with(name, key, "").await
    }

    /// Starts a matchmaker with this key and more in its configuration.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn matchmaker_with(
        &self,
        name: &str,
        key: PrivateKeySigner,
        extra: &str,
    ) -> Result<Matchmaker> {
        let dir = self.dir().join(name);
        let metrics = format!("127.0.0.1:{}", free_port()?);
        let config = dir.join("matchmaker.toml");
        keystore(&dir, "hot-key", &key).await?;
        std::fs::write(
            &config,
            format!(
                "data_dir = \"{dir}/data\"\n\
                 [chain]\nrpc = [\"{rpc}\"]\naddress_book = \"{book}\"\npoll_ms = 200\n\
                 finality_depth = {finality}\n\
                 [chain.sender]\nlock_dir = \"{dir}/locks\"\n\
                 [keys]\nhot_key = \"{dir}/hot-key.json\"\npassphrase_file = \"{dir}/hot-key.passphrase\"\n\
                 [telemetry]\nlisten = \"{metrics}\"\n{extra}",
                dir = path(&dir)?,
                rpc = self.rpc,
                book = path(&self.book_path)?,
                finality = self.finality_depth,
            ),
        )?;
        let launch = Daemon::launch(binary("matchmaker")?).args(["--config", path(&config)?, "run"]);
        let (mut daemon, metrics) = (launch.start()?, format!("http://{metrics}"));
        daemon.ready(&format!("{metrics}/readyz"), READY).await?;
        Ok(Matchmaker { daemon, key, metrics })
    }

    /// Configures, registers and stakes a provider by its own commands; it does not run yet.
    ///
    /// # Errors
    /// When a command fails.
    pub async fn provider(&mut self, plan: NodePlan) -> Result<Node> {
        let dir = self.dir().join(&plan.name);
        let (owner, hot) = (self.fresh_key(), self.fresh_key());
        keystore(&dir, "hot-key", &hot).await?;
        keystore(&dir, "owner", &owner).await?;
        let port = free_port()?;
        let (http_port, https_port, metrics_port) = (free_port()?, free_port()?, free_port()?);
        let first = 40_000 + (metrics_port % 200) * 100;
        let mut node = Node {
            id: 0,
            config: dir.join("provider.toml"),
            hot,
            owner,
            endpoint: format!("{}:{port}", plan.host),
            http_port,
            metrics: format!("http://127.0.0.1:{metrics_port}"),
            engine: self.engine,
            label: String::new(),
            dir,
            plan,
            daemon: None,
        };
        node.write_config(self, https_port, &format!("{first}-{}", first + 99))?;

        let spon =
            iono_primitives::Amount::from(node.plan.stake) * iono_primitives::Amount::from(10_u64.pow(18));
        let admin = self.anvil.signing(&self.anvil.key(0));
        let sent = IERC20::new(self.book.spon, &admin).transfer(node.owner.address(), spon).send().await?;
        ensure!(sent.get_receipt().await?.status(), "the owner got no SPON");
        let (owner, passphrase) = (node.file("owner.json")?, node.file("owner.passphrase")?);
        let registered =
            node.json(&["register", "--owner-key", &owner, "--owner-passphrase-file", &passphrase]).await?;
        node.id = u32::try_from(crate::cli::number(&registered, "/provider")?)?;
        node.label = self.engine.owner(&self.book, node.id);
        let stake = node.plan.stake.to_string();
        node.json(&["stake", &stake, "--owner-key", &owner, "--owner-passphrase-file", &passphrase]).await?;
        Ok(node)
    }
}

impl Node {
    fn write_config(&self, network: &Network, https_port: u16, ports: &str) -> Result<()> {
        let price = self.plan.price;
        let text = format!(
            r#"data_dir = "{dir}/data"
[chain]
rpc = ["{rpc}"]
address_book = "{book}"
poll_ms = 200
finality_depth = {finality}
[chain.sender]
lock_dir = "{dir}/locks"
[keys]
hot_key = "{dir}/hot-key.json"
passphrase_file = "{dir}/hot-key.passphrase"
[listen]
lease_api = "{endpoint}"
http = "127.0.0.1:{http}"
https = "127.0.0.1:{https_port}"
ports = "{ports}"
[public]
endpoint = "{endpoint}"
domain = "{name}.localhost"
http_port = {http}
https_port = {https_port}
region = "local"
tokens = [0, 1]
{runtime}[telemetry]
listen = "{metrics}"
[bidding]
# Tests move the chain's clock by hours.
max_clock_skew = "30d"
[reserve]
cpu = "0.05"
memory = "256Mi"
storage = "1Gi"
[offer]
cpu = "{cpu}"
memory = "{memory}"
storage = "20Gi"
[prices]
cpu = {price}
memory = {memory_price}
minimum = 0.0001
[prices.storage]
hdd = {storage_price}
ssd = {storage_price}
nvme = {storage_price}
{extra}
"#,
            dir = path(&self.dir)?,
            rpc = network.rpc,
            finality = network.finality_depth,
            book = path(&network.book_path)?,
            endpoint = self.endpoint,
            http = self.http_port,
            metrics = self.metrics.trim_start_matches("http://"),
            runtime = self.engine.settings()?,
            name = self.plan.name,
            cpu = self.plan.cpu,
            memory = self.plan.memory,
            memory_price = price / 5.0,
            storage_price = price / 100.0,
            extra = self.plan.extra,
        );
        std::fs::write(&self.config, text).with_context(|| format!("cannot write {}", self.config.display()))
    }

    fn file(&self, name: &str) -> Result<String> {
        Ok(path(&self.dir.join(name))?.to_owned())
    }

    /// Runs one of the provider's one-shot commands with `--json`.
    ///
    /// # Errors
    /// With its words when it fails.
    pub async fn json(&self, args: &[&str]) -> Result<serde_json::Value> {
        let mut command = Command::new(binary("provider")?);
        command.arg("--config").arg(&self.config).arg("--json").args(args);
        let output = command.output().await?;
        let stdout = String::from_utf8_lossy(&output.stdout);
        ensure!(
            output.status.success(),
            "provider {} ended with {}:\n{stdout}{}",
            args.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_str(&stdout)
            .with_context(|| format!("provider {} wrote no JSON:\n{stdout}", args.join(" ")))
    }

    /// Commands of the owner, who holds the cold key.
    ///
    /// # Errors
    /// As [`Node::json`].
    pub async fn as_owner(&self, args: &[&str]) -> Result<serde_json::Value> {
        let (owner, passphrase) = (self.file("owner.json")?, self.file("owner.passphrase")?);
        let own = ["--owner-key", &owner, "--owner-passphrase-file", &passphrase];
        self.json(&[args, own.as_slice()].concat()).await
    }

    /// Starts the daemon and waits until it is ready.
    ///
    /// # Errors
    /// With its log when it does not become ready.
    pub async fn run(&mut self) -> Result<()> {
        self.start()?;
        let ready = format!("{}/readyz", self.metrics);
        self.daemon()?.ready(&ready, READY).await
    }

    /// Starts the daemon and does not wait.
    ///
    /// # Errors
    /// When the binary does not start.
    pub fn start(&mut self) -> Result<()> {
        let launch = Daemon::launch(binary("provider")?).args(["--config", path(&self.config)?, "run"]);
        self.daemon = Some(launch.start()?);
        Ok(())
    }

    /// The running process.
    ///
    /// # Errors
    /// When it was not started.
    pub fn daemon(&mut self) -> Result<&mut Daemon> {
        self.daemon.as_mut().with_context(|| format!("{} is not running", self.plan.name))
    }

    /// Its folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Changes its configuration file by replacing `from` with `to`.
    ///
    /// # Errors
    /// When `from` is not in it.
    pub fn reconfigure(&self, from: &str, to: &str) -> Result<()> {
        let text = std::fs::read_to_string(&self.config)?;
        ensure!(text.contains(from), "{from:?} is not in {}", self.config.display());
        Ok(std::fs::write(&self.config, text.replacen(from, to, 1))?)
    }
}

/// Writes a keystore and its passphrase, both readable by their owner alone.
async fn keystore(dir: &Path, name: &str, key: &PrivateKeySigner) -> Result<()> {
    std::fs::create_dir_all(dir)?;
    let passphrase = format!("passphrase of {name}");
    private_file(&dir.join(format!("{name}.passphrase")), &passphrase)?;
    let file = dir.join(format!("{name}.json"));
    iono_identity::keystore::import_key(&file, &hex_key(key), &Passphrase::new(passphrase)).await?;
    Ok(())
}

fn private_file(path: &Path, text: &str) -> Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}

fn hex_key(key: &PrivateKeySigner) -> String {
    format!("{:#x}", key.to_bytes())
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}
