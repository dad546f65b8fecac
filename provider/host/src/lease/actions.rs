//! The steps of a lease carried out on this machine: workloads and routes. Every one may be cut off at any point and done
//! again from the start.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use iono_identity::unix_now;
use iono_lease_api::SaltedManifest;
use iono_primitives::LeaseId;
use iono_router::RouterError;
use iono_runtime::{RuntimeError, Switchboard, Workload};
use iono_telemetry::fail_point;

use super::routes;
use crate::acts::ActError;
use crate::market::lease::{Facts, Trouble, TroubleKind};
use crate::node::Node;

/// Ports that are tried in place of one that something else on this machine uses.
const OTHER_PORTS: usize = 8;

/// What a step could not do.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The chain.
    #[error(transparent)]
    Act(#[from] ActError),
    /// The engine.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// Hosts or ports.
    #[error("{0}")]
    Routes(String),
}

/// The router as the runtime sees it.
pub struct Switch(pub Arc<Node>);

#[async_trait]
impl Switchboard for Switch {
    async fn route(&self, lease: LeaseId, service: &str, replicas: &[IpAddr], drain: Duration) {
        self.0.router.switch(lease, service, replicas, drain).await;
    }
}

/// Removes the workload, its routes and its ports.
///
/// # Errors
/// [`StepError`] names what is left; calling it again goes on.
pub async fn remove(node: &Node, lease: LeaseId) -> Result<(), StepError> {
    fail_point("host.remove.before");
    node.router.remove(lease).await;
    node.ports.release(lease).map_err(|error| StepError::Routes(error.to_string()))?;
    fail_point("host.remove.unrouted");
    node.runtime.remove(lease).await?;
    node.manifests.forget(lease);
    fail_point("host.remove.done");
    tracing::info!(%lease, "workload removed");
    Ok(())
}

/// Brings the workload to the manifest.
///
/// # Errors
/// [`StepError`]; what it means for the lease is in [`trouble`].
pub async fn apply(
    node: &Arc<Node>,
    lease: LeaseId,
    facts: &Facts,
    sent: &SaltedManifest,
) -> Result<(), StepError> {
    let manifest = sent.manifest();
    let refused = |why: String| StepError::Runtime(RuntimeError::Refused(why));
    manifest
        .check_fits(&facts.spec.resources, &facts.spec.groups)
        .map_err(|error| refused(error.to_string()))?;
    let mut workload = Workload::from_manifest(lease, format!("{:#x}", facts.manifest_hash), manifest)?;
    if facts.spec.resources.gpus > 0 {
        give_gpus(node, lease, facts, &mut workload).map_err(refused)?;
        // Written down before a container holds them, so that nobody else is given them after a crash.
        node.save().await.map_err(|error| StepError::Routes(error.to_string()))?;
    }
    route(node, lease, sent).await?;
    fail_point("host.apply.routed");
    node.runtime.apply(&workload, &Switch(Arc::clone(node))).await?;
    fail_point("host.apply.done");
    Ok(())
}

/// Sets a lease's hosts and ports, the same ones as before where it had any.
///
/// # Errors
/// [`StepError::Routes`].
pub async fn route(node: &Node, lease: LeaseId, sent: &SaltedManifest) -> Result<(), StepError> {
    let wrong = |error: &dyn std::fmt::Display| StepError::Routes(error.to_string());
    let (manifest, config) = (sent.manifest(), node.config());
    let domain = &config.public.domain;
    let mut ports =
        node.ports.assign(lease, &routes::port_keys(lease, manifest)).map_err(|error| wrong(&error))?;
    let mut tenants_names = true;
    let mut taken = Vec::new();
    loop {
        let wanted = routes::routes(lease, manifest, domain, &ports, tenants_names);
        match node.router.set_routes(lease, wanted).await {
            Ok(()) => return Ok(()),
            Err(RouterError::HostTaken(host)) if tenants_names => {
                tracing::warn!(%lease, host, "another lease has this name; the lease keeps its own ones alone");
                tenants_names = false;
            }
            Err(RouterError::PortTaken(port, why)) if taken.len() < OTHER_PORTS => {
                tracing::warn!(%lease, port, why, "a port is in use by something else; giving another one");
                taken.push(port);
                let Some(lost) = ports.iter_mut().find(|lease| lease.listen == port) else {
                    return Err(wrong(&why));
                };
                *lost = node.ports.reassign(&lost.key, &taken).map_err(|error| wrong(&error))?;
            }
            Err(error) => return Err(wrong(&error)),
        }
    }
}

/// Gives the lease its GPUs, the same ones as before unless an update changed their number.
fn give_gpus(node: &Node, lease: LeaseId, facts: &Facts, workload: &mut Workload) -> Result<(), String> {
    let mut book = node.book();
    let known = book.leases().get(&lease).map(|lease| lease.devices.clone()).unwrap_or_default();
    let devices = if known.len() != usize::from(facts.spec.resources.gpus) {
        let free = node.free(&book, Some(lease.0));
        let given = free.gpus(&facts.spec.resources).map_err(|reason| reason.to_string())?;
        let ids: Vec<String> = given.into_iter().map(|gpu| gpu.id).collect();
        book.change_lease(lease, |lease| lease.devices.clone_from(&ids));
        ids
    } else {
        known
    };
    let mut devices = devices.into_iter();
    for service in &mut workload.services {
        let count = usize::from(service.limits.gpus) * service.replicas as usize;
        service.limits.gpu_devices = devices.by_ref().take(count).collect();
    }
    Ok(())
}

/// What a failed apply says of the lease.
#[must_use]
pub fn trouble(error: &StepError) -> Trouble {
    let kind = match error {
        StepError::Runtime(RuntimeError::ImageUnavailable { .. }) => TroubleKind::Image,
        StepError::Runtime(RuntimeError::Refused(_)) => TroubleKind::Refused,
        _ => TroubleKind::Here,
    };
    Trouble { since: unix_now(), kind, message: error.to_string() }
}
