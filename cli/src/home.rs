//! IONO_HOME: configuration, keystore, client certificates, manifests of leases. Losing it loses nothing but the keys:
//! everything else is found again from the chain and the providers.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use url::Url;

use crate::error::{Context, Failure, Kind, Result};
use crate::files;

/// `config.toml`. Unknown keys are refused, so that a typing error is not silently ignored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// RPC URLs of the chain; the first that answers is used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) rpc: Vec<Url>,
    /// Address book of the contracts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) address_book: Option<PathBuf>,
    /// Keystore file of the default key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) keystore: Option<PathBuf>,
    /// Escrow wallet used when a command names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) wallet: Option<u64>,
    /// Payment token used when a command names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) token: Option<String>,
}

/// The folder and what lies where in it.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    root: PathBuf,
}

impl Home {
    /// The given folder, or `$XDG_CONFIG_HOME/iono`, or `~/.config/iono`.
    pub(crate) fn find(given: Option<&Path>) -> Result<Self> {
        let root = match given {
            Some(path) => path.to_owned(),
            None => {
                let base =
                    std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
                let base = base.or_else(|| std::env::home_dir().map(|home| home.join(".config")));
                base.ok_or_else(|| {
                    Failure::new(Kind::Setup, "no home folder is known").hint("set IONO_HOME or give --home")
                })?
                .join("iono")
            }
        };
        Ok(Self { root: std::path::absolute(&root).or_fail(Kind::Setup, "cannot find IONO_HOME")? })
    }

    pub(crate) fn config_file(&self) -> PathBuf {
        self.root.join("config.toml")
    }

    pub(crate) fn keystore(&self) -> PathBuf {
        self.root.join("keystore")
    }

    pub(crate) fn passphrase(&self) -> PathBuf {
        self.root.join("passphrase")
    }

    pub(crate) fn certificates(&self) -> PathBuf {
        self.root.join("certificates")
    }

    pub(crate) fn leases(&self) -> PathBuf {
        self.root.join("leases")
    }

    /// The configuration; defaults when there is none yet.
    pub(crate) fn config(&self) -> Result<Config> {
        let path = self.config_file();
        if !path.exists() {
            return Ok(Config::default());
        }
        let text = files::read_text(&path, Kind::Setup)?;
        toml::from_str(&text).or_hint(
            Kind::Setup,
            format_args!("{} is not valid", path.display()),
            "known keys are rpc, address_book, keystore, wallet and token; `iono init` writes a good one",
        )
    }

    /// Replaces the configuration.
    pub(crate) fn save(&self, config: &Config) -> Result<()> {
        let text = toml::to_string(config).or_fail(Kind::Setup, "cannot write the configuration")?;
        files::write_private(&self.config_file(), text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_configuration_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::find(Some(dir.path())).unwrap();
        assert_eq!(home.config().unwrap(), Config::default());
        let config = Config {
            rpc: vec!["http://127.0.0.1:8545".parse().unwrap()],
            address_book: Some("/tmp/book.json".into()),
            wallet: Some(7),
            token: Some("USD".into()),
            ..Config::default()
        };
        home.save(&config).unwrap();
        assert_eq!(home.config().unwrap(), config);
    }

    #[test]
    fn unknown_keys_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::find(Some(dir.path())).unwrap();
        std::fs::write(home.config_file(), "tokn = \"USD\"\n").unwrap();
        let failure = home.config().unwrap_err();
        assert!(failure.message.contains("tokn"), "{}", failure.message);
        assert!(failure.hint.unwrap().contains("known keys"));
    }
}
