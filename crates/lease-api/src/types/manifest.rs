//! A manifest on its way: its canonical bytes as the body, its salt in a header. Nothing is encoded again on the way,
//! so both sides hash the same bytes.

use alloy::primitives::B256;
use bytes::Bytes;
use iono_manifest::{DecodeError, LeaseManifest, Salt};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The header that carries the salt, 0x and 64 hex digits.
pub const SALT_HEADER: &str = "ionosphere-salt";

/// A manifest with the salt that hides it on chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SaltedManifest {
    salt: Salt,
    canonical: Bytes,
    manifest: LeaseManifest,
}

impl SaltedManifest {
    /// Salts a manifest of one's own.
    #[must_use]
    pub fn new(salt: Salt, manifest: LeaseManifest) -> Self {
        Self { salt, canonical: manifest.canonical().into(), manifest }
    }

    /// Reads canonical bytes from a stranger.
    ///
    /// # Errors
    /// [`DecodeError`] says which rule they break.
    pub fn decode(salt: Salt, canonical: Bytes) -> Result<Self, DecodeError> {
        let manifest = LeaseManifest::decode(&canonical)?;
        Ok(Self { salt, canonical, manifest })
    }

    /// What must stand on chain for it.
    #[must_use]
    pub fn hash(&self) -> B256 {
        iono_manifest::hash(&self.salt, &self.canonical)
    }

    /// The salt.
    #[must_use]
    pub fn salt(&self) -> Salt {
        self.salt
    }

    /// The canonical bytes.
    #[must_use]
    pub fn canonical(&self) -> &Bytes {
        &self.canonical
    }

    /// The manifest itself.
    #[must_use]
    pub fn manifest(&self) -> &LeaseManifest {
        &self.manifest
    }
}

/// The provider has stored the manifest and starts what it asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ManifestReceipt {
    /// keccak256(salt ‖ canonical manifest), as on chain.
    #[schema(value_type = String, example = "0x00…")]
    pub hash: B256,
    /// `false` when this very manifest was there already.
    pub changed: bool,
}
