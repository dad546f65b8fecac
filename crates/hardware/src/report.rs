//! What a node's agent says of its machine (ST-1, ST-2): what it has, how it is, what it was measured to do.

use serde::{Deserialize, Serialize};

use crate::{Condition, Hardware, Undriven};

/// Where agents serve their reports.
pub const AGENT_PORT: u16 = 9_105;

/// All that is known of a machine from within.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The agent's version.
    pub version: String,
    /// Its clock: milliseconds since 1970.
    pub clock: u64,
    /// What the machine has.
    pub hardware: Hardware,
    /// Cards that cannot be used.
    pub undriven: Vec<Undriven>,
    /// How it is.
    pub condition: Condition,
    /// What it does.
    pub measured: Measured,
    /// Whether the addresses that the agent was given can be reached from there.
    pub reach: Vec<Reach>,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Measured {
    /// Points of [`crate::compute_score`].
    pub compute: u32,
    /// MiB a second that the disk of workloads takes; `None` where nothing could be written.
    pub write: Option<u64>,
}

/// Whether an address answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// `host:port`.
    pub address: String,
    /// Why it does not.
    pub problem: Option<String>,
}
