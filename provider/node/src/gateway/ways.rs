//! The ways into light nodes' leases: hosts at this provider's router, ports of this machine, both carried through the
//! tunnel. They stay the same while a light node is away: requests wait for it a moment, connections are refused.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use iono_host::outside::{self, Address};
use iono_host::subnet::{FromGateway, Way, port_service};
use iono_primitives::{FizzId, LeaseId, LeaseState};
use iono_router::{HttpOptions, PortKey, Protocol, RetryCase, Route, RouterError};
use tokio::net::{TcpListener, UdpSocket};

use super::Gateway;
use super::member::Ways;

/// Most ways into one lease.
const MOST: u16 = 512;
/// Ports that are tried in place of one that something else on this machine uses.
const OTHER_PORTS: usize = 8;
/// Largest body of a request in bytes, and longest silence in milliseconds, that a light node may ask for.
const LARGEST: (u64, u64) = (16 << 30, 3_600_000);
/// The one address that hosts of light nodes lead to: the tunnel's ports on this machine.
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

impl Gateway {
    /// Notes a way that a light node named; true when all ways of the lease are named.
    pub(super) fn route(
        &self,
        fizz: FizzId,
        lease: LeaseId,
        revision: u64,
        (at, of): (u16, u16),
        way: Option<Way>,
    ) -> bool {
        if of > MOST || at >= of.max(1) || !self.is_of(lease, fizz) {
            tracing::debug!(%fizz, %lease, "a light node names ways into what is not its own, or too many");
            return false;
        }
        let mut members = self.members();
        let Some(member) = members.get_mut(&fizz) else { return false };
        let ways = member.leases.entry(lease).or_default();
        if ways.revision != revision {
            (ways.revision, ways.ways) = (revision, vec![None; of.into()]);
        }
        if let Some(slot) = ways.ways.get_mut(usize::from(at)) {
            *slot = way;
        }
        ways.ways.iter().all(Option::is_some)
    }

    /// Whether a running lease is this light node's.
    fn is_of(&self, lease: LeaseId, fizz: FizzId) -> bool {
        let book = self.node.book();
        let facts = book.leases().get(&lease).and_then(|lease| lease.facts.as_ref());
        facts.is_some_and(|facts| {
            let runs = matches!(
                facts.words.lease_state(),
                Some(LeaseState::Pending | LeaseState::Active | LeaseState::Paused)
            );
            runs && facts.words.fizz == fizz.0
        })
    }

    /// Opens all ways of a lease and says where.
    pub(super) async fn open(self: Arc<Self>, fizz: FizzId, lease: LeaseId) {
        let _alone = self.opening.lock().await;
        // It may have ended meanwhile, and been closed.
        if !self.is_of(lease, fizz) {
            return;
        }
        let named = {
            let members = self.members();
            let member = members.get(&fizz);
            member.and_then(|member| {
                let ways = member.leases.get(&lease)?;
                let all: Option<Vec<Way>> = ways.ways.iter().cloned().collect();
                Some((member.pin, ways.revision, member.http.address().port(), all?))
            })
        };
        let Some((pin, revision, http, ways)) = named else { return };
        let refused = self.set_hosts(lease, http, &ways).await;
        self.set_ports(fizz, lease, &ways).await;
        self.switch(lease, true).await;
        for (at, way) in (0..).zip(&ways) {
            let address = match way {
                Way::Host { host, .. } if refused.contains(host) => {
                    Err(format!("another lease, or this provider, has the name {host}"))
                }
                Way::Host { host, .. } => {
                    let url = outside::url(&self.node.router, &self.node.config().public, host);
                    Ok(Address::Url(url))
                }
                Way::Port { .. } => {
                    let members = self.members();
                    let ports = members.get(&fizz).and_then(|m| m.leases.get(&lease)).map(|ways| &ways.ports);
                    match ports.and_then(|ports| ports.get(&way.name())) {
                        Some((port, _)) => Ok(Address::Port(*port)),
                        None => Err("no port of the gateway could be opened".to_owned()),
                    }
                }
            };
            self.say(pin, &FromGateway::Opened { lease, revision, at, address });
        }
    }

    /// Gives the lease its host names; those that it cannot have come back.
    async fn set_hosts(&self, lease: LeaseId, http: u16, ways: &[Way]) -> Vec<String> {
        let domain = self.node.config().public.domain.clone();
        let mut refused = Vec::new();
        loop {
            let routes: Vec<Route> = ways
                .iter()
                .filter_map(|way| match way {
                    Way::Host { host, options, .. } if !refused.contains(host) => Some(Route::Host {
                        host: host.clone(),
                        service: HERE.to_string(),
                        port: http,
                        options: bounded(options),
                    }),
                    _ => None,
                })
                .collect();
            let foreign = routes.iter().find_map(|route| match route {
                Route::Host { host, .. } if !may_have(host, lease, &domain) => Some(host.clone()),
                _ => None,
            });
            if let Some(host) = foreign {
                refused.push(host);
                continue;
            }
            match self.node.router.set_routes(lease, routes).await {
                Ok(()) => return refused,
                Err(RouterError::HostTaken(host)) if !refused.contains(&host) => refused.push(host),
                Err(error) => {
                    tracing::warn!(%lease, %error, "hosts of a light node's lease cannot be set");
                    return refused;
                }
            }
        }
    }

    /// Opens the ports of a lease, the same ones as before where it had any.
    async fn set_ports(&self, fizz: FizzId, lease: LeaseId, ways: &[Way]) {
        let key = |way: &Way| match way {
            Way::Port { service, port, protocol } => {
                Some(PortKey { lease, service: service.clone(), port: *port, protocol: *protocol })
            }
            Way::Host { .. } => None,
        };
        let keys: Vec<PortKey> = ways.iter().filter_map(key).collect();
        let given = match self.node.ports.assign(lease, &keys) {
            Ok(given) => given,
            Err(error) => return tracing::warn!(%lease, %error, "no ports for a light node's lease"),
        };
        let mut open = {
            let mut members = self.members();
            let ways = members.get_mut(&fizz).and_then(|member| member.leases.get_mut(&lease));
            ways.map(|ways| std::mem::take(&mut ways.ports)).unwrap_or_default()
        };
        let wanted: Vec<_> = ways.iter().map(Way::name).collect();
        open.retain(|name, (port, _)| {
            wanted.contains(name) && given.iter().any(|lease| lease.listen == *port)
        });
        for lease in given {
            let PortKey { service, port, protocol, .. } = lease.key.clone();
            let name = Way::Port { service, port, protocol }.name();
            if open.contains_key(&name) {
                continue;
            }
            match self.open_port(fizz, lease).await {
                Ok(opened) => drop(open.insert(name, opened)),
                Err(error) => tracing::warn!(%fizz, %error, "a port for a light node cannot be opened"),
            }
        }
        self.change(fizz, |member| {
            member.leases.entry(lease).or_default().ports = open;
        });
    }

    async fn open_port(
        &self,
        fizz: FizzId,
        mut lease: iono_router::PortLease,
    ) -> std::io::Result<(u16, iono_tunnel::Exposure)> {
        let away = || std::io::Error::other("the light node is gone");
        let pin = self.members().get(&fizz).map(|member| member.pin).ok_or_else(away)?;
        let service = port_service(lease.key.lease, &lease.key.service, lease.key.port, lease.key.protocol);
        let mut taken = Vec::new();
        loop {
            let (session, at) = (self.tunnel.expect(pin), (Ipv4Addr::UNSPECIFIED, lease.listen));
            let opened = match lease.key.protocol {
                Protocol::Tcp => TcpListener::bind(at).await.map(|listener| {
                    self.tunnel.expose_tcp(session, listener, &service).map_err(std::io::Error::other)
                }),
                Protocol::Udp => UdpSocket::bind(at).await.map(|socket| {
                    self.tunnel.expose_udp(session, socket, &service).map_err(std::io::Error::other)
                }),
            };
            match opened {
                Ok(opened) => return Ok((lease.listen, opened?)),
                Err(error) if taken.len() >= OTHER_PORTS => return Err(error),
                Err(error) => {
                    tracing::warn!(port = lease.listen, %error, "a port is in use by something else; giving another one");
                    taken.push(lease.listen);
                    lease = self.node.ports.reassign(&lease.key, &taken).map_err(std::io::Error::other)?;
                }
            }
        }
    }

    /// Lets visitors of a lease's hosts through, or turns them away while its light node is gone.
    pub(super) async fn switch(&self, lease: LeaseId, open: bool) {
        let replicas: &[IpAddr] = if open { &[HERE] } else { &[] };
        self.node.router.switch(lease, &HERE.to_string(), replicas, Duration::ZERO).await;
    }

    /// Closes everything of a lease that is over.
    pub(super) async fn close(&self, fizz: FizzId, lease: LeaseId) {
        let _alone = self.opening.lock().await;
        self.node.router.remove(lease).await;
        let gone: Option<Ways> =
            self.members().get_mut(&fizz).and_then(|member| member.leases.remove(&lease));
        drop(gone);
        if let Err(error) = self.node.ports.release(lease) {
            tracing::warn!(%lease, %error, "ports cannot be given back yet");
        }
    }
}

/// Whether a light node's lease may have this host: a name in the provider's own domain has to be the lease's.
fn may_have(host: &str, lease: LeaseId, domain: &str) -> bool {
    match host.strip_suffix(domain).and_then(|label| label.strip_suffix('.')) {
        None => host != domain,
        Some(label) => !label.contains('.') && label.ends_with(&format!("-{lease}")),
    }
}

/// The light node's own router tries its replicas; what it asks for is bounded as a manifest's is.
fn bounded(options: &HttpOptions) -> HttpOptions {
    let (body, silence) = LARGEST;
    HttpOptions {
        max_body_size: options.max_body_size.min(body),
        read_timeout: options.read_timeout.min(silence),
        send_timeout: options.send_timeout.min(silence),
        next_tries: 1,
        next_timeout: 0,
        next_cases: vec![RetryCase::Off],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_light_node_gets_no_other_leases_name() {
        let may = |host| may_have(host, LeaseId(12), "apps.test");
        for host in ["web-12.apps.test", "web-8080-12.apps.test", "shop.example", "myapps.test"] {
            assert!(may(host), "{host}");
        }
        for host in
            ["web-13.apps.test", "web-112.apps.test", "apps.test", "a.web-12.apps.test", "web12.apps.test"]
        {
            assert!(!may(host), "{host}");
        }
    }
}
