//! What the parts of the runtime share.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bollard::query_parameters::ListContainersOptionsBuilder;
use iono_primitives::LeaseId;
use iono_runtime::{KeptLogs, RuntimeError, Turns, Workload};

use crate::engine::{Engine, sort};
use crate::guard::Guard;
use crate::hub::Hub;
use crate::labels::{Container, Names};
use crate::{DockerConfig, Pool};

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) config: DockerConfig,
    pub(crate) names: Names,
    pub(crate) engine: Engine,
    pub(crate) hub: Hub,
    pub(crate) guard: Guard,
    /// Where secrets go, or why they cannot.
    pub(crate) memory_dir: Result<PathBuf, String>,
    pub(crate) turns: Turns,
    pub(crate) kept: KeptLogs,
    /// What was applied last by this process: a hint, the engine knows better.
    applied: Mutex<HashMap<LeaseId, Arc<Workload>>>,
    subnets: Mutex<HashMap<LeaseId, Pool>>,
    planned: Mutex<HashMap<LeaseId, Pool>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    pub(crate) fn new(config: DockerConfig) -> Self {
        let names = Names::new(config.vault.owner());
        Self {
            kept: KeptLogs::new(config.data_dir.join("logs").join(names.short())),
            names,
            engine: Engine::new(config.socket.clone()),
            hub: Hub::new(),
            guard: Guard::new(config.egress, &config.dns),
            memory_dir: crate::secrets::find_memory_dir(config.memory_dir.as_deref()),
            turns: Turns::default(),
            applied: Mutex::default(),
            subnets: Mutex::default(),
            planned: Mutex::default(),
            config,
        }
    }

    /// Networks that are there.
    pub(crate) fn subnets(&self) -> MutexGuard<'_, HashMap<LeaseId, Pool>> {
        lock(&self.subnets)
    }

    /// Networks that are being made.
    pub(crate) fn planned(&self) -> MutexGuard<'_, HashMap<LeaseId, Pool>> {
        lock(&self.planned)
    }

    pub(crate) fn applied(&self, lease: LeaseId) -> Option<Arc<Workload>> {
        lock(&self.applied).get(&lease).cloned()
    }

    pub(crate) fn set_applied(&self, workload: Arc<Workload>) {
        lock(&self.applied).insert(workload.lease, workload);
    }

    /// Forgets everything about a lease.
    pub(crate) fn forget_lease(&self, lease: LeaseId) {
        lock(&self.applied).remove(&lease);
        self.forget_network(lease);
        self.hub.happenings.forget(lease);
        self.turns.forget(lease);
    }

    /// The containers of a lease, or of all leases; with the size of their writable layers if asked for, which makes
    /// the engine walk them.
    pub(crate) async fn containers(
        &self,
        lease: Option<LeaseId>,
        with_size: bool,
    ) -> Result<Vec<Container>, RuntimeError> {
        let mut filters = self.names.filter(lease);
        if with_size {
            filters.insert("status".to_owned(), vec!["running".to_owned()]);
        }
        let options =
            ListContainersOptionsBuilder::default().all(true).size(with_size).filters(&filters).build();
        let listed = self.engine.docker()?.list_containers(Some(options)).await.map_err(sort)?;
        Ok(listed.into_iter().filter_map(Container::read).collect())
    }
}
