//! The watches: what they see goes into stores, and how pods change is told.

use std::collections::HashSet;
use std::fmt::Debug;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use iono_primitives::LeaseId;
use k8s_openapi::api::core::v1::{Container, Node, Pod, PodSpec, PodStatus};
use kube::api::Api;
use kube::runtime::WatchStreamExt;
use kube::runtime::reflector::store::Writer;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use crate::cluster::{Cluster, words};
use crate::ends::Ends;
use crate::index::Index;
use crate::live::{Live, State, Watched};
use crate::names::{Names, key};

/// Seconds after which the API server ends a watch and it is opened anew: silence beyond that is no peace.
const OPEN: u32 = 30;
/// A broken watch is tried again so soon: while it is broken nobody bids.
const AGAIN: Duration = Duration::from_secs(1);

/// How a pod changed.
#[derive(Debug)]
pub(crate) struct PodChange {
    pub(crate) before: Option<Arc<Pod>>,
    /// `None` when it is gone.
    pub(crate) after: Option<Arc<Pod>>,
}

/// The writing ends of the stores of what belongs to no lease.
pub(crate) struct Writers {
    pub(crate) others: Writer<Pod>,
    pub(crate) nodes: Writer<Node>,
}

/// What to watch, and for whom.
struct Scope<'a> {
    names: &'a Names,
    /// The namespace of the provider's own things.
    space: &'a str,
    changes: mpsc::UnboundedSender<PodChange>,
}

impl Live {
    /// Follows everything with the owner's labels until it is dropped; tells how pods change. Begins again whenever what
    /// was seen counts no more.
    pub(crate) async fn follow(
        &self,
        cluster: &Cluster,
        names: &Names,
        space: &str,
        mut writers: Writers,
        changes: mpsc::UnboundedSender<PodChange>,
    ) {
        let scope = Scope { names, space, changes };
        let mut views = self.state.view.subscribe();
        loop {
            let view = *views.borrow_and_update();
            match cluster.client().await {
                Ok(client) => tokio::select! {
                    () = self.follow_once(client, &scope, &mut writers, view) => {}
                    _ = views.changed() => {}
                },
                Err(error) => {
                    tracing::error!(%error, "the cluster's configuration cannot be used");
                    self.state.note(
                        view,
                        "objects",
                        Some(Watched::Broken(error.to_string())),
                        &HashSet::new(),
                    );
                    tokio::time::sleep(AGAIN).await;
                }
            }
        }
    }

    async fn follow_once(&self, client: Client, scope: &Scope<'_>, writers: &mut Writers, view: u64) {
        let selector = scope.names.selector();
        let all = watcher::Config::default().timeout(OPEN);
        let ours = all.clone().labels(&selector);
        let sealed = all.clone().labels(&format!("{selector},{}", key("manifest")));
        let others = all.clone().labels(&scope.names.others());
        let Writers { others: w_others, nodes: w_nodes } = writers;
        let mut tell = tell(Arc::clone(&self.pods), Arc::clone(&self.ends), scope.changes.clone());
        let on_pod = |event: &Event<Pod>| {
            tell(event);
            self.pods.take(event)
        };
        let (space, at) = (scope.space, (&*self.state, view));
        tokio::join!(
            one("namespaces", Api::all(client.clone()), &ours, at, whole, |event| self
                .namespaces
                .take(event)),
            one("deployments", Api::all(client.clone()), &ours, at, whole, |event| self
                .deployments
                .take(event)),
            one("stateful sets", Api::all(client.clone()), &ours, at, whole, |event| {
                self.stateful_sets.take(event)
            }),
            one("jobs", Api::all(client.clone()), &ours, at, whole, |event| self.jobs.take(event)),
            one("pods", Api::all(client.clone()), &ours, at, whole, on_pod),
            one("other pods", Api::all(client.clone()), &others, at, to_its_room, into(w_others)),
            one("nodes", Api::all(client.clone()), &all, at, without_images, into(w_nodes)),
            one("manifests", Api::namespaced(client, space), &sealed, at, whole, |event| {
                self.manifests.take(event)
            }),
        );
    }
}

/// Puts what belongs to no lease into its store.
fn into<K>(writer: &mut Writer<K>) -> impl FnMut(&Event<K>) -> HashSet<LeaseId> + Send
where
    K: Resource<DynamicType = ()> + Clone + Send + Sync + 'static,
{
    |event| {
        writer.apply_watcher_event(event);
        HashSet::new()
    }
}

/// Tells how pods change, before the store does; also of those that went while nobody watched.
fn tell(
    pods: Arc<Index<Pod>>,
    ends: Arc<Ends>,
    changes: mpsc::UnboundedSender<PodChange>,
) -> impl FnMut(&Event<Pod>) + Send {
    let mut listed = HashSet::new();
    move |event| {
        let before = |pod: &Pod| pods.like(pod).filter(|old| old.metadata.uid == pod.metadata.uid);
        // Nobody listens any more when the runtime is dropped.
        let send = |before, after| drop(changes.send(PodChange { before, after }));
        if let Event::Apply(pod) | Event::InitApply(pod) | Event::Delete(pod) = event {
            ends.note(pod);
        }
        match event {
            Event::Apply(pod) => send(before(pod), Some(Arc::new(pod.clone()))),
            Event::Delete(pod) => send(Some(Arc::new(pod.clone())), None),
            Event::Init => listed.clear(),
            Event::InitApply(pod) => {
                listed.insert(pod.metadata.uid.clone());
                send(before(pod), Some(Arc::new(pod.clone())));
            }
            Event::InitDone => {
                for gone in pods.all().into_iter().filter(|pod| !listed.contains(&pod.metadata.uid)) {
                    send(Some(gone), None);
                }
            }
        }
    }
}

/// Follows one kind.
fn one<'a, K>(
    kind: &'static str,
    api: Api<K>,
    config: &'a watcher::Config,
    (state, view): (&'a State, u64),
    trim: fn(&mut K),
    mut take: impl FnMut(&Event<K>) -> HashSet<LeaseId> + Send + 'a,
) -> BoxFuture<'a, ()>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    async move {
        loop {
            // Who wrote which field is as long as the rest together, and nobody here reads it.
            let events = watcher(api.clone(), config.clone()).modify(move |object| {
                object.managed_fields_mut().clear();
                trim(object);
            });
            let mut events = pin!(events);
            let why = loop {
                match events.next().await {
                    Some(Ok(event)) => {
                        let leases = take(&event);
                        let complete = !matches!(event, Event::Init | Event::InitApply(_));
                        state.note(view, kind, complete.then_some(Watched::Complete), &leases);
                    }
                    Some(Err(error)) => break words(&error),
                    None => break "it ended".to_owned(),
                }
            };
            tracing::debug!(kind, why, "a watch broke");
            state.note(view, kind, Some(Watched::Broken(why)), &HashSet::new());
            // One that is resumed would say nothing until something happens: it begins anew.
            tokio::time::sleep(AGAIN).await;
        }
    }
    .boxed()
}

fn whole<K>(_: &mut K) {}

/// Leaves where a pod is, its address, and what it has set aside there.
fn to_its_room(pod: &mut Pod) {
    pod.metadata.annotations = None;
    pod.status = pod.status.take().map(|status| PodStatus {
        phase: status.phase,
        pod_ip: status.pod_ip,
        ..PodStatus::default()
    });
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
