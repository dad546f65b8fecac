//! Where the engine is and what the node's owner decided.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use iono_runtime::Vault;

use crate::Pool;

/// Settings of a [`crate::DockerRuntime`].
#[derive(Debug, Clone)]
pub struct DockerConfig {
    /// The engine's Unix socket.
    pub socket: PathBuf,
    /// The provider's key for labels and manifests; says who the owner is.
    pub vault: Vault,
    /// Volumes and kept logs live here. To lose it is to lose tenants' volumes; nothing else depends on it.
    pub data_dir: PathBuf,
    /// A tmpfs for secrets; the first of `/run/ionosphere` and `/dev/shm/ionosphere` that is in memory when `None`.
    pub memory_dir: Option<PathBuf>,
    /// Addresses for the leases' networks; must not be in use elsewhere on the node's networks.
    pub addresses: Pool,
    /// Name servers for containers; the engine's own choice when empty.
    pub dns: Vec<IpAddr>,
    /// Whether containers are kept away from private networks.
    pub egress: Egress,
    /// How often writable layers are measured.
    pub quota_interval: Duration,
    /// MiB of log that the engine keeps of each container, in two files.
    pub log_mib: u32,
}

/// What holds containers back from private networks, the host and other leases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Egress {
    /// This runtime's own iptables rules; without the right to set them nothing is started.
    #[default]
    Guard,
    /// Something outside: a firewall that the node's owner runs.
    External,
}

impl DockerConfig {
    /// The usual settings.
    #[must_use]
    pub fn new(vault: Vault, data_dir: impl Into<PathBuf>) -> Self {
        Self {
            socket: PathBuf::from("/var/run/docker.sock"),
            vault,
            data_dir: data_dir.into(),
            memory_dir: None,
            addresses: Pool::default(),
            dns: Vec::new(),
            egress: Egress::Guard,
            quota_interval: Duration::from_secs(5),
            log_mib: 20,
        }
    }
}
