//! An operator's BLS key in a keystore file like an Ethereum key's ([`crate::keystore`]), with the public key as
//! `blsPublicKey` beside it. Any BLS secret is below the order of secp256k1 too, so one format holds both.

use std::path::Path;

use alloy::hex;
use iono_bls::{PublicKey, SecretKey};

use crate::{IdentityError, Passphrase, keystore};

const FIELD: &str = "blsPublicKey";

/// Makes a new key in `path`.
///
/// # Errors
/// [`IdentityError`] when the file exists or cannot be written.
pub async fn create(path: &Path, passphrase: &Passphrase) -> Result<SecretKey, IdentityError> {
    store(path, SecretKey::generate(), passphrase).await
}

/// Keeps a known key in `path`.
///
/// # Errors
/// [`IdentityError`] when the file exists or cannot be written.
pub async fn store(
    path: &Path,
    secret: SecretKey,
    passphrase: &Passphrase,
) -> Result<SecretKey, IdentityError> {
    let name = (FIELD, hex::encode(secret.public_key().to_bytes()));
    keystore::seal(path, secret.to_bytes(), name, passphrase).await?;
    Ok(secret)
}

/// Decrypts the key in `path`.
///
/// # Errors
/// [`IdentityError::File`] when it cannot be read, [`IdentityError::Decrypt`] when the passphrase is wrong, and when it
/// holds another key than it names, as the keystore of an Ethereum key does.
pub async fn open(path: &Path, passphrase: &Passphrase) -> Result<SecretKey, IdentityError> {
    let named = public_key(path)?;
    let invalid = |why: &str| IdentityError::invalid(path.display().to_string(), why);
    let bytes = keystore::unseal(path, passphrase).await?.to_bytes().0;
    let secret = SecretKey::from_bytes(&bytes).map_err(|error| invalid(&error.to_string()))?;
    if secret.public_key() != named {
        return Err(invalid("it names another public key than its secret's"));
    }
    Ok(secret)
}

/// The public key that a keystore names, without its passphrase.
///
/// # Errors
/// [`IdentityError`] when the file cannot be read or names none.
pub fn public_key(path: &Path) -> Result<PublicKey, IdentityError> {
    let invalid = |why: String| IdentityError::invalid(path.display().to_string(), why);
    let none = || invalid(format!("no keystore of a BLS key: it has no `{FIELD}`"));
    let text = keystore::named(path, FIELD)?.ok_or_else(none)?;
    let bytes = hex::decode(&text).map_err(|error| invalid(error.to_string()))?;
    PublicKey::from_bytes(&bytes).map_err(|error| invalid(error.to_string()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_key_is_made_named_and_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bls.json");
        let pass = Passphrase::new("correct horse");
        let made = create(&path, &pass).await.unwrap();
        assert_eq!(public_key(&path).unwrap(), made.public_key());
        assert_eq!(open(&path, &pass).await.unwrap().public_key(), made.public_key());
        let wrong = open(&path, &Passphrase::new("wrong")).await.unwrap_err();
        assert!(matches!(wrong, IdentityError::Decrypt { .. }), "{wrong}");
        assert!(matches!(create(&path, &pass).await.unwrap_err(), IdentityError::File { .. }));
    }

    #[tokio::test]
    async fn an_ethereum_key_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hot.json");
        let pass = Passphrase::new("correct horse");
        keystore::create(&path, &pass).await.unwrap();
        let error = open(&path, &pass).await.unwrap_err().to_string();
        assert!(error.contains("blsPublicKey"), "{error}");
    }
}
