//! Fresh replicas on request: the pods' template gets the time of the request, and the cluster replaces them as in an
//! update.

use std::time::Duration;

use iono_primitives::LeaseId;
use iono_runtime::{Port, Protocol, RestartPolicy, RuntimeError, Service, Switchboard, now};
use iono_telemetry::fail_point;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};

use crate::cluster::{MANAGER, ask};
use crate::inner::Inner;
use crate::names::{annotation, key};
use crate::objects::{Object, after_restart};
use crate::observe::Set;

/// As long as the tenant's own services may take by default.
const READY: Duration = Duration::from_secs(60);

impl Inner {
    /// See [`iono_runtime::Runtime::restart`].
    pub(crate) async fn restart(
        &self,
        lease: LeaseId,
        service: Option<&str>,
        switch: &dyn Switchboard,
    ) -> Result<(), RuntimeError> {
        let _turn = self.turns.take(lease).await;
        self.in_sight().await?;
        let listed = self.live.listed(Some(lease));
        let sets = listed.sets();
        let asked: Vec<&Set<'_>> =
            sets.iter().filter(|set| service.is_none_or(|name| name == set.service())).collect();
        if asked.is_empty() {
            let what = service.map_or_else(|| format!("lease {lease}"), |name| format!("service `{name}`"));
            return Err(RuntimeError::NotFound(format!("{what} has no workload here")));
        }
        let stamp = now().to_string();
        for set in asked {
            self.keep_failed_logs(lease, set.service()).await?;
            let template = match set.kind {
                "Job" => self.again(lease, set, &stamp).await?,
                _ => self.stamp(lease, set, &stamp).await?,
            };
            fail_point("kubernetes.mid_restart");
            self.settle_service(lease, &as_service(set), &template, switch).await?;
        }
        Ok(())
    }

    /// Asks the cluster for pods of a new template; returns its label.
    async fn stamp(&self, lease: LeaseId, set: &Set<'_>, stamp: &str) -> Result<String, RuntimeError> {
        let template = self.label_after(set, stamp);
        let object = self.named(lease, set, Value::Null);
        let patch = json!({"spec": {"template": {"metadata": marks(&template, stamp)}}});
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let api: Api<DynamicObject> = self.cluster.api_of(&object).await?;
        ask(api.patch(&object.name, &params, &Patch::Merge(patch))).await?;
        Ok(template)
    }

    /// A job cannot be changed: it is made anew from itself.
    async fn again(&self, lease: LeaseId, set: &Set<'_>, stamp: &str) -> Result<String, RuntimeError> {
        let template = self.label_after(set, stamp);
        let space = self.names.namespace(lease);
        let jobs: Api<Job> = Api::namespaced(self.cluster.client().await?, &space);
        let mut job = ask(jobs.get(set.service())).await?;
        self.keep_logs_of(lease, set.service()).await;
        job.metadata = ObjectMeta {
            name: job.metadata.name,
            namespace: job.metadata.namespace,
            labels: job.metadata.labels,
            annotations: job.metadata.annotations,
            ..ObjectMeta::default()
        };
        job.status = None;
        if let Some(spec) = &mut job.spec {
            spec.selector = None;
            let metadata = spec.template.metadata.get_or_insert_default();
            let labels = metadata.labels.get_or_insert_default();
            labels.retain(|name, _| {
                !matches!(name.as_str(), "controller-uid" | "job-name") && !name.starts_with("batch.")
            });
            labels.insert(key("template"), template.clone());
            metadata.annotations.get_or_insert_default().insert(key("restarted"), stamp.to_owned());
        }
        let value = serde_json::to_value(&job).map_err(|error| RuntimeError::Engine(error.to_string()))?;
        self.remove_set(lease, set).await?;
        self.cluster.apply(&self.named(lease, set, value)).await?;
        Ok(template)
    }

    fn label_after(&self, set: &Set<'_>, stamp: &str) -> String {
        let base = annotation(set.metadata, "base").unwrap_or_default();
        after_restart(&self.config.vault, base, Some(stamp))
    }

    fn named(&self, lease: LeaseId, set: &Set<'_>, value: Value) -> Object {
        set.object(&self.names.namespace(lease), value)
    }
}

fn marks(template: &str, stamp: &str) -> Value {
    json!({"labels": {key("template"): template}, "annotations": {key("restarted"): stamp}})
}

/// As much of the service as the cluster still tells.
fn as_service(set: &Set<'_>) -> Service {
    let image = annotation(set.metadata, "image").unwrap_or_default();
    let mut service =
        Service { replicas: set.replicas, ready_within: READY, ..Service::new(set.service(), image) };
    let Some(spec) = set.pod() else { return service };
    service.restart = match spec.restart_policy.as_deref() {
        Some("Never") => RestartPolicy::Never,
        Some("OnFailure") => RestartPolicy::OnFailure,
        _ => RestartPolicy::Always,
    };
    if let Some(grace) = spec.termination_grace_period_seconds {
        service.drain = Duration::from_secs(u64::try_from(grace).unwrap_or(0));
    }
    let ports = spec.containers.first().and_then(|container| container.ports.as_ref());
    service.ports = ports
        .into_iter()
        .flatten()
        .filter_map(|port| {
            let udp = port.protocol.as_deref() == Some("UDP");
            let protocol = if udp { Protocol::Udp } else { Protocol::Tcp };
            Some(Port::new(u16::try_from(port.container_port).ok()?, protocol))
        })
        .collect();
    service
}
