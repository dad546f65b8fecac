//! What the cluster has of ours at this moment, followed by watches: looking costs the API server nothing, and whoever
//! waits for something hears of it at once. While a watch is broken nothing is known.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Debug;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use iono_primitives::LeaseId;
use iono_runtime::RuntimeError;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, Namespace, Node, Pod, PodSpec, PodStatus, Secret};
use kube::api::Api;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event, watcher};
use kube::runtime::{WatchStreamExt, reflector};
use kube::{Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, watch};

use crate::cluster::words;
use crate::names::{Names, key, lease_of};
use crate::observe::Listed;

/// How long a fresh watch may take to tell what there is.
const FIRST: Duration = Duration::from_secs(15);
/// Kinds that are watched.
const KINDS: usize = 8;

/// How a pod changed.
#[derive(Debug)]
pub(crate) struct PodChange {
    pub(crate) before: Option<Arc<Pod>>,
    /// `None` when it is gone.
    pub(crate) after: Option<Arc<Pod>>,
}

/// What is known.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) namespaces: Store<Namespace>,
    pub(crate) deployments: Store<Deployment>,
    pub(crate) stateful_sets: Store<StatefulSet>,
    pub(crate) jobs: Store<Job>,
    pub(crate) pods: Store<Pod>,
    /// Pods of everybody else, without what nobody here reads.
    pub(crate) others: Store<Pod>,
    pub(crate) nodes: Store<Node>,
    manifests: Store<Secret>,
    state: Arc<State>,
}

/// How the watches are.
#[derive(Debug)]
struct State {
    watches: Mutex<HashMap<&'static str, Watched>>,
    /// Counts everything that is seen.
    version: watch::Sender<u64>,
}

#[derive(Debug)]
enum Watched {
    Complete,
    Broken(String),
}

impl State {
    fn watches(&self) -> MutexGuard<'_, HashMap<&'static str, Watched>> {
        self.watches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, kind: &'static str, watched: Option<Watched>) {
        if let Some(watched) = watched {
            self.watches().insert(kind, watched);
        }
        self.version.send_modify(|version| *version += 1);
    }
}

/// The writing ends of the stores.
pub(crate) struct Writers {
    namespaces: Writer<Namespace>,
    deployments: Writer<Deployment>,
    stateful_sets: Writer<StatefulSet>,
    jobs: Writer<Job>,
    pods: Writer<Pod>,
    others: Writer<Pod>,
    nodes: Writer<Node>,
    manifests: Writer<Secret>,
}

impl Live {
    pub(crate) fn new() -> (Self, Writers) {
        let (namespaces, w_namespaces) = reflector::store();
        let (deployments, w_deployments) = reflector::store();
        let (stateful_sets, w_stateful_sets) = reflector::store();
        let (jobs, w_jobs) = reflector::store();
        let (pods, w_pods) = reflector::store();
        let (others, w_others) = reflector::store();
        let (nodes, w_nodes) = reflector::store();
        let (manifests, w_manifests) = reflector::store();
        let state = Arc::new(State { watches: Mutex::default(), version: watch::Sender::new(0) });
        let live =
            Self { namespaces, deployments, stateful_sets, jobs, pods, others, nodes, manifests, state };
        let writers = Writers {
            namespaces: w_namespaces,
            deployments: w_deployments,
            stateful_sets: w_stateful_sets,
            jobs: w_jobs,
            pods: w_pods,
            others: w_others,
            nodes: w_nodes,
            manifests: w_manifests,
        };
        (live, writers)
    }

    /// Follows everything with the owner's labels until it is dropped; tells how pods change.
    pub(crate) fn follow(
        &self,
        client: Client,
        names: &Names,
        space: &str,
        writers: Writers,
        changes: mpsc::UnboundedSender<PodChange>,
    ) -> impl Future<Output = ()> + Send + use<> {
        let ours = watcher::Config::default().labels(&names.selector());
        let state = &self.state;
        let pods = self.pods.clone();
        let on_pod = move |event: &Event<Pod>| {
            let change = match event {
                Event::Apply(pod) | Event::InitApply(pod) => {
                    PodChange { before: pods.get(&ObjectRef::from(pod)), after: Some(Arc::new(pod.clone())) }
                }
                Event::Delete(pod) => PodChange { before: Some(Arc::new(pod.clone())), after: None },
                Event::Init | Event::InitDone => return,
            };
            // Nobody listens any more when the runtime is dropped.
            let _ = changes.send(change);
        };
        let secrets: Api<Secret> = Api::namespaced(client.clone(), space);
        let sealed = ours.clone().labels(&format!("{},{}", names.selector(), key("manifest")));
        let others = watcher::Config::default().labels(&names.others());
        let watches = (
            one("namespaces", Api::all(client.clone()), &ours, writers.namespaces, state, whole, |_| {}),
            one("deployments", Api::all(client.clone()), &ours, writers.deployments, state, whole, |_| {}),
            one(
                "stateful sets",
                Api::all(client.clone()),
                &ours,
                writers.stateful_sets,
                state,
                whole,
                |_| {},
            ),
            one("jobs", Api::all(client.clone()), &ours, writers.jobs, state, whole, |_| {}),
            one("pods", Api::all(client.clone()), &ours, writers.pods, state, whole, on_pod),
            one("other pods", Api::all(client.clone()), &others, writers.others, state, to_its_room, |_| {}),
            one(
                "nodes",
                Api::all(client),
                &watcher::Config::default(),
                writers.nodes,
                state,
                without_images,
                |_| {},
            ),
            one("manifests", secrets, &sealed, writers.manifests, state, whole, |_| {}),
        );
        async move {
            tokio::join!(
                watches.0, watches.1, watches.2, watches.3, watches.4, watches.5, watches.6, watches.7
            );
        }
    }

    /// Returns when all of it is known; at once in most cases.
    pub(crate) async fn known(&self) -> Result<(), RuntimeError> {
        let mut version = self.version();
        let complete = async {
            loop {
                version.borrow_and_update();
                {
                    let watches = self.state.watches();
                    let broken = watches.iter().find_map(|(kind, watched)| match watched {
                        Watched::Broken(why) => Some(format!("its {kind} cannot be watched: {why}")),
                        Watched::Complete => None,
                    });
                    if let Some(why) = broken {
                        return Err(RuntimeError::Unreachable(why));
                    }
                    if watches.len() == KINDS {
                        return Ok(());
                    }
                }
                // The sender lives as long as this does.
                let _ = version.changed().await;
            }
        };
        let late = |_| Err(RuntimeError::Unreachable(format!("no answer within {} s", FIRST.as_secs())));
        tokio::time::timeout(FIRST, complete).await.unwrap_or_else(late)
    }

    /// Changes whenever something does.
    pub(crate) fn version(&self) -> watch::Receiver<u64> {
        self.state.version.subscribe()
    }

    /// Waits until what is known satisfies `condition`; false when it does not in time.
    pub(crate) async fn wait(&self, patience: Duration, mut condition: impl FnMut() -> bool) -> bool {
        let mut version = self.version();
        let satisfied = async {
            while !condition() {
                let _ = version.changed().await;
            }
        };
        tokio::time::timeout(patience, satisfied).await.is_ok()
    }

    /// Everything, or everything of one lease.
    pub(crate) fn listed(&self, lease: Option<LeaseId>) -> Listed {
        fn of<K>(store: &Store<K>, lease: Option<LeaseId>) -> Vec<Arc<K>>
        where
            K: Resource<DynamicType = ()> + Clone + 'static,
        {
            store.state_filter(|object| lease.is_none() || lease_of(object.meta()) == lease)
        }
        let manifests = of(&self.manifests, lease);
        Listed {
            namespaces: of(&self.namespaces, lease),
            deployments: of(&self.deployments, lease),
            stateful_sets: of(&self.stateful_sets, lease),
            jobs: of(&self.jobs, lease),
            pods: of(&self.pods, lease),
            manifests: manifests
                .iter()
                .filter_map(|secret| lease_of(&secret.metadata))
                .collect::<BTreeSet<_>>(),
        }
    }
}

/// Follows one kind.
fn one<K>(
    kind: &'static str,
    api: Api<K>,
    config: &watcher::Config,
    mut writer: Writer<K>,
    state: &Arc<State>,
    trim: fn(&mut K),
    on_event: impl Fn(&Event<K>) + Send + 'static,
) -> BoxFuture<'static, ()>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let state = Arc::clone(state);
    // Who wrote which field is as long as the rest together, and nobody here reads it.
    let events = watcher(api, config.clone()).backoff(Again).modify(move |object| {
        object.managed_fields_mut().clear();
        trim(object);
    });
    async move {
        let mut events = pin!(events);
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    on_event(&event);
                    writer.apply_watcher_event(&event);
                    let complete = !matches!(event, Event::Init | Event::InitApply(_));
                    state.note(kind, complete.then_some(Watched::Complete));
                }
                Err(error) => {
                    let why = words(&error);
                    tracing::debug!(kind, why, "a watch broke");
                    state.note(kind, Some(Watched::Broken(why)));
                }
            }
        }
    }
    .boxed()
}

fn whole<K>(_: &mut K) {}

/// Leaves where a pod is and what it has set aside there.
fn to_its_room(pod: &mut Pod) {
    pod.metadata.annotations = None;
    pod.status = pod.status.take().map(|status| PodStatus { phase: status.phase, ..PodStatus::default() });
    pod.spec = pod.spec.take().map(|spec| PodSpec {
        node_name: spec.node_name,
        containers: spec
            .containers
            .into_iter()
            .map(|one| Container { name: one.name, resources: one.resources, ..Container::default() })
            .collect(),
        ..PodSpec::default()
    });
}

/// A node lists all that it ever pulled.
fn without_images(node: &mut Node) {
    if let Some(status) = &mut node.status {
        status.images = None;
    }
}

/// A broken watch is tried again every second: while it is broken nobody bids.
struct Again;

impl Iterator for Again {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(Duration::from_secs(1))
    }
}

impl Backoff for Again {
    fn reset(&mut self) {}
}
