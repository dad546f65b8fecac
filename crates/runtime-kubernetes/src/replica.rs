//! A pod as a replica of a service: what it is doing, and how its last run ended.

use iono_runtime::{Exit, ExitReason, Replica, ReplicaState};
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::settle::condition;

/// Reasons that the kubelet gives when a process could not be started.
const CANNOT_START: [&str; 3] = ["StartError", "ContainerCannotRun", "RunContainerError"];
/// Why the kubelet ends a pod by itself: it used more of the node's disk than it may.
const EVICTED: &str = "Evicted";
const DISK: &str = "ephemeral";

/// Why a kubelet says that a pod is not ready.
const KUBELETS_REASONS: [&str; 3] = ["ContainersNotReady", "ReadinessGatesNotReady", "PodCompleted"];

/// The replica that a pod is; `index` is its number within the service.
pub(crate) fn of(pod: &Pod, index: u32) -> Replica {
    let status = pod.status.as_ref();
    let container = status.and_then(|status| status.container_statuses.as_ref()?.first());
    Replica {
        id: pod.metadata.uid.clone().unwrap_or_default(),
        index,
        state: state(pod, container),
        address: status.and_then(|status| status.pod_ip.as_ref()?.parse().ok()),
        restarts: container.map_or(0, |container| u32::try_from(container.restart_count).unwrap_or(0)),
        started_at: container.and_then(started_at),
        last_exit: last_exit(pod, container),
        image_digest: container.map(|container| digest(&container.image_id)).unwrap_or_default(),
        // Its set knows.
        manifest_hash: String::new(),
    }
}

/// Whether its service's replicas are started again when they end.
fn is_restarted(pod: &Pod) -> bool {
    let policy = pod.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref());
    policy.is_none_or(|policy| policy != "Never")
}

fn state(pod: &Pod, container: Option<&ContainerStatus>) -> ReplicaState {
    if matches!(phase(pod), "Succeeded" | "Failed") {
        return ReplicaState::Exited;
    }
    let Some(container) = container else { return ReplicaState::Created };
    match &container.state {
        Some(ContainerState { running: Some(_), .. }) if container.ready && !is_lost(pod) => {
            ReplicaState::Ready
        }
        Some(ContainerState { running: Some(_), .. }) => ReplicaState::Starting,
        Some(ContainerState { terminated: Some(_), .. }) if is_restarted(pod) => ReplicaState::Restarting,
        Some(ContainerState { terminated: Some(_), .. }) => ReplicaState::Exited,
        // It waits: for its image and its volumes at first, for the kubelet's patience later.
        _ if container.restart_count > 0 => ReplicaState::Restarting,
        _ => ReplicaState::Created,
    }
}

/// Whether the cluster lost sight of the pod's node. It says then that the pod is not ready and leaves all else as the
/// kubelet said it last, who would give a reason: a container, or the gate that waits for the router.
fn is_lost(pod: &Pod) -> bool {
    condition(pod, "Ready")
        .is_some_and(|(status, reason, _)| status != "True" && !KUBELETS_REASONS.contains(&reason))
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

fn started_at(container: &ContainerStatus) -> Option<u64> {
    millis(container.state.as_ref()?.running.as_ref()?.started_at.as_ref()?)
}

fn last_exit(pod: &Pod, container: Option<&ContainerStatus>) -> Option<Exit> {
    let status = pod.status.as_ref()?;
    if status.reason.as_deref() == Some(EVICTED) {
        let for_its_disk = status.message.as_ref().is_some_and(|message| message.contains(DISK));
        let reason = if for_its_disk { ExitReason::DiskQuota } else { ExitReason::Failed };
        let at = container.and_then(terminated).and_then(|end| millis(end.finished_at.as_ref()?));
        return Some(Exit { code: 137, reason, at: at.unwrap_or_default() });
    }
    let end = terminated(container?)?;
    let reason = match end.reason.as_deref() {
        Some("OOMKilled") => ExitReason::OutOfMemory,
        Some(reason) if CANNOT_START.contains(&reason) => ExitReason::CannotStart,
        _ if end.exit_code == 0 => ExitReason::Completed,
        _ => ExitReason::Failed,
    };
    let at = end.finished_at.as_ref().and_then(millis).unwrap_or_default();
    Some(Exit { code: i64::from(end.exit_code), reason, at })
}

/// The end of the present run, or of the one before.
fn terminated(container: &ContainerStatus) -> Option<&ContainerStateTerminated> {
    let ends = [container.state.as_ref(), container.last_state.as_ref()];
    ends.into_iter().flatten().find_map(|state| state.terminated.as_ref())
}

/// `sha256:…`, without the engine's name for where it got it.
fn digest(image_id: &str) -> String {
    image_id.rsplit_once('@').map_or(image_id, |(_, digest)| digest).to_owned()
}

fn millis(time: &Time) -> Option<u64> {
    u64::try_from(time.0.as_millisecond()).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What a kubelet said of pods that serve, that wait, and that ended in each way.
    fn pods() -> Vec<Pod> {
        serde_json::from_str(include_str!("fixtures/pods.json")).unwrap()
    }

    fn replica(name: &str) -> Replica {
        let pods = pods();
        of(pods.iter().find(|pod| pod.metadata.name.as_deref() == Some(name)).unwrap(), 0)
    }

    #[test]
    fn each_state_is_told_apart() {
        let states = [
            ("web-1", ReplicaState::Ready),
            ("late-1", ReplicaState::Starting),
            ("image-1", ReplicaState::Created),
            ("crash-1", ReplicaState::Restarting),
            ("memory-1", ReplicaState::Restarting),
            ("missing-1", ReplicaState::Restarting),
            ("job-1", ReplicaState::Exited),
            ("failed-1", ReplicaState::Exited),
            ("disk-1", ReplicaState::Exited),
        ];
        for (name, state) in states {
            assert_eq!(replica(name).state, state, "{name}");
        }
        assert_eq!(pods().len(), states.len());
    }

    #[test]
    fn a_pod_of_a_lost_node_does_not_serve() {
        let mut pod = pods().into_iter().find(|pod| pod.metadata.name.as_deref() == Some("web-1")).unwrap();
        let mut state = |status: &str, reason: Option<&str>| {
            let condition = json!([{"type": "Ready", "status": status, "reason": reason}]);
            pod.status.as_mut().unwrap().conditions = serde_json::from_value(condition).unwrap();
            of(&pod, 0).state
        };
        assert_eq!(state("True", None), ReplicaState::Ready);
        // The router has not been told yet.
        assert_eq!(state("False", Some("ReadinessGatesNotReady")), ReplicaState::Ready);
        assert_eq!(state("False", None), ReplicaState::Starting);
        assert_eq!(state("Unknown", Some("NodeLost")), ReplicaState::Starting);
    }

    #[test]
    fn the_reason_of_an_end_is_known() {
        let exits = [
            ("crash-1", 9, ExitReason::Failed),
            ("failed-1", 5, ExitReason::Failed),
            ("memory-1", 137, ExitReason::OutOfMemory),
            ("missing-1", 128, ExitReason::CannotStart),
            ("job-1", 0, ExitReason::Completed),
            ("disk-1", 137, ExitReason::DiskQuota),
        ];
        for (name, code, reason) in exits {
            let exit = replica(name).last_exit.unwrap();
            assert_eq!((exit.code, exit.reason), (code, reason), "{name}");
        }
        assert_eq!(replica("web-1").last_exit, None);
    }

    #[test]
    fn the_rest_is_read_as_the_kubelet_says_it() {
        let web = replica("web-1");
        assert!(web.address.is_some_and(|address| address.to_string().starts_with("10.244.")));
        assert!(web.started_at.unwrap() > 1_700_000_000_000 && web.image_digest.starts_with("sha256:"));
        assert!(replica("crash-1").restarts >= 3);
        assert_eq!(digest("docker.io/library/web@sha256:ab"), "sha256:ab");
        assert_eq!(digest("sha256:ab"), "sha256:ab");
    }
}
