//! The settings of a provider or a light node: one TOML file, then variables (`IONO_PROVIDER__SECTION__KEY`,
//! `IONO_FIZZ__SECTION__KEY`), then `--set section.key=value`; the last one wins and a key that nobody knows is refused.

mod engine;
mod light;
pub mod overlay;
pub mod public;
pub mod template;
pub mod values;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use iono_chain::ChainConfig;
use iono_telemetry::TelemetryConfig;
use serde::{Deserialize, Serialize};

use crate::pricing::{PriceTable, Pricing};
pub use engine::{Engine, Kubernetes};
pub use light::{Gateway, Pause, Role, Subnet};
pub use public::{HostCertificate, Public};
pub use values::Cores;
use values::{Dollars, Mebibytes, PortRange, Seconds};

/// Everything that `provider run` or `fizz run` needs to know.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the daemon keeps its database, its TLS key and its lock files.
    pub data_dir: PathBuf,
    /// Which chain and which contracts.
    pub chain: ChainConfig,
    /// A provider's hot key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<Keys>,
    /// A light node's gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<Gateway>,
    /// Where a provider is the gateway of light nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subnet: Option<Subnet>,
    /// When a light node leaves its machine to its owner.
    #[serde(default)]
    pub pause: Pause,
    /// Local addresses.
    #[serde(default)]
    pub listen: Listen,
    /// What the registry says of this provider; a light node is told by its gateway.
    #[serde(default)]
    pub public: Public,
    /// Certificates of tenants' own host names.
    #[serde(default, rename = "certificate", skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<HostCertificate>,
    /// The container engine.
    #[serde(default)]
    pub runtime: Runtime,
    /// What stays with the owner of the machine.
    #[serde(default)]
    pub reserve: Share,
    /// The most that is offered, whatever the machine has.
    #[serde(default)]
    pub offer: Cap,
    /// Prices in dollars an hour.
    pub prices: PriceTable,
    /// What makes prices of the table's, if anything does.
    #[serde(default)]
    pub pricing: Pricing,
    /// Which orders are bid on.
    #[serde(default)]
    pub bidding: Bidding,
    /// Time limits of leases.
    #[serde(default)]
    pub leases: Leases,
    /// Settling and cashing out.
    #[serde(default)]
    pub money: Money,
    /// The database.
    #[serde(default)]
    pub store: Store,
    /// Logs, metrics and health.
    #[serde(default)]
    pub telemetry: TelemetryConfig,
}

/// The hot key: it bids, confirms, settles and cashes out to the payout address, and cannot move money or stake.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// Keystore file (Web3 secret storage), mode 0600.
    pub hot_key: PathBuf,
    /// File with the keystore's passphrase; a systemd credential named `hot-key-passphrase` when left out.
    #[serde(default)]
    pub passphrase_file: Option<PathBuf>,
}

/// Local addresses.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// Lease API (TLS).
    pub lease_api: SocketAddr,
    /// Tenants' services over HTTP.
    pub http: SocketAddr,
    /// Tenants' services over HTTPS.
    pub https: SocketAddr,
    /// Ports handed to tenants' TCP and UDP services.
    pub ports: PortRange,
}

/// The container engine.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Runtime {
    /// What runs the containers.
    pub engine: Engine,
    /// Docker's socket.
    pub docker: PathBuf,
    /// Volumes and kept logs of leases; `engine` in the daemon's `data_dir` when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// Addresses for the leases' networks; in use nowhere else on this machine's networks.
    pub addresses: String,
    /// Name servers for containers; the engine's own choice when empty.
    pub dns: Vec<std::net::IpAddr>,
    /// What keeps containers away from private networks.
    pub egress: Egress,
    /// Directory on the disk that images, containers and volumes live on.
    pub storage_path: PathBuf,
    /// MiB that must stay free there; below it no bids are made and health turns red.
    pub disk_floor: Mebibytes,
    /// The cluster, where that is the engine.
    pub kubernetes: Kubernetes,
}

/// What keeps containers away from private networks, the host and other leases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Egress {
    /// The daemon's own firewall rules; without the right to set them nothing is started.
    #[default]
    Guard,
    /// A firewall that the owner runs.
    External,
}

/// What stays with the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Share {
    /// Cores.
    pub cpu: Cores,
    /// Memory.
    pub memory: Mebibytes,
    /// Disk.
    pub storage: Mebibytes,
    /// GPUs.
    pub gpus: u8,
}

/// The most that is offered; what is left out is bounded by the hardware alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Cap {
    /// Cores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cores>,
    /// Memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Mebibytes>,
    /// Disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage: Option<Mebibytes>,
    /// GPUs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpus: Option<u8>,
}

/// Which orders are bid on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bidding {
    /// False: no bids at all, leases stay.
    pub enabled: bool,
    /// Longest lease that is bid on.
    pub max_duration: Seconds,
    /// Wallets whose orders are taken; empty for all.
    pub allow_wallets: Vec<u64>,
    /// Wallets whose orders are refused.
    pub deny_wallets: Vec<u64>,
    /// Most leases at one time.
    pub max_leases: u32,
    /// How far this machine's clock and the chain's may be apart; beyond it no bids are made.
    pub max_clock_skew: Seconds,
}

/// Time limits of leases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Leases {
    /// Time for the tenant to send its manifest before the lease is closed.
    pub manifest_timeout: Seconds,
    /// Time for an image to be pulled before the lease is closed.
    pub image_timeout: Seconds,
    /// Restarts without a healthy minute before the lease is closed.
    pub crash_limit: u32,
    /// How often desired and actual state are compared.
    pub reconcile_every: Seconds,
}

/// Settling and cashing out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Money {
    /// How often leases are settled.
    pub settle_every: Seconds,
    /// Dollars that a running lease has earned before a settlement is worth its gas.
    pub min_settle: Dollars,
    /// How often the ledgers are cashed out.
    pub cash_out_every: Seconds,
    /// Dollars on the ledger below which a scheduled cash-out waits.
    pub min_cash_out: Dollars,
    /// How long a quote for an update stays good.
    pub quote_expiry: Seconds,
}

/// The database.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// `postgres://…`; SQLite in the data directory when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {cause}; write one with `{program} init --config {path}`")]
    Read {
        /// Which program's it is.
        program: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason.
        cause: std::io::Error,
    },
    /// Not TOML, an unknown key or a value of the wrong kind.
    #[error("{place}: {cause}")]
    Parse {
        /// File or override.
        place: String,
        /// What the parser says, with line and column.
        cause: Box<toml::de::Error>,
    },
    /// An override that names no place.
    #[error("`{0}` is no setting; write section.key=value, as in `--set bidding.enabled=false`")]
    Override(String),
    /// A value that cannot work.
    #[error("{key}: {why}")]
    Value {
        /// Dotted key.
        key: &'static str,
        /// Why, and what to write instead.
        why: String,
    },
}

impl Config {
    /// Reads `path`, lays the environment's and then the command line's overrides over it, and checks the whole.
    ///
    /// # Errors
    /// [`ConfigError`] names the file, key or override that is wrong.
    pub fn load(role: Role, path: &Path, overrides: &[String]) -> Result<Self, ConfigError> {
        let program = role.program();
        let text = std::fs::read_to_string(path).map_err(|cause| ConfigError::Read {
            program,
            path: path.to_owned(),
            cause,
        })?;
        Self::parse(role, &path.display().to_string(), &text, std::env::vars(), overrides)
    }

    /// As [`Config::load`], from text and given variables.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(
        role: Role,
        place: &str,
        text: &str,
        environment: impl IntoIterator<Item = (String, String)>,
        overrides: &[String],
    ) -> Result<Self, ConfigError> {
        let wrong = |place: &str| {
            let place = place.to_owned();
            move |cause| ConfigError::Parse { place, cause: Box::new(cause) }
        };
        // The file alone first, so that an error carries its line.
        toml::from_str::<Self>(text).map_err(wrong(place))?;
        let mut table: toml::Table = toml::from_str(text).map_err(wrong(place))?;
        overlay::environment(&mut table, role.prefix(), environment)?;
        overlay::assignments(&mut table, overrides)?;
        let config: Self = table.try_into().map_err(wrong("environment or --set"))?;
        config.validate(role)?;
        Ok(config)
    }

    fn validate(&self, role: Role) -> Result<(), ConfigError> {
        let wrong = |key, why: &str| Err(ConfigError::Value { key, why: why.to_owned() });
        if self.chain.rpc.is_empty() {
            return wrong("chain.rpc", "name at least one RPC address");
        }
        self.fits(role)?;
        self.certificates.iter().try_for_each(HostCertificate::validate)?;
        self.runtime.kubernetes.validate()?;
        if let Err(error) = self.runtime.addresses.parse::<iono_runtime_docker::Pool>() {
            return wrong("runtime.addresses", &error.to_string());
        }
        if self.pricing.script.is_some() && self.pricing.expression.is_some() {
            return wrong(
                "pricing.script",
                "name either this or pricing.expression; the other one would never count",
            );
        }
        if self.leases.reconcile_every.0.is_zero() || self.money.settle_every.0.is_zero() {
            return wrong("leases.reconcile_every", "this and money.settle_every must be above zero");
        }
        Ok(())
    }

    /// Where the database is.
    #[must_use]
    pub fn store_url(&self) -> String {
        let name = if self.gateway.is_some() { "fizz.db" } else { "provider.db" };
        let file = || format!("sqlite://{}", self.data_dir.join(name).display());
        self.store.url.clone().unwrap_or_else(file)
    }

    /// Where volumes and kept logs of leases live.
    #[must_use]
    pub fn engine_dir(&self) -> PathBuf {
        self.runtime.data_dir.clone().unwrap_or_else(|| self.data_dir.join("engine"))
    }

    /// Bit mask of the accepted payment tokens.
    #[must_use]
    pub fn token_mask(&self) -> u64 {
        self.public.tokens.iter().fold(0, |mask, id| mask | 1 << id)
    }
}

impl Default for Listen {
    fn default() -> Self {
        let all = |port| SocketAddr::from(([0, 0, 0, 0], port));
        Self {
            lease_api: all(8443),
            http: all(80),
            https: all(443),
            ports: PortRange { first: 30_000, last: 32_767 },
        }
    }
}

impl Default for Runtime {
    fn default() -> Self {
        Self {
            docker: "/var/run/docker.sock".into(),
            data_dir: None,
            addresses: "10.201.0.0/16".to_owned(),
            dns: Vec::new(),
            egress: Egress::Guard,
            storage_path: "/var/lib/docker".into(),
            disk_floor: Mebibytes(2_048),
            engine: Engine::Docker,
            kubernetes: Kubernetes::default(),
        }
    }
}

impl Default for Share {
    fn default() -> Self {
        Self { cpu: Cores(500), memory: Mebibytes(1_024), storage: Mebibytes(10_240), gpus: 0 }
    }
}

impl Default for Bidding {
    fn default() -> Self {
        Self {
            enabled: true,
            max_duration: Seconds::secs(90 * 24 * 3_600),
            allow_wallets: Vec::new(),
            deny_wallets: Vec::new(),
            max_leases: 200,
            max_clock_skew: Seconds::secs(120),
        }
    }
}

impl Default for Leases {
    fn default() -> Self {
        Self {
            manifest_timeout: Seconds::secs(3_600),
            image_timeout: Seconds::secs(1_800),
            crash_limit: 10,
            reconcile_every: Seconds::secs(5),
        }
    }
}

impl Default for Money {
    fn default() -> Self {
        Self {
            settle_every: Seconds::secs(6 * 3_600),
            min_settle: Dollars::parse("0.1").expect("a decimal"),
            cash_out_every: Seconds::secs(24 * 3_600),
            min_cash_out: Dollars::parse("10").expect("a decimal"),
            quote_expiry: Seconds::secs(300),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parse(text: &str, environment: &[(&str, &str)], set: &[&str]) -> Result<Config, ConfigError> {
        let environment = environment.iter().map(|(k, v)| (k.to_string(), v.to_string()));
        let set: Vec<String> = set.iter().map(ToString::to_string).collect();
        Config::parse(Role::Provider, "provider.toml", text, environment, &set)
    }

    #[test]
    fn the_template_is_a_valid_config_with_the_defaults() {
        let config = parse(template::TEMPLATE, &[], &[]).unwrap();
        let defaults = Config {
            listen: Listen::default(),
            reserve: Share::default(),
            bidding: Bidding::default(),
            leases: Leases::default(),
            money: Money::default(),
            ..config.clone()
        };
        assert_eq!(toml::to_string(&config).unwrap(), toml::to_string(&defaults).unwrap());
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line() {
        let error = parse(&format!("sped = 1\n{}", template::TEMPLATE), &[], &[]).unwrap_err().to_string();
        assert!(error.contains("line 1") && error.contains("sped"), "{error}");
        let error = parse(template::TEMPLATE, &[("IONO_PROVIDER__CHAIN__RCP", "x")], &[]).unwrap_err();
        assert!(error.to_string().contains("rcp"), "{error}");
        assert!(matches!(parse(template::TEMPLATE, &[], &["nonsense"]), Err(ConfigError::Override(_))));
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file() {
        let environment = [
            ("IONO_PROVIDER__PRICES__CPU", "0.5"),
            ("IONO_PROVIDER__BIDDING__MAX_LEASES", "7"),
            ("IONO_PROVIDER__CHAIN__RPC", "[\"http://a.example/\", \"http://b.example/\"]"),
        ];
        let config = parse(template::TEMPLATE, &environment, &["bidding.max_leases=9"]).unwrap();
        assert_eq!(config.prices.cpu, Dollars::parse("0.5").unwrap());
        assert_eq!(config.bidding.max_leases, 9);
        assert_eq!(config.chain.rpc.len(), 2);
    }

    #[test]
    fn values_that_cannot_work_are_named() {
        for (set, key) in [
            ("public.endpoint=nohost", "public.endpoint"),
            ("public.domain=UPPER.example", "public.domain"),
            ("public.tokens=[48]", "public.tokens"),
            ("public.compute=fast", "basic, general, hpc"),
            ("public.attributes=3", "attributes"),
            ("certificate=[{host=\"a b\",chain=\"/c\",key=\"/k\"}]", "certificate.host"),
            ("chain.rpc=[]", "chain.rpc"),
            ("pricing.expression=tabel * 2", "Undefined variable: tabel (line 1, position 1)"),
            ("pricing.script=[\"price.py\"]", "absolute path"),
            ("pricing={script=[\"/bin/true\"],expression=\"table\"}", "pricing.script: name either"),
        ] {
            let error = parse(template::TEMPLATE, &[], &[set]).unwrap_err().to_string();
            assert!(error.contains(key), "{set}: {error}");
        }
    }
}
