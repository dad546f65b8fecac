//! An order as its event tells it: the stored words and the spec, read once and checked, since both come from strangers.

use alloy::primitives::B256;
use iono_bindings::{IOrderBook, OrderWords, Spec};
use iono_primitives::{Group, OrderId, ProviderId, Resources};
use serde::{Deserialize, Serialize};

/// An open (or past) order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The order; its lease will have the same number.
    pub id: OrderId,
    /// The stored words at creation.
    #[serde(with = "super::stored::order_words")]
    pub words: OrderWords,
    /// What it asks for.
    pub spec: LeaseSpec,
}

/// What a tenant orders beside price and time, read from `Spec`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseSpec {
    /// Totals over all services and replicas.
    pub resources: Resources,
    /// One per service.
    pub groups: Vec<Group>,
    /// keccak256(salt ‖ canonical manifest).
    pub manifest_hash: B256,
    /// Providers that the order allows or denies.
    pub providers: Vec<ProviderId>,
}

/// The spec is not one that this program can serve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the order's {0} is malformed")]
pub struct Malformed(pub &'static str);

impl LeaseSpec {
    /// Reads a spec.
    ///
    /// # Errors
    /// [`Malformed`] names the field.
    pub fn read(spec: &Spec) -> Result<Self, Malformed> {
        let resources = Resources::from_word(spec.resources).ok_or(Malformed("resources word"))?;
        let groups = Group::decode(&spec.groups).ok_or(Malformed("list of groups"))?;
        let words = spec.providers.as_limbs().iter().flat_map(|limb| [*limb as u32, (*limb >> 32) as u32]);
        let providers = words.take_while(|id| *id != 0).map(ProviderId).collect();
        Ok(Self { resources, groups, manifest_hash: spec.manifestHash, providers })
    }
}

impl Order {
    /// Reads the event.
    ///
    /// # Errors
    /// [`Malformed`] names the field.
    pub fn read(event: &IOrderBook::OrderCreated) -> Result<Self, Malformed> {
        let id = u64::try_from(event.order).map_err(|_| Malformed("id"))?;
        let words = OrderWords::read([event.word0, event.word1]);
        Ok(Self { id: OrderId(id), words, spec: LeaseSpec::read(&event.spec)? })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use alloy::primitives::U256;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn listed_providers_end_at_the_first_zero() {
        let spec = Spec {
            resources: U256::from(1),
            manifestHash: B256::ZERO,
            providers: U256::from(7) | U256::from(9) << 32 | U256::from(5) << 96,
            groups: Vec::new().into(),
        };
        assert_eq!(LeaseSpec::read(&spec).unwrap().providers, [ProviderId(7), ProviderId(9)]);
    }

    proptest! {
        #[test]
        fn hostile_specs_never_panic(resources: [u64; 4], providers: [u64; 4], groups: Vec<u8>) {
            let spec = Spec {
                resources: U256::from_limbs(resources),
                manifestHash: B256::ZERO,
                providers: U256::from_limbs(providers),
                groups: groups.into(),
            };
            if let Ok(read) = LeaseSpec::read(&spec) {
                prop_assert!(read.providers.len() <= 8 && read.groups.len() <= Group::MAX);
            }
        }
    }
}
