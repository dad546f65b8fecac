//! Everything of one owner that a cluster has, as leases: found by labels alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use iono_primitives::LeaseId;
use iono_runtime::{Observed, ObservedService, Replica, ReplicaState};
use k8s_openapi::Metadata;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Pod, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::names::{annotation, label, lease_of};
use crate::objects::Object;
use crate::replica;

/// What was listed, with the owner's labels.
#[derive(Debug, Default)]
pub struct Listed {
    /// One for each lease.
    pub namespaces: Vec<Arc<Namespace>>,
    /// Services that serve.
    pub deployments: Vec<Arc<Deployment>>,
    /// Services with persistent volumes.
    pub stateful_sets: Vec<Arc<StatefulSet>>,
    /// Services that may end.
    pub jobs: Vec<Arc<Job>>,
    /// Replicas.
    pub pods: Vec<Arc<Pod>>,
    /// Leases with a sealed manifest.
    pub manifests: BTreeSet<LeaseId>,
}

/// What keeps a service's replicas running, whatever its kind.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Set<'a> {
    pub(crate) kind: &'static str,
    pub(crate) metadata: &'a ObjectMeta,
    pub(crate) replicas: u32,
    template: Option<&'a PodTemplateSpec>,
}

impl<'a> Set<'a> {
    /// The service's name.
    pub(crate) fn service(&self) -> &'a str {
        self.metadata.name.as_deref().unwrap_or_default()
    }

    fn template_metadata(&self) -> Option<&'a ObjectMeta> {
        self.template?.metadata.as_ref()
    }

    /// What tells the pods of the present generation from older ones.
    pub(crate) fn template(&self) -> Option<&'a str> {
        label(self.template_metadata()?, "template")
    }

    /// The image of its replicas.
    pub(crate) fn image(&self) -> Option<&'a str> {
        self.pod()?.containers.first()?.image.as_deref()
    }

    /// What its pods are made from.
    pub(crate) fn pod(&self) -> Option<&'a PodSpec> {
        self.template?.spec.as_ref()
    }

    /// It as an object of the API, with this for its content.
    pub(crate) fn object(&self, namespace: &str, value: serde_json::Value) -> Object {
        let (api_version, plural) = match self.kind {
            "Job" => ("batch/v1", "jobs"),
            "StatefulSet" => ("apps/v1", "statefulsets"),
            _ => ("apps/v1", "deployments"),
        };
        let (kind, name) = (self.kind, self.service().to_owned());
        Object { api_version, kind, plural, namespace: Some(namespace.to_owned()), name, value }
    }

    /// When somebody asked for fresh replicas.
    pub(crate) fn restarted(&self) -> Option<&'a str> {
        annotation(self.template_metadata()?, "restarted")
    }
}

/// A pod with its place among its service's replicas.
#[derive(Debug, Clone)]
pub(crate) struct Numbered {
    pub(crate) pod: Arc<Pod>,
    pub(crate) index: u32,
}

impl Listed {
    /// Every lease that has something there, by number.
    #[must_use]
    pub fn observed(&self) -> Vec<Observed> {
        let mut leases: BTreeMap<LeaseId, Observed> = BTreeMap::new();
        let empty = |lease| Observed {
            lease,
            manifest_hash: String::new(),
            services: Vec::new(),
            has_manifest: self.manifests.contains(&lease),
        };
        for lease in &self.manifests {
            leases.insert(*lease, empty(*lease));
        }
        for namespace in &self.namespaces {
            if let Some(lease) = lease_of(&namespace.metadata) {
                let observed = leases.entry(lease).or_insert_with(|| empty(lease));
                observed.manifest_hash =
                    annotation(&namespace.metadata, "manifest").unwrap_or_default().to_owned();
            }
        }
        for set in self.sets() {
            if let Some(observed) = lease_of(set.metadata).and_then(|lease| leases.get_mut(&lease)) {
                observed.services.push(self.service(&set, observed.lease));
            }
        }
        leases.into_values().collect()
    }

    fn service(&self, set: &Set<'_>, lease: LeaseId) -> ObservedService {
        let pods = self.replicas(lease, set.service());
        let (gone, live): (Vec<_>, Vec<_>) =
            pods.into_iter().partition(|one| set.kind != "Job" && has_failed(&one.pod));
        let manifest = annotation(set.metadata, "manifest").unwrap_or_default();
        let is_current =
            |pod: &Pod| set.template().is_some() && label(&pod.metadata, "template") == set.template();
        let mut replicas: Vec<Replica> = live.iter().map(|one| replica::of(&one.pod, one.index)).collect();
        for (replica, one) in replicas.iter_mut().zip(&live) {
            if is_current(&one.pod) {
                manifest.clone_into(&mut replica.manifest_hash);
            }
        }
        // A pod that was ended for its disk has a successor: to the service that is a restart.
        if let Some(heir) = replicas.iter_mut().rev().find(|replica| replica.last_exit.is_none())
            && let Some(last) = gone.last()
        {
            heir.last_exit = replica::of(&last.pod, 0).last_exit;
            heir.restarts += u32::try_from(gone.len()).unwrap_or(u32::MAX);
        }
        let serves = |(replica, one): (&Replica, &Numbered)| {
            replica.state == ReplicaState::Ready && is_current(&one.pod)
        };
        let ready = replicas.iter().zip(&live).filter(|pair| serves(*pair)).count();
        ObservedService {
            name: set.service().to_owned(),
            desired: set.replicas,
            ready: u32::try_from(ready).unwrap_or(u32::MAX),
            replicas,
        }
    }

    /// What keeps services running, by lease and name.
    pub(crate) fn sets(&self) -> Vec<Set<'_>> {
        let number = |count: Option<i32>| u32::try_from(count.unwrap_or(1)).unwrap_or(0);
        let deployments = self.deployments.iter().map(|set| {
            let spec = set.spec.as_ref();
            let replicas = number(spec.and_then(|spec| spec.replicas));
            Set {
                kind: "Deployment",
                metadata: &set.metadata,
                replicas,
                template: spec.map(|spec| &spec.template),
            }
        });
        let stateful = self.stateful_sets.iter().map(|set| {
            let spec = set.spec.as_ref();
            let replicas = number(spec.and_then(|spec| spec.replicas));
            Set {
                kind: "StatefulSet",
                metadata: &set.metadata,
                replicas,
                template: spec.map(|spec| &spec.template),
            }
        });
        let jobs = self.jobs.iter().map(|job| {
            let spec = job.spec.as_ref();
            let replicas = number(spec.and_then(|spec| spec.completions));
            Set { kind: "Job", metadata: &job.metadata, replicas, template: spec.map(|spec| &spec.template) }
        });
        let mut all: Vec<Set<'_>> = deployments.chain(stateful).chain(jobs).collect();
        // One that is being removed has no say any more.
        all.retain(|set| set.metadata.deletion_timestamp.is_none());
        all.sort_by_key(|set| (lease_of(set.metadata), set.service().to_owned()));
        all
    }

    /// Whether a set is there, be it on its way out.
    pub(crate) fn has(&self, kind: &str, name: &str) -> bool {
        fn named<K: Metadata<Ty = ObjectMeta>>(all: &[Arc<K>], name: &str) -> bool {
            all.iter().any(|one| one.metadata().name.as_deref() == Some(name))
        }
        match kind {
            "Deployment" => named(&self.deployments, name),
            "StatefulSet" => named(&self.stateful_sets, name),
            _ => named(&self.jobs, name),
        }
    }

    /// The pods of a service that are not on their way out, numbered: by their own number where the cluster gives one, by
    /// age elsewhere.
    pub(crate) fn replicas(&self, lease: LeaseId, service: &str) -> Vec<Numbered> {
        let numbered = self.stateful_sets.iter().any(|set| {
            lease_of(&set.metadata) == Some(lease) && set.metadata.name.as_deref() == Some(service)
        });
        let mut pods: Vec<&Arc<Pod>> = self
            .pods
            .iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none())
            .filter(|pod| {
                lease_of(&pod.metadata) == Some(lease) && label(&pod.metadata, "service") == Some(service)
            })
            .collect();
        pods.sort_by_key(|pod| {
            (pod.metadata.creation_timestamp.as_ref().map(|time| time.0), &pod.metadata.name)
        });
        let place = |(place, pod): (usize, &Arc<Pod>)| {
            let own = ordinal(pod).filter(|_| numbered);
            let index = own.unwrap_or_else(|| u32::try_from(place).unwrap_or(u32::MAX));
            Numbered { pod: Arc::clone(pod), index }
        };
        pods.into_iter().enumerate().map(place).collect()
    }
}

/// Whether a pod ended for good and its set has another one in its place.
pub(crate) fn has_failed(pod: &Pod) -> bool {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Failed")
}

/// The number at the end of a StatefulSet's pod's name.
fn ordinal(pod: &Pod) -> Option<u32> {
    pod.metadata.name.as_ref()?.rsplit_once('-')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use iono_runtime::ExitReason;
    use serde_json::{Value, json};

    use super::*;
    use crate::names::key;

    fn labels(lease: u64, service: &str, template: &str) -> Value {
        json!({key("lease"): lease.to_string(), key("service"): service, key("template"): template})
    }

    fn pod(lease: u64, service: &str, name: &str, born: &str) -> Pod {
        let running = json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}});
        serde_json::from_value(json!({
            "metadata": {"name": name, "uid": name, "creationTimestamp": born, "labels": labels(lease, service, "new")},
            "status": {"phase": "Running", "podIP": "10.0.0.1", "containerStatuses": [{
                "name": service, "image": "i", "imageID": "sha256:ab", "ready": true, "restartCount": 0, "state": running
            }]}
        }))
        .unwrap()
    }

    fn namespace(lease: u64) -> Arc<Namespace> {
        let metadata =
            json!({"name": "n", "labels": labels(lease, "", ""), "annotations": {key("manifest"): "ab"}});
        serde_json::from_value(json!({"metadata": metadata})).unwrap()
    }

    /// A set of `replicas` whose present template is called "new".
    fn set(lease: u64, name: &str, replicas: u32) -> Value {
        let metadata = json!({
            "name": name, "labels": labels(lease, name, ""), "annotations": {key("manifest"): "ab"}
        });
        let template = json!({"metadata": {"labels": labels(lease, name, "new")}});
        json!({"metadata": metadata, "spec": {"replicas": replicas, "selector": {}, "template": template, "serviceName": name}})
    }

    fn deployment(lease: u64, name: &str, replicas: u32) -> Arc<Deployment> {
        serde_json::from_value(set(lease, name, replicas)).unwrap()
    }

    #[test]
    fn leases_are_found_by_their_labels() {
        let mut dying = pod(7, "web", "web-z", "2026-01-01T00:00:00Z");
        dying.metadata.deletion_timestamp = dying.metadata.creation_timestamp.clone();
        let mut old = pod(7, "web", "web-0", "2025-01-01T00:00:00Z");
        old.metadata.labels.as_mut().unwrap().insert(key("template"), "old".to_owned());
        let pods = vec![
            pod(7, "web", "web-a", "2026-01-01T00:00:02Z"),
            pod(7, "web", "web-b", "2026-01-01T00:00:01Z"),
            dying,
            old,
            pod(7, "db", "db-1", "2026-01-01T00:00:01Z"),
            pod(8, "web", "stray", "2026-01-01T00:00:01Z"),
        ];
        let listed = Listed {
            namespaces: vec![namespace(9), namespace(7)],
            deployments: vec![deployment(7, "web", 3)],
            stateful_sets: vec![serde_json::from_value(set(7, "db", 2)).unwrap()],
            pods: pods.into_iter().map(Arc::new).collect(),
            manifests: [LeaseId(9), LeaseId(5)].into(),
            ..Listed::default()
        };
        let observed = listed.observed();
        assert_eq!(observed.iter().map(|one| one.lease.0).collect::<Vec<_>>(), [5, 7, 9]);
        assert!(observed[2].has_manifest && observed[2].services.is_empty());
        assert_eq!((observed[0].manifest_hash.as_str(), observed[1].manifest_hash.as_str()), ("", "ab"));
        let [database, web] = &observed[1].services[..] else { panic!("{observed:?}") };
        // By its own number, and by age.
        assert_eq!((database.desired, database.replicas[0].index), (2, 1));
        let replicas: Vec<_> =
            web.replicas.iter().map(|one| (one.id.as_str(), one.index, one.manifest_hash.as_str())).collect();
        assert_eq!(replicas, [("web-0", 0, ""), ("web-b", 1, "ab"), ("web-a", 2, "ab")]);
        // One of the generation before does not count.
        assert_eq!((web.desired, web.ready, observed[1].is_ready()), (3, 2, false));
    }

    /// What the cluster ended for its disk is the past of what took its place.
    #[test]
    fn an_evicted_pod_is_a_restart_of_its_successor() {
        let pods: Vec<Value> = serde_json::from_str(include_str!("fixtures/pods.json")).unwrap();
        let evicted = pods.into_iter().find(|pod| pod["metadata"]["name"] == "disk-1").unwrap();
        let mut evicted: Pod = serde_json::from_value(evicted).unwrap();
        let heir = pod(7, "disk", "disk-2", "2036-01-01T00:00:00Z");
        evicted.metadata.labels.clone_from(&heir.metadata.labels);
        let listed = Listed {
            namespaces: vec![namespace(7)],
            deployments: vec![deployment(7, "disk", 1)],
            pods: vec![Arc::new(evicted), Arc::new(heir)],
            ..Listed::default()
        };
        let service = listed.observed()[0].services[0].clone();
        assert_eq!((service.ready, service.replicas.len(), service.replicas[0].restarts), (1, 1, 1));
        assert_eq!(service.replicas[0].last_exit.as_ref().unwrap().reason, ExitReason::DiskQuota);
    }
}
