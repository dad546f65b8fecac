//! What the cluster has of ours at this moment, followed by watches: looking costs the API server nothing, and whoever
//! waits for something hears of it at once. While a watch is broken, or the cluster is silent, nothing is known.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use iono_primitives::LeaseId;
use iono_runtime::RuntimeError;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Secret};
use kube::Resource;
use kube::runtime::reflector;
use kube::runtime::reflector::Store;
use tokio::sync::watch;

use crate::ends::Ends;
use crate::names::lease_of;
use crate::observe::Listed;
use crate::watches::Writers;

/// How long a fresh watch may take to tell what there is.
const FIRST: Duration = Duration::from_secs(15);
/// Kinds that are watched.
const KINDS: usize = 8;

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
    pub(crate) ends: Arc<Ends>,
    pub(crate) state: Arc<State>,
}

/// How the watches are.
#[derive(Debug)]
pub(crate) struct State {
    now: Mutex<Now>,
    /// Counts everything that is seen.
    version: watch::Sender<u64>,
    /// Counts the times at which all watches began.
    pub(crate) view: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Now {
    watches: HashMap<&'static str, Watched>,
    /// Why nothing can be said although no watch broke.
    silence: Option<String>,
}

#[derive(Debug)]
pub(crate) enum Watched {
    Complete,
    Broken(String),
}

impl State {
    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something was seen by a watch that began with `view`.
    pub(crate) fn note(&self, view: u64, kind: &'static str, watched: Option<Watched>) {
        let mut now = self.now();
        if view == *self.view.borrow()
            && let Some(watched) = watched
        {
            now.watches.insert(kind, watched);
        }
        drop(now);
        self.version.send_modify(|version| *version += 1);
    }

    /// Whether all is known; an error if nothing is.
    fn standing(&self) -> Result<bool, RuntimeError> {
        let now = self.now();
        if let Some(why) = &now.silence {
            return Err(RuntimeError::Unreachable(why.clone()));
        }
        for (kind, watched) in &now.watches {
            if let Watched::Broken(why) = watched {
                return Err(RuntimeError::Unreachable(format!("its {kind} cannot be watched: {why}")));
            }
        }
        Ok(now.watches.len() == KINDS)
    }
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
        let state = Arc::new(State {
            now: Mutex::default(),
            version: watch::Sender::new(0),
            view: watch::Sender::new(0),
        });
        let live = Self {
            namespaces,
            deployments,
            stateful_sets,
            jobs,
            pods,
            others,
            nodes,
            manifests,
            ends: Arc::default(),
            state,
        };
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

    /// Returns when all of it is known; at once in most cases.
    pub(crate) async fn known(&self) -> Result<(), RuntimeError> {
        let late = |_| Err(RuntimeError::Unreachable(format!("no answer within {} s", FIRST.as_secs())));
        tokio::time::timeout(FIRST, self.until(|| true)).await.unwrap_or_else(late)
    }

    /// Returns when what is known satisfies `condition`.
    ///
    /// # Errors
    /// [`RuntimeError::Unreachable`] as soon as nothing is known: who waits for news must not take silence for an answer.
    pub(crate) async fn until(&self, mut condition: impl FnMut() -> bool) -> Result<(), RuntimeError> {
        let mut version = self.version();
        loop {
            version.borrow_and_update();
            if self.state.standing()? && condition() {
                return Ok(());
            }
            // The sender lives as long as this does.
            let _ = version.changed().await;
        }
    }

    /// What [`Self::begin_anew`] takes.
    pub(crate) fn view(&self) -> u64 {
        *self.state.view.borrow()
    }

    /// Forgets what watches said that began with `view`, and has them begin again.
    pub(crate) fn begin_anew(&self, view: u64) {
        let mut now = self.state.now();
        let has_begun = self.state.view.send_if_modified(|current| {
            let is_old = *current == view;
            *current += u64::from(is_old);
            is_old
        });
        if has_begun {
            now.watches.clear();
        }
    }

    /// The cluster answered as it should, or not.
    pub(crate) fn heard(&self, error: Option<&RuntimeError>) {
        let silence = match error {
            Some(RuntimeError::Unreachable(why)) => Some(why.clone()),
            _ => None,
        };
        let before = std::mem::replace(&mut self.state.now().silence, silence);
        self.state.version.send_if_modified(|version| {
            let is_news = before.is_some() || error.is_some();
            *version += u64::from(is_news);
            is_news
        });
    }

    /// Changes whenever something does.
    pub(crate) fn version(&self) -> watch::Receiver<u64> {
        self.state.version.subscribe()
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
            ends: self.ends.of(lease),
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
