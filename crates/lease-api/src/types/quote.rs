//! Small requests: a provider's price for new terms, and a restart.

use alloy::primitives::{B256, Bytes};
use iono_primitives::LeaseId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Asks for the price of changing a lease (SP-23).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuoteRequest {
    /// `abi.encode(Spec)` of the new spec: what is hashed and submitted, byte for byte. At most 4 KiB.
    #[schema(value_type = String)]
    pub spec: Bytes,
    /// The most that the tenant would pay, in 1e-18 tokens per second; a dearer quote is refused with the price.
    pub max_rate: Option<String>,
}

/// `LeaseBook.Quote` with the signature of the provider's hot key (EIP-712). The caller checks the signer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignedQuote {
    /// The lease.
    #[schema(value_type = u64)]
    pub lease: LeaseId,
    /// The lease's manifest version that it is for.
    pub version: u16,
    /// The present rate, in 1e-18 tokens per second.
    pub old_rate: String,
    /// keccak256 of the requested spec.
    #[schema(value_type = String)]
    pub spec_hash: B256,
    /// The new rate, in 1e-18 tokens per second.
    pub rate: String,
    /// Last second in which it can be used, unix time.
    pub expiry: u64,
    /// 65 bytes.
    #[schema(value_type = String)]
    pub signature: Bytes,
}

/// Restarts replicas one after the other; volumes stay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RestartRequest {
    /// One service; all when absent.
    #[serde(default)]
    pub service: Option<String>,
}
