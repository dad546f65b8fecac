//! The words that every part of Ionosphere shares: ids, resources, money, regions, reasons. No I/O and no policy.

pub mod attributes;
pub mod gpu;
pub mod id;
pub mod money;
pub mod quantity;
pub mod reason;
pub mod region;
pub mod resources;

pub use attributes::Attributes;
pub use id::{FizzId, LeaseId, OrderId, ProviderId, TokenId, WalletId};
pub use money::{Amount, Rate};
pub use reason::{CloseReason, LeaseState, OrderState};
pub use region::Region;
pub use resources::{GpuModel, Group, Resources, StorageClass};
