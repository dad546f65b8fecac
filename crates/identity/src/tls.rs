//! The two TLS verifiers and the configurations around them: TLS 1.3 with aws-lc-rs, no resumption, no early data.
//!
//! The server lets every well-formed self-signed certificate with a proven key through the handshake and decides
//! afterwards, so that a refusal is an HTTP answer with its reason and not a closed socket. The client trusts exactly
//! the pins of the registry, whatever the certificate's name and dates.

use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::server::NoServerSessionStorage;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    SignatureScheme,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};

use crate::authorisation::MAX_CERTIFICATE;
use crate::{ClientIdentity, IdentityError, Pin, ServerIdentity};

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Accepts any small well-formed client certificate whose key the client proves to hold.
#[derive(Debug)]
struct AnyProvenKey {
    provider: Arc<CryptoProvider>,
    /// Whether a client without a certificate is turned away.
    mandatory: bool,
}

impl ClientCertVerifier for AnyProvenKey {
    fn client_auth_mandatory(&self) -> bool {
        self.mandatory
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        if end_entity.len() > MAX_CERTIFICATE || Pin::of_certificate(end_entity).is_none() {
            return Err(Error::InvalidCertificate(CertificateError::BadEncoding));
        }
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Accepts exactly the servers whose key has one of the pins and who prove to hold it.
#[derive(Debug)]
struct PinnedVerifier {
    pins: Vec<Pin>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinnedVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let pin = Pin::of_certificate(end_entity).ok_or(CertificateError::BadEncoding)?;
        if self.pins.contains(&pin) {
            return Ok(ServerCertVerified::assertion());
        }
        Err(Error::General(format!("the server's key is {pin}, not the one in the provider registry")))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// A provider's TLS: asks for a client certificate but does not insist, since some endpoints are public and a refusal is
/// answered in words; h2 and HTTP/1.1.
///
/// # Errors
/// [`IdentityError::Tls`] when rustls does not accept the key.
pub fn server_config(identity: &ServerIdentity) -> Result<ServerConfig, IdentityError> {
    accepting(identity, false, vec![b"h2".to_vec(), b"http/1.1".to_vec()])
}

/// TLS of a peer that two keys decide alone, such as a gateway for its light nodes: every client proves a key, whose pin
/// the caller looks up afterwards; one of the `protocols` (ALPN) must be common.
///
/// # Errors
/// [`IdentityError::Tls`] when rustls does not accept the key.
pub fn peer_server_config(
    identity: &ServerIdentity,
    protocols: Vec<Vec<u8>>,
) -> Result<ServerConfig, IdentityError> {
    accepting(identity, true, protocols)
}

fn accepting(
    identity: &ServerIdentity,
    mandatory: bool,
    protocols: Vec<Vec<u8>>,
) -> Result<ServerConfig, IdentityError> {
    let provider = provider();
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(AnyProvenKey { provider, mandatory }))
        .with_single_cert(vec![identity.certificate().clone()], identity.key())?;
    // A resumed session would skip the certificate: none is ever offered.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = protocols;
    Ok(config)
}

/// A client's TLS: trusts the keys with these pins (the registry's current and next one) and shows `identity`.
///
/// # Errors
/// [`IdentityError::Tls`] when rustls does not accept the key.
pub fn client_config(
    pins: Vec<Pin>,
    identity: Option<&ClientIdentity>,
) -> Result<ClientConfig, IdentityError> {
    let certificate = identity.map(|identity| (identity.certificate().clone(), identity.key()));
    connecting(pins, certificate, Vec::new())
}

/// The other end of [`peer_server_config`]: shows a long-lived key instead of a wallet's authorisation.
///
/// # Errors
/// [`IdentityError::Tls`] when rustls does not accept the key.
pub fn peer_client_config(
    pins: Vec<Pin>,
    identity: &ServerIdentity,
    protocols: Vec<Vec<u8>>,
) -> Result<ClientConfig, IdentityError> {
    connecting(pins, Some((identity.certificate().clone(), identity.key())), protocols)
}

fn connecting(
    pins: Vec<Pin>,
    certificate: Option<(CertificateDer<'static>, PrivateKeyDer<'static>)>,
    protocols: Vec<Vec<u8>>,
) -> Result<ClientConfig, IdentityError> {
    let provider = provider();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PinnedVerifier { pins, provider }));
    let mut config = match certificate {
        Some((certificate, key)) => builder.with_client_auth_cert(vec![certificate], key)?,
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    config.alpn_protocols = protocols;
    Ok(config)
}
