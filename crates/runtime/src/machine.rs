//! The machines that an engine runs workloads on, where it has more than the one that asks.

use std::collections::BTreeMap;

use iono_hardware::Report;
use iono_primitives::{GpuModel, LeaseId, StorageClass};
use serde::{Deserialize, Serialize};

/// Amounts of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Room {
    /// Millicores.
    pub cpu: u64,
    /// MiB.
    pub memory: u64,
    /// MiB of disk.
    pub storage: u64,
    /// Cards.
    pub gpus: u64,
}

impl Room {
    /// Adds another amount.
    pub fn add(&mut self, other: Room) {
        self.cpu += other.cpu;
        self.memory += other.memory;
        self.storage += other.storage;
        self.gpus += other.gpus;
    }

    /// What is left without another amount; never below zero.
    #[must_use]
    pub fn without(self, other: Room) -> Room {
        Room {
            cpu: self.cpu.saturating_sub(other.cpu),
            memory: self.memory.saturating_sub(other.memory),
            storage: self.storage.saturating_sub(other.storage),
            gpus: self.gpus.saturating_sub(other.gpus),
        }
    }
}

/// One machine that takes workloads.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Machine {
    /// Its name.
    pub name: String,
    /// All that workloads may use there.
    pub all: Room,
    /// What others have taken: the engine's own parts, other tenants of it.
    pub others: Room,
    /// What leases of this owner have taken.
    pub leases: BTreeMap<LeaseId, Room>,
    /// The market's name for its cards, where it has some and all are alike; any model otherwise.
    pub gpu_model: GpuModel,
    /// Class of the disk that workloads write to, if that is known.
    pub storage_class: StorageClass,
    /// What its agent says.
    pub agent: Agent,
}

/// The program on a machine that says what the engine does not know.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Agent {
    /// There is none.
    #[default]
    Missing,
    /// It does not answer.
    Silent {
        /// What happens instead.
        why: String,
    },
    /// It answers.
    Known(Box<Known>),
}

/// What is known of a machine by its agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// What it says.
    pub report: Report,
    /// Milliseconds by which its clock is ahead of this machine's.
    pub skew: i64,
    /// The way to it, if it could be measured.
    pub network: Option<Network>,
}

/// How fast the way between this machine and another is, in Mbit a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// What comes from there: what its leases send.
    pub from_node: u64,
    /// What goes there.
    pub to_node: u64,
}

impl Agent {
    /// What it says, if it answers.
    #[must_use]
    pub fn known(&self) -> Option<&Known> {
        match self {
            Self::Known(known) => Some(known),
            Self::Missing | Self::Silent { .. } => None,
        }
    }
}
