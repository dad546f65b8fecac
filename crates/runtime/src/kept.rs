//! The last log lines of containers that are gone, in a file per service, bounded in size and age.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use iono_primitives::LeaseId;

use crate::happenings::now;
use crate::{LogLine, LogOptions, RuntimeError};

/// Lines kept of a container that goes.
pub const KEPT_LINES: u32 = 1_000;
/// Bytes kept of a service's containers that are gone.
const KEPT_BYTES: usize = 512 * 1024;
/// Milliseconds for which they are kept.
const KEPT_FOR: u64 = 7 * 24 * 3_600 * 1_000;

/// A folder of kept lines.
#[derive(Debug, Clone)]
pub struct KeptLogs {
    dir: PathBuf,
}

impl KeptLogs {
    /// Those in `dir`, which need not be there yet.
    #[must_use]
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    fn dir(&self, lease: LeaseId) -> PathBuf {
        self.dir.join(lease.to_string())
    }

    /// The kept lines of a service, the oldest first. What cannot be read is as good as too old.
    fn all(&self, lease: LeaseId, service: &str) -> Vec<LogLine> {
        let text = fs::read_to_string(self.dir(lease).join(format!("{service}.jsonl"))).unwrap_or_default();
        let oldest = now().saturating_sub(KEPT_FOR);
        let lines = text.lines().filter_map(|line| serde_json::from_str::<LogLine>(line).ok());
        lines.filter(|line| line.at >= oldest).collect()
    }

    /// The kept lines of services that `options` ask for, service by service.
    #[must_use]
    pub fn read<'a>(
        &self,
        lease: LeaseId,
        services: impl IntoIterator<Item = &'a str>,
        options: &LogOptions,
    ) -> Vec<LogLine> {
        let mut kept: Vec<LogLine> =
            services.into_iter().flat_map(|service| self.all(lease, service)).collect();
        kept.retain(|line| options.since.is_none_or(|since| line.at >= since.saturating_mul(1_000)));
        if let Some(tail) = options.tail {
            let tail = usize::try_from(tail).unwrap_or(usize::MAX);
            kept.drain(..kept.len().saturating_sub(tail));
        }
        kept
    }

    /// Adds lines of a container of `service` that goes; the oldest ones make room.
    ///
    /// # Errors
    /// [`RuntimeError::NoSpace`], [`RuntimeError::Engine`] for other troubles of the disk.
    pub fn add(&self, lease: LeaseId, service: &str, new: Vec<LogLine>) -> Result<(), RuntimeError> {
        let mut all = self.all(lease, service);
        all.extend(new);
        let mut text: Vec<String> = Vec::new();
        let mut bytes = 0;
        for line in all.iter().rev() {
            let line =
                serde_json::to_string(line).map_err(|error| RuntimeError::Engine(error.to_string()))?;
            bytes += line.len() + 1;
            if bytes > KEPT_BYTES {
                break;
            }
            text.push(line);
        }
        text.reverse();
        let dir = self.dir(lease);
        let path = dir.join(format!("{service}.jsonl"));
        let write = || {
            fs::create_dir_all(&dir)?;
            let beside = path.with_extension("new");
            let mut file = fs::File::create(&beside)?;
            text.iter().try_for_each(|line| writeln!(file, "{line}"))?;
            fs::rename(&beside, &path)
        };
        write().map_err(|error| failed("write", &path, &error))
    }

    /// Removes the kept lines of a lease.
    ///
    /// # Errors
    /// [`RuntimeError::Engine`] when they cannot be removed.
    pub fn remove(&self, lease: LeaseId) -> Result<(), RuntimeError> {
        let dir = self.dir(lease);
        match fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("remove", &dir, &error)),
            _ => Ok(()),
        }
    }
}

/// A trouble of this machine's disk in words.
#[must_use]
pub fn failed(what: &str, path: &Path, error: &std::io::Error) -> RuntimeError {
    let text = format!("cannot {what} {}: {error}", path.display());
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            RuntimeError::NoSpace(text)
        }
        _ => RuntimeError::Engine(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OutputKind;

    fn line(text: &str) -> LogLine {
        LogLine {
            at: now(),
            service: "web".to_owned(),
            replica: 0,
            kind: OutputKind::Stdout,
            text: text.to_owned(),
        }
    }

    #[test]
    fn the_newest_lines_stay_and_old_ones_go() {
        let dir = std::env::temp_dir().join(format!("iono-kept-{}", std::process::id()));
        let (kept, lease) = (KeptLogs::new(dir.clone()), LeaseId(7));
        let old = LogLine { at: 1, ..line("last year") };
        kept.add(lease, "web", vec![old, line("first")]).unwrap();
        let long = "x".repeat(1_000);
        kept.add(lease, "web", (0..600).map(|_| line(&long)).collect()).unwrap();
        kept.add(lease, "web", vec![line("last")]).unwrap();
        let all = kept.read(lease, ["web"], &LogOptions::default());
        assert!(all.len() > 400 && all.len() < 600, "{}", all.len());
        assert_eq!(all.last().unwrap().text, "last");
        let tail = LogOptions { tail: Some(2), ..LogOptions::default() };
        assert_eq!(kept.read(lease, ["web", "none"], &tail).len(), 2);
        kept.remove(lease).unwrap();
        kept.remove(lease).unwrap();
        assert!(kept.read(lease, ["web"], &LogOptions::default()).is_empty());
        drop(fs::remove_dir_all(dir));
    }
}
