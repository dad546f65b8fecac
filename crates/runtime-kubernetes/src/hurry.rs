//! The cluster takes its time where a lease must not wait: records of what has ended, and tries that failed for want of
//! room.

use std::sync::Arc;
use std::time::Duration;

use iono_primitives::LeaseId;
use iono_runtime::{RuntimeError, Service, now};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::cluster::{MANAGER, ask, or_gone};
use crate::inner::{Inner, name_of};
use crate::names::{key, label};

/// How often a set that lacks replicas is reminded of them.
pub(crate) const NUDGE: Duration = Duration::from_secs(3);

/// Whether a pod was asked to end and its processes have.
fn has_left(pod: &Pod) -> bool {
    let containers = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    let has_ended =
        |one: &ContainerStatus| one.state.as_ref().is_some_and(|state| state.terminated.is_some());
    pod.metadata.deletion_timestamp.is_some() && containers.is_some_and(|all| all.iter().all(has_ended))
}

impl Inner {
    /// Removes the records of pods that have ended: the kubelet would take its time, and a successor that must not meet
    /// one before waits for it.
    pub(crate) async fn bury(&self, lease: LeaseId, service: &Service) -> Result<(), RuntimeError> {
        let listed = self.live.listed(Some(lease));
        let of_service = |pod: &&Arc<Pod>| label(&pod.metadata, "service") == Some(&service.name);
        let ended = listed.pods.iter().filter(of_service).filter(|pod| has_left(pod));
        let pods = self.pods(lease).await?;
        for pod in ended {
            let now = DeleteParams { grace_period_seconds: Some(0), ..DeleteParams::default() };
            or_gone(ask(pods.delete(name_of(pod), &now)).await)?;
        }
        Ok(())
    }

    /// Has the cluster try again at once to make a service's replicas. While those of two generations still end, the lease's
    /// quota has no room for a third, and after each refusal the cluster waits twice as long.
    pub(crate) async fn nudge(&self, lease: LeaseId, service: &Service) -> Result<(), RuntimeError> {
        let listed = self.live.listed(Some(lease));
        let sets = listed.sets();
        let Some(set) = sets.iter().find(|set| set.service() == service.name) else { return Ok(()) };
        let object = set.object(&self.names.namespace(lease), Value::Null);
        let patch = json!({"metadata": {"annotations": {key("nudged"): now().to_string()}}});
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let api = self.cluster.api_of(&object).await?;
        or_gone(ask(api.patch(&object.name, &params, &Patch::Merge(patch))).await)
    }
}
