//! A provider's TLS key with its self-signed certificate, kept in one PEM file of mode 0600. The registry's pin is the
//! hash of the key, so the certificate's name and dates say nothing and never expire.

use std::path::Path;

use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use zeroize::Zeroizing;

use crate::private_file::{self, Existing};
use crate::{IdentityError, Pin};

/// A TLS key and certificate of a lease API server.
pub struct ServerIdentity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
    pin: Pin,
}

impl Clone for ServerIdentity {
    fn clone(&self) -> Self {
        Self { certificate: self.certificate.clone(), key: self.key.clone_key(), pin: self.pin }
    }
}

impl std::fmt::Debug for ServerIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ServerIdentity").field("pin", &self.pin).finish_non_exhaustive()
    }
}

impl ServerIdentity {
    /// Reads the key at `path`, or makes one there (P-256). Two daemons that start at once end with one key.
    ///
    /// # Errors
    /// [`IdentityError`] when the file cannot be read, is no key with its certificate, or cannot be written.
    pub fn load_or_create(path: &Path) -> Result<Self, IdentityError> {
        if !path.exists() {
            let written = private_file::write(path, Self::generate_pem()?.as_bytes(), Existing::Keep);
            if let Err(error) = written
                && !path.exists()
            {
                return Err(error);
            }
        }
        private_file::warn_if_shared(path);
        Self::from_pem(&private_file::read(path)?, &path.display().to_string())
    }

    /// The SHA-256 of the public key, for the registry and `curl --pinnedpubkey`.
    #[must_use]
    pub fn pin(&self) -> Pin {
        self.pin
    }

    pub(crate) fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
    }

    fn generate_pem() -> Result<Zeroizing<String>, IdentityError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = CertificateParams::new(vec!["lease-api.ionosphere.internal".to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, "Ionosphere provider");
        let certificate = params.self_signed(&key)?;
        Ok(Zeroizing::new(format!("{}{}", certificate.pem(), *Zeroizing::new(key.serialize_pem()))))
    }

    fn from_pem(pem: &str, what: &str) -> Result<Self, IdentityError> {
        let bad = |why: String| IdentityError::invalid(what, why);
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|e| bad(e.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(pem.as_bytes()).map_err(|e| bad(e.to_string()))?;
        let pin =
            Pin::of_certificate(&certificate).ok_or_else(|| bad("its certificate is no X.509".to_owned()))?;
        Ok(Self { certificate, key, pin })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_key_is_kept_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new").join("tls.pem");
        let first = ServerIdentity::load_or_create(&path).unwrap();
        let again = ServerIdentity::load_or_create(&path).unwrap();
        assert_eq!(first.pin(), again.pin());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!format!("{first:?}").contains("PRIVATE"));
    }

    #[test]
    fn a_damaged_file_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tls.pem");
        std::fs::write(&path, "not a key").unwrap();
        let error = ServerIdentity::load_or_create(&path).unwrap_err().to_string();
        assert!(error.contains("tls.pem"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "not a key");
    }
}
