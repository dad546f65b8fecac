//! Takes a lease away: what makes pods first, its stored manifest last, so that what is left after a crash is still
//! known.

use std::time::Duration;

use iono_primitives::LeaseId;
use iono_runtime::RuntimeError;
use iono_telemetry::fail_point;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{Api, DeleteParams, ListParams};

use crate::cluster::{ask, or_gone};
use crate::inner::Inner;

/// Seconds for a process to end by itself when nothing of it will be needed any more.
const GRACE: u32 = 2;
/// How long pods may take to end.
const PODS: Duration = Duration::from_secs(60);
/// How long a namespace may take to go: the cluster looks for what is in it kind by kind.
const SPACE: Duration = Duration::from_secs(120);

impl Inner {
    /// See [`iono_runtime::Runtime::remove`].
    pub(crate) async fn remove(&self, lease: LeaseId) -> Result<(), RuntimeError> {
        let _turn = self.turns.take_to_remove(lease).await;
        self.in_sight().await?;
        self.take_away(lease).await?;
        self.kept.remove(lease)?;
        self.remove_manifest(lease).await?;
        self.live.ends.forget(lease);
        self.happenings.forget(lease);
        self.turns.forget(lease);
        Ok(())
    }

    /// Removes the lease's namespace with all that is in it.
    pub(crate) async fn take_away(&self, lease: LeaseId) -> Result<(), RuntimeError> {
        self.applied().remove(&lease);
        let space = self.names.namespace(lease);
        let client = self.cluster.client().await?;
        let spaces: Api<Namespace> = Api::all(client.clone());
        if ask(spaces.get_metadata_opt(&space)).await?.is_none() {
            return Ok(());
        }
        let background = DeleteParams::background();
        let all = ListParams::default();
        let deployments: Api<Deployment> = Api::namespaced(client.clone(), &space);
        let replica_sets: Api<ReplicaSet> = Api::namespaced(client.clone(), &space);
        let stateful: Api<StatefulSet> = Api::namespaced(client.clone(), &space);
        let jobs: Api<Job> = Api::namespaced(client, &space);
        tokio::try_join!(
            async { or_gone(ask(deployments.delete_collection(&background, &all)).await) },
            async { or_gone(ask(stateful.delete_collection(&background, &all)).await) },
            async { or_gone(ask(jobs.delete_collection(&background, &all)).await) }
        )?;
        // A deployment is gone before what it made: that would go on to make pods for a moment.
        or_gone(ask(replica_sets.delete_collection(&background, &all)).await)?;
        fail_point("kubernetes.mid_remove");
        let pods = self.pods(lease).await?;
        let within =
            |seconds| DeleteParams { grace_period_seconds: Some(seconds), ..DeleteParams::default() };
        or_gone(ask(pods.delete_collection(&within(GRACE), &all)).await)?;
        let have_ended = || self.live.listed(Some(lease)).pods.iter().all(|pod| !runs(pod));
        self.wait(lease, "the lease's processes end", PODS, have_ended).await?;
        // Their records go at once: the kubelet would take its time.
        or_gone(ask(pods.delete_collection(&within(0), &all)).await)?;
        self.wait(lease, "the lease's pods end", PODS, || self.live.listed(Some(lease)).pods.is_empty())
            .await?;
        fail_point("kubernetes.after_pods");
        or_gone(ask(spaces.delete(&space, &background)).await)?;
        self.wait(lease, "the lease's namespace goes", SPACE, || {
            self.live.listed(Some(lease)).namespaces.is_empty()
        })
        .await
    }
}

/// Whether a process of a pod may still be there; one that waits is not started any more once the pod has to go.
fn runs(pod: &Pod) -> bool {
    let is_asked = pod.metadata.deletion_timestamp.is_some();
    let containers = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
    let states = containers.into_iter().flatten().map(|container| container.state.as_ref());
    !is_asked || states.into_iter().any(|state| state.is_some_and(|state| state.running.is_some()))
}
