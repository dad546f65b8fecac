//! A lease of this provider: the chain's words and terms as they were read last, and what only this machine knows.

use alloy::primitives::B256;
use iono_bindings::LeaseWords;
use iono_primitives::{LeaseId, LeaseState};
use serde::{Deserialize, Serialize};

use super::order::LeaseSpec;
use super::party::Party;

/// A lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Its id, which is that of its order.
    pub id: LeaseId,
    /// Block in which it was first seen.
    pub created: u64,
    /// Something changed on chain since `facts` were read.
    pub stale: bool,
    /// After a re-org: the terms in `facts` must be read anew from the order on.
    pub reread: bool,
    /// What the chain says; `None` until it was read.
    pub facts: Option<Facts>,
    /// GPUs that it was given, by id.
    pub devices: Vec<String>,
    /// When its workload was last seen to run, unix seconds by this machine; 0 never.
    pub last_running: u64,
    /// Since when and why it cannot run, for people and for giving it up.
    pub trouble: Option<Trouble>,
    /// Its workload, routes and ports are gone and so is everything else that it had here.
    pub removed: bool,
}

/// What the chain says of a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The stored words.
    #[serde(with = "super::stored::lease_words")]
    pub words: LeaseWords,
    /// What was ordered, or what the last update made of it.
    pub spec: LeaseSpec,
    /// keccak256(salt ‖ canonical manifest) that the chain has now.
    pub manifest_hash: B256,
    /// The logs were read up to this block.
    pub read_to: u64,
}

impl Facts {
    /// Who serves it.
    #[must_use]
    pub fn by(&self) -> Party {
        Party::of(&self.words)
    }

    /// First billed second, unix time; 0 while pending.
    #[must_use]
    pub fn start(&self) -> u64 {
        if self.words.settled_to == 0 { 0 } else { self.words.end.saturating_sub(self.words.duration.into()) }
    }
}

/// Why a workload does not run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// Unix seconds by this machine.
    pub since: u64,
    /// Which kind.
    pub kind: TroubleKind,
    /// In words, for the tenant as well.
    pub message: String,
}

/// Kinds of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TroubleKind {
    /// An image cannot be pulled.
    Image,
    /// Replicas end again and again.
    Crashing,
    /// The manifest asks for what is not allowed here.
    Refused,
    /// Anything that this provider has to mend: engine, disk, ports.
    Here,
}

impl Lease {
    /// A lease of which only the number is known.
    #[must_use]
    pub fn new(id: LeaseId, created: u64) -> Self {
        Self {
            id,
            created,
            stale: true,
            reread: true,
            facts: None,
            devices: Vec::new(),
            last_running: 0,
            trouble: None,
            removed: false,
        }
    }

    /// Its state as last read.
    #[must_use]
    pub fn state(&self) -> LeaseState {
        self.facts.as_ref().and_then(|facts| facts.words.lease_state()).unwrap_or(LeaseState::None)
    }

    /// Whether capacity must be kept for it: it is not over, or what it had is not gone yet.
    #[must_use]
    pub fn holds_capacity(&self) -> bool {
        !self.removed
    }

    /// Whether there is nothing left to do: closed, removed, and the last second settled.
    #[must_use]
    pub fn is_done(&self) -> bool {
        let settled = self.facts.as_ref().is_some_and(|facts| facts.words.payable_seconds() == 0);
        self.removed && !self.stale && self.state() == LeaseState::Closed && settled
    }
}
