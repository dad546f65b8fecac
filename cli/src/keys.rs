//! The keystore: which key signs, and what opens it. Nothing is ever asked for.

use std::path::{Path, PathBuf};

use alloy::primitives::Address;
use alloy::signers::local::PrivateKeySigner;
use iono_identity::{Passphrase, PassphraseSource, keystore};

use crate::error::{Context, Failure, Kind, Result};
use crate::files;
use crate::home::Home;

/// A key's name and file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyFile {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

/// The file of a key's name; names are plain so that they cannot leave the folder.
pub(crate) fn named(home: &Home, name: &str) -> Result<KeyFile> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        return Err(Failure::new(Kind::Usage, format!("`{name}` is no key name"))
            .hint("use up to 64 of a-z, A-Z, 0-9, - and _"));
    }
    Ok(KeyFile { name: name.to_owned(), path: home.keystore().join(format!("{name}.json")) })
}

/// All keys, by name.
pub(crate) fn list(home: &Home) -> Result<Vec<KeyFile>> {
    let folder = home.keystore();
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let entries =
        std::fs::read_dir(&folder).or_fail(Kind::Setup, format_args!("cannot read {}", folder.display()))?;
    let mut keys: Vec<KeyFile> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .filter_map(|path| {
            let name = path.file_stem()?.to_str()?.to_owned();
            Some(KeyFile { name, path })
        })
        .collect();
    keys.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(keys)
}

/// The key that signs: the one asked for, else the configured one, else `main`, else the only one there is.
pub(crate) fn choose(home: &Home, asked: Option<&str>, configured: Option<&Path>) -> Result<KeyFile> {
    let none = |what: String| {
        Failure::new(Kind::Setup, what)
            .hint("`iono wallet new` makes a key, `iono wallet import` brings one in")
    };
    if let Some(name) = asked {
        let key = named(home, name)?;
        return if key.path.is_file() { Ok(key) } else { Err(none(format!("there is no key `{name}`"))) };
    }
    if let Some(path) = configured {
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("configured").to_owned();
        return if path.is_file() {
            Ok(KeyFile { name, path: path.to_owned() })
        } else {
            Err(none(format!("the configured keystore {} is not there", path.display())))
        };
    }
    let mut keys = list(home)?;
    if let Some(at) = keys.iter().position(|key| key.name == "main") {
        return Ok(keys.swap_remove(at));
    }
    match keys.as_slice() {
        [] => Err(none("there is no key yet".to_owned())),
        [_] => Ok(keys.swap_remove(0)),
        several => {
            let names: Vec<&str> = several.iter().map(|key| key.name.as_str()).collect();
            Err(Failure::new(Kind::Usage, format!("there are several keys: {}", names.join(", ")))
                .hint("say which with --key NAME, or set `keystore` in config.toml"))
        }
    }
}

/// The passphrase from the given file or IONO_HOME/passphrase.
pub(crate) fn passphrase(home: &Home, given: Option<&Path>) -> Result<Passphrase> {
    let path = given.map_or_else(|| home.passphrase(), Path::to_owned);
    PassphraseSource::File(path).read().or_hint(
        Kind::Setup,
        "cannot read the keystore's passphrase",
        "name its file with --passphrase-file or IONO_PASSPHRASE_FILE",
    )
}

/// The passphrase for a new key; without any, a random one is made and kept in IONO_HOME/passphrase.
///
/// Returns whether it was made just now.
pub(crate) fn passphrase_for_new(home: &Home, given: Option<&Path>) -> Result<(Passphrase, bool)> {
    if given.is_some() || home.passphrase().exists() {
        return Ok((passphrase(home, given)?, false));
    }
    let random: [u8; 32] = rand::random();
    let text = alloy::primitives::hex::encode(random);
    files::write_private(&home.passphrase(), format!("{text}\n").as_bytes())?;
    Ok((Passphrase::new(text), true))
}

/// Decrypts a key.
pub(crate) async fn unlock(key: &KeyFile, passphrase: &Passphrase) -> Result<PrivateKeySigner> {
    keystore::open(&key.path, passphrase).await.or_hint(
        Kind::Setup,
        format_args!("cannot open the key `{}`", key.name),
        "is it the right passphrase file?",
    )
}

/// The address that a key file names, without its passphrase.
pub(crate) fn address(key: &KeyFile) -> Result<Option<Address>> {
    keystore::address(&key.path).or_fail(Kind::Setup, format_args!("cannot read the key `{}`", key.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_key_is_found_or_explained() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::find(Some(dir.path())).unwrap();
        assert_eq!(choose(&home, None, None).unwrap_err().kind, Kind::Setup);
        let put = |name: &str| files::write_private(&named(&home, name).unwrap().path, b"{}").unwrap();
        put("one");
        assert_eq!(choose(&home, None, None).unwrap().name, "one");
        put("two");
        assert_eq!(choose(&home, None, None).unwrap_err().kind, Kind::Usage);
        assert_eq!(choose(&home, Some("two"), None).unwrap().name, "two");
        put("main");
        assert_eq!(choose(&home, None, None).unwrap().name, "main");
        assert!(choose(&home, None, Some(Path::new("/nowhere/x.json"))).is_err());
    }

    #[test]
    fn names_cannot_leave_the_folder() {
        let home = Home::find(Some(Path::new("/tmp/iono"))).unwrap();
        for bad in ["", "../x", "a/b", ".", "x.json", &"x".repeat(65)] {
            assert_eq!(named(&home, bad).unwrap_err().kind, Kind::Usage, "{bad}");
        }
    }

    #[test]
    fn a_new_passphrase_is_kept_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let home = Home::find(Some(dir.path())).unwrap();
        assert!(passphrase(&home, None).is_err());
        assert!(passphrase_for_new(&home, None).unwrap().1);
        assert!(!passphrase_for_new(&home, None).unwrap().1, "the same is used for the next key");
        assert_eq!(std::fs::metadata(home.passphrase()).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
