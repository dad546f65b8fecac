//! What is there, by labels alone: a runtime that starts without memory sees the same as one that made it all.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bollard::models::{ContainerInspectResponse, ContainerSummaryStateEnum as State, RestartPolicyNameEnum};
use bollard::query_parameters::{InspectContainerOptions, ListNetworksOptionsBuilder};
use futures::future::try_join_all;
use futures::stream::{StreamExt, TryStreamExt};
use iono_primitives::LeaseId;
use iono_runtime::{
    Exit, ExitReason, Observed, ObservedService, Replica, ReplicaState, RestartPolicy, RuntimeError,
};

use crate::engine::sort;
use crate::fates::{Fate, KILLED};
use crate::inner::Inner;
use crate::labels::{self, Container};
use crate::{oom, probe};

/// Containers that are looked at at the same time.
const AT_ONCE: usize = 32;
/// Between two looks whether the reason of an exit is known.
const SETTLING: Duration = Duration::from_millis(10);

impl Inner {
    /// See [`iono_runtime::Runtime::observe`].
    pub(crate) async fn observe(&self) -> Result<Vec<Observed>, RuntimeError> {
        let docker = self.engine.docker()?;
        let networks = ListNetworksOptionsBuilder::default().filters(&self.names.filter(None)).build();
        let networks = async { docker.list_networks(Some(networks)).await.map_err(sort) };
        let (containers, networks, manifests) =
            tokio::try_join!(self.containers(None, false), networks, self.manifests())?;
        let looked: Vec<(Container, Replica)> = futures::stream::iter(containers)
            .map(|container| async move {
                Ok::<_, RuntimeError>((container.clone(), self.replica(&container).await?))
            })
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        let mut leases: BTreeSet<LeaseId> = looked.iter().map(|(container, _)| container.lease).collect();
        leases.extend(networks.iter().filter_map(|network| labels::lease_of(network.labels.as_ref()?)));
        leases.extend(manifests.iter().copied());
        leases.extend(self.leases_with_volumes()?);
        let each = leases.into_iter().map(|lease| {
            let own: Vec<_> = looked.iter().filter(|(container, _)| container.lease == lease).collect();
            self.observed(lease, &own, manifests.contains(&lease))
        });
        Ok(each.collect())
    }

    fn observed(&self, lease: LeaseId, own: &[&(Container, Replica)], has_manifest: bool) -> Observed {
        let applied = self.applied(lease);
        let newest = own.iter().max_by_key(|(container, _)| container.created);
        let manifest_hash = applied.as_ref().map(|workload| workload.manifest_hash.clone());
        let manifest_hash = manifest_hash.or(newest.map(|(container, _)| container.manifest_hash.clone()));
        let mut services: BTreeMap<&str, Vec<Replica>> = BTreeMap::new();
        for (container, replica) in own {
            services.entry(&container.service).or_default().push(replica.clone());
        }
        let services = services.into_iter().map(|(name, mut replicas)| {
            replicas.sort_by_key(|replica| replica.index);
            let indices: BTreeSet<u32> = replicas.iter().map(|replica| replica.index).collect();
            let service =
                applied.as_ref().and_then(|workload| workload.services.iter().find(|s| s.name == name));
            let desired =
                service.map_or(u32::try_from(indices.len()).unwrap_or(u32::MAX), |service| service.replicas);
            let ready: BTreeSet<u32> =
                replicas.iter().filter(|r| r.state == ReplicaState::Ready).map(|r| r.index).collect();
            let ready = u32::try_from(ready.len()).unwrap_or(u32::MAX);
            ObservedService { name: name.to_owned(), desired, ready, replicas }
        });
        Observed {
            lease,
            manifest_hash: manifest_hash.unwrap_or_default(),
            services: services.collect(),
            has_manifest,
        }
    }

    async fn replica(&self, container: &Container) -> Result<Replica, RuntimeError> {
        let fate = self.known_fate(container).await?;
        let state = match container.state {
            State::RUNNING if probe::is_ready(container, fate.started_at).await => ReplicaState::Ready,
            State::RUNNING | State::PAUSED => ReplicaState::Starting,
            State::RESTARTING => ReplicaState::Restarting,
            State::CREATED => ReplicaState::Created,
            _ => ReplicaState::Exited,
        };
        Ok(Replica {
            id: container.id.clone(),
            index: container.replica,
            state,
            address: Some(container.address.into()),
            restarts: fate.restarts,
            started_at: fate.started_at,
            last_exit: fate.last_exit,
            image_digest: container.digest.clone(),
            manifest_hash: container.manifest_hash.clone(),
        })
    }

    /// A container's starts and exits: from the events, or from the engine when they were not seen.
    pub(crate) async fn known_fate(&self, container: &Container) -> Result<Fate, RuntimeError> {
        while self.hub.fates.is_open(&container.id) {
            tokio::time::sleep(SETTLING).await;
        }
        if let Some(fate) = self.hub.fates.get(&container.id) {
            return Ok(fate);
        }
        let inspected =
            self.engine.docker()?.inspect_container(&container.id, None::<InspectContainerOptions>).await;
        match inspected.map_err(sort) {
            Ok(inspected) => {
                let code = inspected.state.as_ref().and_then(|state| state.exit_code);
                // The engine's own flag stays down when it learnt the reason only after the exit.
                let kernel = if code == Some(KILLED) { oom::newest(&container.id).await } else { 0 };
                let fate = fate_of(&inspected, container, kernel);
                self.hub.fates.learn(&container.id, fate.clone());
                Ok(fate)
            }
            // Removed since it was listed.
            Err(RuntimeError::NotFound(_)) => Ok(Fate::default()),
            Err(error) => Err(error),
        }
    }

    /// The containers that a request is about.
    pub(crate) async fn select(
        &self,
        lease: LeaseId,
        service: Option<&str>,
        replica: Option<u32>,
    ) -> Result<Vec<Container>, RuntimeError> {
        let mut found = self.containers(Some(lease), false).await?;
        found.retain(|c| {
            service.is_none_or(|name| c.service == name) && replica.is_none_or(|n| c.replica == n)
        });
        if found.is_empty() {
            let what = match (service, replica) {
                (Some(service), Some(replica)) => {
                    format!("replica {replica} of service `{service}` in lease {lease}")
                }
                (Some(service), None) => format!("service `{service}` in lease {lease}"),
                (None, _) => format!("a container of lease {lease}"),
            };
            return Err(RuntimeError::NotFound(what));
        }
        found.sort_by(|a, b| (&a.service, a.replica, a.created).cmp(&(&b.service, b.replica, b.created)));
        Ok(found)
    }

    /// The running container for a shell or a copy: the replica asked for, or the first one; the newest of several.
    pub(crate) async fn running(
        &self,
        lease: LeaseId,
        service: &str,
        replica: Option<u32>,
    ) -> Result<Container, RuntimeError> {
        let mut found = self.select(lease, Some(service), replica).await?;
        found.sort_by_key(|container| (container.replica, std::cmp::Reverse(container.created)));
        let running = found.into_iter().find(Container::is_running);
        running.ok_or_else(|| RuntimeError::NotFound(format!("no replica of service `{service}` is running")))
    }

    /// See [`iono_runtime::Runtime::restart`].
    pub(crate) async fn restart(&self, lease: LeaseId, service: Option<&str>) -> Result<(), RuntimeError> {
        let _lock = self.turns.take(lease).await;
        let docker = self.engine.docker()?;
        for container in self.select(lease, service, None).await? {
            let fate = self.known_fate(&container).await?;
            if fate.last_exit.is_some_and(|exit| exit.reason == ExitReason::DiskQuota)
                && !container.is_running()
            {
                // Its disk is as full as before; the next apply makes a fresh one.
                self.keep_logs(&container).await;
                self.discard(&container).await?;
                continue;
            }
            let options = bollard::query_parameters::RestartContainerOptionsBuilder::default()
                .t(container.grace)
                .build();
            docker.restart_container(&container.id, Some(options)).await.map_err(sort)?;
            self.wait_ready(&container).await?;
        }
        Ok(())
    }

    /// Waits until every container of a lease has gone.
    pub(crate) async fn discard_all(&self, containers: &[Container]) -> Result<(), RuntimeError> {
        try_join_all(containers.iter().map(|container| self.discard(container))).await.map(drop)
    }
}

fn millis(time: Option<&str>) -> Option<u64> {
    let time = crate::logs::parse_time(time?)?;
    // The engine writes the year 1 for "never".
    (time > 0).then_some(time)
}

fn fate_of(inspected: &ContainerInspectResponse, container: &Container, kernel: u64) -> Fate {
    let state = inspected.state.as_ref();
    let started_at = millis(state.and_then(|state| state.started_at.as_deref()));
    let ended_at = millis(state.and_then(|state| state.finished_at.as_deref()));
    let policy =
        inspected.host_config.as_ref().and_then(|host| host.restart_policy.as_ref()).and_then(|p| p.name);
    // Only the disk watch takes a container's restart policy away.
    let stopped = container.restart != RestartPolicy::Never && policy == Some(RestartPolicyNameEnum::NO);
    let last_exit = ended_at.and_then(|at| {
        let state = state?;
        let code = state.exit_code.unwrap_or(-1);
        let error = state.error.as_deref().unwrap_or_default();
        let reason = match code {
            _ if stopped => ExitReason::DiskQuota,
            _ if state.oom_killed == Some(true) || kernel > 0 => ExitReason::OutOfMemory,
            _ if !error.is_empty() => ExitReason::CannotStart,
            0 => ExitReason::Completed,
            _ => ExitReason::Failed,
        };
        // While it runs, the code of the run before is not kept by the engine.
        (state.running != Some(true) || stopped).then_some(Exit { code, reason, at })
    });
    let restarts = inspected.restart_count.and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
    Fate {
        restarts,
        exits: restarts + u32::from(last_exit.is_some()),
        last_exit,
        started_at,
        kernel,
        ..Fate::default()
    }
}
