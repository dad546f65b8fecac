//! A lease as its tenant sees it: the chain's state, what runs, where it answers, and how long the money lasts.

use std::collections::BTreeMap;

use iono_lease_api::{
    LastExit, LeaseStatus, MoneyWarning, PausedReason, PortStatus, ReplicaState, ReplicaStatus,
    SaltedManifest, ServiceStatus,
};
use iono_manifest::LeaseManifest;
use iono_primitives::{CloseReason, LeaseId, LeaseState};
use iono_router::{Protocol, Route};
use iono_runtime::{self as runtime, Observed, ObservedService};

use crate::lease::situation::ARBITER;
use crate::market::lease::Facts;
use crate::node::Node;
use crate::outside::{self, Address, Name};

/// Puts a lease's status together.
#[must_use]
pub fn status(
    node: &Node,
    lease: LeaseId,
    facts: &Facts,
    manifest: Option<&SaltedManifest>,
    observed: Option<&Observed>,
) -> LeaseStatus {
    let words = &facts.words;
    let state = words.lease_state().unwrap_or(LeaseState::None);
    let now = node.view().head.timestamp;
    let runs = matches!(state, LeaseState::Active | LeaseState::Paused);
    let seconds_left = if runs { words.end.saturating_sub(now) } else { 0 };
    LeaseStatus {
        lease,
        state,
        close_reason: words.close_reason().filter(|reason| *reason != CloseReason::None),
        paused_reason: (state == LeaseState::Paused)
            .then(|| paused_reason(words.paused_by, manifest.is_some())),
        started_at: (words.settled_to != 0).then(|| facts.start()),
        ends_at: (words.settled_to != 0).then_some(words.end),
        seconds_left,
        manifest_hash: manifest.map(SaltedManifest::hash),
        services: manifest.map(|sent| services(node, lease, sent.manifest(), observed)).unwrap_or_default(),
        warnings: runs.then(|| MoneyWarning::for_lease(lease, seconds_left)).flatten().into_iter().collect(),
    }
}

fn paused_reason(paused_by: u8, has_manifest: bool) -> PausedReason {
    match (paused_by == ARBITER, has_manifest) {
        (true, _) => PausedReason::Arbiter,
        (false, false) => PausedReason::AwaitingManifest,
        (false, true) => PausedReason::NodeLost,
    }
}

fn services(
    node: &Node,
    lease: LeaseId,
    manifest: &LeaseManifest,
    observed: Option<&Observed>,
) -> Vec<ServiceStatus> {
    let seen: BTreeMap<&str, &ObservedService> = observed
        .map(|observed| observed.services.iter().map(|service| (service.name.as_str(), service)).collect())
        .unwrap_or_default();
    let routes = node.router.routes(lease);
    let of = |service: &iono_manifest::Service| {
        let seen = seen.get(service.name.as_str()).copied();
        let replicas: Vec<ReplicaStatus> =
            seen.map(|seen| seen.replicas.iter().map(replica).collect()).unwrap_or_default();
        ServiceStatus {
            name: service.name.clone(),
            desired: u32::from(service.count),
            ready: seen.map_or(0, |seen| seen.ready),
            restarts: replicas.iter().fold(0, |sum: u32, replica| sum.saturating_add(replica.restarts)),
            last_exit: replicas
                .iter()
                .filter_map(|replica| replica.last_exit.clone())
                .max_by_key(|exit| exit.at_ms),
            urls: urls(node, lease, &routes, &service.name),
            ports: ports(node, lease, &routes, &service.name),
            ips: Vec::new(),
            replicas,
        }
    };
    manifest.services.iter().map(of).collect()
}

/// Where a service answers.
fn urls(node: &Node, lease: LeaseId, routes: &[Route], name: &str) -> Vec<String> {
    let hosts = routes.iter().filter_map(|route| match route {
        Route::Host { host, service, .. } if service == name => Some(host),
        _ => None,
    });
    if node.has_gateway() {
        let opened = |host: &String| node.outside.find(lease, &Name::Host(host.clone()));
        return hosts
            .filter_map(|host| if let Some(Address::Url(url)) = opened(host) { Some(url) } else { None })
            .collect();
    }
    let config = node.config();
    hosts.map(|host| outside::url(&node.router, &config.public, host)).collect()
}

fn ports(node: &Node, lease: LeaseId, routes: &[Route], name: &str) -> Vec<PortStatus> {
    let config = node.config();
    let host = config.public.endpoint.rsplit_once(':').map_or("", |(host, _)| host).to_owned();
    let ports = routes.iter().filter_map(|route| match route {
        Route::Port { protocol, listen, service, port } if service == name => {
            Some((*protocol, *listen, *port))
        }
        _ => None,
    });
    let reached = |protocol, listen, port| {
        if !node.has_gateway() {
            return Some(listen);
        }
        match node.outside.find(lease, &Name::Port(name.to_owned(), port, protocol)) {
            Some(Address::Port(port)) => Some(port),
            _ => None,
        }
    };
    ports
        .filter_map(|(protocol, listen, port)| {
            let protocol_name = match protocol {
                Protocol::Tcp => "tcp",
                Protocol::Udp => "udp",
            };
            Some(PortStatus {
                container_port: port,
                protocol: protocol_name.to_owned(),
                host: host.clone(),
                port: reached(protocol, listen, port)?,
            })
        })
        .collect()
}

fn replica(seen: &runtime::Replica) -> ReplicaStatus {
    ReplicaStatus {
        index: seen.index,
        state: match seen.state {
            runtime::ReplicaState::Created => ReplicaState::Created,
            runtime::ReplicaState::Starting => ReplicaState::Starting,
            runtime::ReplicaState::Ready => ReplicaState::Ready,
            runtime::ReplicaState::Restarting => ReplicaState::Restarting,
            runtime::ReplicaState::Exited => ReplicaState::Exited,
        },
        restarts: seen.restarts,
        started_at_ms: seen.started_at,
        image_digest: seen.image_digest.clone(),
        last_exit: seen.last_exit.as_ref().map(|exit| LastExit {
            code: exit.code,
            reason: exit.reason.to_string(),
            at_ms: exit.at,
        }),
    }
}
