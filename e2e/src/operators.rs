//! Operators of the quorum: their owners use `iono`, their daemons are matchmakers with a BLS key. One of them may lie, by
//! a share that says that a losing bid has won.

use std::path::PathBuf;
use std::time::Duration;

use alloy::signers::local::PrivateKeySigner;
use anyhow::{Context, Result, ensure};
use futures::future::try_join_all;
use iono_bindings::IMatchTaskManager;
use iono_bls::SecretKey;
use iono_identity::{Passphrase, bls_keystore};
use iono_primitives::OrderId;
use iono_quorum::SignedShare;
use iono_testkit::{Ballot, events, free_port};

use crate::cli::number;
use crate::{Iono, Matchmaker, Network};

/// Whole SPON that each operator stakes.
pub const STAKE: u64 = 10_000;
/// Seconds of an era: what is entered counts from the next one on.
const ERA: u64 = 86_400;

/// One operator.
pub struct Operator {
    /// Its number in the registry.
    pub number: u32,
    /// Where it takes shares.
    pub endpoint: String,
    /// Its process.
    pub matchmaker: Matchmaker,
    key_file: PathBuf,
}

impl Network {
    /// Registers, stakes, enters and starts operators, and lets the next era begin.
    ///
    /// # Errors
    /// When a command fails or a daemon does not become ready.
    pub async fn operators(&self, count: usize) -> Result<Vec<Operator>> {
        let operators = try_join_all((1..=count).map(|index| self.operator(format!("operator-{index}"))));
        let operators = operators.await?;
        self.anvil.advance(ERA).await?;
        Ok(operators)
    }

    async fn operator(&self, name: String) -> Result<Operator> {
        let owner = self.owner(&name).await?;
        let listen = format!("127.0.0.1:{}", free_port()?);
        let endpoint = format!("http://{listen}");
        let key_file = self.dir().join(format!("{name}-bls.json"));
        let file = key_file.to_str().context("a path that is no UTF-8")?;
        owner.json(&["operator", "key", "--out", file]).await?;
        let register = ["operator", "register", "--bls-key", file, "--endpoint", &endpoint];
        let number = number(&owner.json(&register).await?, "/operator")?.to_string();
        owner.json(&["operator", "stake", &number, &STAKE.to_string()]).await?;
        owner.json(&["operator", "enter", &number]).await?;

        let hot = PrivateKeySigner::random();
        self.anvil.fund(hot.address(), 10_u128.pow(19)).await?;
        let passphrase = passphrase_file(&key_file);
        let config = format!(
            "[operator]\nkey = \"{file}\"\npassphrase_file = \"{}\"\nlisten = \"{listen}\"\n",
            passphrase.display()
        );
        let matchmaker = self.matchmaker_with(&name, hot, &config).await?;
        Ok(Operator { number: number.parse()?, endpoint, matchmaker, key_file })
    }

    /// Somebody with a key, ether and SPON.
    async fn owner(&self, name: &str) -> Result<Iono> {
        let owner = Iono::new(self.dir().join(format!("{name}-owner")))?;
        let book = self.book_path.to_str().context("a path that is no UTF-8")?;
        owner.json(&["init", "--rpc", &self.anvil.url(), "--address-book", book]).await?;
        owner.json(&["wallet", "new"]).await?;
        owner.json(&["faucet", "--token", "SPON", "--amount", &STAKE.to_string()]).await?;
        Ok(owner)
    }

    /// Orders that batches of a quorum matched.
    ///
    /// # Errors
    /// When the chain does not answer.
    pub async fn matched_by_quorum(&self) -> Result<u64> {
        let (chain, tasks) = (self.anvil.provider(), self.book.match_task_manager);
        let batches = events::all::<IMatchTaskManager::BatchResponded>(chain, tasks).await?;
        Ok(batches.iter().map(|batch| batch.event.matched.to::<u64>()).sum())
    }

    /// A share of an operator which says that a losing bid has won an order, with all that proves it.
    ///
    /// # Errors
    /// When the chain does not answer, or the order has no two bids.
    pub async fn lie(&self, liar: &Operator, order: OrderId) -> Result<SignedShare> {
        let (chain, orders) = (self.anvil.provider(), [order]);
        let ballot = Ballot::lying(chain, &self.book, &orders).await?;
        ensure!(ballot.orders[0].bids.len() > 1, "order {order} has no losing bid");
        Ok(ballot.share(liar.number, &liar.secret().await?))
    }
}

impl Operator {
    async fn secret(&self) -> Result<SecretKey> {
        let passphrase = std::fs::read_to_string(passphrase_file(&self.key_file))?;
        Ok(bls_keystore::open(&self.key_file, &Passphrase::new(passphrase.trim())).await?)
    }

    /// Sends a share to this operator; the status of its answer.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn post(&self, share: &SignedShare) -> Result<u16> {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
        Ok(client.post(format!("{}/v1/shares", self.endpoint)).json(share).send().await?.status().as_u16())
    }
}

/// Where `iono operator key` puts the passphrase of a key.
fn passphrase_file(key_file: &std::path::Path) -> PathBuf {
    key_file.with_extension("passphrase")
}
