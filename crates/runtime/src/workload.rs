//! A lease's workload, resolved from its manifest: what shall run, with which limits. Backends see nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use alloy::primitives::Address;
use iono_manifest::{Credentials, PullPolicy, Secret, SecretFile, VolumeKind};
use iono_primitives::{LeaseId, ProviderId};
use serde::{Deserialize, Serialize};

use crate::RuntimeError;

/// Whose workloads a runtime manages; stands in the labels of everything that it creates, so that several providers
/// may share one engine and never touch each other's containers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Owner {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// The provider registry's address on that chain.
    pub registry: Address,
    /// The provider.
    pub provider: ProviderId,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:#x}.{}", self.chain_id, self.registry, self.provider)
    }
}

/// Everything that runs for one lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// The lease.
    pub lease: LeaseId,
    /// The manifest's salted hash as it stands on chain, in hex; tells generations apart.
    pub manifest_hash: String,
    /// The services; they reach each other by name, at their ports and nowhere else. Replicas of one service reach each
    /// other at every port.
    pub services: Vec<Service>,
}

impl Workload {
    /// Refuses a workload that cannot run anywhere.
    ///
    /// # Errors
    /// [`RuntimeError::Refused`].
    pub fn check(&self) -> Result<(), RuntimeError> {
        let mut names = BTreeSet::new();
        for service in &self.services {
            if !names.insert(&service.name) {
                return Err(RuntimeError::Refused(format!("the service `{}` is there twice", service.name)));
            }
        }
        if self.services.is_empty() {
            return Err(RuntimeError::Refused("the workload has no service".to_owned()));
        }
        Ok(())
    }
}

/// One service: the same container once or several times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// DNS label; the name under which the lease's other services reach it.
    pub name: String,
    /// Image reference: `repository[:tag][@digest]`.
    pub image: String,
    /// Login for the image's registry.
    pub credentials: Option<Credentials>,
    /// When to ask the registry. Whatever it is, a running lease keeps the digest that it started with; a new manifest
    /// with [`PullPolicy::Always`] asks anew.
    pub pull: PullPolicy,
    /// Replaces the image's entry point when not empty.
    pub command: Vec<String>,
    /// Replaces the image's arguments when not empty.
    pub args: Vec<String>,
    /// Environment.
    pub env: BTreeMap<String, Secret>,
    /// Secrets that appear as read-only files, kept in memory only.
    pub secrets: Vec<SecretFile>,
    /// Number of containers, at least 1.
    pub replicas: u32,
    /// Per replica.
    pub limits: ServiceLimits,
    /// Ports that must accept connections before the service counts as ready; no others can be reached.
    pub ports: Vec<Port>,
    /// Mounts; every replica has its own.
    pub volumes: Vec<Volume>,
    /// What happens when the process ends.
    pub restart: RestartPolicy,
    /// Whether the image's root file system is mounted read-only.
    pub read_only_root: bool,
    /// How long a replica that is replaced may finish what it is doing.
    pub drain: Duration,
    /// How long a new replica may take until its ports accept connections.
    pub ready_within: Duration,
}

impl Service {
    /// A service with defaults: one replica, 1 core, 512 MiB of memory and of disk, no ports, restarted always.
    #[must_use]
    pub fn new(name: impl Into<String>, image: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            image: image.into(),
            credentials: None,
            pull: PullPolicy::default(),
            command: Vec::new(),
            args: Vec::new(),
            env: BTreeMap::new(),
            secrets: Vec::new(),
            replicas: 1,
            limits: ServiceLimits::default(),
            ports: Vec::new(),
            volumes: Vec::new(),
            restart: RestartPolicy::default(),
            read_only_root: false,
            drain: Duration::from_secs(10),
            ready_within: Duration::from_secs(60),
        }
    }

    /// Whether two replicas of different generations may run side by side: not when they would write to one volume.
    #[must_use]
    pub fn can_overlap(&self) -> bool {
        !self.volumes.iter().any(|volume| volume.kind == VolumeKind::Persistent && !volume.read_only)
    }
}

/// What one replica may use. The backend says in [`crate::Capabilities`] which of these it can enforce.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceLimits {
    /// Millicores.
    pub cpu_millis: u32,
    /// MiB; there is no swap on top.
    pub memory_mib: u32,
    /// MiB that the container's own writable layer may hold.
    pub ephemeral_mib: u32,
    /// MiB of `/dev/shm`, which counts as memory.
    pub shm_mib: u32,
    /// Number of processes and threads.
    pub pids: u32,
    /// GPUs of every replica.
    pub gpus: u8,
    /// The devices (UUIDs) given to this service: `gpus × replicas` of them, in the replicas' order.
    pub gpu_devices: Vec<String>,
}

impl Default for ServiceLimits {
    fn default() -> Self {
        Self {
            cpu_millis: 1_000,
            memory_mib: 512,
            ephemeral_mib: 512,
            shm_mib: 64,
            pids: 1_024,
            gpus: 0,
            gpu_devices: Vec::new(),
        }
    }
}

/// A port on which the container listens, and who of the lease reaches it. The way from outside is the router's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// The container's port.
    pub number: u16,
    /// Transport.
    pub protocol: Protocol,
    /// The number at which the lease's other services reach it (`as` in the manifest).
    pub external: u16,
    /// The services that may connect; empty for all of the lease.
    pub to: Vec<String>,
}

impl Port {
    /// A port that all services of the lease reach at its own number.
    #[must_use]
    pub const fn new(number: u16, protocol: Protocol) -> Self {
        Self { number, protocol, external: number, to: Vec::new() }
    }
}

/// Transport of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP, HTTP included.
    Tcp,
    /// UDP; cannot be probed, so it never delays readiness.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// A mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Unique in its service; a persistent volume is found again by it.
    pub name: String,
    /// Absolute path in the container.
    pub path: String,
    /// Size limit in MiB.
    pub size_mib: u32,
    /// What it lives on.
    pub kind: VolumeKind,
    /// No writing.
    pub read_only: bool,
}

/// What happens when a container's process ends. The engine restarts with growing pauses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Started again whatever the exit code.
    #[default]
    Always,
    /// Started again unless it ended with 0.
    OnFailure,
    /// Left as it is.
    Never,
}
