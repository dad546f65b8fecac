//! The container engine that the owner chose.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use iono_host::engine;
use iono_runtime::{Runtime, Vault};
use iono_runtime_docker::DockerRuntime;
use iono_runtime_kubernetes::{ClusterConfig, KubernetesConfig, KubernetesRuntime};

use iono_host::config::{Config, Engine};

/// Every place where this program may be told to die, for tests.
#[must_use]
pub fn all_fail_points() -> Vec<&'static [&'static str]> {
    vec![
        crate::FAIL_POINTS,
        iono_host::FAIL_POINTS,
        iono_chain::FAIL_POINTS,
        iono_runtime_docker::FAIL_POINTS,
        iono_runtime_kubernetes::FAIL_POINTS,
    ]
}

/// The engine of `config`; it is not asked anything yet.
///
/// # Errors
/// When its settings cannot be used: the message names the key.
pub async fn open(config: &Config, vault: Vault) -> Result<Arc<dyn Runtime>> {
    Ok(match config.runtime.engine {
        Engine::Docker => Arc::new(DockerRuntime::new(engine::docker(config, vault)?)),
        Engine::Kubernetes => {
            let kubernetes = &config.runtime.kubernetes;
            let cluster =
                ClusterConfig::load(kubernetes.kubeconfig.as_deref(), kubernetes.context.as_deref());
            let cluster = cluster.await.context("runtime.kubernetes.kubeconfig cannot be used")?;
            Arc::new(KubernetesRuntime::new(cluster, self::kubernetes(config, vault)))
        }
    })
}

fn kubernetes(config: &Config, vault: Vault) -> KubernetesConfig {
    let kubernetes = &config.runtime.kubernetes;
    KubernetesConfig {
        namespace: kubernetes.namespace.clone(),
        routers: kubernetes.routers.clone(),
        storage_class: kubernetes.storage_class.clone(),
        dns: config.runtime.dns.clone(),
        runtime_class: kubernetes.runtime_class.clone(),
        nodes: kubernetes.nodes.clone(),
        probe_image: kubernetes.probe_image.clone(),
        private_registries: kubernetes.private_registries.clone(),
        gpu_resource: kubernetes.gpu_resource.clone(),
        ..KubernetesConfig::new(vault, config.engine_dir())
    }
}
