//! The one sequence of bytes that stands for a manifest, and its salted hash.
//!
//! Canonical form is RFC 8785 (JCS) over a document without fractions: UTF-8 JSON, keys of every object sorted by their
//! bytes, no blanks, integers in decimal, every field there, strings escaped only where JSON demands it.

use alloy::primitives::{B256, Keccak256};
use serde_json::Value;

use crate::{LeaseManifest, MAX_MANIFEST_BYTES, rules};

/// Keeps the manifest from being guessed by its hash: 32 random bytes (`Salt::random()`), known to tenant and provider.
pub type Salt = B256;

/// Why bytes are no manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// More than [`crate::MAX_MANIFEST_BYTES`].
    #[error("the manifest has {0} bytes, the most is {max}", max = MAX_MANIFEST_BYTES)]
    TooLarge(usize),
    /// No JSON of this form.
    #[error("no canonical manifest: {0}")]
    Malformed(String),
    /// Another form than the canonical one.
    #[error("the manifest is not in canonical form (docs/manifest.md)")]
    NotCanonical,
    /// A version that this program does not know.
    #[error("manifest version {0} is not known here; the newest known is {known}", known = LeaseManifest::VERSION)]
    Version(u16),
    /// Breaks a rule.
    #[error("{0}")]
    Invalid(String),
}

/// keccak256(salt ‖ canonical manifest): what stands on chain.
#[must_use]
pub fn hash(salt: &Salt, canonical: &[u8]) -> B256 {
    let mut hasher = Keccak256::new();
    hasher.update(salt);
    hasher.update(canonical);
    hasher.finalize()
}

impl LeaseManifest {
    /// The canonical bytes.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        let value = serde_json::to_value(self).expect("a manifest has string keys and no floats");
        let mut bytes = Vec::new();
        write(&value, &mut bytes);
        bytes
    }

    /// Reads canonical bytes from a stranger and applies every rule that `parse` applies.
    ///
    /// # Errors
    /// [`DecodeError`] says what is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        #[derive(serde::Deserialize)]
        struct Versioned {
            version: u16,
        }

        if bytes.len() > MAX_MANIFEST_BYTES {
            return Err(DecodeError::TooLarge(bytes.len()));
        }
        // The messages of the parser may quote the input, and the input may hold secrets: only the place is passed on.
        let malformed = |why: serde_json::Error| {
            DecodeError::Malformed(format!(
                "line {}, column {}: {:?} error",
                why.line(),
                why.column(),
                why.classify()
            ))
        };
        let versioned: Versioned = serde_json::from_slice(bytes).map_err(malformed)?;
        if versioned.version != Self::VERSION {
            return Err(DecodeError::Version(versioned.version));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(malformed)?;
        rules::check(&manifest).map_err(DecodeError::Invalid)?;
        if manifest.canonical() == bytes { Ok(manifest) } else { Err(DecodeError::NotCanonical) }
    }
}

fn write(value: &Value, bytes: &mut Vec<u8>) {
    match value {
        Value::Array(items) => {
            bytes.push(b'[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    bytes.push(b',');
                }
                write(item, bytes);
            }
            bytes.push(b']');
        }
        Value::Object(entries) => {
            let mut sorted: Vec<_> = entries.iter().collect();
            sorted.sort_unstable_by(|a, b| a.0.as_bytes().cmp(b.0.as_bytes()));
            bytes.push(b'{');
            for (place, (key, value)) in sorted.into_iter().enumerate() {
                if place > 0 {
                    bytes.push(b',');
                }
                write_scalar(&Value::String(key.clone()), bytes);
                bytes.push(b':');
                write(value, bytes);
            }
            bytes.push(b'}');
        }
        scalar => write_scalar(scalar, bytes),
    }
}

/// `serde_json` escapes strings as RFC 8785 does: `"`, `\`, and control characters, the latter short where there is a
/// short form and `\u00xx` else.
fn write_scalar(value: &Value, bytes: &mut Vec<u8>) {
    bytes.extend_from_slice(value.to_string().as_bytes());
}
