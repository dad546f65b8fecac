//! Which engine runs the leases, and what there is to say about a cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::PathBuf;

use iono_primitives::StorageClass;
use serde::{Deserialize, Serialize};

use super::ConfigError;

/// What runs the containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Docker on this machine.
    #[default]
    Docker,
    /// A Kubernetes cluster.
    Kubernetes,
}

/// A cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Kubernetes {
    /// How to reach the cluster; where the daemon runs in a pod of it, or `KUBECONFIG` says it, it can be left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<PathBuf>,
    /// One of the file's contexts; its current one when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// The provider's own namespace: sealed manifests lie there, and the router's pods reach leases from there.
    pub namespace: String,
    /// Blocks of addresses that this daemon's router comes from, where that is neither a pod of `namespace` nor the node
    /// that a lease runs on: leases let them in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routers: Vec<String>,
    /// Class of persistent volumes; the cluster's default when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub storage_class: Option<String>,
    /// What kind of disk leases get: `hdd`, `ssd`, `nvme` by the owner's word, `any` for what the nodes' agents find.
    pub storage_tier: StorageClass,
    /// What runs the containers (`gvisor`, `kata`); the cluster's default when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime_class: Option<String>,
    /// Labels of the nodes that leases may run on; all nodes when empty.
    pub nodes: BTreeMap<String, String>,
    /// Registries, as images name them, that leases may use although they are on a private network.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub private_registries: BTreeSet<String>,
    /// What a node calls its cards among its resources: `nvidia.com/gpu`, `amd.com/gpu`.
    pub gpu_resource: String,
    /// An image with a shell and `nc`, to try whether the cluster keeps network policies. Without it no bids are made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe_image: Option<String>,
}

impl Kubernetes {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let wrong = |block: &&String| !is_block(block);
        match self.routers.iter().find(wrong) {
            Some(block) => Err(ConfigError::Value {
                key: "runtime.kubernetes.routers",
                why: format!("`{block}` is no block of addresses; write 192.0.2.7/32"),
            }),
            None => Ok(()),
        }
    }
}

/// Whether it is an address and a number of leading bits that the address can have.
fn is_block(text: &str) -> bool {
    let parsed = text.split_once('/').and_then(|(address, bits)| {
        let (address, bits): (IpAddr, u32) = (address.parse().ok()?, bits.parse().ok()?);
        Some(bits <= if address.is_ipv4() { 32 } else { 128 })
    });
    parsed.unwrap_or(false)
}

impl Default for Kubernetes {
    fn default() -> Self {
        Self {
            kubeconfig: None,
            context: None,
            namespace: "ionosphere".to_owned(),
            routers: Vec::new(),
            storage_class: None,
            storage_tier: StorageClass::Any,
            runtime_class: None,
            nodes: BTreeMap::new(),
            private_registries: BTreeSet::new(),
            gpu_resource: "nvidia.com/gpu".to_owned(),
            probe_image: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routers_are_blocks_of_addresses() {
        for block in ["192.0.2.7/32", "10.0.0.0/8", "2001:db8::/64"] {
            assert!(is_block(block), "{block}");
        }
        for other in ["192.0.2.7", "192.0.2.7/33", "2001:db8::/129", "host/8", "10.0.0.0/-1", ""] {
            assert!(!is_block(other), "{other}");
        }
        let config = Kubernetes { routers: vec!["host".to_owned()], ..Kubernetes::default() };
        assert!(config.validate().unwrap_err().to_string().contains("routers: `host`"));
    }
}
