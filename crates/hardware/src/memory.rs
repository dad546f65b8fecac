//! Main memory.

use serde::{Deserialize, Serialize};

use crate::{HardwareError, Source, cgroup};

/// Main memory in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// `MemTotal` of `/proc/meminfo`.
    pub total: u64,
    /// Limit of the control group, if there is one.
    pub limit: Option<u64>,
    /// What can be used: the total, or the limit if that is less.
    pub usable: u64,
}

impl Memory {
    pub(crate) fn read(source: &Source) -> Result<Self, HardwareError> {
        let info = source.read("proc/meminfo")?;
        let line = info.lines().find_map(|line| line.strip_prefix("MemTotal:"));
        let kibibytes = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        let total = kibibytes.and_then(|kibibytes| kibibytes.checked_mul(1_024));
        let total = total.ok_or_else(|| source.malformed("proc/meminfo", "MemTotal"))?;
        let limit = cgroup::memory_limit(source);
        Ok(Self { total, limit, usable: limit.map_or(total, |limit| limit.min(total)) })
    }
}
