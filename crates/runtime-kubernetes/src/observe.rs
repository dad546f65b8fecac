//! Everything of one owner that a cluster has, as leases: found by labels alone.

use std::collections::{BTreeMap, BTreeSet};

use iono_primitives::LeaseId;
use iono_runtime::{Observed, ObservedService};
use k8s_openapi::Metadata;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::names::key;
use crate::replica;

/// What was listed, with the owner's labels.
#[derive(Debug, Default)]
pub struct Listed {
    /// One for each lease.
    pub namespaces: Vec<Namespace>,
    /// Services that serve.
    pub deployments: Vec<Deployment>,
    /// Services with persistent volumes.
    pub stateful_sets: Vec<StatefulSet>,
    /// Services that may end.
    pub jobs: Vec<Job>,
    /// Replicas.
    pub pods: Vec<Pod>,
    /// Leases with a sealed manifest.
    pub manifests: BTreeSet<LeaseId>,
}

impl Listed {
    /// Every lease that has something there, by number.
    #[must_use]
    pub fn observed(&self) -> Vec<Observed> {
        let mut leases: BTreeMap<LeaseId, Observed> = BTreeMap::new();
        for namespace in &self.namespaces {
            let Some(lease) = lease_of(&namespace.metadata) else { continue };
            let annotations = namespace.metadata.annotations.as_ref();
            let manifest_hash = annotations.and_then(|all| all.get(&key("manifest")).cloned());
            leases.insert(
                lease,
                Observed {
                    lease,
                    manifest_hash: manifest_hash.unwrap_or_default(),
                    services: Vec::new(),
                    has_manifest: self.manifests.contains(&lease),
                },
            );
        }
        let mut services = self.desired();
        for (lease, name, replica) in self.replicas() {
            let service = services.entry((lease, name.clone())).or_insert_with(|| service(name, 0));
            service.replicas.push(replica);
        }
        for ((lease, _), mut service) in services {
            let ready = service.replicas.iter().filter(|one| one.state == iono_runtime::ReplicaState::Ready);
            service.ready = u32::try_from(ready.count()).unwrap_or(u32::MAX);
            if let Some(observed) = leases.get_mut(&lease) {
                observed.services.push(service);
            }
        }
        leases.into_values().collect()
    }

    /// The services, without replicas yet.
    fn desired(&self) -> BTreeMap<(LeaseId, String), ObservedService> {
        let deployments =
            self.deployments.iter().map(|set| (&set.metadata, set.spec.as_ref().and_then(|s| s.replicas)));
        let sets =
            self.stateful_sets.iter().map(|set| (&set.metadata, set.spec.as_ref().and_then(|s| s.replicas)));
        let jobs = self.jobs.iter().map(|job| (&job.metadata, job.spec.as_ref().and_then(|s| s.completions)));
        let all = deployments.chain(sets).chain(jobs);
        let entry = |(metadata, replicas): (&ObjectMeta, Option<i32>)| {
            let (lease, name) = (lease_of(metadata)?, metadata.name.clone()?);
            let desired = u32::try_from(replicas.unwrap_or(1)).unwrap_or(0);
            Some(((lease, name.clone()), service(name, desired)))
        };
        all.filter_map(entry).collect()
    }

    /// The pods of each service, numbered: by its own number where the cluster gives one, by age elsewhere.
    fn replicas(&self) -> Vec<(LeaseId, String, iono_runtime::Replica)> {
        let mut pods: Vec<(LeaseId, String, &Pod)> = self
            .pods
            .iter()
            .filter(|pod| pod.metadata().deletion_timestamp.is_none())
            .filter_map(|pod| {
                let service = pod.metadata.labels.as_ref()?.get(&key("service"))?.clone();
                Some((lease_of(&pod.metadata)?, service, pod))
            })
            .collect();
        pods.sort_by_key(|(lease, service, pod)| {
            let born = pod.metadata.creation_timestamp.as_ref().map(|time| time.0);
            (*lease, service.clone(), born, pod.metadata.name.clone())
        });
        let numbered: BTreeSet<(LeaseId, String)> = self
            .stateful_sets
            .iter()
            .filter_map(|set| Some((lease_of(&set.metadata)?, set.metadata.name.clone()?)))
            .collect();
        let mut next: BTreeMap<(LeaseId, String), u32> = BTreeMap::new();
        pods.into_iter()
            .map(|(lease, service, pod)| {
                let place = next.entry((lease, service.clone())).or_default();
                let own = ordinal(pod).filter(|_| numbered.contains(&(lease, service.clone())));
                let index = own.unwrap_or(*place);
                *place += 1;
                (lease, service, replica::of(pod, index))
            })
            .collect()
    }
}

fn service(name: String, desired: u32) -> ObservedService {
    ObservedService { name, desired, ready: 0, replicas: Vec::new() }
}

fn lease_of(metadata: &ObjectMeta) -> Option<LeaseId> {
    metadata.labels.as_ref()?.get(&key("lease"))?.parse().ok()
}

/// The number at the end of a StatefulSet's pod's name.
fn ordinal(pod: &Pod) -> Option<u32> {
    pod.metadata.name.as_ref()?.rsplit_once('-')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use iono_runtime::ReplicaState;
    use serde_json::json;

    use super::*;

    fn labels(lease: u64, service: &str) -> serde_json::Value {
        json!({key("lease"): lease.to_string(), key("service"): service})
    }

    fn pod(lease: u64, service: &str, name: &str, born: &str) -> Pod {
        let running = json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}});
        serde_json::from_value(json!({
            "metadata": {"name": name, "uid": name, "creationTimestamp": born, "labels": labels(lease, service)},
            "status": {"phase": "Running", "podIP": "10.0.0.1", "containerStatuses": [{
                "name": service, "image": "i", "imageID": "sha256:ab", "ready": true, "restartCount": 0, "state": running
            }]}
        }))
        .unwrap()
    }

    fn namespace(lease: u64) -> Namespace {
        let metadata =
            json!({"name": "n", "labels": labels(lease, ""), "annotations": {key("manifest"): "ab"}});
        serde_json::from_value(json!({"metadata": metadata})).unwrap()
    }

    fn deployment(lease: u64, name: &str, replicas: u32) -> Deployment {
        let metadata = json!({"name": name, "labels": labels(lease, name)});
        let spec = json!({"replicas": replicas, "selector": {}, "template": {}});
        serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
    }

    #[test]
    fn leases_are_found_by_their_labels() {
        let stateful = serde_json::from_value(json!({
            "metadata": {"name": "db", "labels": labels(7, "db")},
            "spec": {"replicas": 2, "selector": {}, "template": {}, "serviceName": "db"}
        }));
        let mut dying = pod(7, "web", "web-z", "2026-01-01T00:00:00Z");
        dying.metadata.deletion_timestamp = dying.metadata.creation_timestamp.clone();
        let listed = Listed {
            namespaces: vec![namespace(9), namespace(7)],
            deployments: vec![deployment(7, "web", 3)],
            stateful_sets: vec![stateful.unwrap()],
            pods: vec![
                pod(7, "web", "web-a", "2026-01-01T00:00:02Z"),
                pod(7, "web", "web-b", "2026-01-01T00:00:01Z"),
                dying,
                pod(7, "db", "db-1", "2026-01-01T00:00:01Z"),
                pod(8, "web", "stray", "2026-01-01T00:00:01Z"),
            ],
            manifests: [LeaseId(9)].into(),
            ..Listed::default()
        };
        let observed = listed.observed();
        assert_eq!(observed.iter().map(|one| one.lease.0).collect::<Vec<_>>(), [7, 9]);
        assert!(observed[1].has_manifest && observed[1].services.is_empty());
        let [database, web] = &observed[0].services[..] else { panic!("{observed:?}") };
        // By its own number, and by age.
        assert_eq!((database.desired, database.replicas[0].index), (2, 1));
        let replicas: Vec<_> =
            web.replicas.iter().map(|one| (one.id.as_str(), one.index, one.state)).collect();
        assert_eq!(replicas, [("web-b", 0, ReplicaState::Ready), ("web-a", 1, ReplicaState::Ready)]);
        assert_eq!((web.desired, web.ready, observed[0].is_ready()), (3, 2, false));
        assert_eq!(observed[0].manifest_hash, "ab");
    }

    /// A job, a crash, a missing image: each is seen as it is.
    #[test]
    fn what_a_kubelet_says_becomes_one_lease() {
        let pods: Vec<Pod> = serde_json::from_str(include_str!("fixtures/pods.json")).unwrap();
        let listed = Listed { namespaces: vec![namespace(7)], pods, ..Listed::default() };
        let observed = listed.observed();
        assert_eq!(observed[0].services.len(), 9);
        assert_eq!(observed[0].services.iter().map(|service| service.ready).sum::<u32>(), 1);
    }
}
