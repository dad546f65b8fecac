//! Ids of the chain's records as distinct types, so that a wallet is never taken for a lease.

use std::fmt;

use alloy::primitives::U256;
use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $repr:ty) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Default)]
        #[serde(transparent)]
        pub struct $name(pub $repr);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
        impl std::str::FromStr for $name {
            type Err = std::num::ParseIntError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
        impl From<$name> for U256 {
            fn from(id: $name) -> Self {
                U256::from(id.0)
            }
        }
    };
}

id!(
    /// An order; the lease that comes of it has the same number.
    OrderId, u64
);
id!(
    /// A lease; the same number as its order.
    LeaseId, u64
);
id!(
    /// A numbered, transferable escrow wallet (SP-17).
    WalletId, u64
);
id!(
    /// A registered provider.
    ProviderId, u32
);
id!(
    /// A light node of a provider; 0 stands for the provider's own machines.
    FizzId, u32
);
id!(
    /// A payment token that governance enabled; 0 is SPON (SP-18).
    TokenId, u16
);

impl From<OrderId> for LeaseId {
    fn from(order: OrderId) -> Self {
        Self(order.0)
    }
}
impl From<LeaseId> for OrderId {
    fn from(lease: LeaseId) -> Self {
        Self(lease.0)
    }
}
