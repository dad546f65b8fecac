//! One service from what runs to what shall run: creates, starts, waits, switches the router, stops the old.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use bollard::models::{ContainerCreateBody, ContainerSummaryStateEnum as State};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, RemoveContainerOptionsBuilder, StartContainerOptions,
    StopContainerOptionsBuilder,
};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use iono_runtime::{EventKind, ExitReason, RestartPolicy, RuntimeError, Service, Switchboard, Workload};
use iono_telemetry::fail_point;
use tokio::sync::Mutex;

use crate::apply::Addresses;
use crate::engine::{or_gone, sort, status};
use crate::images::Image;
use crate::inner::Inner;
use crate::labels::Container;
use crate::services::members;
use crate::{probe, spec};

/// Seconds for a process to end by itself: a database has something to save, a drained web server has not.
const GRACE_WITH_DATA: i32 = 30;
const GRACE: i32 = 2;
/// Tries, 20 ms apart, for a name that the engine still holds.
const NAME_TRIES: u32 = 100;

/// What has to happen to one service.
pub(crate) struct Rollout<'a> {
    pub(crate) workload: &'a Workload,
    pub(crate) service: &'a Service,
    pub(crate) image: Image,
    /// Number, spec, and the container that is there for it already.
    pub(crate) replicas: Vec<(u32, String, Option<Container>)>,
    /// Containers of other generations, and of replicas that are no longer wanted.
    pub(crate) old: Vec<Container>,
}

impl Rollout<'_> {
    /// Whether nothing of the service is there.
    pub(crate) fn is_first(&self) -> bool {
        self.old.is_empty() && self.replicas.iter().all(|(_, _, current)| current.is_none())
    }
}

fn ips<'a>(containers: impl IntoIterator<Item = &'a Container>) -> Vec<IpAddr> {
    containers.into_iter().map(|container| IpAddr::V4(container.address)).collect()
}

impl Inner {
    /// Rolls one service out. Without an older generation all replicas start at once; otherwise one after the other.
    pub(crate) async fn roll_out(
        &self,
        rollout: &Rollout<'_>,
        addresses: &Mutex<Addresses>,
        switch: &dyn Switchboard,
    ) -> Result<(), RuntimeError> {
        let Rollout { workload, service, .. } = rollout;
        let route = async |replicas: &[IpAddr]| {
            switch.route(workload.lease, &service.name, replicas, service.drain).await;
        };
        if !rollout.old.is_empty() && !service.can_overlap() {
            // Requests wait in the router until the new ones are there.
            route(&[]).await;
            for old in &rollout.old {
                self.replace(old, true).await?;
            }
        }
        let overlapping = if service.can_overlap() { rollout.old.clone() } else { Vec::new() };
        let mut serving = self.serving(&overlapping).await;
        let mut ready: Vec<IpAddr> = Vec::new();
        if overlapping.is_empty() {
            let mut starts: FuturesUnordered<_> =
                rollout.replicas.iter().map(|replica| self.bring_up(rollout, replica, addresses)).collect();
            let mut failure = None;
            while let Some(started) = starts.next().await {
                match started {
                    Ok(Some(container)) => {
                        ready.push(container.address.into());
                        route(&ready).await;
                    }
                    Ok(None) => {}
                    Err(error) => failure = Some(error),
                }
            }
            return failure.map_or(Ok(()), Err);
        }
        for replica in &rollout.replicas {
            if let Some(container) = self.bring_up(rollout, replica, addresses).await? {
                ready.push(container.address.into());
            }
            fail_point("docker.mid_update");
            // One old replica less for each new one, its own number first.
            let (leaving, staying): (Vec<_>, Vec<_>) =
                serving.into_iter().partition(|old| old.replica == replica.0);
            serving = staying;
            route(&[ready.clone(), ips(&serving)].concat()).await;
            for old in &leaving {
                self.replace(old, true).await?;
                addresses.lock().await.release(old.address);
            }
        }
        route(&ready).await;
        // The replicas beyond the new count, and those that did not serve.
        for old in &overlapping {
            self.replace(old, true).await?;
            addresses.lock().await.release(old.address);
        }
        Ok(())
    }

    /// Those of an older generation that requests can be sent to.
    async fn serving(&self, old: &[Container]) -> Vec<Container> {
        let checks = old.iter().map(|container| async move {
            let ready = container.is_running() && probe::is_ready(container, Some(0)).await;
            ready.then(|| container.clone())
        });
        futures::future::join_all(checks).await.into_iter().flatten().collect()
    }

    /// Makes a replica run and waits until it is ready. `None` when it ended as it should, or was stopped for its disk
    /// use, which only a new manifest or a restart heals.
    async fn bring_up(
        &self,
        rollout: &Rollout<'_>,
        (replica, spec, current): &(u32, String, Option<Container>),
        addresses: &Mutex<Addresses>,
    ) -> Result<Option<Container>, RuntimeError> {
        let container = match current {
            Some(container) => container.clone(),
            None => {
                let address = addresses.lock().await.next()?;
                self.create(rollout, *replica, spec, address).await?
            }
        };
        self.guard.admit(&self.names.bridge(container.lease), members([&container]), false).await?;
        let ended = container.state == State::EXITED && current.is_some();
        if ended && self.stays_ended(&container).await? {
            return Ok(None);
        }
        if !container.is_running() && container.state != State::RESTARTING {
            if ended {
                // Mounts and secrets may be gone since, as after a reboot.
                self.mounts(rollout, *replica, spec).await?;
            }
            self.start(&container).await?;
        }
        self.wait_ready(&container).await?;
        Ok(Some(container))
    }

    /// Whether a container that ended is to be left alone.
    async fn stays_ended(&self, container: &Container) -> Result<bool, RuntimeError> {
        let Some(exit) = self.known_fate(container).await?.last_exit else { return Ok(false) };
        Ok(match exit.reason {
            ExitReason::DiskQuota => true,
            ExitReason::Completed => container.restart != RestartPolicy::Always,
            _ => container.restart == RestartPolicy::Never,
        })
    }

    async fn mounts(
        &self,
        rollout: &Rollout<'_>,
        replica: u32,
        spec: &str,
    ) -> Result<Vec<bollard::models::Mount>, RuntimeError> {
        let (lease, service) = (rollout.workload.lease, rollout.service);
        let mut mounts = self.prepare_volumes(lease, service, replica, spec).await?;
        mounts.extend(self.write_secrets(lease, service, spec, &rollout.image.user)?);
        mounts.extend(self.guarded().await?);
        Ok(mounts)
    }

    /// Creates a replica's container, with its volumes and secrets.
    pub(crate) async fn create(
        &self,
        rollout: &Rollout<'_>,
        replica: u32,
        spec: &str,
        address: Ipv4Addr,
    ) -> Result<Container, RuntimeError> {
        let (workload, service, image) = (rollout.workload, rollout.service, &rollout.image);
        let own = spec::of_replica(service, replica);
        let mounts = self.mounts(rollout, replica, spec).await?;
        let mut container = Container {
            id: String::new(),
            lease: workload.lease,
            service: service.name.clone(),
            replica,
            address,
            spec: spec.to_owned(),
            manifest_hash: workload.manifest_hash.clone(),
            image: service.image.clone(),
            image_id: image.id.clone(),
            digest: image.digest.clone(),
            ports: service.ports.clone(),
            ready_within: service.ready_within,
            restart: service.restart,
            grace: if service.can_overlap() { GRACE } else { GRACE_WITH_DATA },
            quota: u64::from(service.limits.ephemeral_mib) << 20,
            state: State::CREATED,
            created: i64::MAX,
            size: None,
        };
        let name = self.names.container(workload.lease, &service.name, replica, spec);
        let body = self.create_body(&own, &container, mounts);
        container.id = self.create_named(&name, body).await?;
        fail_point("docker.after_create");
        let subject = Some((service.name.as_str(), replica));
        self.hub.happenings.emit(
            workload.lease,
            subject,
            EventKind::Created,
            format!("created from {}", image.digest),
        );
        Ok(container)
    }

    /// Creates a container under a name that is its own. If the name is taken, an earlier run of ours was killed while
    /// the engine was still at it: that container was never used and goes.
    async fn create_named(&self, name: &str, body: ContainerCreateBody) -> Result<String, RuntimeError> {
        let docker = self.engine.docker()?;
        let mut tries = 0;
        loop {
            let options = CreateContainerOptionsBuilder::default().name(name).build();
            match docker.create_container(Some(options), body.clone()).await {
                Ok(made) => return Ok(made.id),
                Err(error) if status(&error) == Some(409) && tries < NAME_TRIES => {
                    tries += 1;
                    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
                    or_gone(docker.remove_container(name, Some(options)).await)?;
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => return Err(sort(error)),
            }
        }
    }

    async fn start(&self, container: &Container) -> Result<(), RuntimeError> {
        match self.engine.docker()?.start_container(&container.id, None::<StartContainerOptions>).await {
            Ok(()) => {}
            // Started already.
            Err(error) if status(&error) == Some(304) => {}
            Err(error) => return Err(self.not_started(container, sort(error))),
        }
        fail_point("docker.after_start");
        Ok(())
    }

    fn not_started(&self, container: &Container, error: RuntimeError) -> RuntimeError {
        match error {
            RuntimeError::Unreachable(_) | RuntimeError::NoSpace(_) => error,
            RuntimeError::Engine(reason) | RuntimeError::NotFound(reason) | RuntimeError::Refused(reason) => {
                if reason.contains("network") {
                    // Somebody removed it: the next apply makes it anew.
                    self.forget_network(container.lease);
                }
                RuntimeError::NotReady {
                    service: container.service.clone(),
                    reason: format!("it cannot be started: {reason}"),
                }
            }
            other => other,
        }
    }

    /// Stops a container that has been replaced, keeps its last log lines, and removes it.
    pub(crate) async fn replace(&self, old: &Container, successor: bool) -> Result<(), RuntimeError> {
        if old.is_running() {
            let grace = old.grace;
            let options = StopContainerOptionsBuilder::default().t(grace).build();
            let stopped = tokio::time::timeout(
                Duration::from_secs(u64::try_from(grace).unwrap_or(0) + 30),
                self.engine.docker()?.stop_container(&old.id, Some(options)),
            );
            let stopped =
                stopped.await.map_err(|_| RuntimeError::Engine("a container does not stop".to_owned()))?;
            or_gone(stopped)?;
        }
        self.keep_logs(old).await;
        self.discard(old).await?;
        if successor {
            let subject = Some((old.service.as_str(), old.replica));
            self.hub.happenings.emit(
                old.lease,
                subject,
                EventKind::Replaced,
                "replaced by a newer generation",
            );
        }
        Ok(())
    }

    /// Removes a container as it is, and what goes with it.
    pub(crate) async fn discard(&self, container: &Container) -> Result<(), RuntimeError> {
        let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
        or_gone(self.engine.docker()?.remove_container(&container.id, Some(options)).await)?;
        self.hub.fates.forget(&container.id);
        let Container { lease, service, replica, spec, .. } = container;
        self.remove_ephemeral(*lease, service, *replica, spec).await
    }
}
