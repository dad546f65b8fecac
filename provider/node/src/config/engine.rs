//! Which engine runs the leases, and what there is to say about a cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use iono_primitives::StorageClass;
use serde::{Deserialize, Serialize};

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

impl Default for Kubernetes {
    fn default() -> Self {
        Self {
            kubeconfig: None,
            context: None,
            namespace: "ionosphere".to_owned(),
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
