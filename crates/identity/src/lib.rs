//! Who is at the other end of a lease API connection: TLS keys bound to wallets, providers' pins, delegates, and the
//! Ethereum keys of the daemons. No CA, no trust on first use, no session resumption (SP-28, market promise 13).
//!
//! - A tenant's wallet signs an [`Authorisation`] of a throw-away TLS key; it travels in the client certificate that
//!   [`ClientIdentity`] makes. The provider asks its [`Access`] (the chain) per request, in [`Authenticator`].
//! - A provider has a [`ServerIdentity`]; its [`Pin`] stands in `ProviderRegistry` and is all that a client trusts.
//! - [`Session`] ends open shells and streams as soon as the right to them ends.
//! - [`keystore`] holds Ethereum keys, [`passphrase`] finds what opens them.

pub mod access;
pub mod authenticate;
pub mod authorisation;
pub mod bls_keystore;
pub mod client;
pub mod keystore;
pub mod passphrase;
pub mod pin;
mod private_file;
pub mod refusal;
pub mod server;
pub mod session;
pub mod tls;

pub use access::{Access, LeaseParty, Rights, Unreachable};
pub use authenticate::{Authenticator, Caller, Need};
pub use authorisation::{Authorisation, Domain};
pub use client::{ClientIdentity, IdentityRequest};
pub use passphrase::{Passphrase, PassphraseSource};
pub use pin::Pin;
pub use refusal::Refusal;
pub use server::ServerIdentity;
pub use session::Session;
pub use tls::{client_config, peer_client_config, peer_server_config, server_config};

use std::time::{SystemTime, UNIX_EPOCH};

/// Why a key, certificate or keystore could not be made, read or used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A key or certificate is not what it should be.
    #[error("{what}: {why}")]
    Invalid {
        /// What was read, such as a file's name.
        what: String,
        /// Why it is refused.
        why: String,
    },
    /// The certificate library could not make a key or certificate.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// rustls refused the key or certificate.
    #[error("TLS does not accept the key: {0}")]
    Tls(#[from] rustls::Error),
    /// The wallet's signer failed.
    #[error("the wallet did not sign: {0}")]
    Signer(#[from] alloy::signers::Error),
    /// The keystore's passphrase is wrong, or the file is damaged.
    #[error("{path}: cannot be decrypted: {why}")]
    Decrypt {
        /// The keystore.
        path: String,
        /// The library's reason.
        why: String,
    },
    /// A blocking task was cancelled, as at shutdown.
    #[error("interrupted")]
    Interrupted,
}

impl IdentityError {
    pub(crate) fn file(path: &std::path::Path, source: std::io::Error) -> Self {
        Self::File { path: path.display().to_string(), source }
    }

    pub(crate) fn invalid(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Invalid { what: what.into(), why: why.into() }
    }
}

/// The host's clock in unix seconds. Leases go by chain time; this is for authorisations, with two minutes of grace.
#[must_use]
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
