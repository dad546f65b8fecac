//! Disks: this machine's is lost, or a replica fills its own again and again.

use std::time::Duration;

use futures::StreamExt;
use iono_primitives::LeaseId;
use iono_runtime::api::NoSwitchboard;
use iono_runtime::conformance::support::{eventually, job, log_text, observed, replicas, shell};
use iono_runtime::conformance::{Harness, with_lease};
use iono_runtime::{ExitReason, LogOptions, ReplicaState, Runtime, Volume, VolumeKind, Workload};

use crate::common::Cluster;
use crate::support::{is_exactly, pods, small};

/// Without its disk a provider finds everything in the cluster but the last words of containers that are gone.
#[tokio::test(flavor = "multi_thread")]
async fn all_but_kept_lines_survives_the_loss_of_the_disk() {
    let cluster = Cluster::new();
    with_lease(&cluster, async |lease| {
        let runtime = cluster.runtime();
        let of = |hash: &str, last| Workload {
            lease,
            manifest_hash: hash.to_owned(),
            services: vec![small(&cluster, "a"), last],
        };
        runtime.store_manifest(lease, b"sealed").await.unwrap();
        let first = of("first", job(&cluster, "job", "echo last-words"));
        runtime.apply(&first, &NoSwitchboard).await.unwrap();
        let desired = of("second", shell(&cluster, "job", "echo new-life; exec sleep 1000"));
        runtime.apply(&desired, &NoSwitchboard).await.unwrap();
        let lines = |text: String| (text.contains("last-words"), text.contains("new-life"));
        eventually("both generations' lines", async || {
            (lines(log_text(&*runtime, lease, "job").await) == (true, true)).then_some(())
        })
        .await;
        let (before, running) = (observed(&*runtime, lease).await.unwrap(), pods(lease));

        let forgetful = cluster.forgetful();
        assert_eq!(observed(&*forgetful, lease).await.unwrap(), before);
        assert_eq!(forgetful.load_manifest(lease).await.unwrap().as_deref(), Some(&b"sealed"[..]));
        assert_eq!(lines(log_text(&*forgetful, lease, "job").await), (false, true));
        let options = LogOptions { tail: Some(1), ..LogOptions::default() };
        let all = forgetful.logs(lease, None, options).await.unwrap();
        assert_eq!(all.collect::<Vec<_>>().await.len(), 2, "a last line of each service");
        forgetful.apply(&desired, &NoSwitchboard).await.unwrap();
        assert_eq!(pods(lease), running, "nothing is started again");
        is_exactly(&cluster, &desired).await;
        forgetful.remove(lease).await.unwrap();
        assert_eq!(cluster.leftovers(lease).await, Vec::<String>::new());
    })
    .await;
}

async fn past(runtime: &dyn Runtime, lease: LeaseId, least: u32) -> iono_runtime::Replica {
    eventually("its pods were ended for their disk", async || {
        replicas(runtime, lease, "filler").await.into_iter().find(|replica| replica.restarts >= least)
    })
    .await
}

/// The cluster removes what it ended of a service with a persistent volume; the service's crashes are known all the same.
#[tokio::test(flavor = "multi_thread")]
async fn crashes_of_a_service_with_a_volume_are_counted() {
    let cluster = Cluster::new();
    with_lease(&cluster, async |lease| {
        let runtime = cluster.runtime();
        let line = "sleep 3; dd if=/dev/zero of=/filled bs=1M count=60; exec sleep 1000";
        let mut service = shell(&cluster, "filler", line);
        (service.limits.memory_mib, service.limits.ephemeral_mib) = (32, 16);
        service.drain = Duration::from_secs(1);
        let kind = VolumeKind::Persistent;
        service.volumes =
            vec![Volume { name: "kept".into(), path: "/kept".into(), size_mib: 4, kind, read_only: false }];
        let desired = Workload { lease, manifest_hash: "a".to_owned(), services: vec![service] };
        runtime.apply(&desired, &NoSwitchboard).await.unwrap();
        for least in [1, 2] {
            let replica = past(&*runtime, lease, least).await;
            assert_eq!(replica.last_exit.unwrap().reason, ExitReason::DiskQuota);
        }
        // Fresh replicas have no past.
        eventually("it is restarted between two ends", async || {
            runtime.restart(lease, None, &NoSwitchboard).await.ok()
        })
        .await;
        let fresh = replicas(&*runtime, lease, "filler").await.remove(0);
        assert_eq!((fresh.restarts, fresh.last_exit, fresh.state), (0, None, ReplicaState::Ready));
    })
    .await;
}
