//! The runtime as the provider sees it.

use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::StreamExt;
use iono_primitives::LeaseId;
use iono_runtime::{
    ByteStream, Capabilities, Enforcement, EventStream, ExecRequest, ExecSession, LeaseStream, LogOptions,
    LogStream, Machine, Observed, Owner, Right, Runtime, RuntimeError, Switchboard, Workload,
};
use kube::Config;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::inner::Inner;
use crate::watches::Writers;
use crate::{KubernetesConfig, tell};

/// Leases on Kubernetes. Cheap to clone; its watches end with the last clone.
#[derive(Debug, Clone)]
pub struct KubernetesRuntime {
    inner: Arc<Inner>,
    _watches: Arc<DropGuard>,
}

impl KubernetesRuntime {
    /// A runtime for the cluster at `cluster`; it needs no answer from there yet, but a Tokio runtime for its watches.
    #[must_use]
    pub fn new(cluster: Config, config: KubernetesConfig) -> Self {
        let (inner, writers) = Inner::new(cluster, config);
        let inner = Arc::new(inner);
        let stop = CancellationToken::new();
        tokio::spawn(stop.clone().run_until_cancelled_owned(watch(Arc::clone(&inner), writers)));
        Self { inner, _watches: Arc::new(stop.drop_guard()) }
    }
}

async fn watch(inner: Arc<Inner>, writers: Writers) {
    let (sender, changes) = mpsc::unbounded_channel();
    let watches = inner.live.follow(&inner.cluster, &inner.names, &inner.config.namespace, writers, sender);
    tokio::join!(watches, tell::follow(Arc::clone(&inner), changes), inner.keep_in_sight());
}

#[async_trait]
impl Runtime for KubernetesRuntime {
    fn owner(&self) -> &Owner {
        self.inner.config.vault.owner()
    }

    async fn apply(&self, workload: &Workload, switch: &dyn Switchboard) -> Result<(), RuntimeError> {
        self.inner.apply(workload, switch).await
    }

    async fn observe(&self) -> Result<Vec<Observed>, RuntimeError> {
        self.inner.in_sight().await?;
        Ok(self.inner.live.listed(None).observed())
    }

    async fn remove(&self, lease: LeaseId) -> Result<(), RuntimeError> {
        self.inner.remove(lease).await
    }

    async fn restart(
        &self,
        lease: LeaseId,
        service: Option<&str>,
        switch: &dyn Switchboard,
    ) -> Result<(), RuntimeError> {
        self.inner.restart(lease, service, switch).await
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
        Ok(self.inner.happenings.subscribe(lease).boxed())
    }

    fn changes(&self) -> LeaseStream {
        self.inner.happenings.receive().map(|event| event.lease).boxed()
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
        self.inner.machines().await.map(Some)
    }

    async fn rights(&self) -> Result<Vec<Right>, RuntimeError> {
        self.inner.rights().await
    }

    async fn check(&self) -> Result<Capabilities, RuntimeError> {
        self.inner.check().await
    }

    async fn gpu_support(&self) -> Result<Enforcement, RuntimeError> {
        self.inner.gpu_support().await
    }
}
