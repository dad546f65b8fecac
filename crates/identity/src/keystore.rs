//! Ethereum keys in JSON keystore files (Web3 Secret Storage version 3), mode 0600, never overwritten. Encryption and
//! decryption take a large part of a second and run on the blocking pool.

use std::path::{Path, PathBuf};

use alloy::primitives::{Address, B256};
use alloy::signers::k256::elliptic_curve::rand_core::OsRng;
use alloy::signers::local::coins_bip39::English;
use alloy::signers::local::{MnemonicBuilder, PrivateKeySigner};
use zeroize::Zeroizing;

use crate::private_file::{self, Existing};
use crate::{IdentityError, Passphrase};

/// Makes a new key in `path`.
///
/// # Errors
/// [`IdentityError`] when the file exists or cannot be written.
pub async fn create(path: &Path, passphrase: &Passphrase) -> Result<PrivateKeySigner, IdentityError> {
    store(path, PrivateKeySigner::random(), passphrase).await
}

/// Imports a private key of 64 hex digits.
///
/// # Errors
/// [`IdentityError`] when it is no key, or the file exists or cannot be written.
pub async fn import_key(
    path: &Path,
    private_key: &str,
    passphrase: &Passphrase,
) -> Result<PrivateKeySigner, IdentityError> {
    let bad = || IdentityError::invalid("the private key", "expected 64 hex digits below the curve's order");
    let bytes = Zeroizing::new(private_key.trim().parse::<B256>().map_err(|_| bad())?.0);
    let signer = PrivateKeySigner::from_slice(bytes.as_slice()).map_err(|_| bad())?;
    store(path, signer, passphrase).await
}

/// Imports the key at `m/44'/60'/0'/0/index` of an English BIP-39 phrase.
///
/// # Errors
/// [`IdentityError`] when it is no phrase, or the file exists or cannot be written.
pub async fn import_mnemonic(
    path: &Path,
    phrase: &str,
    index: u32,
    passphrase: &Passphrase,
) -> Result<PrivateKeySigner, IdentityError> {
    let signer = MnemonicBuilder::<English>::default()
        .phrase(phrase.trim())
        .index(index)
        .and_then(|builder| builder.build())
        .map_err(|error| IdentityError::invalid("the mnemonic phrase", error.to_string()))?;
    store(path, signer, passphrase).await
}

/// Decrypts the key in `path`.
///
/// # Errors
/// [`IdentityError::File`] when it cannot be read, [`IdentityError::Decrypt`] when the passphrase is wrong.
pub async fn open(path: &Path, passphrase: &Passphrase) -> Result<PrivateKeySigner, IdentityError> {
    let name = address(path)?;
    let signer = unseal(path, passphrase).await?;
    if name.is_some_and(|name| name != signer.address()) {
        let why = format!("it names another address than its key's, {}", signer.address());
        return Err(IdentityError::invalid(path.display().to_string(), why));
    }
    Ok(signer)
}

/// The address that a keystore names, without its passphrase; `None` when it names none.
///
/// # Errors
/// [`IdentityError`] when the file cannot be read or is no JSON.
pub fn address(path: &Path) -> Result<Option<Address>, IdentityError> {
    Ok(named(path, "address")?.and_then(|text| text.parse().ok()))
}

async fn store(
    path: &Path,
    signer: PrivateKeySigner,
    passphrase: &Passphrase,
) -> Result<PrivateKeySigner, IdentityError> {
    let name = ("address", format!("{:x}", signer.address()));
    seal(path, Zeroizing::new(signer.to_bytes().0), name, passphrase).await?;
    Ok(signer)
}

/// Writes 32 secret bytes to a new keystore, with a field that says in clear text whose they are.
pub(crate) async fn seal(
    path: &Path,
    secret: Zeroizing<[u8; 32]>,
    name: (&'static str, String),
    passphrase: &Passphrase,
) -> Result<(), IdentityError> {
    let (path, passphrase) = (path.to_owned(), passphrase.clone());
    blocking(move || {
        let json = encrypt(&path, &secret, name, &passphrase)?;
        private_file::write(&path, json.as_bytes(), Existing::Keep)
    })
    .await
}

/// Decrypts the 32 bytes of a keystore, a number below the order of secp256k1.
pub(crate) async fn unseal(path: &Path, passphrase: &Passphrase) -> Result<PrivateKeySigner, IdentityError> {
    private_file::warn_if_shared(path);
    let (file, secret) = (path.to_owned(), passphrase.clone());
    blocking(move || {
        PrivateKeySigner::decrypt_keystore(&file, secret.expose()).map_err(|error| IdentityError::Decrypt {
            path: file.display().to_string(),
            why: error.to_string(),
        })
    })
    .await
}

/// A field that a keystore carries in clear text.
pub(crate) fn named(path: &Path, field: &str) -> Result<Option<String>, IdentityError> {
    let text = private_file::read(path)?;
    let json: serde_json::Value = serde_json::from_str(&text)
        .map_err(|error| IdentityError::invalid(path.display().to_string(), error.to_string()))?;
    Ok(json.get(field).and_then(|value| value.as_str()).map(str::to_owned))
}

/// The library writes files itself, so it gets a private folder.
fn encrypt(
    path: &Path,
    secret: &Zeroizing<[u8; 32]>,
    (field, value): (&str, String),
    passphrase: &Passphrase,
) -> Result<String, IdentityError> {
    let damaged = |why: String| IdentityError::invalid(path.display().to_string(), why);
    let folder: tempfile::TempDir = tempfile::tempdir()
        .map_err(|source| IdentityError::file(&PathBuf::from("temporary folder"), source))?;
    PrivateKeySigner::encrypt_keystore(
        folder.path(),
        &mut OsRng,
        secret.as_slice(),
        passphrase.expose(),
        Some("key"),
    )
    .map_err(|error| damaged(error.to_string()))?;
    let text = private_file::read(&folder.path().join("key"))?;
    let mut json: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
    json[field] = value.into();
    Ok(json.to_string())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, IdentityError> + Send + 'static,
) -> Result<T, IdentityError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| IdentityError::Interrupted)?
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn a_key_is_made_private_named_and_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hot.json");
        let pass = Passphrase::new("correct horse");
        let made = create(&path, &pass).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(address(&path).unwrap(), Some(made.address()));
        assert_eq!(open(&path, &pass).await.unwrap().address(), made.address());

        let wrong = open(&path, &Passphrase::new("wrong")).await.unwrap_err();
        assert!(matches!(wrong, IdentityError::Decrypt { .. }), "{wrong}");
        // Never overwritten.
        assert!(matches!(create(&path, &pass).await.unwrap_err(), IdentityError::File { .. }));
        assert_eq!(address(&path).unwrap(), Some(made.address()));
    }

    #[tokio::test]
    async fn the_phrase_of_the_development_chain_gives_its_accounts() {
        let folder = tempfile::tempdir().unwrap();
        let phrase = "test test test test test test test test test test test junk";
        let pass = Passphrase::new("x");
        let second = import_mnemonic(&folder.path().join("1"), phrase, 1, &pass).await.unwrap();
        assert_eq!(second.address().to_string(), "0x70997970C51812dc3A010C7d01b50e0d17dc79C8");
        let key = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
        let first = import_key(&folder.path().join("0"), key, &pass).await.unwrap();
        assert_eq!(first.address().to_string(), "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
        assert!(import_mnemonic(&folder.path().join("2"), "test test", 0, &pass).await.is_err());
        assert!(import_key(&folder.path().join("3"), "0x00", &pass).await.is_err());
    }
}
