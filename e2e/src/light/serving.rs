//! A lease that a light node serves: how it comes about, what can be asked of it, and its end.

use std::time::Duration;

use alloy::eips::BlockId;
use alloy::primitives::U256;
use alloy::providers::Provider as _;
use anyhow::{Context, Result, ensure};
use iono_bindings::{ILeaseBook, LeaseWords};
use iono_primitives::LeaseState;
use iono_testkit::{events, eventually};

use super::LightNode;
use crate::cli::{field, number, text};
use crate::quorum::Tell;
use crate::{Iono, Network, Node, examples, http};

/// What happens at all happens within this time.
const SOON: Duration = Duration::from_secs(90);
/// What light nodes get of a lease, in percent, and what their owner delegates, in SPON.
const TERMS: (&str, &str) = ("80", "10");

/// See the file's first lines.
pub struct Serving {
    /// Who serves it.
    pub light: LightNode,
    /// The lease.
    pub lease: u64,
    /// Where the gateway serves it.
    pub url: String,
    /// What the first request was answered with.
    pub http_status: u16,
    nonce: String,
}

impl Serving {
    /// Starts a light node behind its router, has it join the subnet of `gateway`, and deploys `examples/hello.yaml` on it.
    ///
    /// # Errors
    /// When it does not come to serve, or somebody reaches it directly.
    pub async fn start(
        network: &Network,
        gateway: &Node,
        tunnel: u16,
        tenant: &Iono,
        tell: &mut Tell<'_>,
    ) -> Result<Self> {
        let mut light = LightNode::start(network).await?;
        let place = light.dir.display().to_string();
        tell("light", "start an engine behind a router that lets nothing in", None, &place);
        let fizz = join(network, gateway, tunnel, &light).await?;
        let note = format!("light node {fizz}: {} % of a lease, {} SPON delegated", TERMS.0, TERMS.1);
        tell("light", "register with the subnet", None, &note);
        light.configure(network, tunnel, gateway.id, fizz)?;
        light.run().await?;
        ensure!(light.inside_answers().await, "its own network does not reach the light node");
        ensure!(!light.outside_answers().await?, "the router lets visitors in");
        tell("anyone", "try its port directly", None, "its own network reaches it, nobody else does");

        let nonce = format!("light-{fizz}");
        let changes = [("hello-ionosphere", nonce.as_str()), ("mode: provider", "mode: fizz")];
        let manifest = examples::adapted(network.dir(), "hello", &nonce, &changes)?;
        let deployed = tenant.json(&["deploy", &manifest, "--token", "1", "--max-rate", "0.1"]).await;
        let deployed = deployed.with_context(|| light.logs())?;
        let (lease, url) = (number(&deployed, "/lease")?, text(&deployed, "/urls/0")?);
        let (http_status, body) = http::curl(&url).await?;
        ensure!(body.contains(&nonce), "no nonce {nonce} in {body:?}");
        let note = format!("{http_status} through the tunnel: {}", body.trim());
        tell("anyone", &format!("curl {url}"), None, &note);
        Ok(Self { light, lease, url, http_status, nonce })
    }

    /// Waits until the URL answers.
    ///
    /// # Errors
    /// With the light node's log when it does not.
    pub async fn answers(&self) -> Result<()> {
        let answers = || async { http::answers(&self.url, &self.nonce).await.then_some(()) };
        eventually("the same URL to answer", SOON, answers).await.with_context(|| self.light.logs())
    }

    /// Waits until the chain has the lease in that state.
    ///
    /// # Errors
    /// With the light node's log when that does not come.
    pub async fn until(&self, network: &Network, state: LeaseState) -> Result<()> {
        let there =
            || async { (words(network, self.lease).await.ok()?.lease_state() == Some(state)).then_some(()) };
        let there = eventually(&format!("lease {} {state:?}", self.lease), SOON, there).await;
        there.with_context(|| self.light.logs())
    }

    /// What the lease costs for the seconds of `down` in which it was billed: those before its last pause began, and those
    /// after it ended.
    ///
    /// # Errors
    /// When the chain cannot be read, or there was no pause.
    pub async fn billed(&self, network: &Network, (pulled, plugged): (u64, u64)) -> Result<u128> {
        let (chain, book) = (network.anvil.provider(), network.book.lease_book);
        let id = U256::from(self.lease);
        let paused = events::last::<ILeaseBook::LeasePaused>(chain, book, |event| event.lease == id).await?;
        let resumed =
            events::last::<ILeaseBook::LeaseResumed>(chain, book, |event| event.lease == id).await?;
        let since: u64 = paused.event.since.saturating_to();
        let until = since + resumed.event.unbilledSeconds.saturating_to::<u64>();
        let seconds = since.clamp(pulled, plugged) - pulled + (plugged - until.clamp(pulled, plugged));
        let words = words(network, self.lease).await?;
        Ok(words.rate().gross(seconds, words.decimals).saturating_to())
    }

    /// Closes the lease, waits until nothing of it is left, and stops the light node.
    ///
    /// # Errors
    /// When something is left, or a daemon does not end.
    pub async fn close(self, tenant: &Iono) -> Result<()> {
        tenant.json(&["close", &self.lease.to_string()]).await?;
        let light = &self.light;
        let empty = || async { light.docker(&["ps", "-q"]).await.ok()?.is_empty().then_some(()) };
        eventually("an empty engine", SOON, empty).await.with_context(|| light.logs())?;
        self.light.end().await
    }
}

/// Founds the subnet, delegates and registers, by `iono` alone; gives the light node's number.
async fn join(network: &Network, gateway: &Node, tunnel: u16, light: &LightNode) -> Result<u32> {
    let provider = gateway.id.to_string();
    let owner = network.person("subnet-owner", Some(&gateway.owner)).await?;
    owner.json(&["subnet", "found", &provider, "--share", TERMS.0, "--min-delegation", TERMS.1]).await?;
    let lender = network.person("lender", None).await?;
    lender.json(&["faucet", "--amount", "100", "--token", "SPON"]).await?;
    lender.json(&["stake", "delegate", &provider, TERMS.1]).await?;
    // The key is made before the number is known.
    light.configure(network, tunnel, gateway.id, 1)?;
    let pin = light.pin().await?;
    let offer =
        ["--cpu", "1", "--memory", "1Gi", "--storage", "10Gi", "--core", "0.02", "--memory-gib", "0.004"];
    let register = [&["fizz", "register", provider.as_str(), "--pin", pin.as_str()][..], &offer].concat();
    let registered = lender.json(&register).await?;
    let fizz = u32::try_from(number(&registered, "/fizz")?)?;
    owner.json(&["fizz", "accept", &fizz.to_string()]).await?;
    let status = lender.json(&["fizz", "status", &fizz.to_string()]).await?;
    ensure!(field(&status, "/active")? == true, "bids may not name the light node: {status}");
    Ok(fizz)
}

async fn words(network: &Network, lease: u64) -> Result<LeaseWords> {
    let book = ILeaseBook::new(network.book.lease_book, network.anvil.provider());
    let words = book.leaseWords(U256::from(lease)).call().await?;
    Ok(LeaseWords::read([words.word0, words.word1]))
}

/// Seconds of the chain's last block.
pub(super) async fn chain_time(network: &Network) -> Result<u64> {
    let block = network.anvil.provider().get_block(BlockId::latest()).await?;
    Ok(block.context("no block")?.header.timestamp)
}
