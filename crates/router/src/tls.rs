//! The certificate of each host: a tenant's own for his domain, the provider's (usually a wildcard) for the rest.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::client::verify_server_name;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, version};

use crate::table::host_key;

/// Why a certificate was not taken.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// No PEM certificate in the file.
    #[error("no certificate found: give the chain as PEM, the host's own certificate first")]
    NoCertificate,
    /// The first certificate's dates cannot be read.
    #[error("the certificate cannot be read: {0}")]
    Malformed(String),
    /// No PEM key in the file.
    #[error("no private key found ({0}): give it as PEM (PKCS#8, SEC1 or PKCS#1), not encrypted")]
    NoKey(String),
    /// Broken, of an unsupported kind, or the two do not belong together.
    #[error("certificate and key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

/// A certificate chain and its key, which belong together.
#[derive(Debug, Clone)]
pub struct Certificate {
    key: Arc<CertifiedKey>,
    not_after: u64,
}

impl Certificate {
    /// Reads chain and key, both PEM, the host's own certificate first.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn parse(chain_pem: &[u8], key_pem: &[u8]) -> Result<Self, CertificateError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain_pem)
            .collect::<Result<_, _>>()
            .map_err(|_| CertificateError::NoCertificate)?;
        let first = chain.first().ok_or(CertificateError::NoCertificate)?;
        let (_, dates) = x509_parser::parse_x509_certificate(first)
            .map_err(|error| CertificateError::Malformed(error.to_string()))?;
        let not_after = u64::try_from(dates.validity().not_after.timestamp()).unwrap_or(0);
        let key = PrivateKeyDer::from_pem_slice(key_pem)
            .map_err(|error| CertificateError::NoKey(error.to_string()))?;
        let key = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())?;
        Ok(Self { key: Arc::new(key), not_after })
    }

    /// Whether it names `host`, itself or by a wildcard, as clients compare it.
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        let names = || {
            let certificate = ParsedCertificate::try_from(self.key.end_entity_cert().ok()?).ok()?;
            let name = ServerName::try_from(host_key(host)).ok()?;
            verify_server_name(&certificate, &name).ok()
        };
        names().is_some()
    }

    /// The last second in which clients take it, unix time.
    #[must_use]
    pub fn not_after(&self) -> u64 {
        self.not_after
    }
}

#[derive(Debug, Default)]
struct Store {
    hosts: HashMap<String, Certificate>,
    default: Option<Certificate>,
}

/// The certificates of a router; a cheap handle, changes hold from the next handshake on.
#[derive(Debug, Clone, Default)]
pub struct Certificates(Arc<RwLock<Store>>);

impl Certificates {
    fn change(&self, change: impl FnOnce(&mut Store)) {
        change(&mut self.0.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Uses this certificate for `host` (`*.example.com` covers one level below it).
    pub fn set(&self, host: &str, certificate: Certificate) {
        self.change(|store| {
            store.hosts.insert(host_key(host), certificate);
        });
    }

    /// Uses this certificate for all hosts that have none of their own, and for clients that name no host.
    pub fn set_default(&self, certificate: Certificate) {
        self.change(|store| store.default = Some(certificate));
    }

    /// Forgets the certificates of all hosts but these; the default stays.
    pub fn retain(&self, hosts: &[&str]) {
        let kept: HashSet<String> = hosts.iter().map(|host| host_key(host)).collect();
        self.change(|store| store.hosts.retain(|host, _| kept.contains(host)));
    }

    /// Whether a client that asks for `host` is shown a certificate with that name.
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        self.find(Some(host)).is_some_and(|certificate| certificate.covers(host))
    }

    fn find(&self, host: Option<&str>) -> Option<Certificate> {
        let store = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let own = host.map(host_key).and_then(|host| {
            let wildcard =
                || host.split_once('.').and_then(|(_, rest)| store.hosts.get(&format!("*.{rest}")));
            store.hosts.get(&host).or_else(wildcard)
        });
        own.or(store.default.as_ref()).cloned()
    }

    /// Whether both hosts show the same certificate, so that a client may use one connection for both (RFC 9110, 7.4).
    pub(crate) fn same(&self, one: &str, other: &str) -> bool {
        match (self.find(Some(one)), self.find(Some(other))) {
            (Some(one), Some(other)) => Arc::ptr_eq(&one.key, &other.key),
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
        self.find(hello.server_name()).map(|certificate| certificate.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(name: &str) -> Certificate {
        let (chain, key) = pair(name);
        Certificate::parse(chain.as_bytes(), key.as_bytes()).unwrap()
    }

    fn pair(name: &str) -> (String, String) {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn finds_exact_before_wildcard_before_default() {
        let certificates = Certificates::default();
        assert!(certificates.find(Some("a.example")).is_none());
        certificates.set_default(make("default"));
        certificates.set("*.example", make("*.example"));
        assert!(certificates.same("a.example", "b.example"));
        assert!(!certificates.same("a.example", "a.b.example"));
        certificates.set("A.example.", make("a.example"));
        assert!(!certificates.same("a.example", "b.example"));
        certificates.retain(&["*.Example"]);
        assert!(certificates.same("a.example", "b.example"));
    }

    #[test]
    fn covers_what_its_names_say() {
        let wildcard = make("*.apps.example");
        for (host, covered) in [
            ("web-1.apps.example", true),
            ("WEB-1.apps.example.", true),
            ("apps.example", false),
            ("a.b.apps.example", false),
            ("shop.example", false),
            ("not a name", false),
        ] {
            assert_eq!(wildcard.covers(host), covered, "{host}");
        }
        let certificates = Certificates::default();
        assert!(!certificates.covers("web-1.apps.example"));
        certificates.set_default(wildcard);
        assert!(certificates.covers("web-1.apps.example"));
        // Shown for every other name as well, and no client takes it there.
        assert!(!certificates.covers("shop.example"));
        certificates.set("shop.example", make("shop.example"));
        assert!(certificates.covers("shop.example"));
    }

    #[test]
    fn tells_its_last_second() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(["a.example".to_owned()]).unwrap();
        params.not_after = rcgen::date_time_ymd(2030, 1, 2);
        let made = params.self_signed(&key).unwrap();
        let parsed = Certificate::parse(made.pem().as_bytes(), key.serialize_pem().as_bytes()).unwrap();
        assert_eq!(parsed.not_after(), 1_893_542_400);
    }

    #[test]
    fn refuses_what_does_not_belong_together() {
        let ((chain, _), (_, key)) = (pair("a.example"), pair("a.example"));
        let parse = |chain: &str, key: &str| Certificate::parse(chain.as_bytes(), key.as_bytes());
        assert!(matches!(parse(&chain, &key), Err(CertificateError::Unusable(_))));
        assert!(matches!(parse("", &key), Err(CertificateError::NoCertificate)));
        assert!(matches!(parse(&chain, &chain), Err(CertificateError::NoKey(_))));
    }
}
