//! The certificate of each host: a tenant's own for his domain, the provider's (usually a wildcard) for the rest.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};

use crate::table::host_key;

/// Why a certificate was not taken.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// No PEM certificate in the file.
    #[error("no certificate found: give the chain as PEM, the host's own certificate first")]
    NoCertificate,
    /// No PEM key in the file.
    #[error("no private key found ({0}): give it as PEM (PKCS#8, SEC1 or PKCS#1), not encrypted")]
    NoKey(String),
    /// Broken, of an unsupported kind, or the two do not belong together.
    #[error("certificate and key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

#[derive(Debug, Default)]
struct Store {
    hosts: HashMap<String, Arc<CertifiedKey>>,
    default: Option<Arc<CertifiedKey>>,
}

/// The certificates of a router; a cheap handle, changes hold from the next handshake on.
#[derive(Debug, Clone, Default)]
pub struct Certificates(Arc<RwLock<Store>>);

fn parse(chain_pem: &[u8], key_pem: &[u8]) -> Result<Arc<CertifiedKey>, CertificateError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain_pem)
        .collect::<Result<_, _>>()
        .map_err(|_| CertificateError::NoCertificate)?;
    if chain.is_empty() {
        return Err(CertificateError::NoCertificate);
    }
    let key =
        PrivateKeyDer::from_pem_slice(key_pem).map_err(|error| CertificateError::NoKey(error.to_string()))?;
    Ok(Arc::new(CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())?))
}

impl Certificates {
    fn change(&self, change: impl FnOnce(&mut Store)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Uses this certificate for `host` (`*.example.com` covers one level below it).
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn set(&self, host: &str, chain_pem: &[u8], key_pem: &[u8]) -> Result<(), CertificateError> {
        let key = parse(chain_pem, key_pem)?;
        self.change(|store| {
            store.hosts.insert(host_key(host), key);
        });
        Ok(())
    }

    /// Uses this certificate for all hosts that have none of their own, and for clients that name no host.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn set_default(&self, chain_pem: &[u8], key_pem: &[u8]) -> Result<(), CertificateError> {
        let key = parse(chain_pem, key_pem)?;
        self.change(|store| store.default = Some(key));
        Ok(())
    }

    /// Forgets the certificate of `host`.
    pub fn remove(&self, host: &str) {
        self.change(|store| {
            store.hosts.remove(&host_key(host));
        });
    }

    fn find(&self, host: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let store = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let own = host.map(host_key).and_then(|host| {
            let wildcard =
                || host.split_once('.').and_then(|(_, rest)| store.hosts.get(&format!("*.{rest}")));
            store.hosts.get(&host).or_else(wildcard)
        });
        own.or(store.default.as_ref()).map(Arc::clone)
    }

    /// Whether both hosts show the same certificate, so that a client may use one connection for both (RFC 9110, 7.4).
    pub(crate) fn same(&self, one: &str, other: &str) -> bool {
        match (self.find(Some(one)), self.find(Some(other))) {
            (Some(one), Some(other)) => Arc::ptr_eq(&one, &other),
            _ => false,
        }
    }

    /// TLS 1.2 and 1.3 with these certificates, HTTP/2 and HTTP/1.1.
    pub(crate) fn server_config(&self) -> Result<ServerConfig, rustls::Error> {
        let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(hello.server_name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str) -> (String, String) {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn finds_exact_before_wildcard_before_default() {
        let certificates = Certificates::default();
        assert!(certificates.find(Some("a.example")).is_none());
        let (chain, key) = pair("default");
        certificates.set_default(chain.as_bytes(), key.as_bytes()).unwrap();
        let (chain, key) = pair("*.example");
        certificates.set("*.example", chain.as_bytes(), key.as_bytes()).unwrap();
        assert!(certificates.same("a.example", "b.example"));
        assert!(!certificates.same("a.example", "a.b.example"));
        let (chain, key) = pair("a.example");
        certificates.set("A.example.", chain.as_bytes(), key.as_bytes()).unwrap();
        assert!(!certificates.same("a.example", "b.example"));
        certificates.remove("a.example");
        assert!(certificates.same("a.example", "b.example"));
    }

    #[test]
    fn refuses_what_does_not_belong_together() {
        let certificates = Certificates::default();
        let ((chain, _), (_, key)) = (pair("a.example"), pair("a.example"));
        let set = |chain: &str, key: &str| certificates.set("a.example", chain.as_bytes(), key.as_bytes());
        assert!(matches!(set(&chain, &key), Err(CertificateError::Unusable(_))));
        assert!(matches!(set("", &key), Err(CertificateError::NoCertificate)));
        assert!(matches!(set(&chain, &chain), Err(CertificateError::NoKey(_))));
    }
}
