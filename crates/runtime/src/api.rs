//! The [`Runtime`] trait: what a provider asks of a container engine.

use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use iono_primitives::LeaseId;

use crate::{
    ByteStream, Capabilities, Enforcement, EventStream, ExecRequest, ExecSession, LeaseStream, LogOptions,
    LogStream, Machine, Observed, Owner, Right, RuntimeError, Workload,
};

/// Who sends requests to replicas: the provider's router. A runtime calls it at the moments at which the replicas of a
/// service change, so that an update drops no request.
#[async_trait]
pub trait Switchboard: Send + Sync {
    /// From now on `service` is served by exactly these addresses. Returns when nothing is under way any more to
    /// addresses that are not among them, or when `drain` is over.
    async fn route(&self, lease: LeaseId, service: &str, replicas: &[IpAddr], drain: Duration);
}

/// A [`Switchboard`] for workloads without a router.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSwitchboard;

#[async_trait]
impl Switchboard for NoSwitchboard {
    async fn route(&self, _: LeaseId, _: &str, _: &[IpAddr], _: Duration) {}
}

/// A container engine in the service of one provider. All methods act on what carries the owner's labels alone.
///
/// Every method may fail with [`RuntimeError::Unreachable`], which says nothing about what runs.
#[async_trait]
pub trait Runtime: Send + Sync {
    /// Whose workloads these are.
    fn owner(&self) -> &Owner;

    /// Brings what runs to what `workload` says and returns when all replicas accept connections; does nothing when it
    /// is so already. In an update new replicas take over one by one before old ones are stopped; a service with a
    /// writable persistent volume stops first, since two writers would spoil it. Images keep the digest of their first
    /// start. Calls for one lease run one after the other.
    ///
    /// # Errors
    /// [`RuntimeError::ImageUnavailable`], [`RuntimeError::NoSpace`], [`RuntimeError::Refused`] (nothing was changed),
    /// [`RuntimeError::NotReady`] (started, but does not serve; in an update the old replicas go on).
    async fn apply(&self, workload: &Workload, switch: &dyn Switchboard) -> Result<(), RuntimeError>;

    /// Everything that this owner has on the engine, found by labels alone.
    ///
    /// # Errors
    /// See the trait.
    async fn observe(&self) -> Result<Vec<Observed>, RuntimeError>;

    /// Removes the lease's containers, network, volumes, secrets, logs and stored manifest; succeeds when there is
    /// nothing left to remove.
    ///
    /// # Errors
    /// See the trait; calling it again goes on where it stopped.
    async fn remove(&self, lease: LeaseId) -> Result<(), RuntimeError>;

    /// Starts the replicas of a service (of all with `None`) afresh, one after the other, and returns when they serve;
    /// what is in volumes stays. An engine may give them other addresses; `switch` is told.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`], [`RuntimeError::NotReady`].
    async fn restart(
        &self,
        lease: LeaseId,
        service: Option<&str>,
        switch: &dyn Switchboard,
    ) -> Result<(), RuntimeError>;

    /// Log lines of a service's replicas (of all services with `None`), the kept last lines of replaced containers
    /// first.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`].
    async fn logs(
        &self,
        lease: LeaseId,
        service: Option<&str>,
        options: LogOptions,
    ) -> Result<LogStream, RuntimeError>;

    /// Runs a command in a replica.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`], [`RuntimeError::Refused`] when the command cannot be started.
    async fn exec(&self, lease: LeaseId, request: ExecRequest) -> Result<ExecSession, RuntimeError>;

    /// The kept events of a lease, then new ones as they come.
    ///
    /// # Errors
    /// See the trait.
    async fn events(&self, lease: LeaseId) -> Result<EventStream, RuntimeError>;

    /// Tells which lease changed (a container ended, came back, became ready), to wake a reconciliation. Hints only:
    /// some may be lost.
    fn changes(&self) -> LeaseStream;

    /// Unpacks a tar archive below `path` in a replica.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`] (replica or path), [`RuntimeError::NoSpace`], [`RuntimeError::Refused`] when the
    /// archive is larger than the replica's disk.
    async fn copy_in(
        &self,
        lease: LeaseId,
        service: &str,
        replica: Option<u32>,
        path: &str,
        archive: ByteStream,
    ) -> Result<(), RuntimeError>;

    /// A file or directory of a replica as a tar archive.
    ///
    /// # Errors
    /// [`RuntimeError::NotFound`] (replica or path).
    async fn copy_out(
        &self,
        lease: LeaseId,
        service: &str,
        replica: Option<u32>,
        path: &str,
    ) -> Result<ByteStream, RuntimeError>;

    /// Keeps the lease's sealed manifest (see [`crate::Vault`]) in the engine, in place of an older one.
    ///
    /// # Errors
    /// [`RuntimeError::Refused`] beyond [`MAX_SEALED_MANIFEST`].
    async fn store_manifest(&self, lease: LeaseId, sealed: &[u8]) -> Result<(), RuntimeError>;

    /// The lease's sealed manifest, if one was stored.
    ///
    /// # Errors
    /// See the trait.
    async fn load_manifest(&self, lease: LeaseId) -> Result<Option<Vec<u8>>, RuntimeError>;

    /// The machines that workloads run on and what is taken of them; `None` for an engine of this machine alone.
    ///
    /// # Errors
    /// See the trait.
    async fn machines(&self) -> Result<Option<Vec<Machine>>, RuntimeError>;

    /// What the engine is and which limits hold on this node, found out by trying where that is possible.
    ///
    /// # Errors
    /// See the trait.
    async fn check(&self) -> Result<Capabilities, RuntimeError>;

    /// What leases take that the engine grants to accounts one by one; nothing where it grants all or none.
    ///
    /// # Errors
    /// See the trait.
    async fn rights(&self) -> Result<Vec<Right>, RuntimeError>;

    /// Whether the engine can assign NVIDIA's cards to containers; no runtime assigns those of other vendors.
    ///
    /// # Errors
    /// See the trait.
    async fn gpu_support(&self) -> Result<Enforcement, RuntimeError>;
}

/// Largest sealed manifest in bytes.
pub const MAX_SEALED_MANIFEST: usize = 1 << 20;
