//! The bodies of requests and answers. Ids are numbers, rates and amounts decimal strings, hashes and bytes 0x-hex;
//! field names say their unit.

mod manifest;
mod provider;
mod quote;
mod status;
mod stream;

pub use manifest::{ManifestReceipt, SALT_HEADER, SaltedManifest};
pub use provider::{BidAnswer, BidDecision, Capacity, GpuCount, NoBidReason, PriceList, ProviderInfo};
pub use quote::{QuoteRequest, RestartRequest, SignedQuote};
pub use status::{
    LastExit, LeaseStatus, MoneyWarning, PausedReason, PortStatus, ReplicaState, ReplicaStatus, ServiceStatus,
};
pub use stream::{EventQuery, FilePath, LeaseEvent, LogLine, LogQuery, OutputKind};
