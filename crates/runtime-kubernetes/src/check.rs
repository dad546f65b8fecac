//! What the cluster is, and which limits hold there; whether it keeps network policies is tried with two pods.

use iono_runtime::{Capabilities, Enforcement, Limit, RuntimeError};
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams};

use crate::cluster::ask;
use crate::inner::Inner;

impl Inner {
    /// See [`iono_runtime::Runtime::check`].
    pub(crate) async fn check(&self) -> Result<Capabilities, RuntimeError> {
        self.in_sight().await?;
        let client = self.cluster.client().await?;
        let version = ask(client.apiserver_version()).await?;
        let nodes = self.nodes().await?;
        let held = |limit, enforced, note: &str| Enforcement { limit, enforced, note: note.to_owned() };
        let class = self.config.storage_class.as_deref().unwrap_or("the cluster's default");
        let limits = vec![
            held(Limit::Cpu, true, "the kubelet's quota of each container"),
            held(Limit::Memory, true, "the kubelet's limit of each container"),
            held(Limit::Pids, true, "podPidsLimit of the kubelets; a manifest has no say"),
            held(Limit::EphemeralDisk, true, "the kubelet ends a pod that wrote more, seconds later"),
            held(Limit::VolumeSize, true, &format!("as far as storage class `{class}` keeps sizes")),
            self.policies().await?,
            held(Limit::SecretFiles, true, "the kubelet mounts them from memory"),
            gpu_support(&nodes, &self.config.gpu_resource),
        ];
        let details = nodes.iter().map(|node| {
            let name = node.metadata.name.as_deref().unwrap_or_default();
            let info = node.status.as_ref().and_then(|status| status.node_info.as_ref());
            let info = info.map(|i| {
                format!("{}, kernel {}, {}", i.kubelet_version, i.kernel_version, i.container_runtime_version)
            });
            format!("node {name}: {}", info.unwrap_or_default())
        });
        Ok(Capabilities {
            engine: "kubernetes".to_owned(),
            version: version.git_version,
            api_version: format!("{}.{}", version.major, version.minor),
            details: details.collect(),
            limits,
        })
    }

    pub(crate) async fn nodes(&self) -> Result<Vec<Node>, RuntimeError> {
        let nodes: Api<Node> = Api::all(self.cluster.client().await?);
        let labels: Vec<String> =
            self.config.nodes.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Ok(ask(nodes.list(&ListParams::default().labels(&labels.join(",")))).await?.items)
    }

    /// See [`iono_runtime::Runtime::gpu_support`].
    pub(crate) async fn gpu_support(&self) -> Result<Enforcement, RuntimeError> {
        Ok(gpu_support(&self.nodes().await?, &self.config.gpu_resource))
    }
}

fn gpu_support(nodes: &[Node], resource: &str) -> Enforcement {
    let count = nodes
        .iter()
        .filter_map(|node| node.status.as_ref()?.allocatable.as_ref()?.get(resource)?.0.parse::<u64>().ok())
        .sum::<u64>();
    let note = match count {
        0 => format!("no node has {resource}: install the vendor's device plugin"),
        _ => format!("{count} of {resource}, assigned by the vendor's device plugin"),
    };
    Enforcement { limit: Limit::Gpu, enforced: count > 0, note }
}
