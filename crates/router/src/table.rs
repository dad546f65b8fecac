//! The routes: which host or port leads to which service, and the replicas that each service has.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use iono_primitives::LeaseId;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::backend::Pool;
use crate::{HttpOptions, RouterError};

/// Transport of an exposed port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// A stream.
    Tcp,
    /// Datagrams.
    Udp,
}

/// One way to a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Route {
    /// HTTP and HTTPS requests for a host name.
    Host {
        /// DNS name, without port.
        host: String,
        /// The service.
        service: String,
        /// The port on which its containers listen.
        port: u16,
        /// How requests are handled.
        options: HttpOptions,
    },
    /// A port of the node.
    Port {
        /// Transport.
        protocol: Protocol,
        /// The node's port, from [`crate::PortLeases`].
        listen: u16,
        /// The service.
        service: String,
        /// The port on which its containers listen.
        port: u16,
    },
}

/// Where requests for one host or port go.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) lease: LeaseId,
    pub(crate) pool: Arc<Pool>,
    pub(crate) port: u16,
    pub(crate) options: HttpOptions,
    /// What the lease may have under way.
    pub(crate) permits: Arc<Semaphore>,
}

/// What one lease has.
#[derive(Debug)]
struct Tenant {
    routes: Vec<Route>,
    permits: Arc<Semaphore>,
    pools: HashMap<String, Arc<Pool>>,
}

#[derive(Debug, Default)]
struct State {
    tenants: HashMap<LeaseId, Tenant>,
    hosts: Arc<HashMap<String, Arc<Target>>>,
}

/// All routes of a router.
#[derive(Debug)]
pub(crate) struct Table {
    state: Mutex<State>,
    per_lease: usize,
}

impl Table {
    pub(crate) fn new(per_lease: usize) -> Self {
        Self { state: Mutex::default(), per_lease }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn tenant<'a>(&self, state: &'a mut State, lease: LeaseId) -> &'a mut Tenant {
        state.tenants.entry(lease).or_insert_with(|| Tenant {
            routes: Vec::new(),
            permits: Arc::new(Semaphore::new(self.per_lease)),
            pools: HashMap::new(),
        })
    }

    /// The replicas of a service, known by then or not.
    pub(crate) fn pool(&self, lease: LeaseId, service: &str) -> Arc<Pool> {
        let mut state = self.lock();
        let tenant = self.tenant(&mut state, lease);
        Arc::clone(tenant.pools.entry(service.to_owned()).or_insert_with(|| Arc::new(Pool::new())))
    }

    /// A target for a port.
    pub(crate) fn target(&self, lease: LeaseId, service: &str, port: u16, options: HttpOptions) -> Target {
        let pool = self.pool(lease, service);
        let permits = Arc::clone(&self.tenant(&mut self.lock(), lease).permits);
        Target { lease, pool, port, options, permits }
    }

    /// Where requests for `host` go.
    pub(crate) fn host(&self, host: &str) -> Option<Arc<Target>> {
        let hosts = Arc::clone(&self.lock().hosts);
        hosts.get(host).map(Arc::clone)
    }

    /// Whether `routes` can be the routes of `lease`: no host or port that another lease has, nothing twice.
    pub(crate) fn check(&self, lease: LeaseId, routes: &[Route]) -> Result<(), RouterError> {
        let state = self.lock();
        let others =
            state.tenants.iter().filter(|(id, _)| **id != lease).flat_map(|(_, tenant)| &tenant.routes);
        let mut taken: Vec<&Route> = others.collect();
        for route in routes {
            if taken.iter().any(|other| collide(other, route)) {
                return Err(match route {
                    Route::Host { host, .. } => RouterError::HostTaken(host.clone()),
                    Route::Port { listen, .. } => {
                        RouterError::PortTaken(*listen, "it is routed already".to_owned())
                    }
                });
            }
            taken.push(route);
        }
        Ok(())
    }

    /// Sets the routes of a lease.
    pub(crate) fn set(&self, lease: LeaseId, routes: Vec<Route>) {
        let hosts: Vec<_> = routes
            .iter()
            .filter_map(|route| match route {
                Route::Host { host, service, port, options } => {
                    Some((host_key(host), Arc::new(self.target(lease, service, *port, options.clone()))))
                }
                Route::Port { .. } => None,
            })
            .collect();
        let mut state = self.lock();
        let mut next = HashMap::clone(&state.hosts);
        next.retain(|_, target| target.lease != lease);
        next.extend(hosts);
        state.hosts = Arc::new(next);
        let tenant = self.tenant(&mut state, lease);
        tenant.pools.retain(|name, _| routes.iter().any(|route| route.service() == name));
        tenant.routes = routes;
    }

    /// Forgets a lease.
    pub(crate) fn remove(&self, lease: LeaseId) {
        let mut state = self.lock();
        let mut next = HashMap::clone(&state.hosts);
        next.retain(|_, target| target.lease != lease);
        state.hosts = Arc::new(next);
        state.tenants.remove(&lease);
    }

    /// The routes of a lease.
    pub(crate) fn routes(&self, lease: LeaseId) -> Vec<Route> {
        self.lock().tenants.get(&lease).map(|tenant| tenant.routes.clone()).unwrap_or_default()
    }
}

impl Route {
    fn service(&self) -> &str {
        match self {
            Self::Host { service, .. } | Self::Port { service, .. } => service,
        }
    }
}

/// A host name as it is looked up: lower case, no final dot.
pub(crate) fn host_key(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

fn collide(a: &Route, b: &Route) -> bool {
    match (a, b) {
        (Route::Host { host: a, .. }, Route::Host { host: b, .. }) => host_key(a) == host_key(b),
        (Route::Port { protocol: p, listen: a, .. }, Route::Port { protocol: q, listen: b, .. }) => {
            p == q && a == b
        }
        _ => false,
    }
}
