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
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::authorisation::MAX_CERTIFICATE;
use crate::{ClientIdentity, IdentityError, Pin, ServerIdentity};

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Accepts any small well-formed client certificate whose key the client proves to hold.
#[derive(Debug)]
struct AnyProvenKey(Arc<CryptoProvider>);

impl ClientCertVerifier for AnyProvenKey {
    fn client_auth_mandatory(&self) -> bool {
        false // Some endpoints are public, and a refusal is answered in words.
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
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
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

/// A provider's TLS: asks for a client certificate but does not insist; h2 and HTTP/1.1.
///
/// # Errors
/// [`IdentityError::Tls`] when rustls does not accept the key.
pub fn server_config(identity: &ServerIdentity) -> Result<ServerConfig, IdentityError> {
    let provider = provider();
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::new(AnyProvenKey(provider)))
        .with_single_cert(vec![identity.certificate().clone()], identity.key())?;
    // A resumed session would skip the certificate: none is ever offered.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
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
    let provider = provider();
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(PinnedVerifier { pins, provider }));
    let mut config = match identity {
        Some(identity) => {
            builder.with_client_auth_cert(vec![identity.certificate().clone()], identity.key())?
        }
        None => builder.with_no_client_auth(),
    };
    config.resumption = Resumption::disabled();
    Ok(config)
}
