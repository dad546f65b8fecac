//! What pods did, told as events; the last words of those that go are kept, and a pod that no update waits for is counted
//! as soon as it serves.

use std::sync::Arc;

use iono_primitives::LeaseId;
use iono_runtime::{EventKind, Exit, ExitReason, ReplicaState};
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;

use crate::inner::{Inner, name_of};
use crate::logs::Which;
use crate::names::{label, lease_of};
use crate::settle::{is_gated, is_open, serves};
use crate::watches::PodChange;
use crate::{observe, replica};

/// Tells what happens until the runtime is dropped.
pub(crate) async fn follow(inner: Arc<Inner>, mut changes: mpsc::UnboundedReceiver<PodChange>) {
    let began = iono_runtime::now();
    let tasks = TaskTracker::new();
    while let Some(PodChange { before, after }) = changes.recv().await {
        let Some(pod) = after.as_ref().or(before.as_ref()) else { continue };
        let (Some(lease), Some(service)) = (lease_of(&pod.metadata), label(&pod.metadata, "service")) else {
            continue;
        };
        let born = pod.metadata.creation_timestamp.as_ref().map_or(0, |time| time.0.as_millisecond());
        // What was there before this process is not news; times of birth are whole seconds.
        let is_new = u64::try_from(born).is_ok_and(|born| born + 1_000 >= began);
        if before.is_some() || is_new {
            inner.tell(lease, service, before.as_deref(), after.as_deref());
        }
        let Some(after) = after else { continue };
        if let Some(which) = last_words(before.as_deref(), &after) {
            let (inner, after) = (Arc::clone(&inner), Arc::clone(&after));
            tasks.spawn(async move { inner.keep_logs(lease, &after, which).await });
        }
        if is_gated(&after) && !is_open(&after) && serves(&after) {
            let inner = Arc::clone(&inner);
            tasks.spawn(async move { inner.count(lease, &after).await });
        }
    }
}

/// Which lines of a pod are about to be lost.
fn last_words(before: Option<&Pod>, after: &Pod) -> Option<Which> {
    let restarts = |pod: &Pod| replica::of(pod, 0).restarts;
    let leaves = |pod: &Pod| pod.metadata.deletion_timestamp.is_some();
    let before = before?;
    if leaves(after) && !leaves(before) && !observe::has_failed(after) {
        return Some(Which::UntilTheEnd);
    }
    (restarts(after) > restarts(before)).then_some(Which::Previous)
}

impl Inner {
    /// Lets the cluster count a pod, unless an update of its lease does that in its own time. One that was cut off waits for
    /// whoever goes on with it: the cluster would end old replicas that the router still sends to.
    async fn count(&self, lease: LeaseId, pod: &Pod) {
        let Some(_turn) = self.turns.try_take(lease) else { return };
        let service = label(&pod.metadata, "service").unwrap_or_default();
        let generation = |pod: &Pod| label(&pod.metadata, "template").map(str::to_owned);
        let mut peers = self.live.listed(Some(lease)).replicas(lease, service).into_iter();
        if peers.any(|one| !observe::has_failed(&one.pod) && generation(&one.pod) != generation(pod)) {
            return;
        }
        if let Err(error) = self.gate(lease, pod, true).await {
            tracing::warn!(%lease, pod = name_of(pod), %error, "a replica that serves is not counted yet");
        }
    }

    fn tell(&self, lease: LeaseId, service: &str, before: Option<&Pod>, after: Option<&Pod>) {
        let Some(pod) = after.or(before) else { return };
        let listed = self.live.listed(Some(lease));
        let uid = pod.metadata.uid.as_deref();
        let place =
            listed.replicas(lease, service).into_iter().find(|one| one.pod.metadata.uid.as_deref() == uid);
        let subject = Some((service, place.map_or(0, |one| one.index)));
        let emit = |kind, text: &str| self.happenings.emit(lease, subject, kind, text);
        let old = before.map(|pod| replica::of(pod, 0));
        let Some(now) = after.map(|pod| replica::of(pod, 0)) else {
            // The watch may have missed how it ended.
            if old.is_some_and(|old| !matches!(old.state, ReplicaState::Exited | ReplicaState::Restarting)) {
                emit(EventKind::Exited, "ended and removed");
            }
            return;
        };
        if before.is_none() {
            emit(EventKind::Created, "created");
        }
        let old_start = old.as_ref().and_then(|old| old.started_at);
        if now.started_at.is_some() && now.started_at != old_start {
            emit(EventKind::Started, if now.restarts > 0 { "started again" } else { "started" });
        }
        if now.state == ReplicaState::Ready && old.as_ref().is_none_or(|old| old.state != ReplicaState::Ready)
        {
            emit(EventKind::Ready, "accepts connections");
        }
        let old_exit = old.as_ref().and_then(|old| old.last_exit.as_ref());
        if let Some(exit) = now.last_exit.as_ref().filter(|exit| Some(*exit) != old_exit) {
            emit(kind_of(exit), &format!("exited with code {}: {}", exit.code, exit.reason));
        }
        let gone = |pod: &Pod| pod.metadata.deletion_timestamp.is_some();
        if after.is_some_and(gone) && !before.is_some_and(gone) {
            emit(EventKind::Replaced, "asked to end");
        }
    }
}

fn kind_of(exit: &Exit) -> EventKind {
    match exit.reason {
        ExitReason::OutOfMemory => EventKind::OutOfMemory,
        ExitReason::DiskQuota => EventKind::DiskQuota,
        _ => EventKind::Exited,
    }
}
