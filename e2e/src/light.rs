//! The light node's trial: a machine with a Docker engine of its own behind a router that lets nothing in earns its keep
//! through the gateway's tunnel; its cable is pulled and plugged in again. The demo tells it, and a test recomputes what
//! was billed meanwhile.

mod node;
mod serving;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use iono_primitives::LeaseState;

pub use node::LightNode;
pub use serving::Serving;

use crate::quorum::Tell;
use crate::{Iono, Network, Node, hello, http};
use node::INSIDE;

/// How long the cable is out.
const OUTAGE: Duration = Duration::from_secs(30);

/// What makes a provider the gateway of light nodes that connect to port `tunnel`.
#[must_use]
pub fn subnet(tunnel: u16) -> String {
    format!(
        "[subnet]\nlisten = \"0.0.0.0:{tunnel}\"\nlends = {{ cpu = \"1\", memory = \"1Gi\", storage = \"10Gi\" }}\n"
    )
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trial {
    /// Of the first request through the tunnel.
    pub http_status: u16,
    /// From the cable's return to the first answer at the same URL.
    pub seconds_to_resume: f64,
    /// Of the lease's token, in its smallest unit, for the time that the cable was out.
    pub billed_while_down: u128,
    /// The lease.
    pub lease: u64,
    /// Seconds of the chain when the cable was pulled, and when it was plugged in again.
    pub down: (u64, u64),
}

/// Whether a port answers to the tenant's container.
async fn reaches(tenant: &Iono, lease: u64, host: &str, port: u16) -> Result<bool> {
    let ask = format!("echo | nc -w 3 {host} {port} >/dev/null && echo reached");
    let shell =
        tenant.output(&["shell", &lease.to_string(), "--no-tty", "--", "/bin/sh", "-c", &ask]).await?;
    Ok(String::from_utf8_lossy(&shell.stdout).contains("reached"))
}

/// Plays it: `gateway` is a provider that runs with a subnet's tunnel at port `tunnel`; the tenant has money.
///
/// # Errors
/// When something does not come about that the trial is about.
pub async fn trial(
    network: &Network,
    gateway: &Node,
    tunnel: u16,
    tenant: &Iono,
    tell: &mut Tell<'_>,
) -> Result<Trial> {
    let serving = Serving::start(network, gateway, tunnel, tenant, tell).await?;
    let Serving { light, lease, url, http_status, .. } = &serving;
    let others = [(INSIDE.0.to_owned(), INSIDE.1), (light.host.to_string(), light.chain.port())];
    ensure!(reaches(tenant, *lease, "127.0.0.1", hello::PORT).await?, "a container does not reach itself");
    for (host, port) in &others {
        ensure!(
            !reaches(tenant, *lease, host, *port).await?,
            "a tenant reaches {host}:{port} of the owner's network"
        );
    }
    tell("tenant", "try the owner's machine and network from the container", None, "nothing answers");

    let pulled = serving::chain_time(network).await?;
    light.lab.pull();
    let since = Instant::now();
    serving.until(network, LeaseState::Paused).await?;
    let status = http::curl(url).await.map_or(0, |(status, _)| status);
    ensure!(status != 200, "somebody answers for a light node that is away");
    let shown = tenant.json(&["ps"]).await?.to_string();
    ensure!(shown.contains("paused"), "the tenant is not told that the lease is paused: {shown}");
    tell("light", "lose the cable for half a minute", None, "paused: not billed from when it was lost");
    tokio::time::sleep(OUTAGE.saturating_sub(since.elapsed())).await;

    let plugged = serving::chain_time(network).await?;
    light.lab.plug();
    let back = Instant::now();
    serving.answers().await?;
    let seconds_to_resume = back.elapsed().as_secs_f64();
    serving.until(network, LeaseState::Active).await.context("the lease is not billed again")?;
    let down = (pulled, plugged);
    let billed_while_down = serving.billed(network, down).await?;
    let note = format!(
        "the same URL answers after {seconds_to_resume:.1} s; billed while it was out: {billed_while_down}"
    );
    tell("light", "have the cable back", None, &note);
    let (http_status, lease) = (*http_status, *lease);
    serving.close(tenant).await?;
    Ok(Trial { http_status, seconds_to_resume, billed_while_down, lease, down })
}
