//! From one generation to the next.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use super::support::{Routed, observed, replicas, shell, web, workload};
use super::{Harness, with_lease};
use crate::api::NoSwitchboard;
use crate::{Port, Protocol, RuntimeError};

/// Requests flow while a service is updated and scaled; none fails, and in the end only the new generation answers.
pub async fn updates_without_a_failed_request(harness: &dyn Harness) {
    with_lease(harness, async |lease| {
        let runtime = harness.runtime();
        let routed = Arc::new(Routed::new(lease, Vec::new()).await);
        runtime.apply(&workload(lease, vec![web(harness, "a")]), &*routed).await.expect("applied");
        let (stop, good) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let (routed, stop, good) = (Arc::clone(&routed), Arc::clone(&stop), Arc::clone(&good));
                tokio::spawn(async move {
                    let mut failed = Vec::new();
                    while !stop.load(SeqCst) {
                        match routed.get().await {
                            Ok((200, body)) if body.starts_with("body-") => {
                                good.fetch_add(1, SeqCst);
                            }
                            other => failed.push(format!("{other:?}")),
                        }
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    }
                    failed
                })
            })
            .collect();
        let mut next = web(harness, "b");
        next.replicas = 2;
        runtime.apply(&workload(lease, vec![next]), &*routed).await.expect("updated to two replicas");
        let mut next = web(harness, "c");
        next.replicas = 2;
        runtime.apply(&workload(lease, vec![next]), &*routed).await.expect("updated");
        runtime.apply(&workload(lease, vec![web(harness, "c")]), &*routed).await.expect("scaled down");
        stop.store(true, SeqCst);
        for client in clients {
            assert_eq!(client.await.expect("a client"), Vec::<String>::new());
        }
        assert!(good.load(SeqCst) > 50, "only {} requests were made", good.load(SeqCst));
        assert_eq!(routed.get().await.expect("an answer").1, "body-c\n");
        assert_eq!(replicas(&*runtime, lease, "web").await.len(), 1);
    })
    .await;
}

/// A generation that never serves does not take the place of one that does.
pub async fn keeps_the_old_when_the_new_fails(harness: &dyn Harness) {
    with_lease(harness, async |lease| {
        let runtime = harness.runtime();
        let routed = Routed::new(lease, Vec::new()).await;
        runtime.apply(&workload(lease, vec![web(harness, "good")]), &routed).await.expect("applied");
        let mut bad = shell(harness, "web", "exit 3");
        bad.ports = vec![Port::new(super::support::PORT, Protocol::Tcp)];
        let result = runtime.apply(&workload(lease, vec![bad]), &routed).await;
        let Err(RuntimeError::NotReady { service, reason }) = result else { panic!("{result:?}") };
        assert!(service == "web" && reason.contains("code 3"), "{reason}");
        assert_eq!(routed.get().await.expect("an answer"), (200, "body-good\n".to_owned()));
        runtime.apply(&workload(lease, vec![web(harness, "better")]), &routed).await.expect("healed");
        assert_eq!(routed.get().await.expect("an answer"), (200, "body-better\n".to_owned()));
        assert_eq!(replicas(&*runtime, lease, "web").await.len(), 1);
    })
    .await;
}

/// Scaling keeps the containers that are right already; a service that is no longer named goes.
pub async fn scales_and_drops_services(harness: &dyn Harness) {
    with_lease(harness, async |lease| {
        let runtime = harness.runtime();
        let extra = shell(harness, "extra", "exec sleep 1000");
        let first = workload(lease, vec![web(harness, "a"), extra]);
        runtime.apply(&first, &NoSwitchboard).await.expect("applied");
        let before: HashSet<String> =
            replicas(&*runtime, lease, "web").await.into_iter().map(|r| r.id).collect();
        let mut three = web(harness, "a");
        three.replicas = 3;
        runtime.apply(&workload(lease, vec![three]), &NoSwitchboard).await.expect("scaled");
        let now = observed(&*runtime, lease).await.expect("observed");
        assert!(now.is_ready(), "{now:?}");
        assert_eq!(now.services.len(), 1);
        let web = &now.services[0];
        assert_eq!((web.desired, web.ready, web.replicas.len()), (3, 3, 3));
        assert_eq!(web.addresses().into_iter().collect::<HashSet<_>>().len(), 3);
        assert!(web.replicas.iter().any(|replica| before.contains(&replica.id)));
    })
    .await;
}
