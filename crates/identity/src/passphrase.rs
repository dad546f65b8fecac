//! Where a keystore's passphrase comes from: never from a flag or an environment variable's value, which others see.

use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};

use crate::{IdentityError, private_file};

/// What opens a keystore; wiped from memory when dropped, never printed.
#[derive(Debug, Clone)]
pub struct Passphrase(SecretString);

impl Passphrase {
    /// A passphrase that the caller asked for.
    #[must_use]
    pub fn new(secret: impl Into<String>) -> Self {
        Self(SecretString::from(secret.into()))
    }

    pub(crate) fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

/// A place to read a passphrase from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PassphraseSource {
    /// A file.
    File(PathBuf),
    /// The file that an environment variable names.
    EnvFile(String),
    /// A systemd credential (`LoadCredential=name:…`), in `$CREDENTIALS_DIRECTORY`.
    Credential(String),
}

impl PassphraseSource {
    /// Reads it. One line end after the passphrase does not count.
    ///
    /// # Errors
    /// [`IdentityError`] when the variable is not set, the file cannot be read, or it is empty.
    pub fn read(&self) -> Result<Passphrase, IdentityError> {
        let path = self.path(|name| std::env::var_os(name).map(PathBuf::from))?;
        private_file::warn_if_shared(&path);
        let text = private_file::read(&path)?;
        let line = text.strip_suffix('\n').unwrap_or(&text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() {
            return Err(IdentityError::invalid(path.display().to_string(), "the passphrase is empty"));
        }
        Ok(Passphrase::new(line))
    }

    fn path(&self, variable: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf, IdentityError> {
        let read = |name: &str| {
            variable(name).ok_or_else(|| IdentityError::invalid(format!("${name}"), "it is not set"))
        };
        match self {
            Self::File(path) => Ok(path.clone()),
            Self::EnvFile(name) => read(name),
            Self::Credential(name) => Ok(read("CREDENTIALS_DIRECTORY")?.join(name)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_source_leads_to_its_file() {
        let set = |name: &str| (name != "UNSET").then(|| PathBuf::from("/run").join(name));
        let path = |source: PassphraseSource| source.path(set);
        assert_eq!(path(PassphraseSource::File("/a".into())).unwrap(), PathBuf::from("/a"));
        assert_eq!(path(PassphraseSource::EnvFile("PASS".into())).unwrap(), PathBuf::from("/run/PASS"));
        assert_eq!(
            path(PassphraseSource::Credential("hot".into())).unwrap(),
            PathBuf::from("/run/CREDENTIALS_DIRECTORY/hot")
        );
        let error = path(PassphraseSource::EnvFile("UNSET".into())).unwrap_err();
        assert_eq!(error.to_string(), "$UNSET: it is not set");
    }

    #[test]
    fn one_line_end_is_cut_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pass");
        for (content, expected) in [("secret", "secret"), ("secret\n", "secret"), (" a b \r\n", " a b ")] {
            std::fs::write(&file, content).unwrap();
            assert_eq!(PassphraseSource::File(file.clone()).read().unwrap().expose(), expected);
        }
        std::fs::write(&file, "\n").unwrap();
        assert!(PassphraseSource::File(file).read().is_err());
    }

    #[test]
    fn it_is_never_printed() {
        assert!(!format!("{:?}", Passphrase::new("hunter2")).contains("hunter2"));
    }
}
