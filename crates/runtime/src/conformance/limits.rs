//! Limits hold, and their breach is the reason that is told.

use super::support::{eventually, job, log_text, replicas, run, shell, workload};
use super::{Harness, with_lease};
use crate::api::NoSwitchboard;
use crate::{ExitReason, Limit, ReplicaState};

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
        let most = harness.processes(40);
        assert!((most * 3 / 4..=most).contains(&started), "{started} processes, at most {most} are allowed");
    })
    .await;
}

/// Writing more than allowed stops the container, with that reason, and a restart begins with an empty disk.
pub async fn disk_filler_is_stopped(harness: &dyn Harness) {
    with_lease(harness, async |lease| {
        let runtime = harness.runtime();
        assert!(runtime.check().await.expect("checked").enforces(Limit::EphemeralDisk));
        let line = "sleep 5; dd if=/dev/zero of=/filled bs=1M count=100; exec sleep 1000";
        let desired = workload(lease, vec![shell(harness, "filler", line)]);
        runtime.apply(&desired, &NoSwitchboard).await.expect("applied");
        let first = replicas(&*runtime, lease, "filler").await.remove(0).id;
        let reason = async |runtime: &dyn crate::Runtime| {
            let replica = replicas(runtime, lease, "filler").await.into_iter().next()?;
            replica.last_exit.map(|exit| exit.reason)
        };
        let seen = eventually("the container is stopped", async || reason(&*runtime).await).await;
        assert_eq!(seen, ExitReason::DiskQuota);
        runtime.apply(&desired, &NoSwitchboard).await.expect("nothing to do");
        assert_eq!(reason(&*runtime).await, Some(ExitReason::DiskQuota));
        assert_eq!(reason(&*harness.forgetful()).await, Some(ExitReason::DiskQuota));
        runtime.restart(lease, Some("filler"), &NoSwitchboard).await.expect("restarted");
        runtime.apply(&desired, &NoSwitchboard).await.expect("started afresh");
        assert_eq!(run(&*runtime, lease, "filler", "[ ! -e /filled ]", "").await.code, 0);
        assert_ne!(replicas(&*runtime, lease, "filler").await.remove(0).id, first);
    })
    .await;
}
