//! What this engine is and which limits hold here; `provider check` shows it.

use std::path::Path;

use bollard::models::SystemInfo;
use iono_runtime::{Capabilities, Enforcement, Limit, RuntimeError};

use crate::engine::{Engine, sort};
use crate::inner::Inner;
use crate::volumes;

fn enforcement(limit: Limit, enforced: bool, note: impl Into<String>) -> Enforcement {
    Enforcement { limit, enforced, note: note.into() }
}

fn cgroup(limit: Limit, has: Option<bool>) -> Enforcement {
    match has {
        Some(false) => {
            enforcement(limit, false, "the kernel's cgroup controller for it is off; enable it at boot")
        }
        _ => enforcement(limit, true, "cgroup"),
    }
}

impl Inner {
    /// See [`iono_runtime::Runtime::check`].
    pub(crate) async fn check(&self) -> Result<Capabilities, RuntimeError> {
        let docker = self.engine.docker()?;
        let (version, info) = tokio::join!(docker.version(), docker.info());
        let (version, info) = (version.map_err(sort)?, info.map_err(sort)?);
        let egress = match self.guard.probe().await {
            Ok(note) => enforcement(Limit::Egress, true, note),
            Err(note) => enforcement(Limit::Egress, false, note),
        };
        let seconds = self.config.quota_interval.as_secs_f32();
        let disk = format!("measured every {seconds} s; a container that wrote more is stopped");
        let limits = vec![
            cgroup(Limit::Cpu, info.cpu_cfs_quota),
            cgroup(Limit::Memory, info.memory_limit),
            cgroup(Limit::Pids, info.pids_limit),
            enforcement(Limit::EphemeralDisk, true, disk),
            volume_size(),
            egress,
            match &self.memory_dir {
                Ok(dir) => enforcement(Limit::SecretFiles, true, format!("in memory at {}", dir.display())),
                Err(why) => enforcement(Limit::SecretFiles, false, why),
            },
            gpu(&info),
        ];
        let details = details(&info);
        Ok(Capabilities {
            engine: "docker".to_owned(),
            version: version.version.unwrap_or_default(),
            api_version: version.api_version.unwrap_or_default(),
            details,
            limits,
        })
    }
}

fn volume_size() -> Enforcement {
    let missing: Vec<_> =
        ["mkfs.ext4", "e2fsck", "resize2fs", "mount", "umount"].into_iter().filter(|p| !has(p)).collect();
    if !volumes::can_bound() {
        return enforcement(
            Limit::VolumeSize,
            false,
            "volumes are not bounded in size; run as root to bound them",
        );
    }
    if missing.is_empty() {
        return enforcement(
            Limit::VolumeSize,
            true,
            "each volume is a file system of its own in a preallocated file",
        );
    }
    enforcement(
        Limit::VolumeSize,
        false,
        format!("missing: {}; install e2fsprogs and mount", missing.join(", ")),
    )
}

/// Whether a program is on the path.
fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

/// As [`iono_runtime::Runtime::gpu_support`].
pub(crate) async fn gpu_support(engine: &Engine) -> Result<Enforcement, RuntimeError> {
    Ok(gpu(&engine.docker()?.info().await.map_err(sort)?))
}

fn gpu(info: &SystemInfo) -> Enforcement {
    let nvidia = info.runtimes.iter().flatten().any(|(name, _)| name == "nvidia");
    if nvidia {
        return enforcement(Limit::Gpu, true, "assigned by UUID through the NVIDIA container runtime");
    }
    enforcement(
        Limit::Gpu,
        false,
        "the engine has no NVIDIA runtime; install nvidia-container-toolkit to offer GPUs",
    )
}

/// Whether the engine at `socket` can assign NVIDIA's cards, for who has no runtime of his own there.
///
/// # Errors
/// [`RuntimeError::Unreachable`] when it does not answer.
pub async fn gpu_support_of(socket: &Path) -> Result<Enforcement, RuntimeError> {
    gpu_support(&Engine::new(socket.to_owned())).await
}

fn details(info: &SystemInfo) -> Vec<String> {
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "unknown".to_owned());
    let cgroup = info.cgroup_version.map_or("unknown".to_owned(), |version| version.to_string());
    vec![
        format!("kernel {}", text(&info.kernel_version)),
        format!("storage driver {}", text(&info.driver)),
        format!("cgroup version {cgroup}"),
        format!("data in {}", text(&info.docker_root_dir)),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn cards_are_assigned_by_nvidias_runtime_alone() {
        let with = |names: &[&str]| {
            let runtimes: HashMap<_, _> =
                names.iter().map(|name| ((*name).to_owned(), Default::default())).collect();
            gpu(&SystemInfo { runtimes: Some(runtimes), ..SystemInfo::default() })
        };
        assert!(with(&["runc", "nvidia"]).enforced);
        let without = with(&["runc"]);
        assert!(!without.enforced && without.note.contains("nvidia-container-toolkit"), "{without:?}");
    }
}
