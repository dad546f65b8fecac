//! The lease API's TLS key and its pin in the registry. A rotation writes the new key first, announces it, and only then
//! puts it in the old one's place, so that a crash at any point leaves a key that the registry knows.

use std::path::{Path, PathBuf};

use alloy::primitives::Bytes;
use alloy::sol_types::SolCall as _;
use iono_bindings::IProviderRegistry;
use iono_chain::{SendError, Sender};
use iono_identity::{IdentityError, Pin, ServerIdentity};
use iono_primitives::ProviderId;
use iono_telemetry::fail_point;

use iono_host::market::reader::{ReadError, Reader};

/// Why there is no usable TLS key.
#[derive(Debug, thiserror::Error)]
pub enum PinError {
    /// The key's file.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The chain cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The transaction.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The new key cannot take the old one's place.
    #[error("cannot rename {from}: {source}")]
    Rename {
        /// The new key.
        from: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// The key in use.
#[must_use]
pub fn key_path(data_dir: &Path) -> PathBuf {
    data_dir.join("tls.pem")
}

/// A key that is being announced.
fn next_path(data_dir: &Path) -> PathBuf {
    data_dir.join("tls-next.pem")
}

/// The key to serve with. One that the registry does not know, as after the loss of the disk, is announced first.
///
/// # Errors
/// [`PinError`].
pub async fn ready(
    data_dir: &Path,
    sender: &Sender,
    reader: &Reader,
    me: ProviderId,
) -> Result<ServerIdentity, PinError> {
    let (current, next) = reader.pins(me).await?;
    let known = |pin: Pin| pin.0 == current || pin.0 == next;
    if next_path(data_dir).exists() && known(ServerIdentity::load_or_create(&next_path(data_dir))?.pin()) {
        promote(data_dir)?;
    }
    let identity = ServerIdentity::load_or_create(&key_path(data_dir))?;
    if !known(identity.pin()) {
        tracing::warn!(pin = %identity.pin(), "the registry does not know this machine's TLS key; announcing it");
        announce(sender, reader, me, identity.pin()).await?;
    }
    Ok(identity)
}

/// Makes a new key, announces it, and puts it in the old one's place; it is used from the next start on.
///
/// # Errors
/// [`PinError`]; calling it again goes on.
pub async fn rotate(
    data_dir: &Path,
    sender: &Sender,
    reader: &Reader,
    me: ProviderId,
) -> Result<Pin, PinError> {
    let next = ServerIdentity::load_or_create(&next_path(data_dir))?;
    fail_point("provider.pin.written");
    announce(sender, reader, me, next.pin()).await?;
    fail_point("provider.pin.announced");
    promote(data_dir)?;
    Ok(next.pin())
}

async fn announce(sender: &Sender, reader: &Reader, me: ProviderId, pin: Pin) -> Result<(), PinError> {
    let call = IProviderRegistry::rotatePinCall { provider: me.into(), next: pin.0 };
    let key = format!("pin:{:#x}", pin.0);
    sender.submit(&key, reader.book().provider_registry, Bytes::from(call.abi_encode())).await?;
    Ok(())
}

fn promote(data_dir: &Path) -> Result<(), PinError> {
    let from = next_path(data_dir);
    std::fs::rename(&from, key_path(data_dir)).map_err(|source| PinError::Rename { from, source })
}
