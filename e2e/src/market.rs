//! What most end-to-end tests begin with: a chain, one matchmaker, one provider that runs, one tenant with money; and
//! what they look at from outside afterwards.

use std::time::Duration;

use alloy::primitives::U256;
use anyhow::{Result, ensure};
use iono_bindings::{ILeaseBook, LeaseWords};
use iono_primitives::LeaseState;
use iono_testkit::{accounts, eventually};

use crate::cli::{number, text};
use crate::{Iono, Matchmaker, Network, Node, NodePlan, hello};

/// What happens at all happens within this time, also on a busy machine.
pub const SOON: Duration = Duration::from_secs(60);

/// A market of one provider.
pub struct Market {
    /// The chain and where things are.
    pub network: Network,
    /// Resolves the orders.
    pub matchmaker: Matchmaker,
    /// Serves the leases.
    pub node: Node,
    /// Has a key and 100 test dollars.
    pub tenant: Iono,
}

impl Market {
    /// A market with a provider of two cores.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn open() -> Result<Self> {
        Self::on(Network::start().await?, NodePlan::new("fair")).await
    }

    /// A market on a network whose settings a test changed, with a provider of its choice.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn on(mut network: Network, plan: NodePlan) -> Result<Self> {
        hello::build(network.engine).await?;
        let matchmaker = network.matchmaker("matchmaker").await?;
        let mut node = network.provider(plan).await?;
        node.run().await?;
        let tenant = network.tenant("tenant").await?;
        Ok(Self { network, matchmaker, node, tenant })
    }

    /// Deploys `examples/hello.yaml` with a nonce; the lease and its URL.
    ///
    /// # Errors
    /// With the command's words when it fails.
    pub async fn deploy(&self, nonce: &str) -> Result<(u64, String)> {
        let manifest = hello::manifest(self.network.dir(), nonce, 1)?;
        let deployed = self.tenant.json(&["deploy", &manifest, "--token", "1"]).await?;
        Ok((number(&deployed, "/lease")?, text(&deployed, "/urls/0")?))
    }

    /// What the chain says of a lease.
    ///
    /// # Errors
    /// When the chain does not answer.
    pub async fn words(&self, lease: u64) -> Result<LeaseWords> {
        let book = ILeaseBook::new(self.network.book.lease_book, self.network.anvil.provider());
        let words = book.leaseWords(U256::from(lease)).call().await?;
        Ok(LeaseWords::read([words.word0, words.word1]))
    }

    /// A lease's state by the chain's word.
    ///
    /// # Errors
    /// As [`Market::words`].
    pub async fn state(&self, lease: u64) -> Result<Option<LeaseState>> {
        Ok(LeaseState::from_code(self.words(lease).await?.state))
    }

    /// Waits until a lease is in a state.
    ///
    /// # Errors
    /// When it does not come about soon.
    pub async fn until(&self, lease: u64, state: LeaseState) -> Result<()> {
        let reached = || async { (self.state(lease).await.ok()? == Some(state)).then_some(()) };
        eventually(&format!("lease {lease} {state:?}"), SOON, reached).await
    }

    /// Ids of a lease's containers by the engine's word, those that ended included.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn containers(&self, lease: u64) -> Result<Vec<String>> {
        self.node.engine.containers(&self.node.label, lease).await
    }

    /// Closes a lease, and waits until nothing of it is left on the machine.
    ///
    /// # Errors
    /// With the command's words when it fails, or when something is left.
    pub async fn close(&self, lease: u64) -> Result<()> {
        self.tenant.json(&["close", &lease.to_string()]).await?;
        self.nothing_left(lease).await
    }

    /// Waits until the engine has nothing of a lease any more: no container, network or volume.
    ///
    /// # Errors
    /// When something is left.
    pub async fn nothing_left(&self, lease: u64) -> Result<()> {
        let (engine, owner) = (self.node.engine, &self.node.label);
        let gone = || async { engine.left(owner, Some(lease)).await.ok()?.is_empty().then_some(()) };
        eventually("an empty engine", SOON, gone).await
    }

    /// Checks that every unit of every token has its owner.
    ///
    /// # Errors
    /// Showing the accounts of a token that does not agree.
    pub async fn balanced(&self) -> Result<()> {
        for accounts in accounts::all(self.network.anvil.provider(), &self.network.book).await? {
            ensure!(accounts.unaccounted() == 0, "{accounts:?}");
        }
        Ok(())
    }
}
