//! One replica: its container, its limits and rights, what it mounts, and the secrets that it is given.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use iono_runtime::isolation::CAPABILITIES;
use iono_runtime::{Protocol, PullPolicy, RestartPolicy, RuntimeError, Service, Vault, Volume, VolumeKind};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EmptyDirVolumeSource, EnvFromSource, KeyToPath,
    LocalObjectReference, PodReadinessGate, PodSecurityContext, PodSpec, PodTemplateSpec, Probe,
    ResourceRequirements, SeccompProfile, Secret, SecretEnvSource, SecretVolumeSource, SecurityContext,
    TCPSocketAction, Volume as PodVolume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::room::{Resources, disk_mib, quantity};
use super::{Object, Scope};
use crate::names::{key, service_label};

/// Names of volumes that are not the tenant's; a manifest's volumes get a prefix.
const SHARED_MEMORY: &str = "shared-memory";
const SECRET_FILES: &str = "secret-files";
const SHARED_MEMORY_PATH: &str = "/dev/shm";
/// Most characters of a name in a pod.
const LONGEST: usize = 63;

/// The environment, the secret files and the login for the registry, apart from what everybody may list.
pub(super) fn secrets(scope: &Scope<'_>, service: &Service) -> Result<Vec<Object>, RuntimeError> {
    let mut objects = Vec::new();
    if !service.env.is_empty() {
        let values = service.env.iter().map(|(name, value)| (name.clone(), bytes(value.expose())));
        objects.push(scope.object(&environment(service), secret("Opaque", values.collect()))?);
    }
    if !service.secrets.is_empty() {
        let mut files = BTreeMap::new();
        for (index, file) in service.secrets.iter().enumerate() {
            let content = STANDARD.decode(file.content.expose()).map_err(|_| {
                RuntimeError::Refused(format!("the secret file `{}` is not base64", file.path))
            })?;
            files.insert(file_key(index), ByteString(content));
        }
        objects.push(scope.object(&files_of(service), secret("Opaque", files))?);
    }
    if let Some(login) = &service.credentials {
        let (user, password) = (login.username.expose(), login.password.expose());
        let entry = json!({"username": user, "password": password, "auth": STANDARD.encode(format!("{user}:{password}"))});
        let config = json!({"auths": {login.host.clone(): entry}}).to_string();
        let data = BTreeMap::from([(".dockerconfigjson".to_owned(), bytes(&config))]);
        objects.push(scope.object(&login_of(service), secret("kubernetes.io/dockerconfigjson", data))?);
    }
    Ok(objects)
}

/// The condition that the router is told of a replica before the cluster counts it, and that it no longer sends requests
/// to one before the cluster ends it. Thus an update drops no request.
pub(crate) const ROUTED: &str = "network.ionosphere/routed";

/// Whether replicas take over from each other, so that their order matters to the router.
pub(super) fn can_wait(service: &Service) -> bool {
    service.restart == RestartPolicy::Always
        && service.volumes.iter().all(|v| v.kind != VolumeKind::Persistent)
}

/// The label of the pods that a template makes once fresh replicas were asked for at `stamp`.
pub(crate) fn after_restart(vault: &Vault, base: &str, stamp: Option<&str>) -> String {
    stamp.map_or_else(|| base.to_owned(), |stamp| vault.fingerprint(format!("{base} {stamp}").as_bytes()))
}

/// Names what a template makes; returns the name of what it makes without a restart.
pub(super) fn mark(
    scope: &Scope<'_>,
    service: &Service,
    template: &mut PodTemplateSpec,
) -> Result<String, RuntimeError> {
    let text = serde_json::to_vec(&*template).map_err(|error| RuntimeError::Refused(error.to_string()))?;
    let base = scope.config.vault.fingerprint(&text);
    let stamp = scope.carried.restarted.get(&service.name);
    let metadata = template.metadata.get_or_insert_default();
    let label = after_restart(&scope.config.vault, &base, stamp.map(String::as_str));
    metadata.labels.get_or_insert_default().insert(key("template"), label);
    if let Some(stamp) = stamp {
        metadata.annotations.get_or_insert_default().insert(key("restarted"), stamp.clone());
    }
    Ok(base)
}

/// What each replica is made from.
pub(super) fn template(scope: &Scope<'_>, service: &Service) -> Result<PodTemplateSpec, RuntimeError> {
    let mut labels = scope.names.labels(scope.lease());
    labels.extend(service_label(&service.name));
    // Other secrets must make other pods, and say nothing of what they are.
    let secret = serde_json::to_vec(&(&service.env, &service.secrets))
        .map_err(|error| RuntimeError::Refused(error.to_string()))?;
    let annotations = BTreeMap::from([(key("secrets"), scope.config.vault.fingerprint(&secret))]);
    let metadata =
        ObjectMeta { labels: Some(labels), annotations: Some(annotations), ..ObjectMeta::default() };
    let gate = PodReadinessGate { condition_type: ROUTED.to_owned() };
    let grace = i64::try_from(service.drain.as_secs()).unwrap_or(i64::MAX);
    let spec = PodSpec {
        containers: vec![container(scope, service)],
        volumes: Some(volumes(service)),
        readiness_gates: can_wait(service).then(|| vec![gate]),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(grace),
        image_pull_secrets: service
            .credentials
            .as_ref()
            .map(|_| vec![LocalObjectReference { name: login_of(service) }]),
        node_selector: (!scope.config.nodes.is_empty()).then(|| scope.config.nodes.clone()),
        runtime_class_name: scope.config.runtime_class.clone(),
        security_context: Some(PodSecurityContext {
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                ..SeccompProfile::default()
            }),
            ..PodSecurityContext::default()
        }),
        ..PodSpec::default()
    };
    Ok(PodTemplateSpec { metadata: Some(metadata), spec: Some(spec) })
}

fn container(scope: &Scope<'_>, service: &Service) -> Container {
    // The cluster would put variables in the place of `$(NAME)`; no other engine does.
    let words = |words: &[String]| {
        (!words.is_empty()).then(|| words.iter().map(|word| word.replace("$(", "$$(")).collect())
    };
    let environment = EnvFromSource {
        secret_ref: Some(SecretEnvSource { name: environment(service), optional: Some(false) }),
        ..EnvFromSource::default()
    };
    let image = scope.carried.images.get(&service.name).unwrap_or(&service.image);
    Container {
        name: service.name.clone(),
        image: Some(image.clone()),
        image_pull_policy: Some(pull_policy(service, image).to_owned()),
        command: words(&service.command),
        args: words(&service.args),
        env_from: (!service.env.is_empty()).then(|| vec![environment]),
        ports: Some(ports(service)),
        readiness_probe: probe(service),
        resources: Some(resources(scope, service)),
        volume_mounts: Some(mounts(service)),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            privileged: Some(false),
            read_only_root_filesystem: Some(service.read_only_root),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                add: Some(CAPABILITIES.map(str::to_owned).to_vec()),
            }),
            ..SecurityContext::default()
        }),
        ..Container::default()
    }
}

/// A digest means the same image for ever: once a node has it there is nothing to ask, not even when the registry is down.
fn pull_policy(service: &Service, image: &str) -> &'static str {
    match service.pull {
        PullPolicy::Always if !image.contains('@') => "Always",
        PullPolicy::Always | PullPolicy::IfNotPresent => "IfNotPresent",
        PullPolicy::Never => "Never",
    }
}

/// What is asked for is what is allowed: nobody lives on what another lease pays for.
fn resources(scope: &Scope<'_>, service: &Service) -> ResourceRequirements {
    let limits = &service.limits;
    let mut all = Resources::from([
        ("cpu".to_owned(), quantity(format!("{}m", limits.cpu_millis))),
        ("memory".to_owned(), quantity(format!("{}Mi", limits.memory_mib))),
        ("ephemeral-storage".to_owned(), quantity(format!("{}Mi", disk_mib(service)))),
    ]);
    if limits.gpus > 0 {
        all.insert(scope.config.gpu_resource.clone(), quantity(limits.gpus.to_string()));
    }
    ResourceRequirements { limits: Some(all.clone()), requests: Some(all), ..ResourceRequirements::default() }
}

/// Each port once, though it may be exposed under several numbers: the API takes no other list.
fn ports(service: &Service) -> Vec<ContainerPort> {
    let ports: BTreeSet<(u16, Protocol)> =
        service.ports.iter().map(|port| (port.number, port.protocol)).collect();
    let port = |(number, protocol)| ContainerPort {
        container_port: i32::from(number),
        protocol: Some(if protocol == Protocol::Udp { "UDP" } else { "TCP" }.to_owned()),
        ..ContainerPort::default()
    };
    ports.into_iter().map(port).collect()
}

/// Ready when its first TCP port accepts connections; datagrams cannot be probed.
fn probe(service: &Service) -> Option<Probe> {
    let first = service.ports.iter().find(|port| port.protocol == Protocol::Tcp)?;
    Some(Probe {
        tcp_socket: Some(TCPSocketAction {
            port: IntOrString::Int(i32::from(first.number)),
            ..TCPSocketAction::default()
        }),
        period_seconds: Some(1),
        failure_threshold: Some(3),
        ..Probe::default()
    })
}

fn volumes(service: &Service) -> Vec<PodVolume> {
    let memory = |mib: u32| EmptyDirVolumeSource {
        medium: Some("Memory".to_owned()),
        size_limit: Some(quantity(format!("{mib}Mi"))),
    };
    let mut volumes = Vec::new();
    if !brings_shared_memory(service) {
        let empty_dir = Some(memory(service.limits.shm_mib));
        volumes.push(PodVolume { name: SHARED_MEMORY.to_owned(), empty_dir, ..PodVolume::default() });
    }
    for volume in &service.volumes {
        let empty_dir = match volume.kind {
            // Comes with the StatefulSet.
            VolumeKind::Persistent => continue,
            VolumeKind::Ram => memory(volume.size_mib),
            VolumeKind::Ephemeral => EmptyDirVolumeSource {
                size_limit: Some(quantity(format!("{}Mi", volume.size_mib))),
                ..EmptyDirVolumeSource::default()
            },
        };
        let name = volume_name(volume);
        volumes.push(PodVolume { name, empty_dir: Some(empty_dir), ..PodVolume::default() });
    }
    if !service.secrets.is_empty() {
        let item = |index| KeyToPath { key: file_key(index), path: file_key(index), mode: Some(0o444) };
        let source = SecretVolumeSource {
            secret_name: Some(files_of(service)),
            items: Some((0..service.secrets.len()).map(item).collect()),
            ..SecretVolumeSource::default()
        };
        volumes.push(PodVolume {
            name: SECRET_FILES.to_owned(),
            secret: Some(source),
            ..PodVolume::default()
        });
    }
    volumes
}

/// Whether a volume of the manifest lies where shared memory would.
fn brings_shared_memory(service: &Service) -> bool {
    service.volumes.iter().any(|volume| volume.path.trim_end_matches('/') == SHARED_MEMORY_PATH)
}

fn mounts(service: &Service) -> Vec<VolumeMount> {
    let mut mounts = Vec::new();
    if !brings_shared_memory(service) {
        let (name, mount_path) = (SHARED_MEMORY.to_owned(), SHARED_MEMORY_PATH.to_owned());
        mounts.push(VolumeMount { name, mount_path, ..VolumeMount::default() });
    }
    mounts.extend(service.volumes.iter().map(|volume| VolumeMount {
        name: volume_name(volume),
        mount_path: volume.path.clone(),
        read_only: Some(volume.read_only),
        ..VolumeMount::default()
    }));
    mounts.extend(service.secrets.iter().enumerate().map(|(index, file)| VolumeMount {
        name: SECRET_FILES.to_owned(),
        mount_path: file.path.clone(),
        sub_path: Some(file_key(index)),
        read_only: Some(true),
        ..VolumeMount::default()
    }));
    mounts
}

/// A manifest's volume in its pod. A name that is too long with its prefix ends in what tells it from others.
pub(super) fn volume_name(volume: &Volume) -> String {
    let name = format!("volume-{}", volume.name);
    if name.len() <= LONGEST {
        return name;
    }
    let digest = hex::encode(&Sha256::digest(volume.name.as_bytes())[..8]);
    format!("{}-{digest}", &name[..LONGEST - 1 - digest.len()])
}

fn secret(kind: &str, data: BTreeMap<String, ByteString>) -> Secret {
    Secret { data: Some(data), type_: Some(kind.to_owned()), ..Secret::default() }
}

fn bytes(text: &str) -> ByteString {
    ByteString(text.as_bytes().to_vec())
}

fn file_key(index: usize) -> String {
    format!("file-{index}")
}

fn environment(service: &Service) -> String {
    format!("{}-environment", service.name)
}

fn files_of(service: &Service) -> String {
    format!("{}-files", service.name)
}

fn login_of(service: &Service) -> String {
    format!("{}-login", service.name)
}
