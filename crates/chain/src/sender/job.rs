//! What the journal keeps of an intent beside its state: the call, every transaction sent for it, and what came of it.

use alloy::primitives::{Address, B256, Bytes, U256};
use iono_bindings::Explained;
use iono_store::{Intent, StoreError};
use serde::{Deserialize, Serialize};

use super::Mined;

/// A call and its attempts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) to: Address,
    pub(crate) data: Bytes,
    /// Wei.
    pub(crate) value: U256,
    /// Transactions signed with the intent's nonce, oldest first; at most one of them is ever mined.
    #[serde(default)]
    pub(crate) attempts: Vec<Attempt>,
    #[serde(default)]
    pub(crate) mined: Option<Mined>,
    #[serde(default)]
    pub(crate) failure: Option<Failure>,
}

/// One signed transaction; with the job and the nonce it can be signed again, to the same hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attempt {
    pub(crate) hash: B256,
    pub(crate) gas: u64,
    /// Wei per unit of gas.
    pub(crate) max_fee: u128,
    /// Wei per unit of gas.
    pub(crate) tip: u128,
    /// Unix seconds.
    pub(crate) at: u64,
}

/// Why it will not be sent again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    code: String,
    what: String,
    hint: String,
}

impl Job {
    pub(crate) fn new(to: Address, data: Bytes, value: U256) -> Self {
        Self { to, data, value, attempts: Vec::new(), mined: None, failure: None }
    }

    pub(crate) fn to_json(&self) -> Result<serde_json::Value, StoreError> {
        serde_json::to_value(self)
            .map_err(|error| StoreError::Corrupt { what: "an intent".to_owned(), reason: error.to_string() })
    }

    pub(crate) fn read(intent: &Intent) -> Result<Self, StoreError> {
        Self::deserialize(&intent.body).map_err(|error| StoreError::Corrupt {
            what: format!("journal {}", intent.key),
            reason: error.to_string(),
        })
    }

    pub(crate) fn fail(&mut self, why: &Explained) {
        let Explained { code, what, hint } = why.clone();
        self.failure = Some(Failure { code, what, hint });
    }

    pub(crate) fn explained(self) -> Explained {
        let unknown =
            Failure { code: String::new(), what: "the transaction failed".to_owned(), hint: String::new() };
        let Failure { code, what, hint } = self.failure.unwrap_or(unknown);
        Explained { code, what, hint }
    }
}
