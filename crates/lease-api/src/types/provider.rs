//! What a provider says of itself and why it did not bid; both public.

use std::collections::BTreeMap;

use alloy::primitives::Address;
use iono_primitives::{OrderId, ProviderId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A provider's offer and state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProviderInfo {
    /// Its id in the registry.
    #[schema(value_type = u32)]
    pub provider: ProviderId,
    /// Name and version of the software.
    pub software: String,
    /// Version of this interface: 1.
    pub api: u16,
    /// The chain that it serves.
    pub chain_id: u64,
    /// The contract that authorisations name.
    #[schema(value_type = String)]
    pub lease_access: Address,
    /// Such as `eu-west/3`.
    pub region: String,
    /// Takes no new leases; present ones stay.
    pub draining: bool,
    /// What it offers to the market.
    pub capacity: Capacity,
    /// What of it is neither leased nor reserved by open bids.
    pub free: Capacity,
    /// Its prices, when it publishes them.
    pub prices: Option<PriceList>,
}

/// Amounts of resources.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Capacity {
    /// CPU in thousandths of a core.
    pub cpu_millicores: u64,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Disk in MiB.
    pub storage_mib: u64,
    /// GPUs by model.
    pub gpus: Vec<GpuCount>,
}

/// GPUs of one model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GpuCount {
    /// Such as `rtx4090`.
    pub model: String,
    /// How many.
    pub count: u32,
}

/// US dollars an hour as decimals, such as `0.025`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PriceList {
    /// For a core.
    pub core: String,
    /// For a GiB of memory.
    pub memory_gib: String,
    /// For a GiB of disk.
    pub storage_gib: String,
    /// For a GPU, by model.
    pub gpus: BTreeMap<String, String>,
}

/// What a provider decided about an order (market promise 1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BidAnswer {
    /// The order.
    #[schema(value_type = u64)]
    pub order: OrderId,
    /// What was decided.
    pub decision: BidDecision,
    /// The rate that was bid, in 1e-18 tokens per second.
    pub rate: Option<String>,
    /// Everything that spoke against a bid.
    pub reasons: Vec<NoBidReason>,
}

/// Kinds of decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BidDecision {
    /// It bid.
    Bid,
    /// It did not.
    NoBid,
    /// Not decided yet.
    Pending,
    /// It has not seen this order.
    Unknown,
}

/// One reason against a bid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NoBidReason {
    /// What was short or did not fit: `cpu`, `memory`, `gpu`, `price`, `region`, …
    pub dimension: String,
    /// In words, with numbers: `memory 3 GiB short on the only node with an A100`.
    pub message: String,
}
