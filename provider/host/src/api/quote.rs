//! Quotes: this provider's signed price for new terms of a lease (EIP-712, SP-23).

use alloy::primitives::aliases::{U40, U80};
use alloy::primitives::{Address, B256, U256, keccak256};
use alloy::signers::SignerSync as _;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::{Eip712Domain, SolStruct as _, SolValue as _, eip712_domain};
use iono_bindings::{Quote, Spec};
use iono_lease_api::SignedQuote;
use iono_primitives::{LeaseId, Rate};
use serde::{Deserialize, Serialize};

/// What a quote is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// The lease.
    pub lease: LeaseId,
    /// Its manifest version now.
    pub version: u16,
    /// Its rate now.
    #[serde(with = "crate::market::stored::rate")]
    pub old_rate: Rate,
    /// keccak256(abi.encode(Spec)) of the new spec.
    pub spec_hash: B256,
    /// The new rate.
    #[serde(with = "crate::market::stored::rate")]
    pub rate: Rate,
    /// Last second in which it can be used, unix time.
    pub expiry: u64,
}

/// Reads `abi.encode(Spec)` as a tenant sent it; `None` when it is not the encoding that the contract would hash.
#[must_use]
pub fn decode_spec(bytes: &[u8]) -> Option<(Spec, B256)> {
    let spec = Spec::abi_decode(bytes).ok()?;
    (spec.abi_encode() == bytes).then(|| (spec, keccak256(bytes)))
}

/// The domain of `LeaseBook`'s quotes.
#[must_use]
pub fn domain(chain_id: u64, lease_book: Address) -> Eip712Domain {
    eip712_domain! {
        name: "Ionosphere LeaseBook",
        version: "1",
        chain_id: chain_id,
        verifying_contract: lease_book,
    }
}

/// Signs an offer with the hot key.
///
/// # Errors
/// When the key cannot sign.
pub fn sign(
    offer: Offer,
    key: &PrivateKeySigner,
    domain: &Eip712Domain,
) -> Result<SignedQuote, alloy::signers::Error> {
    let quote = Quote {
        lease: U256::from(offer.lease.0),
        version: offer.version,
        oldRate: U80::from(offer.old_rate.0),
        specHash: offer.spec_hash,
        rate: U80::from(offer.rate.0),
        expiry: U40::from(offer.expiry),
    };
    let signature = key.sign_hash_sync(&quote.eip712_signing_hash(domain))?;
    Ok(SignedQuote {
        lease: offer.lease,
        version: offer.version,
        old_rate: offer.old_rate.0.to_string(),
        spec_hash: offer.spec_hash,
        rate: offer.rate.0.to_string(),
        expiry: offer.expiry,
        signature: signature.as_bytes().to_vec().into(),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_type_is_the_contracts() {
        let text =
            "Quote(uint256 lease,uint16 version,uint80 oldRate,bytes32 specHash,uint80 rate,uint40 expiry)";
        assert_eq!(Quote::eip712_encode_type(), text);
    }

    #[test]
    fn the_hot_key_is_recovered_and_every_field_is_signed() {
        let key = PrivateKeySigner::random();
        let domain = domain(31_337, Address::repeat_byte(1));
        let offer = Offer {
            lease: LeaseId(7),
            version: 2,
            old_rate: Rate(5),
            spec_hash: B256::repeat_byte(3),
            rate: Rate(9),
            expiry: 1_000,
        };
        let first = sign(offer, &key, &domain).unwrap();
        for other in [
            Offer { lease: LeaseId(8), ..offer },
            Offer { version: 3, ..offer },
            Offer { old_rate: Rate(6), ..offer },
            Offer { spec_hash: B256::ZERO, ..offer },
            Offer { rate: Rate(8), ..offer },
            Offer { expiry: 1_001, ..offer },
        ] {
            assert_ne!(sign(other, &key, &domain).unwrap().signature, first.signature, "{other:?}");
        }
    }

    #[test]
    fn only_the_canonical_encoding_is_read() {
        let spec = Spec {
            resources: U256::from(1),
            manifestHash: B256::repeat_byte(2),
            providers: U256::ZERO,
            groups: vec![0; 16].into(),
        };
        let bytes = spec.abi_encode();
        assert_eq!(decode_spec(&bytes).unwrap().1, keccak256(&bytes));
        assert!(decode_spec(&[bytes.clone(), vec![0; 32]].concat()).is_none());
        assert!(decode_spec(&bytes[..bytes.len() - 1]).is_none());
    }
}
