//! What a provider is sent: every service with its image, ports, volumes and secrets, resolved and free of choices.
//! Field names are those of the canonical JSON (`docs/manifest.md`); all fields are always there.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use iono_primitives::{Group, StorageClass};
use serde::{Deserialize, Serialize};

use crate::{MAX_TEXT_BYTES, Secret};

/// The manifest of a lease. Its salted hash stands on chain ([`crate::hash`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseManifest {
    /// Names of leased IP endpoints that ports refer to; a provider without an address pool refuses them.
    pub endpoints: Vec<String>,
    /// At least one, sorted by name; their order is that of the order's groups.
    pub services: Vec<Service>,
    /// Version of this form: [`LeaseManifest::VERSION`].
    pub version: u16,
}

/// One service: `count` equal containers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// RFC 1123 label; other services of the lease reach this one by it.
    pub name: String,
    /// Image reference as the registry knows it.
    pub image: String,
    /// Replaces the image's entry point; empty keeps it.
    pub command: Vec<String>,
    /// Replaces the image's command; empty keeps it.
    pub args: Vec<String>,
    /// Environment.
    pub env: BTreeMap<String, Secret>,
    /// Secrets that appear as read-only files of mode 0400.
    pub files: Vec<SecretFile>,
    /// For a private registry.
    pub credentials: Option<Credentials>,
    /// When to ask the registry.
    pub pull_policy: PullPolicy,
    /// Replicas.
    pub count: u16,
    /// Limits of each replica.
    pub resources: ServiceResources,
    /// Ports.
    pub expose: Vec<Expose>,
    /// Mounts beyond the image's own file system.
    pub volumes: Vec<Volume>,
}

/// Limits of one replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceResources {
    /// Millicores.
    pub cpu: u32,
    /// MiB; shared memory counts within.
    pub memory: u32,
    /// MiB of the container's own writable layer.
    pub ephemeral: u32,
    /// GPUs, if any.
    pub gpu: Option<ServiceGpu>,
}

/// GPUs of one replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceGpu {
    /// How many.
    pub count: u8,
    /// `nvidia`, `amd` or empty for either.
    pub vendor: String,
    /// As in the order, such as `a100-80gi`; empty for any.
    pub model: String,
}

/// A secret as a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretFile {
    /// Absolute path in the container.
    pub path: String,
    /// Content in base64 (standard alphabet, padded); [`SecretFile::bytes`] decodes it.
    pub content: Secret,
}

/// Login of a private registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    /// Registry host, such as `ghcr.io`.
    pub host: String,
    /// User name.
    pub username: Secret,
    /// Password or token.
    pub password: Secret,
}

/// When to ask the registry for the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub enum PullPolicy {
    /// At every start.
    Always,
    /// Only when the machine has no such image.
    #[default]
    IfNotPresent,
    /// Never: the image must be there.
    Never,
}

/// How a port is reached from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// By host name, through the router, with HTTPS in front.
    Http,
    /// On a TCP port of its own.
    Tcp,
    /// On a UDP port of its own.
    Udp,
}

/// A port of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expose {
    /// In the container.
    pub port: u16,
    /// For others: the port that a URL or another service uses (`as` in the file).
    #[serde(rename = "as")]
    pub external: u16,
    /// How it is reached.
    pub protocol: Protocol,
    /// Reachable from outside the lease.
    pub global: bool,
    /// The public port must have the number of `external`; a provider that cannot give it says so.
    pub public_port: bool,
    /// Leased IP endpoint to use, one of [`LeaseManifest::endpoints`].
    pub ip: Option<String>,
    /// Host names of the tenant that the router accepts beside its own.
    pub accept: Vec<String>,
    /// Services of the lease that may connect; empty for all.
    pub to: Vec<String>,
    /// Only for [`Protocol::Http`].
    pub http_options: HttpOptions,
}

/// What the router does with requests (Akash's `http_options`; its defaults).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpOptions {
    /// Largest request body in bytes.
    pub max_body_size: u64,
    /// Milliseconds to wait for the service to answer.
    pub read_timeout: u32,
    /// Milliseconds to wait for the service to take the request.
    pub send_timeout: u32,
    /// Replicas to try.
    pub next_tries: u32,
    /// Milliseconds for all tries; 0 for no limit.
    pub next_timeout: u32,
    /// When another replica is tried: `error`, `timeout`, `500`, `502`, `503`, `504`, `403`, `404`, `429`, `off`.
    pub next_cases: Vec<String>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            max_body_size: 1 << 20,
            read_timeout: 60_000,
            send_timeout: 60_000,
            next_tries: 3,
            next_timeout: 0,
            next_cases: vec!["error".into(), "timeout".into()],
        }
    }
}

/// What a volume is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VolumeKind {
    /// Disk that goes with the container.
    Ephemeral,
    /// Disk that outlives the container, until the lease closes.
    Persistent,
    /// Memory: within the service's memory limit, gone with the container.
    Ram,
}

/// A mount of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Volume {
    /// RFC 1123 label, unique in the service.
    pub name: String,
    /// Absolute path in the container.
    pub mount: String,
    /// MiB.
    pub size: u32,
    /// Class asked for.
    pub class: StorageClass,
    /// What it is made of.
    pub kind: VolumeKind,
    /// Mounted read-only.
    pub read_only: bool,
}

impl LeaseManifest {
    /// The only version there is.
    pub const VERSION: u16 = 1;

    /// The service of that name.
    #[must_use]
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.iter().find(|service| service.name == name)
    }

    /// What the services need, as an order's groups: one per service in the same order.
    #[must_use]
    pub fn groups(&self) -> Vec<Group> {
        self.services.iter().map(Service::group).collect()
    }
}

impl SecretFile {
    /// The file's content; `None` when it is no base64 or longer than a secret may be.
    #[must_use]
    pub fn bytes(&self) -> Option<Vec<u8>> {
        let bytes = BASE64_STANDARD.decode(self.content.expose()).ok()?;
        (bytes.len() <= MAX_TEXT_BYTES).then_some(bytes)
    }
}

impl Service {
    /// What one replica needs and how many there are.
    #[must_use]
    pub fn group(&self) -> Group {
        let of = |kind: VolumeKind| {
            let sizes = self.volumes.iter().filter(|volume| volume.kind == kind).map(|volume| volume.size);
            sizes.fold(0_u32, u32::saturating_add)
        };
        let disks = self.volumes.iter().filter(|volume| volume.kind != VolumeKind::Ram);
        Group {
            count: self.count,
            cpu: self.resources.cpu,
            memory: self.resources.memory,
            ephemeral: self.resources.ephemeral.saturating_add(of(VolumeKind::Ephemeral)),
            persistent: of(VolumeKind::Persistent),
            gpus: self.resources.gpu.as_ref().map_or(0, |gpu| gpu.count),
            storage_class: disks.map(|volume| volume.class).max().unwrap_or_default(),
        }
    }
}
