//! What a runtime says about the leases that it runs, and about itself.

use std::net::IpAddr;

use iono_primitives::LeaseId;
use serde::{Deserialize, Serialize};

/// One lease as the engine has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    /// The lease.
    pub lease: LeaseId,
    /// Hash of the manifest that was applied last; empty when only leftovers (a volume, a sealed manifest) are there.
    pub manifest_hash: String,
    /// The services that have containers, by name.
    pub services: Vec<ObservedService>,
    /// Whether a sealed manifest is stored for this lease.
    pub has_manifest: bool,
}

impl Observed {
    /// Whether every service has all its replicas of the last manifest ready.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.services.is_empty() && self.services.iter().all(|service| service.ready >= service.desired)
    }
}

/// One service as the engine has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedService {
    /// The service's name.
    pub name: String,
    /// Replicas asked for.
    pub desired: u32,
    /// Replicas whose ports accept connections (or that run, when they have none).
    pub ready: u32,
    /// All containers; more than `desired` while an update is under way.
    pub replicas: Vec<Replica>,
}

impl ObservedService {
    /// The addresses for the router: those of ready replicas.
    #[must_use]
    pub fn addresses(&self) -> Vec<IpAddr> {
        self.replicas.iter().filter(|r| r.state == ReplicaState::Ready).filter_map(|r| r.address).collect()
    }
}

/// One container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Replica {
    /// The engine's id.
    pub id: String,
    /// 0-based number within the service.
    pub index: u32,
    /// What it is doing.
    pub state: ReplicaState,
    /// Address on the lease's own network, reachable from the host; the same for the container's whole life.
    pub address: Option<IpAddr>,
    /// Starts by the engine after the first one.
    pub restarts: u32,
    /// Start of the current run, milliseconds since 1970.
    pub started_at: Option<u64>,
    /// How the previous run ended.
    pub last_exit: Option<Exit>,
    /// The image's digest, resolved at the first start.
    pub image_digest: String,
    /// Hash of the manifest that it was made from.
    pub manifest_hash: String,
}

/// A replica's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplicaState {
    /// Created, not started.
    Created,
    /// Runs, but does not accept connections yet.
    Starting,
    /// Serves.
    Ready,
    /// Ended; the engine waits before it starts it again.
    Restarting,
    /// Ended for good.
    Exited,
}

/// How a container's process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Exit code; 128 + signal when killed.
    pub code: i64,
    /// Why.
    pub reason: ExitReason,
    /// Milliseconds since 1970.
    pub at: u64,
}

/// Why a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExitReason {
    /// By itself with code 0.
    Completed,
    /// By itself with another code, or by a signal of its own.
    Failed,
    /// It used more memory than its limit.
    OutOfMemory,
    /// It wrote more than its disk limit and was stopped for it.
    DiskQuota,
    /// The process could not be started (missing program, missing mount).
    CannotStart,
}

impl std::fmt::Display for ExitReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::OutOfMemory => "out of memory: raise the memory of the service",
            Self::DiskQuota => "disk quota exceeded: raise the storage of the service",
            Self::CannotStart => "the process could not be started",
        })
    }
}

/// A limit that a provider promises to enforce.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Limit {
    /// CPU time.
    Cpu,
    /// Memory, no swap.
    Memory,
    /// Processes.
    Pids,
    /// The writable layer.
    EphemeralDisk,
    /// Size of volumes.
    VolumeSize,
    /// No way to private networks, the host and other leases.
    Egress,
    /// Secrets only in memory.
    SecretFiles,
    /// GPUs assigned by device.
    Gpu,
}

/// How far a limit is enforced here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enforcement {
    /// Which limit.
    pub limit: Limit,
    /// Whether the runtime enforces it on this node.
    pub enforced: bool,
    /// By what, or what is missing and how to get it.
    pub note: String,
}

/// What the engine is and can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// `docker` or `kubernetes`.
    pub engine: String,
    /// The engine's version.
    pub version: String,
    /// Its API's version.
    pub api_version: String,
    /// Kernel, storage driver, cgroup version: for people.
    pub details: Vec<String>,
    /// Every limit with its state.
    pub limits: Vec<Enforcement>,
}

/// Something that the engine may be told to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Right {
    /// In the engine's words, such as `create namespaces`.
    pub what: String,
    /// Whether it is granted to this account.
    pub granted: bool,
}

impl Capabilities {
    /// Whether `limit` is enforced.
    #[must_use]
    pub fn enforces(&self, limit: Limit) -> bool {
        self.limits.iter().any(|e| e.limit == limit && e.enforced)
    }
}
