//! Seals manifests, which carry secrets, before they are given to the engine to keep: ChaCha20-Poly1305 (RFC 8439)
//! under the provider's key, bound to chain, registry and lease so that none can be put in another's place.

use alloy::primitives::keccak256;
use chacha20poly1305::aead::{Aead, AeadCore, KeyInit, OsRng, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use iono_primitives::LeaseId;

use crate::Owner;

const VERSION: u8 = 1;
const NONCE: usize = 12;

/// Why a sealed manifest cannot be opened.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum VaultError {
    /// Shorter than version, nonce and tag, or of another version.
    #[error("the stored manifest is of an unknown format")]
    Format,
    /// Another key, another lease, or changed bytes.
    #[error("the stored manifest was sealed with another key or for another lease, or was changed")]
    Refused,
}

/// The provider's key to the manifests that its runtime keeps.
#[derive(Clone)]
pub struct Vault {
    cipher: ChaCha20Poly1305,
    label_key: [u8; 32],
    owner: Owner,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Vault").field("owner", &self.owner).finish_non_exhaustive()
    }
}

impl Vault {
    /// A vault with its own keys, derived from `secret` (32 bytes that only the provider has and will have again after
    /// losing its disk, such as one derived from its hot key).
    #[must_use]
    pub fn new(secret: &[u8; 32], owner: Owner) -> Self {
        let derive =
            |purpose: &str| keccak256([secret.as_slice(), b"ionosphere/vault/", purpose.as_bytes()].concat());
        Self {
            cipher: ChaCha20Poly1305::new(Key::from_slice(derive("seal").as_slice())),
            label_key: derive("label").0,
            owner,
        }
    }

    /// Whose manifests these are.
    #[must_use]
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// What the seal is bound to besides the key.
    fn context(&self, lease: LeaseId) -> Vec<u8> {
        let Owner { chain_id, registry, .. } = &self.owner;
        [&chain_id.to_be_bytes()[..], registry.as_slice(), &lease.0.to_be_bytes()].concat()
    }

    /// Version, nonce, ciphertext and tag.
    #[must_use]
    pub fn seal(&self, lease: LeaseId, manifest: &[u8]) -> Vec<u8> {
        let nonce = ChaCha20Poly1305::generate_nonce(&mut OsRng);
        let payload = Payload { msg: manifest, aad: &self.context(lease) };
        let sealed = self.cipher.encrypt(&nonce, payload).expect("a manifest is far below 256 GiB");
        [&[VERSION], nonce.as_slice(), &sealed].concat()
    }

    /// The manifest.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn open(&self, lease: LeaseId, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        let (version, rest) = sealed.split_first().ok_or(VaultError::Format)?;
        if *version != VERSION || rest.len() < NONCE {
            return Err(VaultError::Format);
        }
        let (nonce, sealed) = rest.split_at(NONCE);
        let payload = Payload { msg: sealed, aad: &self.context(lease) };
        self.cipher.decrypt(Nonce::from_slice(nonce), payload).map_err(|_| VaultError::Refused)
    }

    /// A fingerprint of `data` that reveals nothing about it to those without the key: for labels, which anyone on the
    /// node may read and in which the hash of a weak password could be guessed.
    #[must_use]
    pub fn fingerprint(&self, data: &[u8]) -> String {
        let digest = keccak256([self.label_key.as_slice(), data].concat());
        digest[..16].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::primitives::Address;
    use iono_primitives::ProviderId;

    fn owner(chain_id: u64) -> Owner {
        Owner { chain_id, registry: Address::repeat_byte(7), provider: ProviderId(3) }
    }

    #[test]
    fn opens_only_with_the_same_key_chain_and_lease() {
        let vault = Vault::new(&[1; 32], owner(1));
        let sealed = vault.seal(LeaseId(5), b"password: x");
        assert_eq!(vault.open(LeaseId(5), &sealed).unwrap(), b"password: x");
        assert_eq!(vault.open(LeaseId(6), &sealed), Err(VaultError::Refused));
        assert_eq!(Vault::new(&[2; 32], owner(1)).open(LeaseId(5), &sealed), Err(VaultError::Refused));
        assert_eq!(Vault::new(&[1; 32], owner(2)).open(LeaseId(5), &sealed), Err(VaultError::Refused));
        assert!(!sealed.windows(8).any(|part| part == b"password"));
    }

    #[test]
    fn every_changed_or_missing_byte_is_refused() {
        let vault = Vault::new(&[1; 32], owner(1));
        let sealed = vault.seal(LeaseId(5), b"m");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(vault.open(LeaseId(5), &changed).is_err(), "byte {at}");
            assert!(vault.open(LeaseId(5), &sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn fingerprints_depend_on_key_and_data() {
        let (one, two) = (Vault::new(&[1; 32], owner(1)), Vault::new(&[2; 32], owner(1)));
        assert_eq!(one.fingerprint(b"a"), one.fingerprint(b"a"));
        assert_ne!(one.fingerprint(b"a"), one.fingerprint(b"b"));
        assert_ne!(one.fingerprint(b"a"), two.fingerprint(b"a"));
    }
}
