//! The runtime as the provider sees it.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::StreamExt;
use iono_primitives::LeaseId;
use iono_runtime::{
    ByteStream, Capabilities, Enforcement, EventStream, ExecRequest, ExecSession, LeaseStream, LogOptions,
    LogStream, Machine, Observed, Owner, Right, Runtime, RuntimeError, Switchboard, Workload,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::inner::Inner;
use crate::{DockerConfig, check, hub, quota};

/// Leases on Docker. Cheap to clone; its watches end with the last clone.
#[derive(Debug, Clone)]
pub struct DockerRuntime {
    inner: Arc<Inner>,
    _watches: Arc<DropGuard>,
}

impl DockerRuntime {
    /// A runtime for `config`; it needs no engine yet, but a Tokio runtime for its watches.
    #[must_use]
    pub fn new(config: DockerConfig) -> Self {
        let inner = Arc::new(Inner::new(config));
        let stop = CancellationToken::new();
        let events = hub::follow(Arc::downgrade(&inner));
        let disks = quota::watch(Arc::downgrade(&inner));
        let token = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                ((), ()) = async { tokio::join!(events, disks) } => {}
                () = token.cancelled() => {}
            }
        });
        Self { inner, _watches: Arc::new(stop.drop_guard()) }
    }
}

#[async_trait]
impl Runtime for DockerRuntime {
    fn owner(&self) -> &Owner {
        self.inner.config.vault.owner()
    }

    async fn apply(&self, workload: &Workload, switch: &dyn Switchboard) -> Result<(), RuntimeError> {
        self.inner.apply(workload, switch).await
    }

    async fn observe(&self) -> Result<Vec<Observed>, RuntimeError> {
        self.inner.observe().await
    }

    async fn remove(&self, lease: LeaseId) -> Result<(), RuntimeError> {
        self.inner.remove(lease).await
    }

    /// Replicas keep their addresses, so the router has nothing to hear of.
    async fn restart(
        &self,
        lease: LeaseId,
        service: Option<&str>,
        _: &dyn Switchboard,
    ) -> Result<(), RuntimeError> {
        self.inner.restart(lease, service).await
    }

    async fn logs(
        &self,
        lease: LeaseId,
        service: Option<&str>,
        options: LogOptions,
    ) -> Result<LogStream, RuntimeError> {
        self.inner.logs(lease, service, options).await
    }

    async fn exec(&self, lease: LeaseId, request: ExecRequest) -> Result<ExecSession, RuntimeError> {
        self.inner.exec(lease, request).await
    }

    async fn events(&self, lease: LeaseId) -> Result<EventStream, RuntimeError> {
        Ok(self.inner.hub.happenings.subscribe(lease).boxed())
    }

    fn changes(&self) -> LeaseStream {
        self.inner.hub.happenings.receive().map(|event| event.lease).boxed()
    }

    async fn copy_in(
        &self,
        lease: LeaseId,
        service: &str,
        replica: Option<u32>,
        path: &str,
        archive: ByteStream,
    ) -> Result<(), RuntimeError> {
        self.inner.copy_in(lease, service, replica, path, archive).await
    }

    async fn copy_out(
        &self,
        lease: LeaseId,
        service: &str,
        replica: Option<u32>,
        path: &str,
    ) -> Result<ByteStream, RuntimeError> {
        self.inner.copy_out(lease, service, replica, path).await
    }

    async fn store_manifest(&self, lease: LeaseId, sealed: &[u8]) -> Result<(), RuntimeError> {
        self.inner.store_manifest(lease, sealed).await
    }

    async fn load_manifest(&self, lease: LeaseId) -> Result<Option<Vec<u8>>, RuntimeError> {
        self.inner.load_manifest(lease).await
    }

    async fn machines(&self) -> Result<Option<Vec<Machine>>, RuntimeError> {
        Ok(None)
    }

    async fn rights(&self) -> Result<Vec<Right>, RuntimeError> {
        Ok(Vec::new())
    }

    async fn check(&self) -> Result<Capabilities, RuntimeError> {
        self.inner.check().await
    }

    async fn gpu_support(&self) -> Result<Enforcement, RuntimeError> {
        check::gpu_support(&self.inner.engine).await
    }
}
