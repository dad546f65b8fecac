//! What the cluster's owner decided.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use iono_runtime::{RuntimeError, Vault};
use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::cluster::words;

/// Settings of the objects that leases are made of.
#[derive(Debug, Clone)]
pub struct KubernetesConfig {
    /// The provider's key for fingerprints and manifests; says who the owner is.
    pub vault: Vault,
    /// Where kept logs and the cluster's identity lie.
    pub data_dir: PathBuf,
    /// The namespace of the provider's own pods: its router reaches leases from there. What comes from a node itself
    /// reaches the pods of that node.
    pub namespace: String,
    /// Blocks of addresses that the router comes from where it runs outside of the cluster, or in its hosts' network.
    pub routers: Vec<String>,
    /// Class of persistent volumes; the cluster's default when `None`.
    pub storage_class: Option<String>,
    /// Name servers outside the cluster's own DNS pods, such as one on each node.
    pub dns: Vec<IpAddr>,
    /// What runs the containers (`gvisor`, `kata`); the cluster's default when `None`.
    pub runtime_class: Option<String>,
    /// Labels of the nodes that leases may run on.
    pub nodes: BTreeMap<String, String>,
    /// An image with a shell and `nc`, to try network policies with.
    pub probe_image: Option<String>,
    /// Registries, as images name them (`localhost:5000`), that leases may use although they are on a private network.
    pub private_registries: BTreeSet<String>,
    /// What a node calls its cards among its resources: `nvidia.com/gpu`, `amd.com/gpu`.
    pub gpu_resource: String,
}

impl KubernetesConfig {
    /// The usual settings.
    #[must_use]
    pub fn new(vault: Vault, data_dir: impl Into<PathBuf>) -> Self {
        Self {
            vault,
            data_dir: data_dir.into(),
            probe_image: None,
            namespace: "ionosphere".to_owned(),
            routers: Vec::new(),
            storage_class: None,
            dns: Vec::new(),
            runtime_class: None,
            nodes: BTreeMap::new(),
            private_registries: BTreeSet::new(),
            gpu_resource: "nvidia.com/gpu".to_owned(),
        }
    }
}

/// How a cluster is reached.
pub struct ClusterConfig;

impl ClusterConfig {
    /// From a file (and one of its contexts); without one from `KUBECONFIG`, the usual file, or the pod that this runs in.
    ///
    /// # Errors
    /// When there is none or it cannot be read: says which.
    pub async fn load(file: Option<&Path>, context: Option<&str>) -> Result<kube::Config, RuntimeError> {
        let options =
            KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
        let unusable = |error: &dyn std::error::Error| RuntimeError::Refused(words(error));
        match file {
            Some(file) => {
                let kubeconfig = Kubeconfig::read_from(file).map_err(|error| unusable(&error))?;
                kube::Config::from_custom_kubeconfig(kubeconfig, &options)
                    .await
                    .map_err(|error| unusable(&error))
            }
            None if context.is_some() => {
                kube::Config::from_kubeconfig(&options).await.map_err(|error| unusable(&error))
            }
            None => kube::Config::infer().await.map_err(|error| unusable(&error)),
        }
    }
}
