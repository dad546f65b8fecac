//! Signatures, their aggregation and verification.

use std::fmt;

use blst::BLST_ERROR;
use blst::min_sig::{AggregateSignature, SecretKey as BlstSecret, Signature as BlstSignature};

use crate::encoding::{G1_BYTES, pad_g1, strip_g1};
use crate::key::refused;
use crate::{BlsError, PublicKey, SIGNATURE_DOMAIN};

/// A signature: on the curve, in the subgroup, not infinity.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub(crate) BlstSignature);

impl Signature {
    /// Reads EIP-2537's encoding and validates the point.
    ///
    /// # Errors
    /// [`BlsError`] says what is wrong with the bytes or the point.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BlsError> {
        let signature = BlstSignature::deserialize(&strip_g1(bytes)?).map_err(refused)?;
        signature.validate(true).map_err(refused)?;
        Ok(Self(signature))
    }

    /// Reads the short encoding that drand and Ethereum's consensus layer use, 48 bytes, and validates the point.
    ///
    /// # Errors
    /// [`BlsError`] says what is wrong with the bytes or the point.
    pub fn from_compressed(bytes: &[u8; 48]) -> Result<Self, BlsError> {
        let signature = BlstSignature::uncompress(bytes).map_err(refused)?;
        signature.validate(true).map_err(refused)?;
        Ok(Self(signature))
    }

    /// EIP-2537's encoding, 128 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; G1_BYTES] {
        pad_g1(&self.0.serialize())
    }

    /// Whether the key signed the message. For an aggregate signature the key is the aggregate of the signers' keys.
    #[must_use]
    pub fn verify(&self, message: &[u8], key: &PublicKey) -> bool {
        self.holds(message, SIGNATURE_DOMAIN, key)
    }

    pub(crate) fn holds(&self, message: &[u8], domain: &[u8], key: &PublicKey) -> bool {
        // Both points were validated when they were read or made.
        self.0.verify(false, message, domain, &[], &key.0, false) == BLST_ERROR::BLST_SUCCESS
    }

    /// One signature from many over the same message.
    ///
    /// # Errors
    /// [`BlsError::Empty`] without signatures, [`BlsError::Infinity`] when they cancel out.
    pub fn aggregate(signatures: &[Signature]) -> Result<Self, BlsError> {
        let points: Vec<&BlstSignature> = signatures.iter().map(|signature| &signature.0).collect();
        let sum = AggregateSignature::aggregate(&points, false).map_err(|_| BlsError::Empty)?;
        let signature = sum.to_signature();
        signature.validate(true).map_err(refused)?;
        Ok(Self(signature))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = &self.0.compress()[..8];
        write!(f, "Signature({}…)", alloy::hex::encode(start))
    }
}

/// Hashes a message to a point of G1 (RFC 9380, `BLS12381G1_XMD:SHA-256_SSWU_RO_`) in EIP-2537's encoding.
#[must_use]
pub fn hash_to_g1(message: &[u8], domain: &[u8]) -> [u8; G1_BYTES] {
    let mut one = [0; 32];
    one[31] = 1;
    // The signature of a message under the secret 1 is the message's hash.
    let secret = BlstSecret::from_bytes(&one).expect("1 is a scalar of the group");
    pad_g1(&secret.sign(message, domain, &[]).serialize())
}
