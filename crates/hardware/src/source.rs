//! The tree that everything is read from: `/`, or a copy of parts of it in tests.

use std::path::{Path, PathBuf};

/// Why the machine could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum HardwareError {
    /// A file or folder could not be read.
    #[error("cannot read {path}: {why}")]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system says.
        why: std::io::Error,
    },
    /// A file says something that is not understood.
    #[error("{path} is not understood: {what}")]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What is missing or strange.
        what: &'static str,
    },
}

/// A root with `proc` and `sys`.
#[derive(Debug, Clone)]
pub struct Source {
    root: PathBuf,
}

impl Source {
    /// This machine.
    #[must_use]
    pub fn system() -> Self {
        Self::at(Path::new("/"))
    }

    /// Another root.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// A path below the root, given without its leading slash.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// A file that must be there.
    pub(crate) fn read(&self, path: &str) -> Result<String, HardwareError> {
        let path = self.path(path);
        std::fs::read_to_string(&path).map_err(|why| HardwareError::Read { path, why })
    }

    /// A file that may be missing, without blanks around its text.
    pub(crate) fn optional(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.path(path)).ok().map(|text| text.trim().to_owned())
    }

    /// The names in a folder, sorted; none when it is missing.
    pub(crate) fn names(&self, path: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(path)).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    pub(crate) fn malformed(&self, path: &str, what: &'static str) -> HardwareError {
        HardwareError::Malformed { path: self.path(path), what }
    }
}
