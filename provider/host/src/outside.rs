//! Under which addresses the outside reaches what runs here: by this machine's own router, or as a gateway opened them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use iono_primitives::LeaseId;
use iono_router::{Protocol, Router};
use serde::{Deserialize, Serialize};

use crate::config::Public;

/// What a route is called on both ends of a tunnel.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Name {
    /// A host name.
    Host(String),
    /// A container's port of a service.
    Port(String, u16, Protocol),
}

/// What a gateway opened for a light node's leases; nothing on a provider's own machines.
#[derive(Debug, Default)]
pub struct Outside {
    opened: Mutex<HashMap<LeaseId, HashMap<Name, Address>>>,
}

/// Where something was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Address {
    /// Under this URL.
    Url(String),
    /// At this port of the gateway.
    Port(u16),
}

impl Outside {
    fn lock(&self) -> MutexGuard<'_, HashMap<LeaseId, HashMap<Name, Address>>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what the gateway says.
    pub fn opened(&self, lease: LeaseId, name: Name, address: Address) {
        self.lock().entry(lease).or_default().insert(name, address);
    }

    /// Forgets a lease.
    pub fn closed(&self, lease: LeaseId) {
        self.lock().remove(&lease);
    }

    /// Where the gateway opened it, if it did.
    #[must_use]
    pub fn find(&self, lease: LeaseId, name: &Name) -> Option<Address> {
        self.lock().get(&lease)?.get(name).cloned()
    }
}

/// The URL of a host that `router` serves, with the port that the outside uses: over HTTPS where a certificate covers the
/// name, over HTTP elsewhere.
#[must_use]
pub fn url(router: &Router, public: &Public, host: &str) -> String {
    let (scheme, usual, bound, public) = if router.is_secure(host) {
        ("https", 443, router.https_address(), public.https_port)
    } else {
        ("http", 80, router.http_address(), public.http_port)
    };
    let port = public.or(bound.map(|bound| bound.port())).unwrap_or(usual);
    let suffix = if port == usual { String::new() } else { format!(":{port}") };
    format!("{scheme}://{host}{suffix}/")
}
