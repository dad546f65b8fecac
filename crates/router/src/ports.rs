//! Which port of the node belongs to which exposed port of a lease. Kept in a file, so that a tenant's port stays the
//! same across updates and restarts; should the file be lost, most ports come out the same again, because the search
//! begins at a number that follows from the lease.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use iono_primitives::LeaseId;
use serde::{Deserialize, Serialize};

use crate::Protocol;

/// What a node's port is given to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PortKey {
    /// The lease.
    pub lease: LeaseId,
    /// The service.
    pub service: String,
    /// The port on which its containers listen.
    pub port: u16,
    /// Transport.
    pub protocol: Protocol,
}

/// A port of the node that was given away.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortLease {
    /// To whom.
    #[serde(flatten)]
    pub key: PortKey,
    /// The node's port.
    pub listen: u16,
}

/// Why a port could not be given.
#[derive(Debug, thiserror::Error)]
pub enum PortsError {
    /// The file cannot be read or written.
    #[error("the port file {path} cannot be used: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What happened.
        source: std::io::Error,
    },
    /// The file is not one of ours. It is left as it is: overwriting it would take tenants' ports away.
    #[error("the port file {path} is damaged: {reason}; restore it, or remove it to give ports anew")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        reason: String,
    },
    /// Every port of the range is given away.
    #[error("no port is free between {0} and {1}; widen the range")]
    Exhausted(u16, u16),
}

type Given = BTreeMap<PortKey, u16>;

/// The ports of a node. Cheap to ask; every change is on disk before it is told.
#[derive(Debug)]
pub struct PortLeases {
    path: PathBuf,
    range: RangeInclusive<u16>,
    given: Mutex<Given>,
}

impl PortLeases {
    /// Reads `path`, which need not exist yet; new ports come from `range`.
    ///
    /// # Errors
    /// [`PortsError::File`], [`PortsError::Damaged`].
    pub fn open(path: impl Into<PathBuf>, range: RangeInclusive<u16>) -> Result<Self, PortsError> {
        let path = path.into();
        let given = match fs::read(&path) {
            Ok(bytes) => read(&bytes).map_err(|reason| PortsError::Damaged { path: path.clone(), reason })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Given::new(),
            Err(source) => return Err(PortsError::File { path, source }),
        };
        Ok(Self { path, range, given: Mutex::new(given) })
    }

    fn lock(&self) -> MutexGuard<'_, Given> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives each of a lease's exposed ports a port of the node, the same one as before where it had one, and takes
    /// back those of its ports that are not among `keys`.
    ///
    /// # Errors
    /// [`PortsError::Exhausted`], [`PortsError::File`]; nothing is changed then.
    pub fn assign(&self, lease: LeaseId, keys: &[PortKey]) -> Result<Vec<PortLease>, PortsError> {
        self.update(|given| {
            given.retain(|key, _| key.lease != lease || keys.contains(key));
            for key in keys {
                if !given.contains_key(key) {
                    let listen = self.free(given, key, &[])?;
                    given.insert(key.clone(), listen);
                }
            }
            let own = given.iter().filter(|(key, _)| key.lease == lease);
            Ok(own.map(|(key, listen)| PortLease { key: key.clone(), listen: *listen }).collect())
        })
    }

    /// Gives another port in place of one that somebody else on the node has bound.
    ///
    /// # Errors
    /// As [`PortLeases::assign`].
    pub fn reassign(&self, key: &PortKey, taken: &[u16]) -> Result<PortLease, PortsError> {
        self.update(|given| {
            given.remove(key);
            let listen = self.free(given, key, taken)?;
            given.insert(key.clone(), listen);
            Ok(PortLease { key: key.clone(), listen })
        })
    }

    /// Takes back all ports of a lease.
    ///
    /// # Errors
    /// [`PortsError::File`].
    pub fn release(&self, lease: LeaseId) -> Result<(), PortsError> {
        self.assign(lease, &[]).map(drop)
    }

    /// What is given away, of one lease.
    #[must_use]
    pub fn of(&self, lease: LeaseId) -> Vec<PortLease> {
        let given = self.lock();
        let own = given.iter().filter(|(key, _)| key.lease == lease);
        own.map(|(key, listen)| PortLease { key: key.clone(), listen: *listen }).collect()
    }

    /// The leases that have ports.
    #[must_use]
    pub fn leases(&self) -> Vec<LeaseId> {
        let mut leases: Vec<_> = self.lock().keys().map(|key| key.lease).collect();
        leases.dedup();
        leases
    }

    fn free(&self, given: &Given, key: &PortKey, taken: &[u16]) -> Result<u16, PortsError> {
        let (first, last) = (*self.range.start(), *self.range.end());
        let exhausted = || PortsError::Exhausted(first, last);
        let count = u64::from(last.checked_sub(first).ok_or_else(exhausted)?) + 1;
        let start = start_of(key) % count;
        let ports = (0..count).filter_map(|i| u16::try_from(u64::from(first) + (start + i) % count).ok());
        let in_use = |port: &u16| given.iter().any(|(k, p)| p == port && k.protocol == key.protocol);
        ports.into_iter().find(|port| !in_use(port) && !taken.contains(port)).ok_or_else(exhausted)
    }

    fn update<T>(&self, change: impl FnOnce(&mut Given) -> Result<T, PortsError>) -> Result<T, PortsError> {
        let mut given = self.lock();
        let mut next = given.clone();
        let result = change(&mut next)?;
        if next != *given {
            write(&self.path, &next)
                .map_err(|source| PortsError::File { path: self.path.clone(), source })?;
            *given = next;
        }
        Ok(result)
    }
}

/// FNV-1a: it has to be the same in every version, not to be strong.
fn start_of(key: &PortKey) -> u64 {
    let text = format!("{}/{}/{}/{:?}", key.lease, key.service, key.port, key.protocol);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[derive(Serialize, Deserialize)]
struct Saved {
    version: u32,
    ports: Vec<PortLease>,
}

fn read(bytes: &[u8]) -> Result<Given, String> {
    let saved: Saved = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if saved.version != 1 {
        return Err(format!("version {} is not known here", saved.version));
    }
    Ok(saved.ports.into_iter().map(|port| (port.key, port.listen)).collect())
}

/// Writes a new file beside the old one and renames it: a crash leaves one of the two whole.
fn write(path: &Path, given: &Given) -> std::io::Result<()> {
    let ports = given.iter().map(|(key, listen)| PortLease { key: key.clone(), listen: *listen }).collect();
    let bytes = serde_json::to_vec_pretty(&Saved { version: 1, ports })?;
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(lease: u64, port: u16) -> PortKey {
        PortKey { lease: LeaseId(lease), service: "web".to_owned(), port, protocol: Protocol::Tcp }
    }

    #[test]
    fn survives_a_restart_and_an_update() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ports.json");
        let ports = PortLeases::open(&path, 30_000..=30_100).unwrap();
        let first = ports.assign(LeaseId(1), &[key(1, 22), key(1, 53)]).unwrap();
        let again = PortLeases::open(&path, 30_000..=30_100).unwrap();
        assert_eq!(again.of(LeaseId(1)), first);
        let updated = again.assign(LeaseId(1), &[key(1, 53), key(1, 80)]).unwrap();
        assert_eq!(updated.len(), 2);
        assert!(updated.contains(&first[1]));
        again.release(LeaseId(1)).unwrap();
        assert!(again.leases().is_empty());
    }

    #[test]
    fn gives_the_same_ports_again_when_the_file_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let open = |name: &str| PortLeases::open(dir.path().join(name), 30_000..=32_000).unwrap();
        let keys = [key(7, 22), key(7, 53)];
        assert_eq!(
            open("a").assign(LeaseId(7), &keys).unwrap(),
            open("b").assign(LeaseId(7), &keys).unwrap()
        );
    }

    #[test]
    fn says_when_all_are_gone_and_leaves_a_damaged_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ports.json");
        let ports = PortLeases::open(&path, 9..=10).unwrap();
        ports.assign(LeaseId(1), &[key(1, 1)]).unwrap();
        let error = ports.assign(LeaseId(2), &[key(2, 1), key(2, 2)]).unwrap_err();
        assert!(matches!(error, PortsError::Exhausted(9, 10)));
        assert!(ports.of(LeaseId(2)).is_empty());
        let moved = ports.reassign(&key(1, 1), &[ports.of(LeaseId(1))[0].listen]).unwrap();
        assert_eq!(ports.of(LeaseId(1)), [moved]);
        fs::write(&path, "{").unwrap();
        assert!(matches!(PortLeases::open(&path, 9..=10), Err(PortsError::Damaged { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"{");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn never_gives_a_port_twice(steps in proptest::collection::vec((0u64..6, 0u16..5, any::<bool>()), 1..40)) {
            let dir = tempfile::tempdir().unwrap();
            let ports = PortLeases::open(dir.path().join("p"), 1_000..=1_020).unwrap();
            for (lease, count, release) in steps {
                let keys: Vec<_> = (0..if release { 0 } else { count }).map(|port| key(lease, port)).collect();
                let _ = ports.assign(LeaseId(lease), &keys);
                let given = ports.lock();
                let mut numbers: Vec<_> = given.values().collect();
                numbers.sort_unstable();
                numbers.dedup();
                prop_assert_eq!(numbers.len(), given.len());
                prop_assert!(given.values().all(|port| (1_000..=1_020).contains(port)));
            }
        }
    }
}
