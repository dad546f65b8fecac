//! The lease's own namespace, and how much may be in it.

use std::collections::BTreeMap;

use iono_runtime::{RuntimeError, Service, VolumeKind};
use k8s_openapi::api::core::v1::{
    LimitRange, LimitRangeItem, LimitRangeSpec, Namespace, ResourceQuota, ResourceQuotaSpec,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::{Object, Scope};
use crate::names::key;

/// Resources by name.
pub(super) type Resources = BTreeMap<String, Quantity>;

pub(super) fn quantity(text: impl Into<String>) -> Quantity {
    Quantity(text.into())
}

/// Sums over services, in the units of [`iono_runtime::ServiceLimits`].
#[derive(Default)]
struct Sum {
    pods: u64,
    cpu_millis: u64,
    memory_mib: u64,
    ephemeral_mib: u64,
    gpus: u64,
    claims: u64,
    storage_mib: u64,
}

impl Sum {
    fn add(&mut self, service: &Service) {
        // In an update the next generation starts while the one before still ends, or is still counted.
        let replicas = 2 * u64::from(service.replicas);
        let limits = &service.limits;
        self.pods += replicas;
        self.cpu_millis += replicas * u64::from(limits.cpu_millis);
        self.memory_mib += replicas * u64::from(limits.memory_mib);
        self.ephemeral_mib += replicas * disk_mib(service);
        self.gpus += u64::from(service.replicas) * u64::from(limits.gpus);
        for volume in service.volumes.iter().filter(|volume| volume.kind == VolumeKind::Persistent) {
            self.claims += u64::from(service.replicas);
            self.storage_mib += u64::from(service.replicas) * u64::from(volume.size_mib);
        }
    }
}

/// MiB of a replica's disk that go with it: its writable layer and its volumes of that kind.
pub(super) fn disk_mib(service: &Service) -> u64 {
    let ephemeral = service.volumes.iter().filter(|volume| volume.kind == VolumeKind::Ephemeral);
    u64::from(service.limits.ephemeral_mib) + ephemeral.map(|volume| u64::from(volume.size_mib)).sum::<u64>()
}

pub(super) fn objects(scope: &Scope<'_>) -> Result<Vec<Object>, RuntimeError> {
    let mut sum = Sum::default();
    scope.workload.services.iter().for_each(|service| sum.add(service));
    Ok(vec![namespace(scope)?, quota(scope, &sum)?, bounds(scope, &sum)?])
}

fn namespace(scope: &Scope<'_>) -> Result<Object, RuntimeError> {
    let enforced = |level: &str| (format!("pod-security.kubernetes.io/{level}"), "baseline".to_owned());
    let metadata = ObjectMeta {
        labels: Some(BTreeMap::from([enforced("enforce"), enforced("warn")])),
        annotations: Some(BTreeMap::from([(key("owner"), scope.names.owner())])),
        ..ObjectMeta::default()
    };
    scope.object(&scope.namespace(), Namespace { metadata, ..Namespace::default() })
}

/// No more than the lease pays for, whatever is done in its name.
fn quota(scope: &Scope<'_>, sum: &Sum) -> Result<Object, RuntimeError> {
    let mut hard = Resources::new();
    let mut put = |name: &str, value: String| hard.insert(name.to_owned(), quantity(value));
    put("pods", sum.pods.to_string());
    for kind in ["requests", "limits"] {
        put(&format!("{kind}.cpu"), format!("{}m", sum.cpu_millis));
        put(&format!("{kind}.memory"), format!("{}Mi", sum.memory_mib));
        put(&format!("{kind}.ephemeral-storage"), format!("{}Mi", sum.ephemeral_mib));
    }
    put(&format!("requests.{}", scope.config.gpu_resource), sum.gpus.to_string());
    put("persistentvolumeclaims", sum.claims.to_string());
    put("requests.storage", format!("{}Mi", sum.storage_mib));
    // The way from outside is the router's alone.
    put("services.nodeports", "0".to_owned());
    put("services.loadbalancers", "0".to_owned());
    let spec = ResourceQuotaSpec { hard: Some(hard), ..ResourceQuotaSpec::default() };
    scope.object("lease", ResourceQuota { spec: Some(spec), ..ResourceQuota::default() })
}

/// Nothing without limits, and nothing larger than all of the lease.
fn bounds(scope: &Scope<'_>, sum: &Sum) -> Result<Object, RuntimeError> {
    let most = Resources::from([
        ("cpu".to_owned(), quantity(format!("{}m", sum.cpu_millis))),
        ("memory".to_owned(), quantity(format!("{}Mi", sum.memory_mib))),
        ("ephemeral-storage".to_owned(), quantity(format!("{}Mi", sum.ephemeral_mib))),
    ]);
    let container =
        LimitRangeItem { max: Some(most), type_: "Container".to_owned(), ..LimitRangeItem::default() };
    let spec = LimitRangeSpec { limits: vec![container] };
    scope.object("lease", LimitRange { spec: Some(spec), ..LimitRange::default() })
}
