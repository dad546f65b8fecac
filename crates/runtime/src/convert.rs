//! From a lease's manifest to its workload.

use std::time::Duration;

use iono_manifest::{LeaseManifest, Protocol as Exposed};
use iono_primitives::LeaseId;

use crate::{Port, Protocol, RuntimeError, Service, ServiceLimits, Volume, VolumeKind, Workload};

/// Where a memory volume is the container's shared memory rather than a mount of its own.
const SHARED_MEMORY: &str = "/dev/shm";
/// MiB of shared memory when the manifest says nothing, as with Docker.
const DEFAULT_SHM: u32 = 64;
/// Processes and threads for each started core.
const PIDS_PER_CORE: u32 = 1_024;

impl Workload {
    /// The workload that `manifest` describes. GPUs have to be chosen by the caller
    /// ([`ServiceLimits::gpu_devices`]).
    ///
    /// # Errors
    /// [`RuntimeError::Refused`] for what no backend can do: leased IP endpoints.
    pub fn from_manifest(
        lease: LeaseId,
        manifest_hash: impl Into<String>,
        manifest: &LeaseManifest,
    ) -> Result<Self, RuntimeError> {
        if let Some(endpoint) = manifest.endpoints.first() {
            let text = format!(
                "the manifest leases the IP endpoint `{endpoint}`, but this provider has no address pool"
            );
            return Err(RuntimeError::Refused(text));
        }
        let services = manifest.services.iter().map(service).collect();
        Ok(Self { lease, manifest_hash: manifest_hash.into(), services })
    }
}

fn service(from: &iono_manifest::Service) -> Service {
    let shm =
        from.volumes.iter().find(|volume| is_shared_memory(volume)).map_or(DEFAULT_SHM, |volume| volume.size);
    let resources = &from.resources;
    Service {
        credentials: from.credentials.clone(),
        pull: from.pull_policy,
        command: from.command.clone(),
        args: from.args.clone(),
        env: from.env.clone(),
        secrets: from.files.clone(),
        replicas: u32::from(from.count),
        limits: ServiceLimits {
            cpu_millis: resources.cpu,
            memory_mib: resources.memory,
            ephemeral_mib: resources.ephemeral,
            shm_mib: shm.min(resources.memory),
            pids: resources.cpu.div_ceil(1_000).clamp(1, 16) * PIDS_PER_CORE,
            gpus: resources.gpu.as_ref().map_or(0, |gpu| gpu.count),
            gpu_devices: Vec::new(),
        },
        ports: ports(from),
        volumes: from.volumes.iter().filter(|volume| !is_shared_memory(volume)).map(volume).collect(),
        drain: Duration::from_secs(10),
        ..Service::new(&from.name, &from.image)
    }
}

fn is_shared_memory(volume: &iono_manifest::Volume) -> bool {
    volume.kind == VolumeKind::Ram && volume.mount.trim_end_matches('/') == SHARED_MEMORY
}

fn ports(from: &iono_manifest::Service) -> Vec<Port> {
    let port = |expose: &iono_manifest::Expose| Port {
        number: expose.port,
        protocol: match expose.protocol {
            Exposed::Http | Exposed::Tcp => Protocol::Tcp,
            Exposed::Udp => Protocol::Udp,
        },
        external: expose.external,
        to: expose.to.clone(),
    };
    from.expose.iter().map(port).collect()
}

fn volume(from: &iono_manifest::Volume) -> Volume {
    Volume {
        name: from.name.clone(),
        path: from.mount.clone(),
        size_mib: from.size,
        kind: from.kind,
        read_only: from.read_only,
    }
}
