//! A tenant's throw-away TLS key with its wallet's authorisation: how it is made, and the PEM file that caches it.
//! The file is what `curl --cert` and `openssl s_client -cert` take.

use std::path::Path;
use std::time::Duration;

use alloy::primitives::{Address, B256, Bytes};
use alloy::signers::Signer;
use iono_primitives::{LeaseId, WalletId};
use rcgen::{
    CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, KeyPair, PKCS_ECDSA_P256_SHA256,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::time::ASN1Time;
use zeroize::Zeroizing;

use crate::authorisation::{EXTENSION_OID, Envelope};
use crate::private_file::{self, Existing};
use crate::{Authorisation, Domain, IdentityError, Pin, unix_now};

/// Lifetime of an authorisation unless asked otherwise, and the longest that providers accept by default.
pub const LIFETIME: Duration = Duration::from_secs(24 * 3_600);

/// What to ask the wallet's signer for.
#[derive(Debug, Clone, Copy)]
pub struct IdentityRequest {
    /// Chain and `LeaseAccess` contract.
    pub domain: Domain,
    /// The escrow wallet.
    pub wallet: WalletId,
    /// One lease alone, or all of the wallet's.
    pub lease: Option<LeaseId>,
    /// More than reading.
    pub write: bool,
    /// `LeaseAccess.nonceOf(wallet)` now.
    pub nonce: u64,
    /// Seconds of validity from now on; [`LIFETIME`] as a rule.
    pub lifetime: Duration,
}

/// A TLS key and the certificate that binds it to a wallet.
pub struct ClientIdentity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    envelope: Envelope,
}

impl std::fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientIdentity").field("envelope", &self.envelope).finish_non_exhaustive()
    }
}

/// A fresh TLS key that waits for the account's signature; for contract and hardware wallets.
pub struct UnsignedIdentity {
    key: KeyPair,
    domain: Domain,
    authorisation: Authorisation,
}

impl UnsignedIdentity {
    /// Makes a key (P-256) and states what `account` has to sign, valid from now on.
    ///
    /// # Errors
    /// [`IdentityError::Certificate`] when no key can be made.
    pub fn new(request: &IdentityRequest, account: Address) -> Result<Self, IdentityError> {
        Self::at(request, account, unix_now())
    }

    /// The same with an explicit start in unix seconds.
    ///
    /// # Errors
    /// [`IdentityError::Certificate`] when no key can be made.
    pub fn at(request: &IdentityRequest, account: Address, not_before: u64) -> Result<Self, IdentityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let authorisation = Authorisation {
            spki: Pin::of_spki(&rcgen::PublicKeyData::subject_public_key_info(&key)),
            account,
            wallet: request.wallet,
            lease: request.lease,
            write: request.write,
            nonce: request.nonce,
            not_before,
            expiry: not_before.saturating_add(request.lifetime.as_secs()),
        };
        Ok(Self { key, domain: request.domain, authorisation })
    }

    /// The EIP-712 hash that the account signs.
    #[must_use]
    pub fn signing_hash(&self) -> B256 {
        self.authorisation.signing_hash(&self.domain)
    }

    /// Puts the signature and the key into a certificate.
    ///
    /// # Errors
    /// [`IdentityError::Certificate`] when the certificate cannot be made.
    pub fn finish(self, signature: Bytes) -> Result<ClientIdentity, IdentityError> {
        let envelope = Envelope { domain: self.domain, authorisation: self.authorisation, signature };
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, format!("wallet {}", self.authorisation.wallet));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.custom_extensions = vec![CustomExtension::from_oid_content(&EXTENSION_OID, envelope.encode())];
        // For people who look at the file; the provider goes by the signed times alone.
        let date = |seconds: u64| i64::try_from(seconds).ok().and_then(|s| ASN1Time::from_timestamp(s).ok());
        if let (Some(from), Some(to)) = (date(self.authorisation.not_before), date(self.authorisation.expiry))
        {
            params.not_before = from.to_datetime();
            params.not_after = to.to_datetime();
        }
        let certificate = params.self_signed(&self.key)?.der().clone();
        let key = PrivateKeyDer::try_from(self.key.serialize_der())
            .map_err(|why| IdentityError::invalid("the new TLS key", why))?;
        Ok(ClientIdentity { certificate, key, envelope })
    }
}

impl ClientIdentity {
    /// Makes a key and has `signer`, the wallet's owner or a delegate, authorise it.
    ///
    /// # Errors
    /// [`IdentityError`] when the signer refuses or the certificate cannot be made.
    pub async fn issue<S: Signer + Sync>(
        signer: &S,
        request: &IdentityRequest,
    ) -> Result<Self, IdentityError> {
        let unsigned = UnsignedIdentity::new(request, signer.address())?;
        let signature = signer.sign_hash(&unsigned.signing_hash()).await?;
        unsigned.finish(Bytes::from(signature.as_bytes().to_vec()))
    }

    /// The identity in `path` when it still grants what `request` asks for, else a new one that replaces it.
    ///
    /// # Errors
    /// [`IdentityError`] when a new one cannot be made or written. A damaged or outdated file is no error.
    pub async fn cached<S: Signer + Sync>(
        path: &Path,
        signer: &S,
        request: &IdentityRequest,
    ) -> Result<Self, IdentityError> {
        if let Ok(found) = Self::load(path)
            && found.serves(request, signer.address(), unix_now())
        {
            return Ok(found);
        }
        let fresh = Self::issue(signer, request).await?;
        fresh.save(path)?;
        Ok(fresh)
    }

    /// Whether it grants at least `request` to `account` for a tenth of the asked lifetime longer.
    #[must_use]
    pub fn serves(&self, request: &IdentityRequest, account: Address, now: u64) -> bool {
        let granted = &self.envelope.authorisation;
        self.envelope.domain == request.domain
            && granted.account == account
            && granted.wallet == request.wallet
            && (granted.lease.is_none() || granted.lease == request.lease)
            && (granted.write || !request.write)
            && granted.nonce == request.nonce
            && granted.not_before <= now
            && granted.expiry > now.saturating_add(request.lifetime.as_secs() / 10)
    }

    /// What the wallet granted.
    #[must_use]
    pub fn authorisation(&self) -> &Authorisation {
        &self.envelope.authorisation
    }

    /// The deployment that the authorisation is for.
    #[must_use]
    pub fn domain(&self) -> Domain {
        self.envelope.domain
    }

    /// The certificate, then its key, as PEM.
    #[must_use]
    pub fn to_pem(&self) -> Zeroizing<String> {
        let key = Zeroizing::new(pem("PRIVATE KEY", self.key.secret_der()));
        Zeroizing::new(format!("{}{}", pem("CERTIFICATE", &self.certificate), *key))
    }

    /// Reads what [`Self::to_pem`] wrote; `what` names the source in errors.
    ///
    /// # Errors
    /// [`IdentityError::Invalid`] when it is no key with such a certificate.
    pub fn from_pem(text: &str, what: &str) -> Result<Self, IdentityError> {
        let bad = |why: String| IdentityError::invalid(what, why);
        let certificate = CertificateDer::from_pem_slice(text.as_bytes()).map_err(|e| bad(e.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(text.as_bytes()).map_err(|e| bad(e.to_string()))?;
        let (envelope, _) = Envelope::from_certificate(&certificate).map_err(|e| bad(e.to_string()))?;
        Ok(Self { certificate, key, envelope })
    }

    /// Writes the PEM file with mode 0600, replacing an older one.
    ///
    /// # Errors
    /// [`IdentityError::File`] when it cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), IdentityError> {
        private_file::write(path, self.to_pem().as_bytes(), Existing::Replace)
    }

    /// Reads the PEM file.
    ///
    /// # Errors
    /// [`IdentityError`] when it cannot be read or is no such file.
    pub fn load(path: &Path) -> Result<Self, IdentityError> {
        Self::from_pem(&private_file::read(path)?, &path.display().to_string())
    }

    /// The certificate in DER.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
    }
}

/// RFC 7468 text of DER bytes.
fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let encoded = Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(der));
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in encoded.as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
}
