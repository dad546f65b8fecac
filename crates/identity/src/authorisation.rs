//! The wallet's word for a TLS key (EIP-712) and its place in an X.509 certificate.
//!
//! The extension `1.3.6.1.4.1.32473.1013.1` (not critical) holds a DER OCTET STRING of
//! `abi.encode(Envelope)`. 32473 is the arc that RFC 5612 reserves for what is never assigned to an organisation, so no
//! other certificate can be taken for one of these. Version 1.

use alloy::primitives::{Address, B256, Bytes, U256, aliases::U40};
use alloy::sol_types::{Eip712Domain, SolStruct as _, SolValue as _, eip712_domain};
use iono_primitives::{LeaseId, WalletId};
use x509_parser::asn1_rs::{FromDer as _, OctetString, ToDer as _};
use x509_parser::oid_registry::Oid;

use crate::{Pin, Refusal};

/// The extension's object identifier.
pub const EXTENSION_OID: [u64; 9] = [1, 3, 6, 1, 4, 1, 32473, 1013, 1];
/// Version of the extension's content.
const VERSION: u8 = 1;
/// Largest extension that is read, in bytes: room for the signature of a contract wallet.
pub const MAX_EXTENSION: usize = 8 * 1024;
/// Largest certificate that is read, in bytes.
pub const MAX_CERTIFICATE: usize = 16 * 1024;

/// The Solidity shapes; their names and order are what wallets show and sign.
mod abi {
    alloy::sol! {
        struct Authorisation {
            bytes32 spki;
            address account;
            uint256 wallet;
            uint256 lease;
            bool write;
            uint256 nonce;
            uint40 notBefore;
            uint40 expiry;
        }

        struct Envelope {
            uint8 version;
            uint256 chainId;
            address leaseAccess;
            Authorisation authorisation;
            bytes signature;
        }
    }
}

/// Which deployment an authorisation is for: the EIP-712 domain `Ionosphere Lease API` version `1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Domain {
    /// The chain.
    pub chain_id: u64,
    /// The `LeaseAccess` contract, `verifyingContract` of the domain.
    pub lease_access: Address,
}

impl Domain {
    fn eip712(&self) -> Eip712Domain {
        eip712_domain! {
            name: "Ionosphere Lease API",
            version: "1",
            chain_id: self.chain_id,
            verifying_contract: self.lease_access,
        }
    }
}

/// What a wallet's owner or delegate grants to a TLS key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Authorisation {
    /// The key: SHA-256 of its SubjectPublicKeyInfo.
    pub spki: Pin,
    /// Who signs: owner or delegate of the wallet, a key or a contract.
    pub account: Address,
    /// The escrow wallet whose leases are reached.
    pub wallet: WalletId,
    /// One lease alone, or all of the wallet's when `None` (0 in the signed form).
    pub lease: Option<LeaseId>,
    /// Whether more than reading is granted.
    pub write: bool,
    /// `LeaseAccess.nonceOf(wallet)` when it was signed.
    pub nonce: u64,
    /// First second of validity, unix time.
    pub not_before: u64,
    /// Last second of validity, unix time.
    pub expiry: u64,
}

impl Authorisation {
    /// The EIP-712 hash that the account signs.
    #[must_use]
    pub fn signing_hash(&self, domain: &Domain) -> B256 {
        self.abi().eip712_signing_hash(&domain.eip712())
    }

    fn abi(&self) -> abi::Authorisation {
        abi::Authorisation {
            spki: self.spki.0,
            account: self.account,
            wallet: self.wallet.into(),
            lease: self.lease.map_or(U256::ZERO, Into::into),
            write: self.write,
            nonce: U256::from(self.nonce),
            notBefore: U40::saturating_from(self.not_before),
            expiry: U40::saturating_from(self.expiry),
        }
    }

    fn from_abi(abi: &abi::Authorisation) -> Result<Self, Refusal> {
        let number = |value: U256| {
            u64::try_from(value).map_err(|_| Refusal::BadAuthorisation("a number is too large"))
        };
        let lease = number(abi.lease)?;
        Ok(Self {
            spki: Pin(abi.spki),
            account: abi.account,
            wallet: WalletId(number(abi.wallet)?),
            lease: (lease != 0).then_some(LeaseId(lease)),
            write: abi.write,
            nonce: number(abi.nonce)?,
            not_before: abi.notBefore.to(),
            expiry: abi.expiry.to(),
        })
    }
}

/// An authorisation with its domain and signature, as it travels in a certificate. Reading one proves nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// The deployment that it names.
    pub domain: Domain,
    /// What is granted.
    pub authorisation: Authorisation,
    /// The account's signature: 65 bytes of ECDSA, or what a contract wallet accepts (ERC-1271).
    pub signature: Bytes,
}

impl Envelope {
    /// The extension's value.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let abi = abi::Envelope {
            version: VERSION,
            chainId: U256::from(self.domain.chain_id),
            leaseAccess: self.domain.lease_access,
            authorisation: self.authorisation.abi(),
            signature: self.signature.clone(),
        };
        let content = abi.abi_encode();
        OctetString::new(&content).to_der_vec().expect("an octet string in memory always encodes")
    }

    /// Reads an extension's value.
    ///
    /// # Errors
    /// [`Refusal::BadAuthorisation`] for anything but one exact encoding of at most [`MAX_EXTENSION`] bytes.
    pub fn decode(value: &[u8]) -> Result<Self, Refusal> {
        if value.len() > MAX_EXTENSION {
            return Err(Refusal::BadAuthorisation("it is larger than 8 KiB"));
        }
        let (rest, content) = OctetString::from_der(value)
            .map_err(|_| Refusal::BadAuthorisation("it is no DER octet string"))?;
        if !rest.is_empty() {
            return Err(Refusal::BadAuthorisation("it has trailing bytes"));
        }
        let abi = abi::Envelope::abi_decode_validate(content.as_ref())
            .map_err(|_| Refusal::BadAuthorisation("it is no ABI encoding of an authorisation"))?;
        if abi.version != VERSION {
            return Err(Refusal::BadAuthorisation("its version is not 1"));
        }
        let chain_id =
            u64::try_from(abi.chainId).map_err(|_| Refusal::BadAuthorisation("a number is too large"))?;
        let envelope = Self {
            domain: Domain { chain_id, lease_access: abi.leaseAccess },
            authorisation: Authorisation::from_abi(&abi.authorisation)?,
            signature: abi.signature,
        };
        // The decoder overlooks padding; one meaning has one encoding.
        if envelope.encode() != value {
            return Err(Refusal::BadAuthorisation("it is not in canonical form"));
        }
        Ok(envelope)
    }

    /// Finds the envelope in a certificate and the pin of the certificate's own key.
    ///
    /// # Errors
    /// [`Refusal::BadCertificate`], [`Refusal::NoAuthorisation`] or [`Refusal::BadAuthorisation`].
    pub fn from_certificate(der: &[u8]) -> Result<(Self, Pin), Refusal> {
        if der.len() > MAX_CERTIFICATE {
            return Err(Refusal::BadCertificate("it is larger than 16 KiB"));
        }
        let (rest, certificate) = x509_parser::parse_x509_certificate(der)
            .map_err(|_| Refusal::BadCertificate("it is no X.509"))?;
        if !rest.is_empty() {
            return Err(Refusal::BadCertificate("it has trailing bytes"));
        }
        let oid = Oid::from(&EXTENSION_OID).expect("a constant that is a valid identifier");
        let extension = certificate
            .get_extension_unique(&oid)
            .map_err(|_| Refusal::BadCertificate("it has two authorisations"))?
            .ok_or(Refusal::NoAuthorisation)?;
        Ok((Self::decode(extension.value)?, Pin::of_spki(certificate.public_key().raw)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn envelope() -> Envelope {
        Envelope {
            domain: Domain { chain_id: 31_337, lease_access: Address::repeat_byte(9) },
            authorisation: Authorisation {
                spki: Pin::of_spki(b"key"),
                account: Address::repeat_byte(7),
                wallet: WalletId(3),
                lease: None,
                write: true,
                nonce: 2,
                not_before: 1_000,
                expiry: 2_000,
            },
            signature: Bytes::from(vec![5; 65]),
        }
    }

    #[test]
    fn what_is_encoded_is_read_back() {
        assert_eq!(Envelope::decode(&envelope().encode()).unwrap(), envelope());
    }

    /// The type string that wallets sign; written out so that a change of the format is seen.
    #[test]
    fn the_signed_type_is_the_documented_one() {
        assert_eq!(
            abi::Authorisation::eip712_encode_type(),
            "Authorisation(bytes32 spki,address account,uint256 wallet,uint256 lease,bool write,uint256 nonce,uint40 notBefore,uint40 expiry)"
        );
    }

    #[test]
    fn every_field_changes_the_hash() {
        let Envelope { domain, authorisation: base, .. } = envelope();
        let hash = base.signing_hash(&domain);
        let others = [
            Authorisation { spki: Pin::of_spki(b"other"), ..base },
            Authorisation { account: Address::ZERO, ..base },
            Authorisation { wallet: WalletId(4), ..base },
            Authorisation { lease: Some(LeaseId(1)), ..base },
            Authorisation { write: false, ..base },
            Authorisation { nonce: 3, ..base },
            Authorisation { not_before: 1_001, ..base },
            Authorisation { expiry: 2_001, ..base },
        ];
        for other in others {
            assert_ne!(other.signing_hash(&domain), hash, "{other:?}");
        }
        assert_ne!(base.signing_hash(&Domain { chain_id: 1, ..domain }), hash);
        assert_ne!(base.signing_hash(&Domain { lease_access: Address::ZERO, ..domain }), hash);
    }

    #[test]
    fn odd_envelopes_are_refused() {
        let good = envelope().encode();
        assert!(Envelope::decode(&[]).is_err());
        assert!(Envelope::decode(&good[..good.len() - 1]).is_err());
        assert!(Envelope::decode(&[good.as_slice(), &[0]].concat()).is_err());
        assert!(Envelope::decode(&vec![4; MAX_EXTENSION + 1]).is_err());
        // Version 2: the first word of the tuple, after the DER header and the ABI's outer offset.
        let mut newer = good.clone();
        let header = good.len() - envelope_abi_len(&good);
        newer[header + 63] = 2;
        assert_eq!(Envelope::decode(&newer), Err(Refusal::BadAuthorisation("its version is not 1")));
        // A wallet id that does not fit.
        let mut large = good;
        large[header + 32 + 5 * 32] = 1;
        assert_eq!(Envelope::decode(&large), Err(Refusal::BadAuthorisation("a number is too large")));
    }

    fn envelope_abi_len(der: &[u8]) -> usize {
        OctetString::from_der(der).unwrap().1.as_ref().len()
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..2_048)) {
            let _ = Envelope::decode(&bytes);
            let _ = Envelope::from_certificate(&bytes);
            let _ = Pin::of_certificate(&bytes);
        }

        /// Damage anywhere is refused or gives something else, which the signature then does not cover.
        #[test]
        fn a_flipped_bit_is_never_the_same_envelope(at in 0usize..10_000, bit in 0u8..8) {
            let mut bytes = envelope().encode();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            if let Ok(read) = Envelope::decode(&bytes) {
                prop_assert_ne!(read, envelope());
            }
        }

        #[test]
        fn arbitrary_octet_strings_never_panic(content in prop::collection::vec(any::<u8>(), 0..1_024)) {
            let _ = Envelope::decode(&OctetString::new(&content).to_der_vec().unwrap());
        }
    }
}
