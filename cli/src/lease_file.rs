//! What is kept of a deployment so that it can be continued: salt and manifest, by the hash that stands on chain.
//! Losing it loses nothing: the provider returns both (`GET manifest`), and the chain says which leases there are.

use std::path::PathBuf;

use alloy::primitives::{Address, B256};
use iono_lease_api::SaltedManifest;
use serde::{Deserialize, Serialize};

use crate::chain::Chain;
use crate::error::{Context, Failure, Kind, Result};
use crate::files;
use crate::home::Home;

/// A manifest with its salt, and how far its deployment came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeaseFile {
    pub(crate) chain_id: u64,
    pub(crate) order_book: Address,
    /// The account that deployed.
    pub(crate) account: Address,
    pub(crate) hash: B256,
    pub(crate) salt: B256,
    /// Canonical form, with secrets.
    pub(crate) manifest: String,
    /// Known once the order is in a block.
    pub(crate) order: Option<u64>,
    /// The provider has the manifest.
    pub(crate) done: bool,
    /// Unix seconds.
    pub(crate) created: u64,
}

impl LeaseFile {
    pub(crate) fn new(chain: &Chain, account: Address, manifest: &SaltedManifest) -> Result<Self> {
        let text = String::from_utf8(manifest.canonical().to_vec())
            .or_fail(Kind::Manifest, "the canonical manifest is no text")?;
        Ok(Self {
            chain_id: chain.book.chain_id,
            order_book: chain.book.order_book,
            account,
            hash: manifest.hash(),
            salt: manifest.salt(),
            manifest: text,
            order: None,
            done: false,
            created: iono_identity::unix_now(),
        })
    }

    /// Writes it, mode 0600.
    pub(crate) fn save(&self, home: &Home) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).or_fail(Kind::Failed, "cannot write the lease's file")?;
        files::write_private(&path(home, self.hash), &text)
    }

    /// The file of a manifest's hash, if it is there.
    pub(crate) fn load(home: &Home, hash: B256) -> Result<Option<Self>> {
        let path = path(home, hash);
        if !path.is_file() {
            return Ok(None);
        }
        let text = files::read_text(&path, Kind::Setup)?;
        let file: Self = serde_json::from_str(&text).or_hint(
            Kind::Setup,
            format_args!("{} is damaged", path.display()),
            "remove it: the provider has the manifest too",
        )?;
        Ok(Some(file))
    }

    /// Deployments of an account on this market that were interrupted, oldest first.
    pub(crate) fn interrupted(home: &Home, chain: &Chain, account: Address) -> Result<Vec<Self>> {
        let folder = home.leases();
        if !folder.is_dir() {
            return Ok(Vec::new());
        }
        let entries = std::fs::read_dir(&folder)
            .or_fail(Kind::Setup, format_args!("cannot read {}", folder.display()))?;
        let mut found = Vec::new();
        for entry in entries.flatten() {
            let hash = entry.path().file_stem().and_then(|stem| stem.to_str()?.parse::<B256>().ok());
            let Some(file) = hash.map(|hash| Self::load(home, hash)).transpose()?.flatten() else { continue };
            let ours = file.chain_id == chain.book.chain_id
                && file.order_book == chain.book.order_book
                && file.account == account;
            if ours && !file.done {
                found.push(file);
            }
        }
        found.sort_by_key(|file| file.created);
        Ok(found)
    }

    /// Forgets a deployment that came to nothing: it may hold secrets.
    pub(crate) fn remove(&self, home: &Home) -> Result<()> {
        match std::fs::remove_file(path(home, self.hash)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).or_fail(Kind::Setup, "cannot remove the lease's file")
            }
            _ => Ok(()),
        }
    }

    /// The manifest in it.
    pub(crate) fn salted(&self) -> Result<SaltedManifest> {
        let salted = SaltedManifest::decode(self.salt, self.manifest.clone().into_bytes().into())
            .or_fail(Kind::Manifest, "the kept manifest cannot be read")?;
        if salted.hash() == self.hash {
            Ok(salted)
        } else {
            Err(Failure::new(
                Kind::Manifest,
                format!("the kept manifest does not have the hash {}", self.hash),
            ))
        }
    }
}

fn path(home: &Home, hash: B256) -> PathBuf {
    home.leases().join(format!("{hash}.json"))
}
