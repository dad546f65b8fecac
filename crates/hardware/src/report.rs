//! What a node's agent says of its machine (ST-1, ST-2): what it has, how it is, what it was measured to do.

use std::path::Path;

use iono_primitives::attributes::Compute;
use serde::{Deserialize, Serialize};

use crate::{Condition, Hardware, HardwareError, Source, Undriven};

/// Where agents serve their reports.
pub const AGENT_PORT: u16 = 9_105;

/// All that is known of a machine from within.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The agent's version.
    pub version: String,
    /// Its clock: milliseconds since 1970.
    pub clock: u64,
    /// What the machine has and does.
    #[serde(flatten)]
    pub found: Found,
    /// How it is.
    pub condition: Condition,
    /// Whether the addresses that the agent was given can be reached from there.
    pub reach: Vec<Reach>,
}

/// What a machine has and does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// What it has.
    #[serde(flatten)]
    pub hardware: Hardware,
    /// Cards that cannot be used.
    pub undriven: Vec<Undriven>,
    /// What it does.
    pub measured: Measured,
}

impl Found {
    /// Looks at this machine, whose workloads are stored at `storage`.
    ///
    /// # Errors
    /// As [`Hardware::discover`].
    pub fn look(storage: &Path, measured: Measured) -> Result<Self, HardwareError> {
        let hardware = Hardware::discover(storage)?;
        Ok(Self { hardware, undriven: Undriven::read_all(&Source::system()), measured })
    }

    /// The tier of its processors (SP-5).
    #[must_use]
    pub fn compute(&self) -> Compute {
        Compute::of(self.measured.compute, self.hardware.cpu.threads)
    }
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Measured {
    /// Points of [`crate::compute_score`].
    pub compute: u32,
    /// MiB a second that the disk of workloads takes; `None` where nothing could be written.
    pub write: Option<u64>,
}

impl Measured {
    /// Measures this machine, and the disk below `storage`, for some seconds; blocks.
    #[must_use]
    pub fn take(storage: &Path) -> Self {
        let write = crate::write_speed(storage);
        if let Err(error) = &write {
            tracing::warn!(%error, folder = %storage.display(), "the disk's speed cannot be measured");
        }
        Self { compute: crate::compute_score(), write: write.ok() }
    }

    /// The best of two measurements: whoever else works on a machine makes it slower, never faster.
    #[must_use]
    pub fn best(&self, other: &Self) -> Self {
        Self { compute: self.compute.max(other.compute), write: self.write.max(other.write) }
    }
}

/// Whether an address answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// `host:port`.
    pub address: String,
    /// Why it does not.
    pub problem: Option<String>,
}
