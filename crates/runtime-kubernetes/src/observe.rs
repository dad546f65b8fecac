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

use crate::ends::{End, Past, past_of};
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
    /// How pods ended that are not listed any more.
    pub(crate) ends: Past,
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

    /// Whether its pods are asked if they serve.
    pub(crate) fn has_probe(&self) -> bool {
        self.pod()
            .is_some_and(|pod| pod.containers.iter().any(|container| container.readiness_probe.is_some()))
    }

    /// The secrets that its pods are given.
    pub(crate) fn secrets(&self) -> BTreeSet<&'a str> {
        let Some(pod) = self.pod() else { return BTreeSet::new() };
        let sources = pod.containers.iter().flat_map(|container| container.env_from.iter().flatten());
        let environment = sources.filter_map(|source| Some(source.secret_ref.as_ref()?.name.as_str()));
        let volumes = pod.volumes.iter().flatten();
        let files = volumes.filter_map(|volume| volume.secret.as_ref()?.secret_name.as_deref());
        let logins = pod.image_pull_secrets.iter().flatten().map(|login| login.name.as_str());
        environment.chain(files).chain(logins).collect()
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
        let gone: Vec<End> = gone.iter().map(|one| End::of(&one.pod)).collect();
        let past = past_of(&self.ends, lease, set.service(), set.template(), &gone);
        if set.kind == "StatefulSet" {
            for (heir, one) in replicas.iter_mut().zip(&live) {
                inherit(heir, past.iter().filter(|end| Some(&end.name) == one.pod.metadata.name.as_ref()));
            }
        } else if let Some(heir) = replicas.iter_mut().rev().find(|replica| replica.last_exit.is_none()) {
            inherit(heir, past.iter());
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

/// A pod that was ended for its disk has a successor: to the service that is a restart.
fn inherit<'a>(heir: &mut Replica, ends: impl Iterator<Item = &'a End>) {
    let mut last = None;
    for end in ends {
        heir.restarts = heir.restarts.saturating_add(1);
        last = end.exit.clone();
    }
    heir.last_exit = heir.last_exit.take().or(last);
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
mod tests;
