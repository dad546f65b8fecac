//! Tells the gateway the ways into each lease, and notes where they are open. By what holds now, not by what changed: after
//! a break all of it is said again.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, OnceLock};

use iono_host::node::Node;
use iono_host::outside::Address;
use iono_host::subnet::{FromNode, HTTP, LEASE_API, Way, read_port_service};
use iono_primitives::LeaseId;
use iono_router::{PortKey, Route};
use iono_tunnel::Services;

use crate::link::Link;

/// What was said of one lease.
struct Told {
    revision: u64,
    ways: Vec<Way>,
    /// How many of them the gateway was told by now.
    said: usize,
}

/// What the gateway knows of this machine's leases.
#[derive(Default)]
pub struct Ways {
    welcome: u64,
    revision: u64,
    told: HashMap<LeaseId, Told>,
}

impl Ways {
    /// Says what the gateway does not know yet; what it has no room for waits until the next time.
    pub fn tell(&mut self, node: &Node, link: &Link) {
        let welcome = link.welcome();
        if welcome != self.welcome {
            self.welcome = welcome;
            self.told.clear();
        }
        if welcome == 0 {
            return;
        }
        let leases: Vec<LeaseId> = {
            let book = node.book();
            book.leases()
                .values()
                .filter(|lease| !lease.is_done() && !lease.removed)
                .map(|lease| lease.id)
                .collect()
        };
        self.told.retain(|lease, _| {
            let stays = leases.contains(lease);
            if !stays {
                node.outside.closed(*lease);
            }
            stays
        });
        for lease in leases {
            let ways: Vec<Way> = node.router.routes(lease).into_iter().map(way).collect();
            let known = self.told.get(&lease).is_some_and(|told| told.ways == ways);
            // A lease without any way is one that the gateway need not know of.
            if !known && (!ways.is_empty() || self.told.contains_key(&lease)) {
                self.revision += 1;
                self.told.insert(lease, Told { revision: self.revision, ways, said: 0 });
            }
            if !self.say(lease, link) {
                return;
            }
        }
    }

    /// Goes on with one lease; `false` when the gateway does not keep up.
    fn say(&mut self, lease: LeaseId, link: &Link) -> bool {
        let Some(told) = self.told.get_mut(&lease) else { return true };
        let (revision, of) = (told.revision, u16::try_from(told.ways.len()).unwrap_or(u16::MAX));
        while told.said < told.ways.len().max(1) {
            let at = u16::try_from(told.said).unwrap_or(u16::MAX);
            let way = told.ways.get(told.said).cloned();
            if !link.say(&FromNode::Route { lease, revision, of, at, way }) {
                return false;
            }
            told.said += 1;
        }
        true
    }

    /// Notes where the gateway opened a way.
    pub fn opened(
        &self,
        node: &Node,
        lease: LeaseId,
        revision: u64,
        at: u16,
        address: Result<Address, String>,
    ) {
        let told = self.told.get(&lease).filter(|told| told.revision == revision);
        let Some(way) = told.and_then(|told| told.ways.get(usize::from(at))) else { return };
        match address {
            Ok(address) => node.outside.opened(lease, way.name(), address),
            Err(why) => tracing::warn!(%lease, ?way, why, "the gateway cannot open a way"),
        }
    }
}

fn way(route: Route) -> Way {
    match route {
        Route::Host { host, service, options, .. } => Way::Host { service, host, options },
        Route::Port { protocol, service, port, .. } => Way::Port { service, port, protocol },
    }
}

/// Where streams of the tunnel go, once there is a node and a lease API.
#[derive(Default)]
pub struct Doors {
    node: OnceLock<Arc<Node>>,
    lease_api: OnceLock<SocketAddr>,
}

impl Doors {
    /// Opens them. Only the first time counts.
    pub fn open(&self, node: Arc<Node>, lease_api: SocketAddr) {
        let _ = (self.node.set(node), self.lease_api.set(lease_api));
    }

    /// As the tunnel asks for them.
    #[must_use]
    pub fn services(self: Arc<Self>) -> Services {
        Arc::new(move |open| match open.service.as_str() {
            LEASE_API => self.lease_api.get().copied(),
            HTTP => self.node.get()?.router.http_address(),
            other => {
                let (lease, service, port, protocol) = read_port_service(other)?;
                let key = PortKey { lease, service: service.to_owned(), port, protocol };
                let given = self.node.get()?.ports.of(lease);
                let own = given.into_iter().find(|given| given.key == key)?;
                Some(SocketAddr::from((Ipv4Addr::LOCALHOST, own.listen)))
            }
        })
    }
}
