//! A deployment as the tenant wrote it, checked and typed; the order and the manifest that come of it.

use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use iono_primitives::{Attributes, GpuModel, Group, Region, Resources};

use crate::lease::SecretFile;
use crate::node::Place;
use crate::{
    Diagnostic, Diagnostics, LeaseManifest, MAX_MANIFEST_BYTES, MAX_TEXT_BYTES, Price, Secret, Service, rules,
};

/// Dialect of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub enum Format {
    /// The network's own, version 1.0.
    #[serde(rename = "icl-1.0")]
    Icl10,
    /// Akash SDL 2.0.
    #[serde(rename = "akash-2.0")]
    Akash20,
    /// Akash SDL 2.1.
    #[serde(rename = "akash-2.1")]
    Akash21,
}

/// Who may take the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Providers' own machines.
    Provider,
    /// Light nodes.
    Fizz,
}

/// A checked `deploy.yaml`.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// Dialect it was written in.
    pub format: Format,
    /// `profiles.name`; the file's own label.
    pub name: Option<String>,
    /// Who may take it.
    pub mode: Mode,
    /// Seconds; Akash's files have none.
    pub duration: Option<u32>,
    /// Where it should run.
    pub region: Region,
    /// Whether it may run nowhere else.
    pub strict_region: bool,
    /// Lowest trust tier accepted, 1 (best) to 7; 0 for any.
    pub trust_tier: u8,
    /// Attribute tiers asked for.
    pub attributes: Attributes,
    /// Providers that the file names (`desired_provider`: ids or addresses, as written); empty for all.
    pub providers: Vec<String>,
    /// Names of leased IP endpoints, sorted.
    pub endpoints: Vec<String>,
    /// Sorted by name.
    pub services: Vec<DeploymentService>,
    /// The most it may cost.
    pub price: Price,
    /// What no provider can serve yet: an order for it would be paid for and its manifest refused.
    pub unavailable: Vec<Diagnostic>,
    /// What was accepted but means less here than the file says.
    pub warnings: Vec<Diagnostic>,
}

/// A service and the secrets that are still on the tenant's machine.
#[derive(Debug, Clone)]
pub struct DeploymentService {
    /// Everything else.
    pub service: Service,
    /// Read by [`resolve`].
    pub secrets: Vec<SecretSource>,
}

/// A secret that comes from a file of the tenant's machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretSource {
    /// Its name in the file.
    pub name: String,
    /// File, relative to the manifest's folder.
    pub file: String,
    /// Where its content goes; at least one.
    pub targets: Vec<SecretTarget>,
    /// Line of the file that asks for it.
    pub line: u32,
    /// Column of the same.
    pub column: u32,
}

/// Where a secret's content goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretTarget {
    /// Environment variable; one newline at the end is dropped.
    Env(String),
    /// Read-only file in the container, byte for byte.
    File(String),
    /// Password of the registry; one newline at the end is dropped.
    RegistryPassword,
}

/// What goes on chain, beside wallet, token and manifest hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderPlan {
    /// Totals.
    pub resources: Resources,
    /// One per service, in the manifest's order.
    pub groups: Vec<Group>,
    /// Wanted region.
    pub region: Region,
    /// `Terms.requirements`: attribute tiers 14 bits | trust tier 4.
    pub requirements: u32,
    /// `Terms.flags`: mode and strict region. Lists of providers are added by who knows their ids.
    pub flags: u8,
    /// Seconds, if the file says.
    pub duration: Option<u32>,
    /// The most it may cost.
    pub max_price: Price,
}

impl OrderPlan {
    /// `OrderFlags.PROVIDER`.
    pub const PROVIDER: u8 = 1;
    /// `OrderFlags.FIZZ`.
    pub const FIZZ: u8 = 2;
    /// `OrderFlags.STRICT_REGION`.
    pub const STRICT_REGION: u8 = 4;
}

impl Deployment {
    /// The order that this deployment needs.
    #[must_use]
    pub fn order(&self) -> OrderPlan {
        let mode = match self.mode {
            Mode::Provider => OrderPlan::PROVIDER,
            Mode::Fizz => OrderPlan::FIZZ,
        };
        OrderPlan {
            resources: self.resources().expect("parse refuses a deployment that no order can hold"),
            groups: self.services.iter().map(|service| service.service.group()).collect(),
            region: self.region,
            requirements: self.attributes.word() | u32::from(self.trust_tier) << 14,
            flags: mode | if self.strict_region { OrderPlan::STRICT_REGION } else { 0 },
            duration: self.duration,
            max_price: self.price.clone(),
        }
    }

    /// Totals over all services and replicas.
    pub(crate) fn resources(&self) -> Result<Resources, String> {
        let groups = self.services.iter().map(|service| service.service.group());
        let sum = |field: fn(&Group) -> u32, what: &str| {
            let total: u64 =
                groups.clone().map(|group| u64::from(group.count) * u64::from(field(&group))).sum();
            u32::try_from(total).map_err(|_| format!("{what} of all replicas is more than an order can hold"))
        };
        let gpus = sum(|group| u32::from(group.gpus), "the number of GPUs")?;
        let ports = self
            .services
            .iter()
            .flat_map(|service| &service.service.expose)
            .filter(|port| port.global)
            .count();
        let model = self.services.iter().find_map(|service| service.service.resources.gpu.as_ref());
        let gpu_model: GpuModel =
            model.map_or(Ok(GpuModel::ANY), |gpu| gpu.model.parse()).map_err(|why| format!("{why}"))?;
        Ok(Resources {
            cpu: sum(|group| group.cpu, "CPU")?,
            memory: sum(|group| group.memory, "memory")?,
            storage: sum(|group| group.ephemeral.saturating_add(group.persistent), "storage")?,
            gpus: u8::try_from(gpus)
                .map_err(|_| format!("{gpus} GPUs are more than the 255 that an order can hold"))?,
            gpu_tier: if gpus == 0 { 0 } else { gpu_model.tier() },
            storage_class: groups.map(|group| group.storage_class).max().unwrap_or_default(),
            endpoints: u8::try_from(ports).map_err(|_| format!("{ports} global ports are more than 255"))?,
            gpu_model,
        })
    }
}

/// Reads the secrets and makes the manifest.
///
/// `load` gets each secret's path as the file has it and returns its bytes.
///
/// # Errors
/// One diagnostic for every secret that cannot be read, is too large, or is no text where one is needed.
pub fn resolve(
    deployment: &Deployment,
    mut load: impl FnMut(&Path) -> std::io::Result<Vec<u8>>,
) -> Result<LeaseManifest, Diagnostics> {
    let mut problems = Vec::new();
    let mut services = Vec::with_capacity(deployment.services.len());
    for entry in &deployment.services {
        let mut service = entry.service.clone();
        for secret in &entry.secrets {
            if let Err(why) = place_secret(secret, &mut service, &mut load) {
                let place = Place { line: secret.line, column: secret.column };
                problems.push(place.error(format!("secret `{}`: {why}", secret.name)));
            }
        }
        service.files.sort_by(|a, b| a.path.cmp(&b.path));
        services.push(service);
    }
    let manifest =
        LeaseManifest { endpoints: deployment.endpoints.clone(), services, version: LeaseManifest::VERSION };
    if problems.is_empty() {
        problems.extend(rules::check(&manifest).err().map(|why| Place::START.error(why)));
        let size = manifest.canonical().len();
        if size > MAX_MANIFEST_BYTES {
            let message =
                format!("with its secrets the manifest has {size} bytes, the most is {MAX_MANIFEST_BYTES}");
            problems.push(Place::START.error(message));
        }
    }
    if problems.is_empty() { Ok(manifest) } else { Err(Diagnostics(problems)) }
}

fn place_secret(
    secret: &SecretSource,
    service: &mut Service,
    load: &mut impl FnMut(&Path) -> std::io::Result<Vec<u8>>,
) -> Result<(), String> {
    let file = &secret.file;
    let bytes = load(Path::new(file)).map_err(|why| format!("cannot read `{file}`: {why}"))?;
    if bytes.len() > MAX_TEXT_BYTES {
        return Err(format!("`{file}` has {} bytes, the most is {MAX_TEXT_BYTES}", bytes.len()));
    }
    let line = || {
        let text = std::str::from_utf8(&bytes).map_err(|_| format!("`{file}` is no UTF-8 text"))?;
        let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
        Ok::<_, String>(Secret::new(text))
    };
    for target in &secret.targets {
        match target {
            SecretTarget::Env(name) => {
                service.env.insert(name.clone(), line()?);
            }
            SecretTarget::File(path) => {
                let content = Secret::new(BASE64_STANDARD.encode(&bytes));
                service.files.push(SecretFile { path: path.clone(), content });
            }
            SecretTarget::RegistryPassword => {
                if let Some(credentials) = &mut service.credentials {
                    credentials.password = line()?;
                }
            }
        }
    }
    Ok(())
}
