//! What is kept: blocks, logs, intents and documents.

use std::ops::RangeInclusive;

use alloy::primitives::{Address, B256, Bytes, Log, LogData};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::StoreError;

/// A block by number and hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BlockRef {
    /// Height.
    pub number: u64,
    /// Hash.
    pub hash: B256,
}

/// A canonical log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredLog {
    /// Block it is in.
    pub block: u64,
    /// Place within the block.
    pub index: u64,
    /// Transaction it came from.
    pub transaction: B256,
    /// Contract, topics and data.
    pub log: Log,
}

impl StoredLog {
    /// All bytes that are stored (transaction, 32; contract, 20; topics; data) in one piece.
    pub(crate) fn packed(&self) -> Vec<u8> {
        let topics: Vec<[u8; 32]> = self.log.topics().iter().map(|topic| topic.0).collect();
        let (transaction, address) = (self.transaction.as_slice(), self.log.address.as_slice());
        [transaction, address, topics.as_flattened(), &self.log.data.data].concat()
    }

    pub(crate) fn read(row: (i64, i64, Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>)) -> Result<Self, StoreError> {
        let (block, index, transaction, address, topics, data) = row;
        let corrupt = || StoreError::Corrupt {
            what: format!("logs, block {block}, log {index}"),
            reason: "wrong length".to_owned(),
        };
        let (topics, rest) = topics.as_chunks::<32>();
        let data = LogData::new(topics.iter().map(B256::from).collect(), Bytes::from(data));
        if !rest.is_empty() {
            return Err(corrupt());
        }
        Ok(Self {
            block: block.cast_unsigned(),
            index: index.cast_unsigned(),
            transaction: B256::try_from(transaction.as_slice()).map_err(|_| corrupt())?,
            log: Log {
                address: Address::try_from(address.as_slice()).map_err(|_| corrupt())?,
                data: data.ok_or_else(corrupt)?,
            },
        })
    }
}

/// Which logs to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogQuery {
    /// Blocks.
    pub blocks: RangeInclusive<u64>,
    /// Of this contract only.
    pub address: Option<Address>,
    /// Of this event (first topic) only.
    pub event: Option<B256>,
}

impl LogQuery {
    /// All logs of these blocks.
    #[must_use]
    pub fn blocks(blocks: RangeInclusive<u64>) -> Self {
        Self { blocks, address: None, event: None }
    }
}

/// A range of blocks to apply.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Batch<'a> {
    /// First block of the range: what the store has from there on gives way.
    pub from: u64,
    /// Blocks to remember; the highest becomes the cursor.
    pub blocks: &'a [BlockRef],
    /// Logs of the range.
    pub logs: &'a [StoredLog],
    /// The caller's own changes.
    pub changes: &'a [Change],
    /// Remembered blocks below this are forgotten.
    pub forget_below: u64,
}

/// A change of a daemon's own documents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Writes a document.
    Put {
        /// Namespace.
        namespace: String,
        /// Key within it.
        key: String,
        /// What to keep.
        body: Value,
        /// The version it must have now, 0 when it must not be there; `None` when that does not matter.
        version: Option<u64>,
    },
    /// Removes a document, if it is there.
    Delete {
        /// Namespace.
        namespace: String,
        /// Key within it.
        key: String,
    },
}

impl Change {
    /// Writes whatever is there now.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when `body` is no JSON (a map with keys that are no strings, say).
    pub fn put<T: Serialize>(namespace: &str, key: impl ToString, body: &T) -> Result<Self, StoreError> {
        let (namespace, key) = (namespace.to_owned(), key.to_string());
        let body = serde_json::to_value(body).map_err(|error| StoreError::Corrupt {
            what: format!("{namespace}/{key}"),
            reason: error.to_string(),
        })?;
        Ok(Self::Put { namespace, key, body, version: None })
    }

    /// Removes a document.
    #[must_use]
    pub fn delete(namespace: &str, key: impl ToString) -> Self {
        Self::Delete { namespace: namespace.to_owned(), key: key.to_string() }
    }
}

/// A document as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Key within its namespace.
    pub key: String,
    /// Counts its changes, from 1.
    pub version: u64,
    /// What was kept.
    pub body: Value,
}

impl Document {
    /// The body as a type.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it is not one.
    pub fn parse<T: for<'de> Deserialize<'de>>(&self) -> Result<T, StoreError> {
        T::deserialize(&self.body).map_err(|error| StoreError::Corrupt {
            what: format!("document {}", self.key),
            reason: error.to_string(),
        })
    }
}

/// How far an intent got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentState {
    /// Written down, not sent.
    Queued,
    /// Signed and handed to an RPC; it may be in the mempool, mined or lost.
    Sent,
    /// In a block that may still be re-organised away.
    Mined,
    /// In a final block.
    Final,
    /// Refused by the contract or given up; it will not be sent again.
    Failed,
}

impl IntentState {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Queued, Self::Sent, Self::Mined, Self::Final, Self::Failed];

    /// As it is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Mined => "mined",
            Self::Final => "final",
            Self::Failed => "failed",
        }
    }

    /// Whether there is something left to do.
    #[must_use]
    pub fn is_open(self) -> bool {
        !matches!(self, Self::Final | Self::Failed)
    }
}

/// A transaction that is to be sent once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Intent {
    /// The caller's idempotency key, such as `bid:42`.
    pub key: String,
    /// The account that sends.
    pub sender: Address,
    /// How far it got.
    pub state: IntentState,
    /// The nonce it was signed with.
    pub nonce: Option<u64>,
    /// What the sender keeps about it.
    pub body: Value,
}
