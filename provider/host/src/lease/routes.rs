//! Names and ports of a lease's services: `<service>-<lease>.<domain>` for HTTP, the tenant's own names where no other
//! lease has them, and a port of the node for every exposed TCP and UDP port.

use iono_manifest::{Expose, LeaseManifest, Protocol};
use iono_primitives::LeaseId;
use iono_router::{self as router, HttpOptions, PortKey, PortLease, RetryCase, Route};

/// Longest DNS label.
const LABEL: usize = 63;

/// A manifest's way to the outside cannot be had here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoRoute {
    /// A tenant's name lies in the provider's own domain.
    #[error("the host {0} belongs to this provider's own domain; leave it out, a name is given by itself")]
    OwnDomain(String),
    /// A port must keep its number and cannot.
    #[error(
        "service `{service}` insists on public port {port}, and this provider gives ports from its own range alone"
    )]
    PublicPort {
        /// The service.
        service: String,
        /// The port.
        port: u16,
    },
    /// The name of service and lease is too long.
    #[error("the name of service `{0}` is too long for a host name of this lease")]
    LongName(String),
}

/// The public ports that a manifest needs.
#[must_use]
pub fn port_keys(lease: LeaseId, manifest: &LeaseManifest) -> Vec<PortKey> {
    let mut keys: Vec<PortKey> = Vec::new();
    for service in &manifest.services {
        for expose in service.expose.iter().filter(|expose| expose.global) {
            let Some(protocol) = transport(expose) else { continue };
            let key = PortKey { lease, service: service.name.clone(), port: expose.port, protocol };
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
    }
    keys
}

/// Checks what can be said before any port is given.
///
/// # Errors
/// [`NoRoute`].
pub fn check(lease: LeaseId, manifest: &LeaseManifest, domain: &str) -> Result<(), NoRoute> {
    for service in &manifest.services {
        for (place, expose) in http(service).enumerate() {
            if host(&service.name, place, expose, lease, domain).split('.').next().map_or(0, str::len) > LABEL
            {
                return Err(NoRoute::LongName(service.name.clone()));
            }
            let own = |name: &&String| name.as_str() == domain || name.ends_with(&format!(".{domain}"));
            if let Some(name) = expose.accept.iter().find(own) {
                return Err(NoRoute::OwnDomain(name.clone()));
            }
        }
        let fixed = service
            .expose
            .iter()
            .find(|expose| expose.global && expose.public_port && transport(expose).is_some());
        if let Some(expose) = fixed {
            return Err(NoRoute::PublicPort { service: service.name.clone(), port: expose.external });
        }
    }
    Ok(())
}

/// All routes of a lease. With `tenants_names` false only the provider's own host names, for when another lease has one
/// of the tenant's.
#[must_use]
pub fn routes(
    lease: LeaseId,
    manifest: &LeaseManifest,
    domain: &str,
    ports: &[PortLease],
    tenants_names: bool,
) -> Vec<Route> {
    let mut routes = Vec::new();
    for service in &manifest.services {
        for (place, expose) in http(service).enumerate() {
            let own = std::iter::once(host(&service.name, place, expose, lease, domain));
            let tenants = expose.accept.iter().filter(|_| tenants_names).cloned();
            for host in own.chain(tenants) {
                let (service, options) = (service.name.clone(), options(expose));
                routes.push(Route::Host { host, service, port: expose.port, options });
            }
        }
    }
    routes.extend(ports.iter().map(|port| Route::Port {
        protocol: port.key.protocol,
        listen: port.listen,
        service: port.key.service.clone(),
        port: port.key.port,
    }));
    routes
}

/// The host names of a service's HTTP ports, its own ones first.
#[must_use]
pub fn hosts(lease: LeaseId, service: &iono_manifest::Service, domain: &str) -> Vec<String> {
    let own =
        http(service).enumerate().map(|(place, expose)| host(&service.name, place, expose, lease, domain));
    own.chain(http(service).flat_map(|expose| expose.accept.iter().cloned())).collect()
}

fn http(service: &iono_manifest::Service) -> impl Iterator<Item = &Expose> {
    service.expose.iter().filter(|expose| expose.global && expose.protocol == Protocol::Http)
}

/// The first HTTP port has the plain name, further ones carry their number.
fn host(service: &str, place: usize, expose: &Expose, lease: LeaseId, domain: &str) -> String {
    match place {
        0 => format!("{service}-{lease}.{domain}"),
        _ => format!("{service}-{}-{lease}.{domain}", expose.external),
    }
}

fn transport(expose: &Expose) -> Option<router::Protocol> {
    match expose.protocol {
        Protocol::Http => None,
        Protocol::Tcp => Some(router::Protocol::Tcp),
        Protocol::Udp => Some(router::Protocol::Udp),
    }
}

fn options(expose: &Expose) -> HttpOptions {
    let from = &expose.http_options;
    let case = |text: &String| match text.as_str() {
        "error" => Some(RetryCase::Error),
        "timeout" => Some(RetryCase::Timeout),
        "500" => Some(RetryCase::Http500),
        "502" => Some(RetryCase::Http502),
        "503" => Some(RetryCase::Http503),
        "504" => Some(RetryCase::Http504),
        "403" => Some(RetryCase::Http403),
        "404" => Some(RetryCase::Http404),
        "429" => Some(RetryCase::Http429),
        "off" => Some(RetryCase::Off),
        _ => None,
    };
    HttpOptions {
        max_body_size: from.max_body_size,
        read_timeout: from.read_timeout.into(),
        send_timeout: from.send_timeout.into(),
        next_tries: from.next_tries,
        next_timeout: from.next_timeout.into(),
        next_cases: from.next_cases.iter().filter_map(case).collect(),
    }
}
