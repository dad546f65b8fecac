//! Secret and public keys, proofs of possession, aggregate keys.

use std::fmt;

use alloy::primitives::B256;
use blst::BLST_ERROR;
use blst::min_sig::{AggregatePublicKey, PublicKey as BlstKey, SecretKey as BlstSecret};
use rand::TryRngCore;
use rand::rngs::OsRng;
use zeroize::Zeroizing;

use crate::encoding::{G2_BYTES, pad_g2, strip_g2};
use crate::{BlsError, POSSESSION_DOMAIN, SIGNATURE_DOMAIN, Signature};

/// A secret key; wiped from memory when dropped, never shown.
#[derive(Clone)]
pub struct SecretKey(BlstSecret);

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey([hidden])")
    }
}

impl SecretKey {
    /// A new key from the system's randomness.
    ///
    /// # Panics
    /// When the system has no randomness to give.
    #[must_use]
    pub fn generate() -> Self {
        let mut material = Zeroizing::new([0; 32]);
        OsRng.try_fill_bytes(material.as_mut_slice()).expect("the system gives randomness");
        Self::derive(&material)
    }

    /// The key that belongs to 32 bytes of secret material (KeyGen of the BLS draft); the same material, the same key.
    #[must_use]
    pub fn derive(material: &[u8; 32]) -> Self {
        Self(BlstSecret::key_gen(material, &[]).expect("32 bytes of material are enough"))
    }

    /// Reads a stored key.
    ///
    /// # Errors
    /// [`BlsError::Secret`] when it is zero or not below the group's order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, BlsError> {
        BlstSecret::from_bytes(bytes).map(Self).map_err(|_| BlsError::Secret)
    }

    /// For the keystore.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes())
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        PublicKey(self.0.sk_to_pk())
    }

    /// Signs a message.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Signature {
        Signature(self.0.sign(message, SIGNATURE_DOMAIN, &[]))
    }

    /// Proves that this key is known: signs the registry's EIP-712 digest of operator, registry, chain and key, in a
    /// domain of its own, so that no message signature can pass for a proof.
    #[must_use]
    pub fn prove_possession(&self, digest: &B256) -> Signature {
        Signature(self.0.sign(digest.as_slice(), POSSESSION_DOMAIN, &[]))
    }
}

/// A public key: on the curve, in the subgroup, not infinity.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(pub(crate) BlstKey);

impl PublicKey {
    /// Reads EIP-2537's encoding and validates the key.
    ///
    /// # Errors
    /// [`BlsError`] says what is wrong with the bytes or the point.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BlsError> {
        let key = BlstKey::deserialize(&strip_g2(bytes)?).map_err(refused)?;
        key.validate().map_err(refused)?;
        Ok(Self(key))
    }

    /// EIP-2537's encoding, 256 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; G2_BYTES] {
        pad_g2(&self.0.serialize())
    }

    /// Whether a proof shows that whoever gave this key knows its secret.
    #[must_use]
    pub fn verify_possession(&self, digest: &B256, proof: &Signature) -> bool {
        proof.holds(digest.as_slice(), POSSESSION_DOMAIN, self)
    }

    /// The key that checks a signature aggregated from signatures of these keys over one message. Only keys whose
    /// possession was proved may come here.
    ///
    /// # Errors
    /// [`BlsError::Empty`] without keys, [`BlsError::Infinity`] when they cancel out.
    pub fn aggregate(keys: &[PublicKey]) -> Result<Self, BlsError> {
        let points: Vec<&BlstKey> = keys.iter().map(|key| &key.0).collect();
        let sum = AggregatePublicKey::aggregate(&points, false).map_err(|_| BlsError::Empty)?;
        let key = sum.to_public_key();
        // A sum of valid keys is in the subgroup; only infinity is left to refuse.
        key.validate().map_err(refused)?;
        Ok(Self(key))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = &self.0.compress()[..8];
        write!(f, "PublicKey({}…)", alloy::hex::encode(start))
    }
}

pub(crate) fn refused(error: BLST_ERROR) -> BlsError {
    match error {
        BLST_ERROR::BLST_POINT_NOT_IN_GROUP => BlsError::Subgroup,
        BLST_ERROR::BLST_PK_IS_INFINITY => BlsError::Infinity,
        BLST_ERROR::BLST_BAD_ENCODING | BLST_ERROR::BLST_BAD_SCALAR => BlsError::Field,
        _ => BlsError::Curve,
    }
}
