//! The disk watch: this engine's storage driver bounds no writable layer, so layers are measured and a container that
//! wrote more than its limit is stopped, with the reason. What it can write between two measurements is the node's
//! risk; shorten the interval where disks are fast and small.

use std::sync::Weak;
use std::time::Duration;

use bollard::models::{ContainerUpdateBody, RestartPolicy, RestartPolicyNameEnum};
use bollard::query_parameters::KillContainerOptions;
use iono_runtime::{EventKind, ExitReason, RuntimeError};
use tokio::time::Instant;

use crate::engine::{or_gone, sort};
use crate::inner::Inner;
use crate::labels::Container;

/// Between two looks at the egress guard.
const GUARD: Duration = Duration::from_secs(60);

/// Measures until the runtime is dropped, and sees to it that the egress guard stays.
pub(crate) async fn watch(inner: Weak<Inner>) {
    let mut guarded: Option<Instant> = None;
    loop {
        let Some(interval) = inner.upgrade().map(|inner| inner.config.quota_interval) else { return };
        if guarded.is_none_or(|at| at.elapsed() >= GUARD) {
            let Some(inner) = inner.upgrade() else { return };
            match inner.heal_guard().await {
                Ok(()) => guarded = Some(Instant::now()),
                Err(error) => tracing::debug!(%error, "the egress guard was not looked at"),
            }
        }
        tokio::time::sleep(interval).await;
        let Some(inner) = inner.upgrade() else { return };
        if let Err(error) = inner.measure().await {
            tracing::debug!(%error, "writable layers were not measured");
        }
    }
}

impl Inner {
    async fn measure(&self) -> Result<(), RuntimeError> {
        for container in self.containers(None, true).await? {
            if let Some(size) = container.size.filter(|size| *size > container.quota) {
                self.stop_filler(&container, size).await?;
            }
        }
        Ok(())
    }

    async fn stop_filler(&self, container: &Container, size: u64) -> Result<(), RuntimeError> {
        self.hub.fates.over_quota(&container.id);
        let docker = self.engine.docker()?;
        // Without this the engine would start it again; it is also how a later run of ours knows the reason.
        let never = RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None };
        let update = ContainerUpdateBody { restart_policy: Some(never), ..Default::default() };
        docker.update_container(&container.id, update).await.map_err(sort)?;
        or_gone(docker.kill_container(&container.id, None::<KillContainerOptions>).await)?;
        let (used, limit) = (size >> 20, container.quota >> 20);
        let text = format!("stopped: {used} MiB written, {limit} MiB allowed; {}", ExitReason::DiskQuota);
        tracing::warn!(lease = %container.lease, service = container.service, used, limit, "disk quota exceeded");
        self.hub.happenings.emit(
            container.lease,
            Some((&container.service, container.replica)),
            EventKind::DiskQuota,
            text,
        );
        Ok(())
    }
}
