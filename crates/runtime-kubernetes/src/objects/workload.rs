//! What keeps a service's replicas running.

use std::collections::BTreeMap;

use iono_runtime::{RestartPolicy, RuntimeError, Service, VolumeKind};
use k8s_openapi::api::apps::v1::{
    Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment, StatefulSet, StatefulSetSpec,
};
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, PodTemplateSpec, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::pod::{mark, template, volume_name};
use super::room::{Resources, quantity};
use super::{Object, Scope};
use crate::names::{key, service_label};

/// Generations that the cluster remembers: the one before is enough to look at.
const HISTORY: i32 = 1;

pub(super) fn object(scope: &Scope<'_>, service: &Service) -> Result<Object, RuntimeError> {
    let mut template = template(scope, service)?;
    let persists = service.volumes.iter().any(|volume| volume.kind == VolumeKind::Persistent);
    if service.restart != RestartPolicy::Always
        && let Some(spec) = &mut template.spec
    {
        let again = service.restart == RestartPolicy::OnFailure;
        spec.restart_policy = Some(if again { "OnFailure" } else { "Never" }.to_owned());
    }
    let base = mark(scope, service, &mut template)?;
    let metadata = ObjectMeta {
        annotations: Some(BTreeMap::from([
            (key("manifest"), scope.workload.manifest_hash.clone()),
            (key("base"), base),
            // What the manifest calls it: as long as that stays, its digest does.
            (key("image"), service.image.clone()),
        ])),
        ..ObjectMeta::default()
    };
    match service.restart {
        RestartPolicy::Always if persists => {
            scope.object(&service.name, StatefulSet { metadata, ..stateful_set(scope, service, template) })
        }
        RestartPolicy::Always => {
            scope.object(&service.name, Deployment { metadata, ..deployment(service, template) })
        }
        RestartPolicy::OnFailure | RestartPolicy::Never if persists => Err(RuntimeError::Refused(format!(
            "service `{}`: a persistent volume needs a service that is always restarted",
            service.name
        ))),
        RestartPolicy::OnFailure | RestartPolicy::Never => {
            let again = service.restart == RestartPolicy::OnFailure;
            scope.object(&service.name, Job { metadata, ..job(service, template, again) })
        }
    }
}

/// New replicas take over one by one before old ones end.
fn deployment(service: &Service, template: PodTemplateSpec) -> Deployment {
    let rolling = RollingUpdateDeployment {
        max_surge: Some(IntOrString::Int(1)),
        max_unavailable: Some(IntOrString::Int(0)),
    };
    let spec = DeploymentSpec {
        replicas: Some(replicas(service)),
        selector: selector(service),
        template,
        strategy: Some(DeploymentStrategy {
            type_: Some("RollingUpdate".to_owned()),
            rolling_update: Some(rolling),
        }),
        progress_deadline_seconds: i32::try_from(service.ready_within.as_secs().max(2)).ok(),
        revision_history_limit: Some(HISTORY),
        ..DeploymentSpec::default()
    };
    Deployment { spec: Some(spec), ..Deployment::default() }
}

/// Every replica has volumes of its own, which the next one of its number finds again; it ends before that starts, since
/// two writers would spoil them.
fn stateful_set(scope: &Scope<'_>, service: &Service, template: PodTemplateSpec) -> StatefulSet {
    let kept = service.volumes.iter().filter(|volume| volume.kind == VolumeKind::Persistent);
    let claims = kept.map(|volume| {
        let size = Resources::from([("storage".to_owned(), quantity(format!("{}Mi", volume.size_mib)))]);
        PersistentVolumeClaim {
            metadata: ObjectMeta {
                name: Some(volume_name(volume)),
                labels: Some(scope.names.labels(scope.lease())),
                ..ObjectMeta::default()
            },
            spec: Some(PersistentVolumeClaimSpec {
                access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
                storage_class_name: scope.config.storage_class.clone(),
                resources: Some(VolumeResourceRequirements {
                    requests: Some(size),
                    ..VolumeResourceRequirements::default()
                }),
                ..PersistentVolumeClaimSpec::default()
            }),
            ..PersistentVolumeClaim::default()
        }
    });
    let spec = StatefulSetSpec {
        replicas: Some(replicas(service)),
        selector: selector(service),
        service_name: Some(service.name.clone()),
        template,
        pod_management_policy: Some("Parallel".to_owned()),
        volume_claim_templates: Some(claims.collect()),
        revision_history_limit: Some(HISTORY),
        ..StatefulSetSpec::default()
    };
    StatefulSet { spec: Some(spec), ..StatefulSet::default() }
}

fn job(service: &Service, template: PodTemplateSpec, again: bool) -> Job {
    let spec = JobSpec {
        parallelism: Some(replicas(service)),
        completions: Some(replicas(service)),
        // Who is not to be started again is not replaced either.
        backoff_limit: Some(if again { i32::MAX } else { 0 }),
        template,
        ..JobSpec::default()
    };
    Job { spec: Some(spec), ..Job::default() }
}

fn replicas(service: &Service) -> i32 {
    i32::try_from(service.replicas).unwrap_or(i32::MAX)
}

fn selector(service: &Service) -> LabelSelector {
    let labels: BTreeMap<String, String> = service_label(&service.name);
    LabelSelector { match_labels: Some(labels), ..LabelSelector::default() }
}
