//! Follows a rollout until every replica serves, and keeps the router one step ahead of the cluster: an old replica gets
//! no more requests before it is ended, and a new one is counted only when the router sends to it. The readiness gate
//! [`ROUTED`] is what the cluster waits for.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use iono_primitives::LeaseId;
use iono_runtime::{
    ExitReason, Protocol, ReplicaState, RestartPolicy, RuntimeError, Service, Switchboard, Workload,
};
use iono_telemetry::fail_point;
use k8s_openapi::api::core::v1::{ContainerState, Pod};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::time::Instant;

use crate::cluster::{ask, or_gone};
use crate::hurry::NUDGE;
use crate::inner::{Inner, name_of};
use crate::names::label;
use crate::objects::{Object, ROUTED};
use crate::observe::has_failed;
use crate::replica;

/// So many exits while it should become ready say that it will not.
const HOPELESS: u32 = 3;
/// How long a replica may wait for a node.
const PLACE: Duration = Duration::from_secs(60);
/// How long an image may take to come, and a volume to be made.
const PULL: Duration = Duration::from_secs(900);
/// Look again at least so often: patience runs out without a change.
const TICK: Duration = Duration::from_secs(1);
/// The kubelet's words for an image that it does not get.
const NO_IMAGE: [&str; 4] = ["ErrImagePull", "ImagePullBackOff", "ErrImageNeverPull", "InvalidImageName"];

/// A pod's condition: its status and why.
pub(crate) fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<(&'a str, &'a str, &'a str)> {
    let all = pod.status.as_ref()?.conditions.as_ref()?;
    let found = all.iter().find(|condition| condition.type_ == kind)?;
    Some((
        &found.status,
        found.reason.as_deref().unwrap_or_default(),
        found.message.as_deref().unwrap_or_default(),
    ))
}

fn is_true(pod: &Pod, kind: &str) -> bool {
    condition(pod, kind).is_some_and(|(status, ..)| status == "True")
}

/// Whether the cluster waits for the router's word about this pod.
pub(crate) fn is_gated(pod: &Pod) -> bool {
    let gates = pod.spec.as_ref().and_then(|spec| spec.readiness_gates.as_ref());
    gates.is_some_and(|gates| gates.iter().any(|gate| gate.condition_type == ROUTED))
}

pub(crate) fn is_open(pod: &Pod) -> bool {
    is_true(pod, ROUTED)
}

pub(crate) fn serves(pod: &Pod) -> bool {
    replica::of(pod, 0).state == ReplicaState::Ready
}

fn address(pod: &Pod) -> Option<IpAddr> {
    pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()
}

fn addresses<'a>(pods: impl IntoIterator<Item = &'a Arc<Pod>>) -> Vec<IpAddr> {
    pods.into_iter().filter_map(|pod| address(pod)).collect()
}

/// Where a service's rollout stands.
struct Stand {
    /// Pods of the generation that is wanted.
    new: Vec<Arc<Pod>>,
    /// Others that still serve.
    old: Vec<Arc<Pod>>,
    /// Whether there are others at all.
    is_mixed: bool,
}

impl Inner {
    /// Waits for all services; they go on even if one fails: they may need each other to become ready.
    pub(crate) async fn settle(
        &self,
        workload: &Workload,
        objects: &[Object],
        switch: &dyn Switchboard,
    ) -> Result<(), RuntimeError> {
        let each = workload.services.iter().map(|service| async move {
            let object = objects.iter().find(|o| o.name == service.name && o.template().is_some());
            let template = object.and_then(Object::template).unwrap_or_default();
            self.settle_service(workload.lease, service, template, switch).await
        });
        join_all(each).await.into_iter().collect()
    }

    pub(crate) async fn settle_service(
        &self,
        lease: LeaseId,
        service: &Service,
        template: &str,
        switch: &dyn Switchboard,
    ) -> Result<(), RuntimeError> {
        let start = Instant::now();
        let (mut nudged, mut left) = (start, start);
        let leaving = 2 * PLACE + service.drain;
        let mut version = self.live.version(lease);
        let mut told: Option<Vec<IpAddr>> = None;
        loop {
            version.borrow_and_update();
            self.live.known().await?;
            if self.turns.is_closing(lease) {
                return Err(not_ready(service, "the lease is being removed".to_owned()));
            }
            let stand = self.stand(lease, service, template);
            let ready: Vec<Arc<Pod>> = stand.new.iter().filter(|pod| serves(pod)).cloned().collect();
            self.hand_over(lease, service, &stand, &ready, &mut told, switch).await?;
            let wanted = service.replicas as usize;
            if ready.len() < wanted {
                self.bury(lease, service).await?;
            }
            if stand.new.len() < wanted && nudged.elapsed() > NUDGE {
                self.nudge(lease, service).await?;
                nudged = Instant::now();
            }
            let done = stand.new.iter().filter(|pod| is_done(service, pod)).count();
            let is_counted = ready.iter().all(|pod| !is_gated(pod) || is_true(pod, "Ready"));
            if done == wanted && stand.new.len() == wanted && !stand.is_mixed && is_counted {
                return Ok(());
            }
            for pod in &stand.new {
                judge(service, pod)?;
            }
            // One that stops first is made when the old one has ended, and the cluster has seen that.
            if start.elapsed() < leaving && self.is_leaving(lease, service) {
                left = Instant::now();
            }
            patience(service, &stand, start, left)?;
            let _ = tokio::time::timeout(TICK, version.changed()).await;
        }
    }

    fn stand(&self, lease: LeaseId, service: &Service, template: &str) -> Stand {
        let listed = self.live.listed(Some(lease));
        let pods = listed.replicas(lease, &service.name).into_iter().map(|one| one.pod);
        // A pod of a set that ended for good has a successor; one of a job is the job's result.
        let counts = |pod: &Arc<Pod>| service.restart != RestartPolicy::Always || !has_failed(pod);
        let (new, other): (Vec<_>, Vec<_>) =
            pods.filter(counts).partition(|pod| label(&pod.metadata, "template") == Some(template));
        let is_mixed = !other.is_empty();
        let old = other.into_iter().filter(|pod| serves(pod) && (!is_gated(pod) || is_open(pod))).collect();
        Stand { new, old, is_mixed }
    }

    /// Sends requests to the new replicas and to as many old ones as are still needed; then lets the cluster count the
    /// new ones and end the others.
    async fn hand_over(
        &self,
        lease: LeaseId,
        service: &Service,
        stand: &Stand,
        ready: &[Arc<Pod>],
        told: &mut Option<Vec<IpAddr>>,
        switch: &dyn Switchboard,
    ) -> Result<(), RuntimeError> {
        // Old ones without a gate are ended at any moment: requests rather wait.
        let old: Vec<Arc<Pod>> = stand.old.iter().filter(|pod| is_gated(pod)).cloned().collect();
        let needed = (service.replicas as usize).saturating_sub(ready.len()).min(old.len());
        let (stay, leave) = old.split_at(needed);
        let now = addresses(ready.iter().chain(stay));
        if told.as_ref() != Some(&now) {
            switch.route(lease, &service.name, &now, service.drain).await;
            *told = Some(now);
        }
        let gated = |pod: &&Arc<Pod>| is_gated(pod);
        join_all(leave.iter().map(|pod| self.gate(lease, pod, false))).await;
        if !leave.is_empty() {
            fail_point("kubernetes.mid_update");
        }
        let opened = ready.iter().filter(gated).filter(|pod| !is_open(pod));
        join_all(opened.map(|pod| self.gate(lease, pod, true))).await.into_iter().collect()
    }

    /// Takes the router's requests from the replicas that are too many, so that the cluster ends those.
    pub(crate) async fn shrink(
        &self,
        lease: LeaseId,
        service: &Service,
        switch: &dyn Switchboard,
    ) -> Result<(), RuntimeError> {
        let listed = self.live.listed(Some(lease));
        let pods = listed.replicas(lease, &service.name).into_iter().map(|one| one.pod);
        let serving: Vec<Arc<Pod>> = pods.filter(|pod| serves(pod)).collect();
        let (stay, leave) = serving.split_at(serving.len().min(service.replicas as usize));
        switch.route(lease, &service.name, &addresses(stay), service.drain).await;
        join_all(leave.iter().map(|pod| self.gate(lease, pod, false))).await;
        self.wait(lease, "replicas that are too many leave", TICK * 10, || {
            let now = self.live.listed(Some(lease)).replicas(lease, &service.name);
            leave.iter().all(|pod| {
                now.iter()
                    .find(|one| one.pod.metadata.uid == pod.metadata.uid)
                    .is_none_or(|one| !is_true(&one.pod, "Ready"))
            })
        })
        .await
    }

    /// Sets the condition that the cluster waits for; a pod that has gone meanwhile needs none.
    pub(crate) async fn gate(&self, lease: LeaseId, pod: &Pod, open: bool) -> Result<(), RuntimeError> {
        let status = if open { "True" } else { "False" };
        let condition = json!({"type": ROUTED, "status": status, "lastTransitionTime": Timestamp::now()});
        let patch = Patch::Strategic(json!({"status": {"conditions": [condition]}}));
        let api = self.pods(lease).await?;
        or_gone(ask(api.patch_status(name_of(pod), &PatchParams::default(), &patch)).await)
    }

    /// Whether replicas of a service are on their way out.
    fn is_leaving(&self, lease: LeaseId, service: &Service) -> bool {
        let pods = self.live.listed(Some(lease)).pods;
        let own = pods.iter().filter(|pod| label(&pod.metadata, "service") == Some(&service.name));
        own.into_iter().any(|pod| pod.metadata.deletion_timestamp.is_some())
    }
}

/// Whether to go on waiting; `left` is when a replica was last seen on its way out.
fn patience(service: &Service, stand: &Stand, start: Instant, left: Instant) -> Result<(), RuntimeError> {
    let waited = start.elapsed();
    let Some(pod) = stand.new.iter().rev().find(|pod| !is_done(service, pod)) else {
        // The cluster makes none: a quota or an admission rule.
        let text = "the cluster makes no replica; its events tell why (`kubectl get events`)";
        return if left.elapsed() < PLACE { Ok(()) } else { Err(not_ready(service, text.to_owned())) };
    };
    if let Some(("False", _, message)) = condition(pod, "PodScheduled") {
        let text = format!("no node takes it: {message}");
        return if waited < PLACE { Ok(()) } else { Err(not_ready(service, text)) };
    }
    let now = replica::of(pod, 0);
    let Some(started) = now.started_at else {
        let text = format!("its image and volumes did not come in {} s", PULL.as_secs());
        return if waited < PULL { Ok(()) } else { Err(not_ready(service, text)) };
    };
    let runs_for = Duration::from_millis(iono_runtime::now().saturating_sub(started)).min(waited);
    if runs_for < service.ready_within {
        return Ok(());
    }
    let ports = service.ports.iter().filter(|port| port.protocol == Protocol::Tcp);
    let ports: Vec<String> = ports.map(|port| port.number.to_string()).collect();
    let text = format!("no port of {} accepts connections after {runs_for:?}", ports.join(", "));
    Err(not_ready(service, text))
}

/// Whether a replica is what its service asks for: it accepts connections, it was started, or it did its work.
fn is_done(service: &Service, pod: &Pod) -> bool {
    let replica = replica::of(pod, 0);
    let has_ended_well = replica.last_exit.as_ref().is_some_and(|exit| exit.reason == ExitReason::Completed);
    let probed = service.ports.iter().any(|port| port.protocol == Protocol::Tcp);
    match replica.state {
        ReplicaState::Ready => true,
        ReplicaState::Exited => has_ended_well,
        // Without a port to ask it is enough that its process could be started.
        ReplicaState::Restarting => {
            !probed && replica.last_exit.is_none_or(|exit| exit.reason != ExitReason::CannotStart)
        }
        ReplicaState::Starting | ReplicaState::Created => false,
    }
}

/// Whether a replica can still become ready.
fn judge(service: &Service, pod: &Pod) -> Result<(), RuntimeError> {
    let container = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref()?.first());
    let waiting = container.and_then(|container| match &container.state {
        Some(ContainerState { waiting: Some(waiting), .. }) => waiting.reason.as_deref().zip(Some(waiting)),
        _ => None,
    });
    if let Some((reason, waiting)) = waiting {
        let message = waiting.message.clone().unwrap_or_else(|| reason.to_owned());
        if NO_IMAGE.contains(&reason) {
            return Err(RuntimeError::ImageUnavailable { image: service.image.clone(), reason: message });
        }
        if reason == "CreateContainerConfigError" || reason == "CreateContainerError" {
            return Err(not_ready(service, format!("it cannot be started: {message}")));
        }
    }
    let replica = replica::of(pod, 0);
    let Some(exit) = replica.last_exit else { return Ok(()) };
    let has_ended = matches!(replica.state, ReplicaState::Restarting | ReplicaState::Exited);
    let exits = replica.restarts + u32::from(has_ended);
    let is_over = replica.state == ReplicaState::Exited && exit.reason != ExitReason::Completed;
    let is_hopeless = exits >= HOPELESS && !is_done(service, pod);
    if is_over || is_hopeless || exit.reason == ExitReason::CannotStart {
        return Err(not_ready(service, format!("it exited with code {} ({})", exit.code, exit.reason)));
    }
    Ok(())
}

fn not_ready(service: &Service, reason: String) -> RuntimeError {
    RuntimeError::NotReady { service: service.name.clone(), reason }
}
