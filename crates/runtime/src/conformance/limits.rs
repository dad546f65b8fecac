//! Limits hold, and their breach is the reason that is told.

use super::support::{eventually, job, log_text, replicas, run, shell, workload};
use super::{Harness, with_lease};
use crate::api::NoSwitchboard;
use crate::{ExitReason, Limit, ReplicaState, Volume, VolumeKind};

/// Using more memory than allowed ends the process, with that reason; there is no swap to flee to.
pub async fn memory_limit_is_the_reason(harness: &dyn Harness) {
    with_lease(harness, async |lease| {
        let runtime = harness.runtime();
        let service = job(harness, "hog", "dd if=/dev/zero of=/dev/null bs=200M count=1; exit $?");
        // It may end before it is seen to run, and then it was not ready.
        drop(runtime.apply(&workload(lease, vec![service]), &NoSwitchboard).await);
        let exit = eventually("the process ends", async || {
            let replica = replicas(&*runtime, lease, "hog").await.into_iter().next()?;
            replica.last_exit.filter(|_| replica.state == ReplicaState::Exited)
        })
        .await;
        assert_eq!((exit.reason, exit.code), (ExitReason::OutOfMemory, 137));
    })
    .await;
}

/// A fork bomb meets its limit.
pub async fn process_limit_holds(harness: &dyn Harness) {
    with_lease(harness, async |lease| {
        let runtime = harness.runtime();
        let line = "i=0; while sleep 1000 & do i=$((i+1)); echo started-$i; done";
        let mut service = job(harness, "bomb", line);
        service.limits.pids = 40;
        drop(runtime.apply(&workload(lease, vec![service]), &NoSwitchboard).await);
        eventually("no more processes", async || {
            let text = log_text(&*runtime, lease, "bomb").await;
            text.contains("can't fork").then_some(())
        })
        .await;
        let text = log_text(&*runtime, lease, "bomb").await;
        let started = text.lines().filter(|line| line.starts_with("started-")).count();
        assert!((30..=40).contains(&started), "{started} processes");
    })
    .await;
}

/// Writing more than allowed stops the container, with that reason, and it stays stopped until it is restarted.
pub async fn disk_filler_is_stopped(harness: &dyn Harness) {
    with_lease(harness, async |lease| {
        let runtime = harness.runtime();
        assert!(runtime.check().await.expect("checked").enforces(Limit::EphemeralDisk));
        // Once: the fresh container after the restart leaves its disk alone.
        let line = "[ -e /mark/once ] || { touch /mark/once; dd if=/dev/zero of=/filled bs=1M count=100; }; exec sleep 1000";
        let mut filler = shell(harness, "filler", line);
        filler.volumes.push(Volume {
            name: "mark".to_owned(),
            path: "/mark".to_owned(),
            size_mib: 8,
            kind: VolumeKind::Persistent,
            read_only: false,
        });
        let desired = workload(lease, vec![filler]);
        runtime.apply(&desired, &NoSwitchboard).await.expect("applied");
        let stopped = async || {
            let replica = replicas(&*runtime, lease, "filler").await.into_iter().next()?;
            let reason = replica.last_exit.as_ref()?.reason;
            (replica.state == ReplicaState::Exited).then_some((replica.id, reason))
        };
        let (id, reason) = eventually("the container is stopped", stopped).await;
        assert_eq!(reason, ExitReason::DiskQuota);
        runtime.apply(&desired, &NoSwitchboard).await.expect("nothing to do");
        assert_eq!(stopped().await, Some((id.clone(), ExitReason::DiskQuota)));
        let forgetful = harness.forgetful();
        let replica = replicas(&*forgetful, lease, "filler").await.remove(0);
        assert_eq!(replica.last_exit.expect("an exit").reason, ExitReason::DiskQuota);
        runtime.restart(lease, Some("filler")).await.expect("restarted");
        runtime.apply(&desired, &NoSwitchboard).await.expect("started afresh");
        assert_eq!(run(&*runtime, lease, "filler", "true", "").await.code, 0);
        assert_ne!(replicas(&*runtime, lease, "filler").await.remove(0).id, id);
    })
    .await;
}
