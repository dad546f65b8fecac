//! What the cluster has of ours at this moment, followed by watches: looking costs the API server nothing, and whoever
//! waits for something hears of it at once. While a watch is broken, or the cluster is silent, nothing is known.

use std::collections::{BTreeSet, HashMap, HashSet};
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
use crate::index::Index;
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
    pub(crate) namespaces: Index<Namespace>,
    pub(crate) deployments: Index<Deployment>,
    pub(crate) stateful_sets: Index<StatefulSet>,
    pub(crate) jobs: Index<Job>,
    pub(crate) pods: Arc<Index<Pod>>,
    pub(crate) manifests: Index<Secret>,
    /// Pods of everybody else, without what nobody here reads.
    pub(crate) others: Store<Pod>,
    pub(crate) nodes: Store<Node>,
    pub(crate) ends: Arc<Ends>,
    pub(crate) state: Arc<State>,
}

/// How the watches are.
#[derive(Debug)]
pub(crate) struct State {
    now: Mutex<Now>,
    /// Counts the changes of what can be said at all.
    version: watch::Sender<u64>,
    /// Counts the changes of leases that somebody waits for, those of `version` included.
    leases: Mutex<HashMap<LeaseId, watch::Sender<u64>>>,
    /// Counts the times at which all watches began.
    pub(crate) view: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Now {
    watches: HashMap<&'static str, Watched>,
    /// Why nothing can be said although no watch broke.
    silence: Option<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Watched {
    Complete,
    Broken(String),
}

impl State {
    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something of these leases was seen by a watch that began with `view`.
    pub(crate) fn note(
        &self,
        view: u64,
        kind: &'static str,
        watched: Option<Watched>,
        leases: &HashSet<LeaseId>,
    ) {
        let mut now = self.now();
        let is_news = match watched {
            Some(watched) if view == *self.view.borrow() => {
                now.watches.get(kind) != Some(&watched) && {
                    now.watches.insert(kind, watched);
                    true
                }
            }
            _ => false,
        };
        drop(now);
        if is_news {
            self.stir();
        } else {
            self.wake(|lease| leases.contains(lease));
        }
    }

    /// What can be said at all has changed.
    fn stir(&self) {
        self.version.send_modify(|version| *version += 1);
        self.wake(|_| true);
    }

    /// Tells those who wait for leases.
    fn wake(&self, whom: impl Fn(&LeaseId) -> bool) {
        let mut leases = self.leases.lock().unwrap_or_else(PoisonError::into_inner);
        leases.retain(|lease, sender| {
            if whom(lease) {
                sender.send_modify(|version| *version += 1);
            }
            sender.receiver_count() > 0
        });
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
        let (others, w_others) = reflector::store();
        let (nodes, w_nodes) = reflector::store();
        let state = Arc::new(State {
            now: Mutex::default(),
            version: watch::Sender::new(0),
            leases: Mutex::default(),
            view: watch::Sender::new(0),
        });
        let live = Self {
            namespaces: Index::default(),
            deployments: Index::default(),
            stateful_sets: Index::default(),
            jobs: Index::default(),
            pods: Arc::default(),
            manifests: Index::default(),
            others,
            nodes,
            ends: Arc::default(),
            state,
        };
        (live, Writers { others: w_others, nodes: w_nodes })
    }

    /// Returns when all of it is known; at once in most cases.
    pub(crate) async fn known(&self) -> Result<(), RuntimeError> {
        let late = |_| Err(RuntimeError::Unreachable(format!("no answer within {} s", FIRST.as_secs())));
        let known = wait(self.state.version.subscribe(), || self.state.standing());
        tokio::time::timeout(FIRST, known).await.unwrap_or_else(late)
    }

    /// Returns when what is known of a lease satisfies `condition`.
    ///
    /// # Errors
    /// [`RuntimeError::Unreachable`] as soon as nothing is known: who waits for news must not take silence for an answer.
    pub(crate) async fn until(
        &self,
        lease: LeaseId,
        mut condition: impl FnMut() -> bool,
    ) -> Result<(), RuntimeError> {
        wait(self.version(lease), || Ok(self.state.standing()? && condition())).await
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
        if before.is_some() || error.is_some() {
            self.state.stir();
        }
    }

    /// Changes whenever something of a lease does, or what can be said at all.
    pub(crate) fn version(&self, lease: LeaseId) -> watch::Receiver<u64> {
        let mut leases = self.state.leases.lock().unwrap_or_else(PoisonError::into_inner);
        leases.entry(lease).or_insert_with(|| watch::Sender::new(0)).subscribe()
    }

    /// Everything, or everything of one lease.
    pub(crate) fn listed(&self, lease: Option<LeaseId>) -> Listed {
        fn of<K>(index: &Index<K>, lease: Option<LeaseId>) -> Vec<Arc<K>>
        where
            K: Resource<DynamicType = ()> + Clone + 'static,
        {
            lease.map_or_else(|| index.all(), |lease| index.of(lease))
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

/// Returns when `condition` holds; it is looked at whenever the version changes.
async fn wait(
    mut version: watch::Receiver<u64>,
    mut condition: impl FnMut() -> Result<bool, RuntimeError>,
) -> Result<(), RuntimeError> {
    loop {
        version.borrow_and_update();
        if condition()? {
            return Ok(());
        }
        // The sender is forgotten only when nobody waits any more.
        let _ = version.changed().await;
    }
}
