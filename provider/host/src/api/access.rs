//! Who may reach a lease: the chain's word, kept for a few seconds and forgotten as soon as an event may have changed it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use alloy::primitives::{Address, B256};
use async_trait::async_trait;
use iono_identity::{Access, LeaseParty, Rights, Unreachable};
use iono_primitives::{LeaseId, LeaseState, WalletId};
use tokio::sync::watch;

use crate::market::party::Party;
use crate::market::reader::ReadError;
use crate::node::Node;

/// How long an answer of the chain is good without asking again.
const FRESH: Duration = Duration::from_secs(3);
/// Answers that are kept; callers are strangers.
const KEPT: usize = 4_096;

/// The chain as the lease API asks it.
pub struct ChainAccess {
    node: Arc<Node>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// The count of changes that the answers belong to.
    epoch: u64,
    answers: HashMap<(WalletId, Address), (Instant, Rights)>,
}

impl ChainAccess {
    /// Answers from `node`'s chain and book.
    #[must_use]
    pub fn new(node: Arc<Node>) -> Self {
        Self { node, known: Mutex::default() }
    }

    fn kept(&self, key: &(WalletId, Address)) -> Option<Rights> {
        let epoch = *self.node.access_changed.borrow();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.epoch != epoch {
            *known = Known { epoch, ..Known::default() };
        }
        known.answers.get(key).filter(|(at, _)| at.elapsed() < FRESH).map(|(_, rights)| *rights)
    }

    fn keep(&self, epoch: u64, key: (WalletId, Address), rights: Rights) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // An answer from before a change is not kept after it.
        if known.epoch != epoch {
            return;
        }
        if known.answers.len() >= KEPT {
            known.answers.clear();
        }
        known.answers.insert(key, (Instant::now(), rights));
    }
}

fn unreachable(error: &ReadError) -> Unreachable {
    Unreachable(error.to_string())
}

#[async_trait]
impl Access for ChainAccess {
    async fn rights(&self, wallet: WalletId, account: Address) -> Result<Rights, Unreachable> {
        let key = (wallet, account);
        if let Some(rights) = self.kept(&key) {
            return Ok(rights);
        }
        let epoch = *self.node.access_changed.borrow();
        let (read, write, nonce) =
            self.node.reader.access(wallet, account).await.map_err(|error| unreachable(&error))?;
        let rights = Rights { read, write, nonce };
        self.keep(epoch, key, rights);
        Ok(rights)
    }

    async fn lease(&self, lease: LeaseId) -> Result<Option<LeaseParty>, Unreachable> {
        let known =
            self.node.book().leases().get(&lease).and_then(|lease| lease.facts.as_ref().map(|f| f.words));
        let words = match known {
            Some(words) => words,
            // A tenant may be faster than this provider's own reading of the match.
            None => self.node.reader.lease_words(lease).await.map_err(|error| unreachable(&error))?,
        };
        let state = words.lease_state().unwrap_or(LeaseState::None);
        if state == LeaseState::None || Party::of(&words) != self.node.me {
            return Ok(None);
        }
        let over = state != LeaseState::Pending && self.node.view().head.timestamp >= words.end;
        let open = state != LeaseState::Closed && !over;
        Ok(Some(LeaseParty { wallet: WalletId(words.wallet), open }))
    }

    async fn is_valid_signature(
        &self,
        account: Address,
        hash: B256,
        signature: &[u8],
    ) -> Result<bool, Unreachable> {
        self.node
            .reader
            .is_valid_signature(account, hash, signature)
            .await
            .map_err(|error| unreachable(&error))
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.node.access_changed.subscribe()
    }
}
