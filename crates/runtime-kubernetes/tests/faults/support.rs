//! What the tests here share: small services, requests that must not fail, and what the cluster has of a lease.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use iono_primitives::LeaseId;
use iono_runtime::conformance::Harness;
use iono_runtime::conformance::support::{Routed, web};
use iono_runtime::{RuntimeError, Service, Workload};
use iono_runtime_kubernetes::objects::{Carried, of};
use iono_runtime_kubernetes::{KubernetesRuntime, Names};
use kube::Config;
use tokio::task::JoinHandle;

use crate::common::{Cluster, kubectl, owner, settings};

/// Longer than anything may take to say that the cluster cannot be reached.
pub(crate) const SILENCE: Duration = Duration::from_secs(35);

pub(crate) fn fresh(config: &Config, dir: &Path) -> KubernetesRuntime {
    KubernetesRuntime::new(config.clone(), settings(dir))
}

/// The web server of the suite with the least that it needs, and quick to end.
pub(crate) fn small(cluster: &Cluster, generation: &str) -> Service {
    let mut service = web(cluster, generation);
    service.limits.memory_mib = 32;
    service.limits.ephemeral_mib = 16;
    service.drain = Duration::from_secs(1);
    service
}

/// A lease whose manifest's hash is its generation.
pub(crate) fn lease_of(lease: LeaseId, generation: &str, service: Service) -> Workload {
    Workload { lease, manifest_hash: generation.to_owned(), services: vec![service] }
}

/// It says that the cluster cannot be reached, and says so in time; its words.
pub(crate) async fn unreachable<T>(
    what: &str,
    call: impl Future<Output = Result<T, RuntimeError>>,
) -> String {
    let begin = Instant::now();
    let result = call.await;
    let took = begin.elapsed();
    assert!(took < SILENCE, "{what} took {took:?}");
    match result {
        Err(RuntimeError::Unreachable(why)) => why,
        Err(other) => panic!("{what}: {other}"),
        Ok(_) => panic!("{what} says that all is well"),
    }
}

/// Objects of a lease as kind and name, but for its pods and what their controllers make.
pub(crate) fn objects(lease: LeaseId) -> BTreeSet<String> {
    let selector = format!("network.ionosphere/lease={lease}");
    let kinds = "namespaces,resourcequotas,limitranges,deployments,statefulsets,jobs,services,networkpolicies,secrets";
    let seen = kubectl(&["get", kinds, "-n", &namespace(lease), "-l", &selector, "-o", "json"]);
    let seen: serde_json::Value = serde_json::from_str(&seen).unwrap();
    let name = |item: &serde_json::Value| {
        format!("{} {}", item["kind"].as_str().unwrap(), item["metadata"]["name"].as_str().unwrap())
    };
    seen["items"].as_array().unwrap().iter().map(name).collect()
}

/// What a workload asks for, in the same words.
pub(crate) fn wanted(workload: &Workload) -> BTreeSet<String> {
    let dir = Path::new("/nowhere");
    let all = of(&settings(dir), &Names::new(&owner()), workload, &Carried::default()).unwrap();
    all.iter().map(|object| format!("{} {}", object.kind, object.name)).collect()
}

/// The ids of a lease's pods that are to stay.
pub(crate) fn pods(lease: LeaseId) -> BTreeSet<String> {
    let selector = format!("network.ionosphere/lease={lease}");
    let seen = kubectl(&["get", "pods", "-A", "-l", &selector, "-o", "json"]);
    let seen: serde_json::Value = serde_json::from_str(&seen).unwrap();
    let stays = |pod: &&serde_json::Value| pod["metadata"]["deletionTimestamp"].is_null();
    let id = |pod: &serde_json::Value| pod["metadata"]["uid"].as_str().unwrap().to_owned();
    seen["items"].as_array().unwrap().iter().filter(stays).map(id).collect()
}

pub(crate) fn namespace(lease: LeaseId) -> String {
    Names::new(&owner()).namespace(lease)
}

/// Asks again and again, until it is told to stop; none may fail.
pub(crate) struct Client {
    stop: Arc<AtomicBool>,
    good: Arc<AtomicUsize>,
    task: JoinHandle<Vec<String>>,
}

impl Client {
    pub(crate) fn new(routed: &Arc<Routed>) -> Self {
        let (stop, good) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (routed, stopped, count) = (Arc::clone(routed), Arc::clone(&stop), Arc::clone(&good));
        let task = tokio::spawn(async move {
            let mut failed = Vec::new();
            while !stopped.load(SeqCst) {
                match routed.get().await {
                    Ok((200, body)) if body.starts_with("body-") => drop(count.fetch_add(1, SeqCst)),
                    other => failed.push(format!("{other:?}")),
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            failed
        });
        Self { stop, good, task }
    }

    /// How many were answered; it is a mistake if one was not.
    pub(crate) async fn end(self) -> usize {
        self.stop.store(true, SeqCst);
        assert_eq!(self.task.await.unwrap(), Vec::<String>::new());
        self.good.load(SeqCst)
    }
}

/// The cluster has exactly what was asked for.
pub(crate) async fn is_exactly(cluster: &Cluster, workload: &Workload) {
    let observed = cluster.runtime().observe().await.unwrap();
    let own = observed.into_iter().find(|one| one.lease == workload.lease).unwrap();
    assert!(own.is_ready() && own.manifest_hash == workload.manifest_hash, "{own:?}");
    assert_eq!(objects(workload.lease), wanted(workload));
    let replicas: u32 = workload.services.iter().map(|service| service.replicas).sum();
    assert_eq!(pods(workload.lease).len(), replicas as usize);
}
