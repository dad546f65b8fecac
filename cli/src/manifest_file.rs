//! A manifest on the tenant's machine: read, checked, its secrets resolved, salted.

use std::path::Path;

use alloy::primitives::B256;
use iono_lease_api::SaltedManifest;
use iono_manifest::{Deployment, Diagnostic, Diagnostics, LeaseManifest, MAX_FILE_BYTES, MAX_TEXT_BYTES};

use crate::error::{Failure, Kind, Result};
use crate::files;
use crate::output::Output;

/// Reads and checks a manifest; warnings are told.
pub(crate) fn read(path: &Path, output: Output) -> Result<Deployment> {
    let deployment = parse(&text(path)?).map_err(|found| refused(path, &found))?;
    for warning in &deployment.warnings {
        output.warn(&format!("{}:{}:{}: {}", path.display(), warning.line, warning.column, warning.message));
    }
    Ok(deployment)
}

/// The file's text, bounded.
pub(crate) fn text(path: &Path) -> Result<String> {
    let text = files::read_text(path, Kind::Manifest)?;
    if text.len() > MAX_FILE_BYTES {
        let size = text.len();
        return Err(Failure::new(
            Kind::Manifest,
            format!("{} has {size} bytes; at most {MAX_FILE_BYTES} are read", path.display()),
        ));
    }
    Ok(text)
}

/// Parses a manifest's text.
pub(crate) fn parse(text: &str) -> std::result::Result<Deployment, Diagnostics> {
    iono_manifest::parse(text)
}

/// Reads the secrets, relative to the manifest's folder, and makes the manifest.
pub(crate) fn resolve(
    path: &Path,
    deployment: &Deployment,
) -> std::result::Result<LeaseManifest, Diagnostics> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    iono_manifest::resolve(deployment, |secret| read_secret(&folder.join(secret)))
}

/// The manifest with a fresh random salt.
pub(crate) fn salted(path: &Path, deployment: &Deployment) -> Result<SaltedManifest> {
    let manifest = resolve(path, deployment).map_err(|found| refused(path, &found))?;
    Ok(SaltedManifest::new(B256::from(rand::random::<[u8; 32]>()), manifest))
}

/// One byte more than is allowed is read at most, so that an endless file is refused like a large one.
fn read_secret(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(MAX_TEXT_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Refuses what no provider can serve: an order for it would be paid for and its manifest turned away.
pub(crate) fn available(path: &Path, deployment: &Deployment) -> Result<()> {
    if deployment.unavailable.is_empty() {
        return Ok(());
    }
    let found = findings(path, &deployment.unavailable).join("\n");
    Err(Failure::new(Kind::Manifest, format!("no provider can serve this yet:\n{found}"))
        .hint("nothing was sent and nothing is paid; change these lines"))
}

/// `file:line:column: message` for each finding, as editors understand it.
pub(crate) fn findings(path: &Path, found: &[Diagnostic]) -> Vec<String> {
    found
        .iter()
        .map(|one| format!("{}:{}:{}: {}", path.display(), one.line, one.column, one.message))
        .collect()
}

fn refused(path: &Path, found: &Diagnostics) -> Failure {
    Failure::new(Kind::Manifest, findings(path, &found.0).join("\n"))
        .hint(format!("`iono manifest check {}` checks without ordering", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_beside_the_manifest() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), "hush").unwrap();
        assert_eq!(read_secret(&dir.path().join("a")).unwrap(), b"hush");
        assert_eq!(read_secret(Path::new("/dev/zero")).unwrap().len(), MAX_TEXT_BYTES + 1);
    }

    #[test]
    fn a_bad_manifest_names_its_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bad.yaml");
        std::fs::write(&path, "version: \"1.0\"\nservces: {}\n").unwrap();
        let output = Output { json: false, quiet: true };
        let failure = read(&path, output).unwrap_err();
        assert_eq!(failure.kind, Kind::Manifest);
        assert!(failure.message.contains("bad.yaml:2:"), "{}", failure.message);
    }
}
