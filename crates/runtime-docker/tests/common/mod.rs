//! The Docker engine of the machine as the backend under test; what is left of a lease is asked with other means than
//! the runtime's own.

#![allow(dead_code, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use iono_primitives::{LeaseId, ProviderId};
use iono_runtime::conformance::Harness;
use iono_runtime::conformance::image;
pub(crate) use iono_runtime::conformance::image::{NAME as IMAGE, output};
use iono_runtime::{Owner, Runtime, Vault};
use iono_runtime_docker::{DockerConfig, DockerRuntime};

pub(crate) struct Docker {
    pub(crate) dir: tempfile::TempDir,
    runtime: Arc<DockerRuntime>,
}

/// The owner of everything that this process makes: one owner has one runtime at a time.
pub(crate) fn owner() -> Owner {
    // A child process that is to be killed works for its parent's owner.
    let provider = std::env::var("IONO_TEST_PROVIDER").ok().and_then(|id| id.parse().ok());
    let provider = provider.unwrap_or_else(std::process::id);
    Owner { chain_id: 31_337, registry: [0xd0; 20].into(), provider: ProviderId(provider) }
}

pub(crate) fn vault() -> Vault {
    Vault::new(&[9; 32], owner())
}

pub(crate) fn config(data_dir: &Path) -> DockerConfig {
    DockerConfig {
        quota_interval: Duration::from_millis(500),
        log_mib: 1,
        ..DockerConfig::new(vault(), data_dir)
    }
}

impl Docker {
    pub(crate) fn new() -> Self {
        image::ensure();
        let dir = tempfile::tempdir().unwrap();
        let runtime = Arc::new(DockerRuntime::new(config(dir.path())));
        Self { dir, runtime }
    }
}

#[async_trait]
impl Harness for Docker {
    fn runtime(&self) -> Arc<dyn Runtime> {
        Arc::clone(&self.runtime) as Arc<dyn Runtime>
    }

    fn forgetful(&self) -> Arc<dyn Runtime> {
        Arc::new(DockerRuntime::new(config(&self.dir.path().join("empty"))))
    }

    fn unreachable(&self) -> Arc<dyn Runtime> {
        let socket = PathBuf::from("/nowhere/docker.sock");
        Arc::new(DockerRuntime::new(DockerConfig { socket, ..config(self.dir.path()) }))
    }

    fn image(&self) -> String {
        IMAGE.to_owned()
    }

    async fn leftovers(&self, lease: LeaseId) -> Vec<String> {
        let (filter, format) = (format!("label=network.ionosphere.lease={lease}"), "{{json .}}");
        let mut found = String::new();
        for what in ["container", "network", "volume"] {
            let all: &[&str] = if what == "container" { &["-a"] } else { &[] };
            let args =
                [&[what, "ls"], all, &["--no-trunc", "--filter", &filter, "--format", format]].concat();
            let args: Vec<&str> =
                args.into_iter().filter(|arg| what != "volume" || *arg != "--no-trunc").collect();
            found += &output("docker", &args);
        }
        let (part, end) = (format!("/{lease}/"), format!("/{lease}"));
        let ours = |line: &&str| line.contains(&part) || line.ends_with(&end);
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
        found.extend(mounts.lines().filter(ours).map(|line| format!("mount {line}\n")));
        for root in [self.dir.path().to_str().unwrap(), "/run/ionosphere", "/dev/shm/ionosphere"] {
            let files = output("find", &[root]);
            found.extend(files.lines().filter(ours).map(|line| format!("file {line}\n")));
        }
        let loops = output("losetup", &["-a", "-l", "-n", "-O", "BACK-FILE"]);
        found.extend(loops.lines().filter(ours).map(|line| format!("loop {line}\n")));
        found.lines().map(str::to_owned).collect()
    }
}
