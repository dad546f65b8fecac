//! Whose orders and leases are looked at.

use iono_bindings::LeaseWords;
use iono_primitives::{FizzId, ProviderId};

/// A provider with everything of its own and its light nodes', or one of its light nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Party {
    /// The provider.
    pub provider: ProviderId,
    /// Its light node; 0 for the provider itself.
    pub fizz: FizzId,
}

impl Party {
    /// A provider.
    #[must_use]
    pub fn provider(provider: ProviderId) -> Self {
        Self { provider, fizz: FizzId(0) }
    }

    /// Who serves a lease.
    #[must_use]
    pub fn of(words: &LeaseWords) -> Self {
        Self { provider: ProviderId(words.provider), fizz: FizzId(words.fizz) }
    }

    /// Whether what `other` does concerns this party: a provider answers for its light nodes.
    #[must_use]
    pub fn answers_for(self, other: Self) -> bool {
        self.provider == other.provider && (self.fizz == FizzId(0) || self.fizz == other.fizz)
    }
}
