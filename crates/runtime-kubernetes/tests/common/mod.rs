//! A real cluster as the backend under test: the one of `KUBECONFIG`, or the one that `deploy/testbed/cluster up` starts.
//! What is left of a lease is asked with kubectl.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::print_stderr)]

pub(crate) mod attempts;
pub(crate) mod outside;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use futures::FutureExt;
use iono_primitives::{LeaseId, ProviderId};
use iono_runtime::conformance::Harness;
use iono_runtime::conformance::image::{self, output};
use iono_runtime::{Owner, Runtime, Vault};
use iono_runtime_kubernetes::{KubernetesConfig, KubernetesRuntime};
use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};

/// What the test cluster allows each pod.
const PROCESSES: usize = 256;

pub(crate) struct Cluster {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) config: Config,
    /// Made when it is asked for: tests of two runtimes want no third one to lend a hand.
    runtime: OnceLock<Arc<KubernetesRuntime>>,
}

/// The owner of everything that this process makes.
pub(crate) fn owner() -> Owner {
    // A child process that is to be killed works for its parent's owner.
    let provider = std::env::var("IONO_TEST_PROVIDER").ok().and_then(|id| id.parse().ok());
    let provider = provider.unwrap_or_else(std::process::id);
    Owner { chain_id: 31_337, registry: [0xe0; 20].into(), provider: ProviderId(provider) }
}

pub(crate) fn kubeconfig() -> PathBuf {
    if let Some(path) = std::env::var_os("KUBECONFIG") {
        return path.into();
    }
    let cache = std::env::var_os("IONO_CACHE").map(PathBuf::from);
    let cache =
        cache.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/ionosphere"));
    cache.join("kubernetes/run/admin.conf")
}

/// The image in the cluster: ours is loaded once, another cluster has to have one.
fn image() -> String {
    if let Ok(image) = std::env::var("IONO_TEST_IMAGE") {
        return image;
    }
    image::ensure();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let loaded = kubeconfig().with_file_name("test-image");
    let lock =
        std::fs::File::create(loaded.with_extension("lock")).expect("a cluster: deploy/testbed/cluster up");
    lock.lock().unwrap();
    if !loaded.exists() {
        let script = root.join("deploy/testbed/cluster");
        assert!(Command::new(script).args(["load", image::NAME]).status().unwrap().success());
        std::fs::write(loaded, "").unwrap();
    }
    format!("docker.io/{}", image::NAME)
}

pub(crate) fn kubectl(args: &[&str]) -> String {
    let config = format!("--kubeconfig={}", kubeconfig().display());
    output("kubectl", &[&[config.as_str()], args].concat())
}

/// What a kubeconfig leads to.
pub(crate) fn config_of(file: &Path) -> Config {
    let yaml = std::fs::read_to_string(file).expect("a cluster: start one with deploy/testbed/cluster up");
    let kubeconfig = Kubeconfig::from_yaml(&yaml).unwrap();
    let options = KubeConfigOptions::default();
    // Reads files alone, yet as a future.
    Config::from_custom_kubeconfig(kubeconfig, &options).now_or_never().unwrap().unwrap()
}

impl Cluster {
    pub(crate) fn new() -> Self {
        let config = config_of(&kubeconfig());
        let dir = tempfile::tempdir().unwrap();
        Self { dir, config, runtime: OnceLock::new() }
    }
}

pub(crate) fn settings(dir: &Path) -> KubernetesConfig {
    let vault = Vault::new(&[9; 32], owner());
    // The test cluster serves names on the node itself.
    KubernetesConfig {
        dns: vec!["10.245.0.1".parse().unwrap()],
        probe_image: Some(image()),
        private_registries: ["localhost:5000", "localhost:1"].map(str::to_owned).into(),
        ..KubernetesConfig::new(vault, dir)
    }
}

#[async_trait]
impl Harness for Cluster {
    fn runtime(&self) -> Arc<dyn Runtime> {
        let make = || Arc::new(KubernetesRuntime::new(self.config.clone(), settings(self.dir.path())));
        Arc::clone(self.runtime.get_or_init(make)) as Arc<dyn Runtime>
    }

    fn forgetful(&self) -> Arc<dyn Runtime> {
        Arc::new(KubernetesRuntime::new(self.config.clone(), settings(&self.dir.path().join("empty"))))
    }

    fn unreachable(&self) -> Arc<dyn Runtime> {
        let mut config = self.config.clone();
        config.cluster_url = "https://127.0.0.1:1".parse().unwrap();
        Arc::new(KubernetesRuntime::new(config, settings(self.dir.path())))
    }

    fn processes(&self, _: usize) -> usize {
        PROCESSES
    }

    fn image(&self) -> String {
        image()
    }

    async fn leftovers(&self, lease: LeaseId) -> Vec<String> {
        let selector = format!("network.ionosphere/lease={lease}");
        let kinds =
            "namespaces,deployments,statefulsets,jobs,pods,persistentvolumeclaims,services,networkpolicies";
        let seen = kubectl(&["get", kinds, "-A", "-l", &selector, "-o", "json"]);
        let seen: serde_json::Value = serde_json::from_str(&seen).unwrap();
        let seen = seen["items"].as_array().unwrap().iter().map(ToString::to_string);
        let secrets = kubectl(&["get", "secrets", "-A", "-l", &selector, "-o", "name"]);
        seen.chain(secrets.lines().map(str::to_owned)).collect()
    }
}
