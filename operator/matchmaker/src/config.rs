//! Settings: one TOML file, then `IONO_MATCHMAKER__SECTION__KEY` variables, then `--set section.key=value`; the last
//! one wins, and a key that nobody knows is refused wherever it comes from.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use alloy::signers::local::PrivateKeySigner;
use anyhow::{Context, Result, bail};
use iono_bls::SecretKey;
use iono_chain::ChainConfig;
use iono_identity::{PassphraseSource, bls_keystore, keystore};
use iono_telemetry::TelemetryConfig;
use serde::Deserialize;
use toml::{Table, Value};

/// What variables that are settings begin with.
const PREFIX: &str = "IONO_MATCHMAKER__";
/// Name of the systemd credential with the passphrase.
const CREDENTIAL: &str = "hot-key-passphrase";
/// Name of the one with the BLS key's.
const BLS_CREDENTIAL: &str = "bls-key-passphrase";

/// Everything that `matchmaker run` needs to know.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Where the database lies unless `store` says otherwise.
    pub(crate) data_dir: PathBuf,
    /// `sqlite:PATH` or `postgres://…`.
    #[serde(default)]
    pub(crate) store: Option<String>,
    /// Which chain and which contracts.
    pub(crate) chain: ChainConfig,
    /// The key that pays for gas and earns the fees.
    pub(crate) keys: Keys,
    /// What it does.
    #[serde(default)]
    pub(crate) keeper: Keeper,
    /// Its part in the quorum.
    #[serde(default)]
    pub(crate) operator: OperatorConfig,
    /// Logs, metrics and health.
    #[serde(default)]
    pub(crate) telemetry: TelemetryConfig,
}

/// The `[keys]` table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Keys {
    /// Keystore file (Web3 secret storage), mode 0600.
    pub(crate) hot_key: PathBuf,
    /// File with its passphrase; else the file that IONO_PASSPHRASE_FILE names, else a systemd credential.
    #[serde(default)]
    pub(crate) passphrase_file: Option<PathBuf>,
}

/// The `[keeper]` table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Keeper {
    /// Waits a random time up to this before it sends, in milliseconds, so that one of several matchmakers comes first
    /// and the others see it.
    pub(crate) jitter_ms: u64,
    /// Waits up to this many blocks, other for each key and order, for the same reason at a greater distance.
    pub(crate) stagger_blocks: u64,
    /// Leaves orders that have a set of operators to their quorum for so many blocks from the seed on.
    pub(crate) quorum_blocks: u64,
    /// Base URL of a relay of the drand network that the market's seeds come from; rounds are below `/public`.
    pub(crate) drand: Option<String>,
    /// Also ends leases whose time ran out or that were not confirmed. Nothing is paid for it.
    pub(crate) expire_leases: bool,
}

impl Default for Keeper {
    fn default() -> Self {
        Self { jitter_ms: 100, stagger_blocks: 0, quorum_blocks: 8, drand: None, expire_leases: false }
    }
}

/// The `[operator]` table.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct OperatorConfig {
    /// Keystore of the BLS key; without it this daemon takes no part in the quorum.
    pub(crate) key: Option<PathBuf>,
    /// File with its passphrase; else the systemd credential `bls-key-passphrase`.
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Where it takes other operators' shares; they must reach it by the endpoint that its owner announced.
    pub(crate) listen: SocketAddr,
    /// Milliseconds that an aggregator waits for slow operators once it has a quorum.
    pub(crate) grace_ms: u64,
    /// Orders in one transaction at most.
    pub(crate) max_batch: usize,
}

impl Default for OperatorConfig {
    fn default() -> Self {
        let listen = SocketAddr::from(([0, 0, 0, 0], 7300));
        Self { key: None, passphrase_file: None, listen, grace_ms: 300, max_batch: 50 }
    }
}

impl Config {
    /// Reads file, variables and overrides.
    pub(crate) fn load(
        path: &Path,
        variables: impl IntoIterator<Item = (String, String)>,
        overrides: &[String],
    ) -> Result<Self> {
        let mut table = match std::fs::read_to_string(path) {
            Ok(text) => toml::from_str(&text).with_context(|| path.display().to_string())?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Table::new(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        for (name, value) in variables {
            if let Some(rest) = name.strip_prefix(PREFIX) {
                insert(&mut table, &rest.to_ascii_lowercase().replace("__", "."), &value)?;
            }
        }
        for assignment in overrides {
            let Some((key, value)) = assignment.split_once('=') else {
                bail!("--set {assignment}: write section.key=value");
            };
            insert(&mut table, key.trim(), value.trim())?;
        }
        table.try_into().with_context(|| format!("{} with its overrides", path.display()))
    }

    /// Where the store is.
    pub(crate) fn store_url(&self) -> String {
        let file = || format!("sqlite:{}", self.data_dir.join("matchmaker.db").display());
        self.store.clone().unwrap_or_else(file)
    }

    /// Opens the key.
    pub(crate) async fn open_key(&self) -> Result<PrivateKeySigner> {
        let variable = "IONO_PASSPHRASE_FILE";
        let source = match &self.keys.passphrase_file {
            Some(file) => PassphraseSource::File(file.clone()),
            None if std::env::var_os(variable).is_some() => PassphraseSource::EnvFile(variable.to_owned()),
            None => PassphraseSource::Credential(CREDENTIAL.to_owned()),
        };
        let passphrase = source.read().context("no passphrase: set keys.passphrase_file")?;
        Ok(keystore::open(&self.keys.hot_key, &passphrase).await?)
    }

    /// Opens the BLS key, if there is one.
    pub(crate) async fn open_operator_key(&self) -> Result<Option<SecretKey>> {
        let Some(file) = &self.operator.key else { return Ok(None) };
        let source = match &self.operator.passphrase_file {
            Some(file) => PassphraseSource::File(file.clone()),
            None => PassphraseSource::Credential(BLS_CREDENTIAL.to_owned()),
        };
        let passphrase = source.read().context("no passphrase: set operator.passphrase_file")?;
        Ok(Some(bls_keystore::open(file, &passphrase).await?))
    }
}

/// Puts one dotted setting into the table; a value that is no TOML is a string.
fn insert(table: &mut Table, key: &str, text: &str) -> Result<()> {
    let parsed = toml::from_str::<Table>(&format!("v = {text}")).ok().and_then(|mut table| table.remove("v"));
    let value = parsed.unwrap_or_else(|| Value::String(text.to_owned()));
    let mut here = table;
    let mut parts = key.split('.').peekable();
    while let Some(part) = parts.next() {
        if part.is_empty() {
            bail!("`{key}` is no setting; write section.key");
        }
        if parts.peek().is_none() {
            here.insert(part.to_owned(), value);
            return Ok(());
        }
        let inner = here.entry(part).or_insert_with(|| Value::Table(Table::new()));
        let Some(inner) = inner.as_table_mut() else { bail!("`{key}` leads through a value, not a section") };
        here = inner;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str =
        "data_dir = '/d'\n[chain]\nrpc = ['http://a:1']\naddress_book = '/b'\n[keys]\nhot_key = '/k'\n";

    fn load(text: &str, variables: &[(&str, &str)], overrides: &[&str]) -> Result<Config> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("matchmaker.toml");
        std::fs::write(&path, text)?;
        let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Config::load(&path, variables, &overrides.iter().map(|o| (*o).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn the_last_word_wins() {
        let config = load(FILE, &[], &[]).unwrap();
        assert_eq!(config.store_url(), "sqlite:/d/matchmaker.db");
        let variables =
            [("IONO_MATCHMAKER__CHAIN__POLL_MS", "200"), ("IONO_MATCHMAKER__KEEPER__EXPIRE_LEASES", "true")];
        let config = load(FILE, &variables, &["chain.poll_ms=300", "store=postgres://h/d"]).unwrap();
        assert_eq!((config.chain.poll_ms, config.keeper.expire_leases), (300, true));
        assert_eq!(config.store_url(), "postgres://h/d");
    }

    #[test]
    fn the_installed_file_is_valid_and_shows_the_defaults() {
        let file = include_str!("../../../deploy/matchmaker.toml");
        let examples = ["store", "ws", "lock_dir", "key", "passphrase_file", "drand"];
        let with = |wanted: fn(&str, &[&str]) -> bool| {
            let lines = file.lines().map(|line| match line.strip_prefix("# ") {
                Some(setting) if setting.contains(" = ") && wanted(setting, &examples) => setting,
                _ => line,
            });
            load(&lines.collect::<Vec<_>>().join("\n"), &[], &[]).unwrap()
        };
        let installed = with(|_, _| false);
        let defaults = with(|setting, examples| !examples.iter().any(|name| setting.starts_with(name)));
        assert_eq!(format!("{installed:?}"), format!("{defaults:?}"));
        assert_eq!(with(|_, _| true).store_url(), "postgres://matchmaker@db/matchmaker");
    }

    #[test]
    fn unknown_and_malformed_keys_are_refused() {
        for (file, overrides) in [
            (format!("{FILE}typo = 1\n"), vec![]),
            (FILE.to_owned(), vec!["keeper.stager_blocks=1"]),
            (FILE.to_owned(), vec!["data_dir.x=1"]),
            (FILE.to_owned(), vec!["chain..x=1"]),
            (FILE.to_owned(), vec!["nonsense"]),
            (FILE.replace("data_dir", "dat_dir"), vec![]),
        ] {
            let error = load(&file, &[], &overrides).unwrap_err();
            assert!(!format!("{error:#}").is_empty());
        }
        let error = load(&format!("{FILE}[telemetry]\nlissten = 1\n"), &[], &[]).unwrap_err();
        assert!(format!("{error:#}").contains("lissten"), "{error:#}");
    }
}
