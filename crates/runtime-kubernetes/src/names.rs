//! The names and labels of all that this runtime creates. Labels are its only memory; they hold no secret.

use std::collections::BTreeMap;

use iono_primitives::LeaseId;
use iono_runtime::Owner;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use sha2::{Digest, Sha256};

const PREFIX: &str = "network.ionosphere";

/// A label or annotation of ours.
pub(crate) fn key(name: &str) -> String {
    format!("{PREFIX}/{name}")
}

/// What the owner's things are called.
#[derive(Debug, Clone)]
pub struct Names {
    owner: Owner,
    /// Sixteen hex digits that stand for the owner: its full name is too long for a label.
    short: String,
}

impl Names {
    /// For one owner.
    #[must_use]
    pub fn new(owner: &Owner) -> Self {
        let digest = Sha256::digest(owner.to_string().as_bytes());
        Self { owner: owner.clone(), short: hex::encode(&digest[..8]) }
    }

    /// Stands for the owner where its full name is too long.
    pub(crate) fn short(&self) -> &str {
        &self.short
    }

    /// The lease's namespace.
    #[must_use]
    pub fn namespace(&self, lease: LeaseId) -> String {
        format!("iono-{}-{lease}", &self.short[..8])
    }

    /// The selector that finds everything of this owner.
    #[must_use]
    pub fn selector(&self) -> String {
        format!("{}={}", key("owner"), self.short)
    }

    /// The selector that finds what is not this owner's.
    pub(crate) fn others(&self) -> String {
        format!("{} notin ({})", key("owner"), self.short)
    }

    /// The owner in full, for people who look at a namespace.
    pub(crate) fn owner(&self) -> String {
        self.owner.to_string()
    }

    /// Labels of a thing that belongs to a lease.
    pub(crate) fn labels(&self, lease: LeaseId) -> BTreeMap<String, String> {
        BTreeMap::from([(key("owner"), self.short.clone()), (key("lease"), lease.to_string())])
    }
}

/// The label by which a service's pods are found in their namespace.
pub(crate) fn service_label(service: &str) -> BTreeMap<String, String> {
    BTreeMap::from([(key("service"), service.to_owned())])
}

/// The lease that a thing of ours belongs to.
pub(crate) fn lease_of(metadata: &ObjectMeta) -> Option<LeaseId> {
    label(metadata, "lease")?.parse().ok()
}

/// One of our labels.
pub(crate) fn label<'a>(metadata: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    metadata.labels.as_ref()?.get(&key(name)).map(String::as_str)
}

/// One of our annotations.
pub(crate) fn annotation<'a>(metadata: &'a ObjectMeta, name: &str) -> Option<&'a str> {
    metadata.annotations.as_ref()?.get(&key(name)).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use alloy::primitives::Address;
    use iono_primitives::ProviderId;

    use super::*;

    #[test]
    fn names_fit_labels_and_tell_owners_apart() {
        let owner = |chain_id| Owner {
            chain_id,
            registry: Address::repeat_byte(0xab),
            provider: ProviderId(u32::MAX),
        };
        let (one, two) = (Names::new(&owner(u64::MAX)), Names::new(&owner(1)));
        let lease = LeaseId(u64::MAX);
        assert!(one.namespace(lease).len() <= 63);
        assert_ne!(one.namespace(lease), two.namespace(lease));
        assert!(one.labels(lease).values().all(|value| value.len() <= 63));
        assert_ne!(one.selector(), two.selector());
        assert!(one.owner().starts_with(&u64::MAX.to_string()));
    }
}
