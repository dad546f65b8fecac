//! The container engine by hand, as somebody without a market would use it: what the product is compared with, and
//! the witness that nothing of a lease is left behind.

mod docker;
mod kubernetes;

pub use kubernetes::kubeconfig;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use iono_bindings::AddressBook;
use iono_primitives::ProviderId;
use iono_runtime::Owner;
use serde_json::Value;

use crate::hello;

/// What runs the leases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Engine {
    /// The machine's Docker engine.
    #[default]
    Docker,
    /// The cluster of `KUBECONFIG`, or the one that `deploy/testbed/cluster` starts.
    Kubernetes,
}

/// A container that was started by hand.
#[derive(Debug, Clone)]
pub struct ByHand {
    /// From the first engine call to the first 200.
    pub seconds: f64,
    /// As [`Engine::limits`] gives them.
    pub limits: Value,
}

impl Engine {
    /// The one that `RUNTIME` names; Docker without it.
    ///
    /// # Errors
    /// When it names something else.
    pub fn from_environment() -> Result<Self> {
        match std::env::var("RUNTIME").unwrap_or_default().as_str() {
            "" | "docker" => Ok(Self::Docker),
            "kubernetes" => Ok(Self::Kubernetes),
            other => bail!("RUNTIME is `{other}`; it can be docker or kubernetes"),
        }
    }

    /// `docker` or `kubernetes`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Kubernetes => "kubernetes",
        }
    }

    /// Makes an image of the Docker engine known to the one that runs the leases.
    ///
    /// # Errors
    /// When that fails.
    pub async fn load(self, image: &str) -> Result<()> {
        match self {
            Self::Docker => Ok(()),
            Self::Kubernetes => kubernetes::load(image).await,
        }
    }

    /// The part of a provider's configuration that is about the engine.
    ///
    /// # Errors
    /// When there is no cluster.
    pub fn settings(self) -> Result<String> {
        match self {
            Self::Docker => Ok(format!("[runtime]\naddresses = \"{}\"\n", docker::private_addresses())),
            Self::Kubernetes => kubernetes::settings(),
        }
    }

    /// The selector of everything that is a provider's.
    #[must_use]
    pub fn owner(self, book: &AddressBook, provider: u32) -> String {
        let owner = Owner {
            chain_id: book.chain_id,
            registry: book.provider_registry,
            provider: ProviderId(provider),
        };
        match self {
            Self::Docker => format!("network.ionosphere.owner={owner}"),
            Self::Kubernetes => iono_runtime_kubernetes::Names::new(&owner).selector(),
        }
    }

    fn lease(self, lease: u64) -> String {
        match self {
            Self::Docker => format!("network.ionosphere.lease={lease}"),
            Self::Kubernetes => format!("network.ionosphere/lease={lease}"),
        }
    }

    /// Runs the image of `examples/hello.yaml` once as a provider would run it, and asks it until it answers; everything
    /// is gone again afterwards.
    ///
    /// # Errors
    /// When the engine fails or nothing answers in time.
    pub async fn by_hand(self) -> Result<ByHand> {
        match self {
            Self::Docker => docker::by_hand(hello::IMAGE, hello::PORT).await,
            Self::Kubernetes => kubernetes::by_hand().await,
        }
    }

    /// Ids of a lease's containers, those that ended included.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn containers(self, owner: &str, lease: u64) -> Result<Vec<String>> {
        match self {
            Self::Docker => docker::containers(&[owner, &self.lease(lease)]).await,
            Self::Kubernetes => kubernetes::pods(&[owner, &self.lease(lease)]).await,
        }
    }

    /// What the engine says that a container may use and do.
    ///
    /// # Errors
    /// When there is no such container.
    pub async fn limits(self, container: &str) -> Result<Value> {
        match self {
            Self::Docker => docker::limits(container).await,
            Self::Kubernetes => kubernetes::limits(container).await,
        }
    }

    /// Everything of an owner, or of one of its leases, that the engine still has.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn left(self, owner: &str, lease: Option<u64>) -> Result<Vec<String>> {
        let lease = lease.map(|lease| self.lease(lease));
        let labels: Vec<&str> = std::iter::once(owner).chain(lease.as_deref()).collect();
        match self {
            Self::Docker => docker::labelled(&labels).await,
            Self::Kubernetes => kubernetes::labelled(&labels).await,
        }
    }

    /// Removes what a provider that is gone has left in the engine: a test that fails must not leave containers that start
    /// again with the machine. Says nothing when something cannot be removed.
    pub fn clear(self, owner: &str, dir: &Path) {
        match self {
            Self::Docker => docker::clear(owner, dir),
            Self::Kubernetes => kubernetes::clear(owner),
        }
    }
}

/// Asks every two milliseconds until a URL answers 200.
async fn first_answer(url: &str, start: Instant) -> Result<()> {
    let client = reqwest::Client::builder().timeout(Duration::from_secs(1)).build()?;
    loop {
        if client.get(url).send().await.is_ok_and(|answer| answer.status() == 200) {
            return Ok(());
        }
        ensure!(start.elapsed() < Duration::from_secs(30), "{url} did not answer");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// What a program prints; nothing when it fails.
fn output(program: &str, args: &[&str]) -> String {
    let output = std::process::Command::new(program).args(args).stderr(std::process::Stdio::null()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}
