//! Nodes are drained and lost: replicas come back elsewhere, those that nobody can see do not count, and requests go on.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use iono_primitives::LeaseId;
use iono_runtime::conformance::support::{Routed, eventually, observed, replicas};
use iono_runtime::conformance::{Harness, with_lease};
use iono_runtime::{ObservedService, ReplicaState, Runtime, Switchboard};
use k8s_openapi::api::core::v1::Pod;
use kube::Client as Kube;
use kube::api::Api;
use serde_json::json;
use tokio::task::JoinHandle;

use crate::common::{Cluster, kubectl};
use crate::fake_node::{FakeNode, say};
use crate::support::{Client, fresh, lease_of, namespace, pods, small};

/// The node that pods of this cluster run on.
const REAL: &str = "testbed";

/// A router that remembers what it was told last.
struct Remembering {
    routed: Arc<Routed>,
    told: Mutex<Vec<IpAddr>>,
}

impl Remembering {
    async fn new(lease: LeaseId) -> Arc<Self> {
        let routed = Arc::new(Routed::new(lease, Vec::new()).await);
        Arc::new(Self { routed, told: Mutex::default() })
    }

    fn told(&self) -> Vec<IpAddr> {
        let mut told = self.told.lock().unwrap().clone();
        told.sort();
        told
    }
}

#[async_trait]
impl Switchboard for Remembering {
    async fn route(&self, lease: LeaseId, service: &str, replicas: &[IpAddr], drain: Duration) {
        *self.told.lock().unwrap() = replicas.to_vec();
        self.routed.route(lease, service, replicas, drain).await;
    }
}

async fn web(runtime: &dyn Runtime, lease: LeaseId) -> ObservedService {
    observed(runtime, lease).await.unwrap().services.remove(0)
}

fn addresses(service: &ObservedService) -> Vec<IpAddr> {
    let mut addresses = service.addresses();
    addresses.sort();
    addresses
}

/// Tells the router of replicas as they come and go, as the provider does between two applies.
fn follow(runtime: Arc<dyn Runtime>, lease: LeaseId, switch: Arc<Remembering>) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut changes = runtime.changes();
        while changes.next().await.is_some() {
            let service = web(&*runtime, lease).await;
            switch.route(lease, "web", &addresses(&service), Duration::from_secs(1)).await;
        }
    })
}

/// Asks a pod to leave its node, as `kubectl drain` does.
async fn evict(pods: &Api<Pod>, name: &str) {
    let value = json!({"apiVersion": "policy/v1beta1", "kind": "Eviction", "metadata": {"name": name}});
    say(pods, name, "eviction", &value).await;
}

async fn another_than(runtime: &dyn Runtime, lease: LeaseId, gone: &str) -> ObservedService {
    eventually("two replicas serve, neither is the one that was evicted", async || {
        let service = web(runtime, lease).await;
        let is_new = service.replicas.iter().all(|replica| replica.id != gone);
        (service.ready == 2 && service.replicas.len() == 2 && is_new).then_some(service)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evicted_replica_is_replaced() {
    let cluster = Cluster::new();
    with_lease(&cluster, async |lease| {
        let (runtime, switch) = (cluster.runtime(), Remembering::new(lease).await);
        let mut service = small(&cluster, "a");
        service.replicas = 2;
        let desired = lease_of(lease, "a", service);
        runtime.apply(&desired, &*switch).await.unwrap();
        let client = Client::new(&switch.routed);
        let following = follow(Arc::clone(&runtime), lease, Arc::clone(&switch));
        let api: Api<Pod> =
            Api::namespaced(Kube::try_from(cluster.config.clone()).unwrap(), &namespace(lease));
        let leave = async || {
            let all = api.list(&Default::default()).await.unwrap().items.into_iter();
            let mut staying = all.map(|pod| pod.metadata).filter(|pod| pod.deletion_timestamp.is_none());
            let pod = staying.next().unwrap();
            evict(&api, pod.name.as_deref().unwrap()).await;
            another_than(&*runtime, lease, pod.uid.as_deref().unwrap()).await
        };
        // Told as it happens.
        let now = leave().await;
        eventually("the router knows", async || (switch.told() == addresses(&now)).then_some(())).await;
        assert!(client.end().await > 50);
        following.abort();
        // Told by the next apply, which changes nothing else.
        let now = leave().await;
        assert_ne!(switch.told(), addresses(&now));
        runtime.apply(&desired, &*switch).await.unwrap();
        assert_eq!(switch.told(), addresses(&now));
        assert_eq!(web(&*runtime, lease).await, now);
        assert_eq!(switch.routed.get().await.unwrap(), (200, "body-a\n".to_owned()));
    })
    .await;
}

/// More of the real node's disk than it has twice, so that the second replica finds no place there.
fn over_half_of_its_disk() -> u32 {
    let path = "jsonpath={.status.allocatable.ephemeral-storage}";
    let bytes: u64 = kubectl(&["get", "node", REAL, "-o", path]).trim().parse().unwrap();
    u32::try_from(bytes / (1 << 20) / 100 * 55).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_of_a_lost_node_does_not_serve() {
    let cluster = Cluster::new();
    with_lease(&cluster, async |lease| {
        let kube = Kube::try_from(cluster.config.clone()).unwrap();
        let (runtime, switch) = (fresh(&cluster.config, cluster.dir.path()), Remembering::new(lease).await);
        let node = FakeNode::new(kube.clone()).await;
        let mut service = small(&cluster, "a");
        (service.replicas, service.limits.ephemeral_mib) = (2, over_half_of_its_disk());
        let desired = lease_of(lease, "a", service);
        let space = namespace(lease);
        let api: Api<Pod> = Api::namespaced(kube, &space);
        let place = async {
            let pending = eventually("a replica without a place", async || {
                let all = api.list(&Default::default()).await.unwrap().items;
                let has_none = |pod: &Pod| {
                    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
                    conditions.into_iter().flatten().any(|one| one.reason.as_deref() == Some("Unschedulable"))
                };
                all.into_iter().find(has_none)?.metadata.name
            })
            .await;
            node.take(&api, &space, &pending).await;
            pending
        };
        let (applied, taken) = tokio::join!(runtime.apply(&desired, &*switch), place);
        applied.unwrap();
        assert_eq!(web(&runtime, lease).await.ready, 2);
        let before = pods(lease);
        node.die();
        let alone = eventually("one of them does not serve any more", async || {
            let service = web(&runtime, lease).await;
            (service.ready == 1).then_some(service)
        })
        .await;
        let lost = api.get(&taken).await.unwrap();
        let containers = lost.status.unwrap().container_statuses.unwrap();
        assert!(containers[0].ready, "its container's status says what it said");
        let id = lost.metadata.uid.unwrap();
        let state =
            |replica: &iono_runtime::Replica| (replica.id == id) == (replica.state != ReplicaState::Ready);
        assert!(alone.replicas.len() == 2 && alone.replicas.iter().all(state), "{alone:?}");
        assert_eq!((pods(lease), alone.addresses().len()), (before, 1));
        switch.route(lease, "web", &alone.addresses(), Duration::ZERO).await;
        for _ in 0..20 {
            assert_eq!(switch.routed.get().await.unwrap(), (200, "body-a\n".to_owned()));
        }
        assert_eq!(replicas(&runtime, lease, "web").await.len(), 2);
    })
    .await;
}
