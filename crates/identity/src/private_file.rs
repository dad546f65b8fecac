//! Files that only their owner may read: written whole or not at all, mode 0600 from the first byte.

use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use zeroize::Zeroizing;

use crate::IdentityError;

/// Largest key file that is read, in bytes.
const LIMIT: u64 = 64 * 1024;

/// What to do when the file is there already.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// Replace it in one step.
    Replace,
    /// Fail and leave it: never lose a key.
    Keep,
}

/// Writes `content` with mode 0600, making missing parent folders with mode 0700.
pub(crate) fn write(path: &Path, content: &[u8], existing: Existing) -> Result<(), IdentityError> {
    let fail = |source| IdentityError::file(path, source);
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !parent.exists() {
        std::fs::create_dir_all(parent).map_err(fail)?;
        std::fs::set_permissions(parent, std::fs::Permissions::from_mode(0o700)).map_err(fail)?;
    }
    // The temporary file is 0600 by construction.
    let mut file = tempfile::NamedTempFile::new_in(parent).map_err(fail)?;
    file.write_all(content).map_err(fail)?;
    file.as_file().sync_all().map_err(fail)?;
    let persisted = match existing {
        Existing::Replace => file.persist(path),
        Existing::Keep => file.persist_noclobber(path),
    };
    persisted.map(drop).map_err(|error| fail(error.error))
}

/// Reads a small text file into memory that is wiped.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<String>, IdentityError> {
    let size = std::fs::metadata(path).map_err(|source| IdentityError::file(path, source))?.len();
    if size > LIMIT {
        let why = format!("larger than the {LIMIT} bytes a key file may have");
        return Err(IdentityError::invalid(path.display().to_string(), why));
    }
    std::fs::read_to_string(path).map(Zeroizing::new).map_err(|source| IdentityError::file(path, source))
}

/// Says so in the log when others may read the file; containers' secrets are often like that, so it is no error. A file of
/// somebody else that its group may read is how a cluster hands a secret to one pod.
pub(crate) fn warn_if_shared(path: &Path) {
    let me = std::fs::metadata("/proc/self").map(|meta| meta.uid()).ok();
    let others = |meta: &std::fs::Metadata| {
        let group = if Some(meta.uid()) == me { 0o070 } else { 0 };
        meta.permissions().mode() & (0o007 | group) != 0
    };
    if std::fs::metadata(path).is_ok_and(|meta| others(&meta)) {
        tracing::warn!(path = %path.display(), "others may read this secret; set its mode to 0600");
    }
}
