//! The machines that an engine runs workloads on, where it has more than the one that asks.

use std::collections::BTreeMap;

use iono_primitives::LeaseId;
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
    /// What the vendor calls its cards, if it has any and the engine knows.
    pub gpu_name: Option<String>,
    /// MiB of memory of one card, if the engine knows.
    pub gpu_memory: u64,
}
