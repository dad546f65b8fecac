//! The leases' manifests: kept by the runtime itself, sealed with a key that the hot key gives again, so that neither
//! the loss of this provider's disk nor its restart loses them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use alloy::primitives::B256;
use bytes::Bytes;
use iono_lease_api::SaltedManifest;
use iono_primitives::LeaseId;
use iono_runtime::{Runtime, RuntimeError, Vault};

/// Bytes of the salt in front of the canonical manifest.
const SALT: usize = 32;

/// All manifests of one provider.
pub struct Manifests {
    runtime: Arc<dyn Runtime>,
    vault: Vault,
    /// What was read or stored; `None` when the runtime said that there is none.
    known: Mutex<HashMap<LeaseId, Option<Arc<SaltedManifest>>>>,
}

impl Manifests {
    /// Manifests that `runtime` keeps, sealed with `vault`.
    #[must_use]
    pub fn new(runtime: Arc<dyn Runtime>, vault: Vault) -> Self {
        Self { runtime, vault, known: Mutex::default() }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<LeaseId, Option<Arc<SaltedManifest>>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The manifest of a lease, if one was sent and is still there.
    ///
    /// # Errors
    /// [`RuntimeError`] when the engine cannot be asked: nothing is known then.
    pub async fn get(&self, lease: LeaseId) -> Result<Option<Arc<SaltedManifest>>, RuntimeError> {
        if let Some(known) = self.known().get(&lease) {
            return Ok(known.clone());
        }
        let sealed = self.runtime.load_manifest(lease).await?;
        let manifest = sealed.and_then(|sealed| self.open(lease, &sealed)).map(Arc::new);
        self.known().insert(lease, manifest.clone());
        Ok(manifest)
    }

    /// Stores a manifest in place of an older one.
    ///
    /// # Errors
    /// [`RuntimeError`] when the engine cannot keep it.
    pub async fn put(&self, lease: LeaseId, manifest: SaltedManifest) -> Result<(), RuntimeError> {
        let plain = [manifest.salt().as_slice(), manifest.canonical()].concat();
        self.runtime.store_manifest(lease, &self.vault.seal(lease, &plain)).await?;
        self.known().insert(lease, Some(Arc::new(manifest)));
        Ok(())
    }

    /// Forgets what was read, so that the engine is asked again.
    pub fn forget(&self, lease: LeaseId) {
        self.known().remove(&lease);
    }

    fn open(&self, lease: LeaseId, sealed: &[u8]) -> Option<SaltedManifest> {
        let unreadable = |why: String| {
            tracing::warn!(%lease, why, "the stored manifest cannot be read; the tenant has to send it again");
        };
        let plain = self.vault.open(lease, sealed).map_err(|error| unreadable(error.to_string())).ok()?;
        let (salt, canonical) = plain.split_at_checked(SALT)?;
        let manifest = SaltedManifest::decode(B256::from_slice(salt), Bytes::copy_from_slice(canonical));
        manifest.map_err(|error| unreadable(error.to_string())).ok()
    }
}
