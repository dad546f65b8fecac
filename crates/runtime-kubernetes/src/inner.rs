//! What the parts of the runtime share.

use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use iono_primitives::LeaseId;
use iono_runtime::{Happenings, KeptLogs, ReplicaState, RuntimeError, Turns};
use k8s_openapi::api::core::v1::Pod;
use kube::Config;
use kube::api::Api;

use crate::agents::Agents;
use crate::cluster::Cluster;
use crate::live::Live;
use crate::observe::Numbered;
use crate::watches::Writers;
use crate::{KubernetesConfig, Names, own_blocks, replica};

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) config: KubernetesConfig,
    pub(crate) names: Names,
    pub(crate) cluster: Cluster,
    pub(crate) live: Live,
    pub(crate) happenings: Happenings,
    pub(crate) kept: KeptLogs,
    pub(crate) turns: Turns,
    /// Fingerprints of what this process applied last.
    applied: Mutex<HashMap<LeaseId, String>>,
    /// Whether containers have a shell, by the ids of their pods.
    shells: Mutex<HashMap<String, bool>>,
    keeps_policies: AtomicBool,
    pub(crate) own_blocks: own_blocks::Found,
    pub(crate) agents: Agents,
}

impl Inner {
    pub(crate) fn new(cluster: Config, config: KubernetesConfig) -> (Self, Writers) {
        let names = Names::new(config.vault.owner());
        let (live, writers) = Live::new();
        let dir = &config.data_dir;
        let inner = Self {
            cluster: Cluster::new(cluster, dir.join("cluster").join(names.short())),
            kept: KeptLogs::new(dir.join("logs").join(names.short())),
            live,
            happenings: Happenings::default(),
            turns: Turns::default(),
            applied: Mutex::default(),
            shells: Mutex::default(),
            keeps_policies: AtomicBool::new(false),
            own_blocks: own_blocks::Found::default(),
            agents: Agents::default(),
            names,
            config,
        };
        (inner, writers)
    }

    pub(crate) fn applied(&self) -> MutexGuard<'_, HashMap<LeaseId, String>> {
        self.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn shells(&self) -> MutexGuard<'_, HashMap<String, bool>> {
        self.shells.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn keeps_policies(&self) -> &AtomicBool {
        &self.keeps_policies
    }

    pub(crate) async fn pods(&self, lease: LeaseId) -> Result<Api<Pod>, RuntimeError> {
        Ok(Api::namespaced(self.cluster.client().await?, &self.names.namespace(lease)))
    }

    /// The replicas of a service, of all of them with `None`.
    pub(crate) async fn select(
        &self,
        lease: LeaseId,
        service: Option<&str>,
        replica: Option<u32>,
    ) -> Result<Vec<(String, Numbered)>, RuntimeError> {
        self.in_sight().await?;
        let listed = self.live.listed(Some(lease));
        let sets = listed.sets();
        let services: Vec<&str> = sets
            .iter()
            .map(|set| set.service())
            .filter(|name| service.is_none_or(|asked| asked == *name))
            .collect();
        if services.is_empty() {
            let what = service.map_or_else(|| format!("lease {lease}"), |name| format!("service `{name}`"));
            return Err(RuntimeError::NotFound(format!("{what} has no workload here")));
        }
        let all = services
            .into_iter()
            .flat_map(|name| listed.replicas(lease, name).into_iter().map(move |one| (name.to_owned(), one)));
        Ok(all.filter(|(_, one)| replica.is_none_or(|index| index == one.index)).collect())
    }

    /// The running replica for a shell or a copy: the one asked for, or the first; the newest of several.
    pub(crate) async fn running(
        &self,
        lease: LeaseId,
        service: &str,
        replica: Option<u32>,
    ) -> Result<Arc<Pod>, RuntimeError> {
        let found = self.select(lease, Some(service), replica).await?;
        let runs = |one: &&(String, Numbered)| {
            matches!(replica::of(&one.1.pod, 0).state, ReplicaState::Ready | ReplicaState::Starting)
        };
        let pod = found.iter().rev().filter(runs).min_by_key(|(_, one)| one.index);
        let pod = pod.map(|(_, one)| Arc::clone(&one.pod));
        pod.ok_or_else(|| RuntimeError::NotFound(format!("no replica of service `{service}` is running")))
    }

    /// Waits until what the cluster has of a lease is as `condition` says.
    pub(crate) async fn wait(
        &self,
        lease: LeaseId,
        what: &str,
        patience: Duration,
        condition: impl FnMut() -> bool,
    ) -> Result<(), RuntimeError> {
        let late = |_| Err(RuntimeError::Engine(format!("{what}: not within {} s", patience.as_secs())));
        tokio::time::timeout(patience, self.live.until(lease, condition)).await.unwrap_or_else(late)
    }
}

pub(crate) fn name_of(pod: &Pod) -> &str {
    pod.metadata.name.as_deref().unwrap_or_default()
}
