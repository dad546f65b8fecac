//! One lock file per key: the system drops the lock when its holder dies, however it dies.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::path::Path;

use alloy::primitives::Address;
use fs4::{FileExt, TryLockError};

use crate::SendError;

/// Held as long as this lives.
#[derive(Debug)]
pub(crate) struct KeyLock {
    _file: File,
}

impl KeyLock {
    /// Takes the lock of `address` in `folder`, at once or not at all.
    pub(crate) fn take(folder: &Path, address: Address) -> Result<Self, SendError> {
        let path = folder.join(format!("{address:#x}.lock"));
        let lock = |source| SendError::Lock { path: path.clone(), source };
        fs::create_dir_all(folder).map_err(lock)?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(lock)?;
        match FileExt::try_lock(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                let _ = file.read_to_string(&mut holder);
                return Err(SendError::Locked { address, path, holder: holder.trim().to_owned() });
            }
            Err(TryLockError::Error(source)) => return Err(lock(source)),
        }
        // For people who look; the lock itself is what counts.
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| write!(file, "{}", std::process::id()));
        written.map_err(lock)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let (key, other) = (Address::repeat_byte(1), Address::repeat_byte(2));
        let held = KeyLock::take(dir.path(), key).unwrap();
        let error = KeyLock::take(dir.path(), key).unwrap_err();
        assert!(matches!(error, SendError::Locked { .. }));
        assert!(error.to_string().contains(&format!("held by process {}", std::process::id())), "{error}");
        KeyLock::take(dir.path(), other).unwrap();
        drop(held);
        KeyLock::take(dir.path(), key).unwrap();
    }
}
