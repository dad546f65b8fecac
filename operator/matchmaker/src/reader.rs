//! What the daemon asks the chain for, beside following it: the anchor of a closing block and the weights of a policy.

use std::collections::BTreeMap;

use alloy::eips::BlockId;
use alloy::primitives::U256;
use alloy::providers::{DynProvider, Provider as _};
use anyhow::{Context, Result};
use iono_bindings::{AddressBook, IMatchPolicy, IRandomness};
use iono_matching::Weights;
use iono_quorum::Anchor;

/// Reads through the pool of endpoints.
pub(crate) struct Reader {
    provider: DynProvider,
    book: AddressBook,
    /// A policy version never changes.
    weights: BTreeMap<u16, Weights>,
}

impl Reader {
    pub(crate) fn new(provider: DynProvider, book: AddressBook) -> Self {
        Self { provider, book, weights: BTreeMap::new() }
    }

    /// Hash of a closing block and the seed that the block after it gives, read of one chain.
    pub(crate) async fn anchor(&self, close_block: u64) -> Result<Anchor> {
        let after = self.provider.get_block_by_number((close_block + 1).into()).await?;
        let after = after.with_context(|| format!("there is no block {}", close_block + 1))?;
        let randomness = IRandomness::new(self.book.randomness, &self.provider);
        // The newest block's hash is known to the block that will follow it.
        let seed = randomness.seedOf(U256::from(close_block + 1)).block(BlockId::pending()).call().await?;
        Ok(Anchor { close_hash: after.header.parent_hash, seed })
    }

    /// Weights of a version of the matching policy.
    pub(crate) async fn weights(&mut self, policy: u16) -> Result<Weights> {
        if let Some(weights) = self.weights.get(&policy) {
            return Ok(*weights);
        }
        let policies = IMatchPolicy::new(self.book.match_policy, &self.provider);
        let weights = Weights::from_word(policies.weightsOf(U256::from(policy)).call().await?);
        self.weights.insert(policy, weights);
        Ok(weights)
    }
}
