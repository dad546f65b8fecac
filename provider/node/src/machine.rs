//! What this machine has, and what of it could be offered (SP-31).

use std::path::Path;

use anyhow::{Context as _, Result};
use iono_primitives::StorageClass;
use nix::sys::statvfs::statvfs;

use crate::capacity::Offer;

/// What was found.
pub struct Machine {
    offer: Offer,
}

impl Machine {
    /// What was found, for people and programs.
    #[must_use]
    pub fn report(&self) -> serde_json::Value {
        serde_json::json!(self.offer)
    }

    /// All of it, before the owner's reserve.
    #[must_use]
    pub fn offer(&self) -> Offer {
        self.offer.clone()
    }
}

/// Looks at the machine; `storage` is a directory on the disk that leases live on.
///
/// # Errors
/// When memory or disk cannot be measured.
pub fn discover(storage: &Path) -> Result<Machine> {
    let cores = std::thread::available_parallelism()?.get() as u64;
    let memory = std::fs::read_to_string("/proc/meminfo")?;
    let total = memory.lines().find_map(|line| line.strip_prefix("MemTotal:")).context("no MemTotal")?;
    let kib: u64 = total.trim().trim_end_matches(" kB").trim().parse()?;
    let disk = statvfs(storage).with_context(|| format!("cannot measure {}", storage.display()))?;
    Ok(Machine {
        offer: Offer {
            cpu: cores * 1_000,
            memory: kib / 1_024,
            storage: disk.blocks() * disk.fragment_size() / (1 << 20),
            storage_class: StorageClass::Ssd,
            gpus: Vec::new(),
        },
    })
}
