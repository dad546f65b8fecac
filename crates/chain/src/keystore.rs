//! Keys at rest: encrypted JSON keystores, opened with a passphrase from a file or a systemd credential and never from
//! the command line or a plain variable.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use alloy::signers::local::{LocalSignerError, PrivateKeySigner};
use secrecy::{ExposeSecret, SecretString};

/// Names the passphrase file.
pub const PASSPHRASE_VARIABLE: &str = "IONO_PASSPHRASE_FILE";
/// Name of the systemd credential (`LoadCredential=passphrase:…`).
const CREDENTIAL: &str = "passphrase";

/// Why a key could not be opened or kept.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// No passphrase was given.
    #[error(
        "no passphrase for {0}: set passphrase_file, {PASSPHRASE_VARIABLE}, or systemd's LoadCredential={CREDENTIAL}:PATH"
    )]
    NoPassphrase(PathBuf),
    /// A file cannot be read or written.
    #[error("cannot use {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The keystore cannot be decrypted.
    #[error("cannot open the keystore {path}: {reason} (is the passphrase right?)")]
    Open {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The keystore cannot be made.
    #[error("cannot make a keystore: {0}")]
    Make(LocalSignerError),
}

/// Reads the passphrase: from `file` if given, else from the file that `IONO_PASSPHRASE_FILE` names, else from the
/// systemd credential. Line ends at its end do not count.
///
/// # Errors
/// [`KeystoreError`] when there is none or it cannot be read; `keystore` is named in the message.
pub fn passphrase(file: Option<&Path>, keystore: &Path) -> Result<SecretString, KeystoreError> {
    let variable = || std::env::var_os(PASSPHRASE_VARIABLE).map(PathBuf::from);
    let credential =
        || std::env::var_os("CREDENTIALS_DIRECTORY").map(|dir| PathBuf::from(dir).join(CREDENTIAL));
    let path = file
        .map(Path::to_owned)
        .or_else(variable)
        .or_else(credential)
        .ok_or_else(|| KeystoreError::NoPassphrase(keystore.to_owned()))?;
    let text = std::fs::read_to_string(&path).map_err(|source| KeystoreError::File { path, source })?;
    Ok(SecretString::from(text.trim_end_matches(['\r', '\n'])))
}

/// Decrypts a keystore; about a second of work, off the runtime's threads.
///
/// # Errors
/// [`KeystoreError::Open`] when the file or the passphrase is wrong.
pub async fn open(path: &Path, passphrase: SecretString) -> Result<PrivateKeySigner, KeystoreError> {
    let owned = path.to_owned();
    let opened = tokio::task::spawn_blocking(move || {
        PrivateKeySigner::decrypt_keystore(&owned, passphrase.expose_secret())
            .map_err(|error| error.to_string())
    });
    let opened = opened.await.unwrap_or_else(|error| Err(error.to_string()));
    opened.map_err(|reason| KeystoreError::Open { path: path.to_owned(), reason })
}

/// Encrypts a key into a new file that only its owner can read; refuses to overwrite.
///
/// # Errors
/// [`KeystoreError`] when the file exists or cannot be written.
pub async fn create(
    path: &Path,
    key: &PrivateKeySigner,
    passphrase: SecretString,
) -> Result<(), KeystoreError> {
    let (path, key) = (path.to_owned(), key.clone());
    let work = tokio::task::spawn_blocking(move || {
        let file = |source| KeystoreError::File { path: path.clone(), source };
        // The library writes with the process's umask, so it writes into a folder that nobody else may enter.
        let scratch = path.with_extension("new");
        let mut options = std::fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut options, 0o700);
        options.create(&scratch).map_err(file)?;
        let made = encrypt(&scratch, &key, &passphrase).and_then(|json| {
            let mut out = std::fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)
                .map_err(file)?;
            out.write_all(&json).and_then(|()| out.sync_all()).map_err(file)
        });
        let removed = std::fs::remove_dir_all(&scratch).map_err(file);
        made.and(removed)
    });
    work.await.unwrap_or_else(|error| Err(KeystoreError::File { path: PathBuf::new(), source: error.into() }))
}

fn encrypt(
    folder: &Path,
    key: &PrivateKeySigner,
    passphrase: &SecretString,
) -> Result<Vec<u8>, KeystoreError> {
    let mut rng = alloy::signers::k256::elliptic_curve::rand_core::OsRng;
    PrivateKeySigner::encrypt_keystore(
        folder,
        &mut rng,
        key.to_bytes(),
        passphrase.expose_secret(),
        Some("key"),
    )
    .map_err(KeystoreError::Make)?;
    let path = folder.join("key");
    std::fs::read(&path).map_err(|source| KeystoreError::File { path, source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn a_key_comes_back_with_its_passphrase_only() {
        let dir = tempfile::tempdir().unwrap();
        let (path, pass) = (dir.path().join("hot.json"), dir.path().join("pass"));
        std::fs::write(&pass, "correct horse\n").unwrap();
        let key = PrivateKeySigner::random();
        let secret = passphrase(Some(&pass), &path).unwrap();
        create(&path, &key, secret.clone()).await.unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
        assert_eq!(open(&path, secret.clone()).await.unwrap().address(), key.address());
        let wrong = open(&path, SecretString::from("wrong")).await.unwrap_err();
        assert!(wrong.to_string().contains("is the passphrase right?"), "{wrong}");
        assert!(create(&path, &key, secret).await.is_err(), "overwrote a key");
    }

    #[test]
    fn a_missing_passphrase_says_where_it_may_come_from() {
        let error = passphrase(None, Path::new("/k.json")).unwrap_err().to_string();
        assert!(error.contains("passphrase_file") && error.contains("LoadCredential"), "{error}");
    }
}
