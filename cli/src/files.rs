//! Files under IONO_HOME. Everything is written whole or not at all, and readable by its owner only.

use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::error::{Context, Failure, Kind, Result};

/// Largest file that is ever read into memory: manifests, keystores, address books are far smaller.
pub(crate) const MAX_FILE: u64 = 4 << 20;

/// Creates a folder that only its owner may enter.
pub(crate) fn private_dir(path: &Path) -> Result<()> {
    if !path.is_dir() {
        std::fs::create_dir_all(path)
            .or_fail(Kind::Setup, format_args!("cannot create {}", path.display()))?;
        let mode = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(path, mode)
            .or_fail(Kind::Setup, format_args!("cannot protect {}", path.display()))?;
    }
    Ok(())
}

/// Writes a file of mode 0600 through a temporary neighbour, so that a crash leaves the old one or the new one.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let doing = || format!("cannot write {}", path.display());
    // A bare name lies in the present folder, which is not ours to protect.
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        private_dir(parent)?;
    }
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("file");
    let part = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&part)
        .or_fail(Kind::Setup, doing())?;
    file.write_all(bytes).and_then(|()| file.sync_all()).or_fail(Kind::Setup, doing())?;
    std::fs::rename(&part, path).or_fail(Kind::Setup, doing())
}

/// Reads a bounded text file.
pub(crate) fn read_text(path: &Path, kind: Kind) -> Result<String> {
    let doing = || format!("cannot read {}", path.display());
    let size = std::fs::metadata(path).or_fail(kind, doing())?.len();
    if size > MAX_FILE {
        return Err(Failure::new(
            kind,
            format!("{} has {size} bytes; at most {MAX_FILE} are read", path.display()),
        ));
    }
    std::fs::read_to_string(path).or_fail(kind, doing())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_files_are_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/secret");
        write_private(&path, b"hush\n").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::metadata(path.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
        write_private(&path, b"again\n").unwrap();
        assert_eq!(read_text(&path, Kind::Setup).unwrap(), "again\n");
        assert_eq!(
            std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1,
            "no temporary file is left"
        );
    }
}
