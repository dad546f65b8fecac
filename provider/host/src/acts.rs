//! What a lease's course asks of the chain. A provider's daemon sends it with its hot key; a light node has no such key and
//! asks its gateway.

use async_trait::async_trait;
use iono_chain::SendError;
use iono_lease_api::SignedQuote;
use iono_primitives::{CloseReason, LeaseId};
use serde::{Deserialize, Serialize};

use crate::api::quote;
use crate::market::lease::Facts;

/// A change of a lease on chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum Act {
    /// Billing starts.
    Confirm,
    /// The bill stops.
    Pause {
        /// From this second on, unix time.
        since: u64,
    },
    /// Billed again.
    Resume,
    /// Given up.
    Close {
        /// Why.
        reason: CloseReason,
    },
    /// Its time is over.
    Expire,
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The transaction.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The key cannot sign.
    #[error("the quote cannot be signed: {0}")]
    Sign(#[from] alloy::signers::Error),
    /// The gateway refused, or cannot be reached.
    #[error("the gateway: {0}")]
    Gateway(String),
}

/// Who changes leases on chain.
#[async_trait]
pub trait Acts: Send + Sync {
    /// Changes a lease of which `facts` were read; done again after a crash it is done once.
    ///
    /// # Errors
    /// [`ActError`].
    async fn act(&self, lease: LeaseId, facts: &Facts, act: Act) -> Result<(), ActError>;

    /// Signs a quote as the provider (SP-23).
    ///
    /// # Errors
    /// [`ActError`].
    async fn sign(&self, offer: quote::Offer) -> Result<SignedQuote, ActError>;
}
