//! One replica as the engine shall create it: limits, rights, mounts, address.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, DeviceRequest, EndpointIpamConfig, EndpointSettings, HostConfig,
    HostConfigLogConfig, Mount, NetworkingConfig, ResourcesUlimits, RestartPolicy as EnginePolicy,
    RestartPolicyNameEnum,
};
use iono_primitives::LeaseId;
use iono_runtime::isolation::CAPABILITIES;
use iono_runtime::{RestartPolicy, RuntimeError, Service};

use crate::inner::Inner;
use crate::labels::Container;

/// Below what an engine usually has itself: beyond that a container does not start.
const OPEN_FILES: i64 = 16_384;

fn mib(n: u32) -> i64 {
    i64::from(n) << 20
}

/// The service as one of its replicas sees it: with its own GPUs, without what does not make the container.
pub(crate) fn of_replica(service: &Service, replica: u32) -> Service {
    let gpus = usize::from(service.limits.gpus);
    let first = usize::try_from(replica).unwrap_or(usize::MAX).saturating_mul(gpus);
    let mut own = service.clone();
    own.limits.gpu_devices = service.limits.gpu_devices.iter().skip(first).take(gpus).cloned().collect();
    own
}

impl Inner {
    /// A keyed hash of what makes the container: it changes exactly when the container has to be replaced.
    pub(crate) fn spec_hash(&self, own: &Service, image_id: &str) -> Result<String, RuntimeError> {
        let neutral = Service::new("", "");
        let stable = Service {
            replicas: 0,
            credentials: None,
            pull: neutral.pull,
            drain: neutral.drain,
            ready_within: neutral.ready_within,
            ..own.clone()
        };
        let bytes = serde_json::to_vec(&(stable, image_id))
            .map_err(|error| RuntimeError::Refused(error.to_string()))?;
        Ok(self.config.vault.fingerprint(&bytes))
    }

    /// What the engine is asked to create.
    pub(crate) fn create_body(
        &self,
        own: &Service,
        container: &Container,
        mounts: Vec<Mount>,
    ) -> ContainerCreateBody {
        let address = EndpointSettings {
            ipam_config: Some(EndpointIpamConfig {
                ipv4_address: Some(container.address.to_string()),
                ..Default::default()
            }),
            aliases: Some(vec![own.name.clone(), format!("{}-{}", own.name, container.replica)]),
            ..Default::default()
        };
        let network = self.names.network(container.lease);
        let words = |words: &Vec<String>| (!words.is_empty()).then(|| words.clone());
        ContainerCreateBody {
            hostname: Some(format!("{}-{}", own.name, container.replica)),
            image: Some(container.image_id.clone()),
            entrypoint: words(&own.command),
            cmd: words(&own.args),
            env: Some(own.env.iter().map(|(name, value)| format!("{name}={}", value.expose())).collect()),
            labels: Some(container.labels(&self.names)),
            host_config: Some(self.host_config(own, container.lease, mounts)),
            networking_config: Some(NetworkingConfig {
                endpoints_config: Some(HashMap::from([(network, address)])),
            }),
            ..Default::default()
        }
    }

    fn host_config(&self, own: &Service, lease: LeaseId, mounts: Vec<Mount>) -> HostConfig {
        let limits = &own.limits;
        let ulimit = |name: &str, most: i64| ResourcesUlimits {
            name: Some(name.into()),
            soft: Some(most),
            hard: Some(most),
        };
        let log = HashMap::from([
            ("max-size".to_owned(), format!("{}k", u64::from(self.config.log_mib.max(1)) * 512)),
            ("max-file".to_owned(), "2".to_owned()),
        ]);
        let dns: Vec<String> = self.config.dns.iter().map(ToString::to_string).collect();
        HostConfig {
            network_mode: Some(self.names.network(lease)),
            nano_cpus: Some(i64::from(limits.cpu_millis.max(10)) * 1_000_000),
            memory: Some(mib(limits.memory_mib)),
            // The same as memory: no swap on top.
            memory_swap: Some(mib(limits.memory_mib)),
            shm_size: Some(mib(limits.shm_mib.max(1))),
            pids_limit: Some(i64::from(limits.pids)),
            ulimits: Some(vec![ulimit("nofile", OPEN_FILES), ulimit("core", 0)]),
            device_requests: (!limits.gpu_devices.is_empty()).then(|| vec![gpus(&limits.gpu_devices)]),
            cap_drop: Some(vec!["ALL".to_owned()]),
            cap_add: Some(CAPABILITIES.map(str::to_owned).to_vec()),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            readonly_rootfs: Some(own.read_only_root),
            ipc_mode: Some("private".to_owned()),
            mounts: Some(mounts),
            dns: (!dns.is_empty()).then_some(dns),
            log_config: Some(HostConfigLogConfig { typ: Some("json-file".to_owned()), config: Some(log) }),
            restart_policy: Some(policy(own.restart)),
            ..Default::default()
        }
    }
}

fn gpus(devices: &[String]) -> DeviceRequest {
    DeviceRequest {
        driver: Some("nvidia".to_owned()),
        device_ids: Some(devices.to_vec()),
        capabilities: Some(vec![vec!["gpu".to_owned()]]),
        ..Default::default()
    }
}

fn policy(restart: RestartPolicy) -> EnginePolicy {
    let name = match restart {
        RestartPolicy::Always => RestartPolicyNameEnum::ALWAYS,
        RestartPolicy::OnFailure => RestartPolicyNameEnum::ON_FAILURE,
        RestartPolicy::Never => RestartPolicyNameEnum::NO,
    };
    EnginePolicy { name: Some(name), maximum_retry_count: None }
}

/// Refuses what no node can run, before anything is made.
pub(crate) fn check(service: &Service) -> Result<(), RuntimeError> {
    let refuse = |text: String| Err(RuntimeError::Refused(format!("service `{}`: {text}", service.name)));
    let limits = &service.limits;
    let label = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let is_label = |name: &str| (1..=63).contains(&name.len()) && name.bytes().all(label);
    if !is_label(&service.name) {
        return refuse("the name is no DNS label".to_owned());
    }
    if !is_image(&service.image) {
        return refuse(format!("`{}` is no image reference", service.image));
    }
    if service.replicas == 0 || service.replicas > 1_000 {
        return refuse(format!("{} replicas; 1 to 1000 are possible", service.replicas));
    }
    if limits.memory_mib < 6 {
        return refuse(format!(
            "{} MiB of memory; at least 6 MiB are needed to start a container",
            limits.memory_mib
        ));
    }
    let devices = u64::from(limits.gpus) * u64::from(service.replicas);
    if devices != u64::try_from(limits.gpu_devices.len()).unwrap_or(u64::MAX) {
        return refuse(format!("{devices} GPUs are asked for, {} were assigned", limits.gpu_devices.len()));
    }
    for volume in &service.volumes {
        if !is_label(&volume.name) || !is_path(&volume.path) {
            return refuse(format!(
                "the volume `{}` at `{}` has no usable name and path",
                volume.name, volume.path
            ));
        }
    }
    match service.secrets.iter().find(|secret| !is_path(&secret.path)) {
        Some(secret) => refuse(format!("the secret file `{}` is no absolute path", secret.path)),
        None => Ok(()),
    }
}

/// The characters of an image reference; it becomes part of a request's path to the engine.
fn is_image(image: &str) -> bool {
    let known = |b: u8| b.is_ascii_alphanumeric() || b"._/:@-".contains(&b);
    let parts = image.split('/').all(|part| part.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric));
    image.len() <= 512 && image.bytes().all(known) && parts
}

fn is_path(path: &str) -> bool {
    path.len() > 1
        && path.starts_with('/')
        && !path.split('/').any(|part| part == "..")
        && !path.contains('\0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_replica_gets_its_own_gpus() {
        let mut service = Service::new("a", "i");
        service.limits.gpus = 2;
        service.limits.gpu_devices = ["0", "1", "2", "3"].map(str::to_owned).to_vec();
        assert_eq!(of_replica(&service, 1).limits.gpu_devices, ["2", "3"]);
        service.replicas = 2;
        assert!(check(&service).is_ok());
        service.replicas = 3;
        assert!(check(&service).is_err());
    }

    #[test]
    fn refuses_names_and_paths_that_lead_elsewhere() {
        for (name, path) in [("../x", "/a"), ("a", "/a/../../etc"), ("a", "relative"), ("", "/a")] {
            let mut service = Service::new("web", "i");
            service.volumes.push(iono_runtime::Volume {
                name: name.to_owned(),
                path: path.to_owned(),
                size_mib: 1,
                kind: iono_runtime::VolumeKind::Persistent,
                read_only: false,
            });
            assert!(check(&service).is_err(), "{name} {path}");
        }
        assert!(check(&Service::new("We b", "i")).is_err());
        for image in ["../containers/x", "a/../b", "a?b", "a#b", "a b", "", "a//b", "/a"] {
            assert!(check(&Service::new("web", image)).is_err(), "{image}");
        }
        for image in ["nginx", "host:5000/a/b_c.d-e:1.2@sha256:00", "127.0.0.1:1/a"] {
            assert!(check(&Service::new("web", image)).is_ok(), "{image}");
        }
    }
}
