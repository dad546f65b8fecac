//! The SHA-256 of a SubjectPublicKeyInfo: what the registry knows of a provider's TLS key and an authorisation of a
//! tenant's (RFC 7469; the same as `curl --pinnedpubkey sha256//…`).

use std::fmt;
use std::str::FromStr;

use alloy::primitives::B256;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// SHA-256 of a DER SubjectPublicKeyInfo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pin(pub B256);

/// The text is no pin.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is no pin: expected sha256//<base64 of 32 bytes> or 0x<64 hex digits>")]
pub struct BadPin(String);

impl Pin {
    /// The pin of a public key given as DER SubjectPublicKeyInfo.
    #[must_use]
    pub fn of_spki(spki: &[u8]) -> Self {
        Self(B256::from_slice(&Sha256::digest(spki)))
    }

    /// The pin of a certificate's public key; `None` when the certificate cannot be parsed.
    #[must_use]
    pub fn of_certificate(der: &[u8]) -> Option<Self> {
        let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
        Some(Self::of_spki(certificate.public_key().raw))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256//{}", STANDARD.encode(self.0))
    }
}

impl FromStr for Pin {
    type Err = BadPin;

    fn from_str(text: &str) -> Result<Self, BadPin> {
        let bad = || BadPin(text.chars().take(80).collect());
        match text.strip_prefix("sha256//") {
            Some(encoded) => {
                let bytes = STANDARD.decode(encoded).map_err(|_| bad())?;
                B256::try_from(bytes.as_slice()).map(Self).map_err(|_| bad())
            }
            None if text.starts_with("0x") => text.parse().map(Self).map_err(|_| bad()),
            None => Err(bad()),
        }
    }
}

impl From<B256> for Pin {
    fn from(hash: B256) -> Self {
        Self(hash)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_are_read() {
        let pin = Pin::of_spki(b"key");
        assert_eq!(pin.to_string().parse::<Pin>().unwrap(), pin);
        assert_eq!(pin.0.to_string().parse::<Pin>().unwrap(), pin);
    }

    #[test]
    fn other_texts_are_refused() {
        for bad in ["", "sha256//", "sha256//AAAA", "0x12", "AAAA", &"x".repeat(1_000)] {
            assert!(bad.parse::<Pin>().is_err(), "{bad}");
        }
    }
}
