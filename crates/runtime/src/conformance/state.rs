//! What a runtime knows, keeps and leaves.

use std::time::Duration;

use futures::StreamExt;

use super::support::{Routed, eventually, job, log_text, observed, replicas, shell, web, workload};
use super::{Harness, with_lease};
use crate::api::{MAX_SEALED_MANIFEST, NoSwitchboard};
use crate::{EventKind, ExitReason, LogOptions, ReplicaState, RuntimeError, Volume, VolumeKind};

/// Applying again, also twice at the same time, changes nothing.
pub async fn applies_twice_without_change(harness: &dyn Harness) {
    with_lease(harness, async |lease| {
        let runtime = harness.runtime();
        let desired = workload(lease, vec![web(harness, "a")]);
        let (one, two) =
            tokio::join!(runtime.apply(&desired, &NoSwitchboard), runtime.apply(&desired, &NoSwitchboard));
        one.expect("applied");
        two.expect("applied");
        let before = replicas(&*runtime, lease, "web").await;
        runtime.apply(&desired, &NoSwitchboard).await.expect("applied");
        assert_eq!(before.len(), 1);
        assert_eq!(replicas(&*runtime, lease, "web").await, before);
    })
    .await;
}

/// A runtime that lost its memory and its disk sees the same, and takes over without a restart.
pub async fn adopts_without_memory(harness: &dyn Harness) {
    with_lease(harness, async |lease| {
        let runtime = harness.runtime();
        let mut service = web(harness, "a");
        service.replicas = 2;
        let desired = workload(lease, vec![service]);
        runtime.apply(&desired, &NoSwitchboard).await.expect("applied");
        let before = observed(&*runtime, lease).await.expect("observed");
        let forgetful = harness.forgetful();
        let after = observed(&*forgetful, lease).await.expect("found by its labels");
        assert_eq!(after.manifest_hash, desired.manifest_hash);
        assert!(after.is_ready());
        let ids = |observed: &crate::Observed| -> Vec<_> {
            observed.services[0].replicas.iter().map(|r| (r.id.clone(), r.index, r.address)).collect()
        };
        assert_eq!(ids(&after), ids(&before));
        let routed = Routed::new(lease, Vec::new()).await;
        forgetful.apply(&desired, &routed).await.expect("adopted");
        assert_eq!(routed.get().await.expect("an answer").1, "body-a\n");
        assert_eq!(ids(&observed(&*forgetful, lease).await.expect("observed")), ids(&before));
    })
    .await;
}

/// Stored manifests come back to whoever asks, the newest one, and go with the lease.
pub async fn keeps_manifests(harness: &dyn Harness) {
    with_lease(harness, async |lease| {
        let runtime = harness.runtime();
        assert_eq!(runtime.load_manifest(lease).await.expect("asked"), None);
        runtime.store_manifest(lease, b"one").await.expect("stored");
        runtime.store_manifest(lease, b"two").await.expect("stored");
        runtime.store_manifest(lease, b"two").await.expect("stored");
        let forgetful = harness.forgetful();
        assert_eq!(forgetful.load_manifest(lease).await.expect("asked").as_deref(), Some(&b"two"[..]));
        let seen = observed(&*forgetful, lease).await.expect("known by its manifest alone");
        assert!(seen.has_manifest && seen.services.is_empty());
        let large = vec![0; MAX_SEALED_MANIFEST + 1];
        assert!(matches!(runtime.store_manifest(lease, &large).await, Err(RuntimeError::Refused(_))));
        runtime.remove(lease).await.expect("removed");
        assert_eq!(runtime.load_manifest(lease).await.expect("asked"), None);
        assert_eq!(harness.leftovers(lease).await, Vec::<String>::new());
    })
    .await;
}

/// After removal no container, network, volume, secret or rule is left, and removing again is fine.
pub async fn leaves_nothing_behind(harness: &dyn Harness) {
    with_lease(harness, async |lease| {
        let runtime = harness.runtime();
        let mut service = web(harness, "a");
        let volume = |name: &str, kind| Volume {
            name: name.to_owned(),
            path: format!("/{name}"),
            size_mib: 4,
            kind,
            read_only: false,
        };
        service.volumes = vec![volume("kept", VolumeKind::Persistent), volume("gone", VolumeKind::Ephemeral)];
        runtime.store_manifest(lease, b"sealed").await.expect("stored");
        runtime.apply(&workload(lease, vec![service]), &NoSwitchboard).await.expect("applied");
        assert!(!harness.leftovers(lease).await.is_empty());
        runtime.remove(lease).await.expect("removed");
        assert_eq!(harness.leftovers(lease).await, Vec::<String>::new());
        assert_eq!(observed(&*runtime, lease).await, None);
        runtime.remove(lease).await.expect("nothing left to remove");
    })
    .await;
}

/// The log and the exit of a container that ended stay, also after a newer generation took its place.
pub async fn keeps_the_logs_of_the_dead(harness: &dyn Harness) {
    with_lease(harness, async |lease| {
        let runtime = harness.runtime();
        let first = workload(lease, vec![job(harness, "job", "echo last-words; exit 5")]);
        drop(runtime.apply(&first, &NoSwitchboard).await);
        let exit = eventually("the job ends", async || {
            let replica = replicas(&*runtime, lease, "job").await.into_iter().next()?;
            replica.last_exit.filter(|_| replica.state == ReplicaState::Exited)
        })
        .await;
        assert_eq!((exit.code, exit.reason), (5, ExitReason::Failed));
        assert!(log_text(&*runtime, lease, "job").await.contains("last-words"));
        let seen = replicas(&*harness.forgetful(), lease, "job").await.remove(0).last_exit.expect("an exit");
        assert_eq!((seen.code, seen.reason), (5, ExitReason::Failed));
        let next = workload(lease, vec![shell(harness, "job", "echo new-life; exec sleep 1000")]);
        runtime.apply(&next, &NoSwitchboard).await.expect("replaced");
        eventually("both generations' lines", async || {
            let text = log_text(&*runtime, lease, "job").await;
            (text.contains("last-words") && text.contains("new-life")).then_some(())
        })
        .await;
        let options = LogOptions { follow: true, tail: Some(1), since: None };
        let mut lines = runtime.logs(lease, Some("job"), options).await.expect("logs");
        let line = tokio::time::timeout(Duration::from_secs(10), lines.next()).await.expect("in time");
        let line = line.expect("a line").expect("readable");
        assert!(line.service == "job" && line.at > 1_600_000_000_000, "{line:?}");
        let missing = runtime.logs(lease, Some("other"), LogOptions::default()).await;
        assert!(matches!(missing.err(), Some(RuntimeError::NotFound(_))));
    })
    .await;
}

/// A crash is seen as restarts with a reason; a restart on request starts the process afresh, and the router finds it.
pub async fn restarts_and_tells(harness: &dyn Harness) {
    with_lease(harness, async |lease| {
        let runtime = harness.runtime();
        let routed = Routed::new(lease, Vec::new()).await;
        let crash = shell(harness, "crash", "sleep 0.3; exit 9");
        runtime.apply(&workload(lease, vec![crash, web(harness, "a")]), &routed).await.expect("applied");
        let replica = eventually("two restarts", async || {
            replicas(&*runtime, lease, "crash").await.into_iter().find(|replica| replica.restarts >= 2)
        })
        .await;
        let exit = replica.last_exit.expect("an exit");
        assert_eq!((exit.code, exit.reason), (9, ExitReason::Failed));
        let before = replicas(&*runtime, lease, "web").await.remove(0);
        runtime.restart(lease, Some("web"), &routed).await.expect("restarted");
        let after = replicas(&*runtime, lease, "web").await.remove(0);
        assert_eq!(after.state, ReplicaState::Ready);
        assert!(after.started_at > before.started_at, "{after:?}");
        assert_eq!(routed.get().await.expect("an answer"), (200, "body-a\n".to_owned()));
        let missing = runtime.restart(lease, Some("other"), &routed).await;
        assert!(matches!(missing, Err(RuntimeError::NotFound(_))));
    })
    .await;
}

/// What happened is told in order, first what was kept, then what comes.
pub async fn tells_events(harness: &dyn Harness) {
    with_lease(harness, async |lease| {
        let runtime = harness.runtime();
        // The engine's own events are followed from some moment after the start on.
        drop(runtime.observe().await);
        tokio::time::sleep(Duration::from_millis(200)).await;
        let mut changes = runtime.changes();
        runtime.apply(&workload(lease, vec![web(harness, "a")]), &NoSwitchboard).await.expect("applied");
        assert_eq!(changes.next().await, Some(lease));
        let mut events = runtime.events(lease).await.expect("events");
        let mut kinds = Vec::new();
        while !(kinds.contains(&EventKind::Ready) && kinds.contains(&EventKind::Started)) {
            let event = tokio::time::timeout(Duration::from_secs(10), events.next()).await.expect("in time");
            kinds.push(event.expect("an event").kind);
        }
        assert_eq!(kinds[0], EventKind::Created, "{kinds:?}");
        runtime.restart(lease, Some("web"), &NoSwitchboard).await.expect("restarted");
        let exited = async {
            while let Some(event) = events.next().await {
                if event.kind == EventKind::Exited {
                    return;
                }
            }
        };
        // The process may take the time that its service has to end.
        let within = web(harness, "a").drain + Duration::from_secs(10);
        tokio::time::timeout(within, exited).await.expect("the exit is told");
    })
    .await;
}
