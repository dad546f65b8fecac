//! Disks, their class, and the space on the file system that workloads are stored on.

use std::path::{Path, PathBuf};

use iono_primitives::StorageClass;
use serde::{Deserialize, Serialize};

use crate::mount::mounts;
use crate::{HardwareError, Source};

/// Bytes of a sector in `/sys/block/*/size`, whatever the disk's own sectors are.
const SECTOR: u64 = 512;

/// A disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Kernel's name, such as `sda` or `nvme0n1`.
    pub name: String,
    /// As the disk names itself; empty when it does not.
    pub model: String,
    /// Bytes.
    pub size: u64,
    /// HDD when it rotates, NVMe by its driver, else SSD.
    pub class: StorageClass,
}

/// Space on a file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    /// The folder that was asked about.
    pub path: PathBuf,
    /// Bytes of the whole file system.
    pub total: u64,
    /// Bytes that may still be written by users.
    pub free: u64,
    /// The slowest class of the disks below it; `any` when it lies on no disk that is known.
    pub class: StorageClass,
}

impl Disk {
    pub(crate) fn read_all(source: &Source) -> Result<Vec<Self>, HardwareError> {
        let mut disks = Vec::new();
        for name in source.names("sys/block") {
            // Loop, RAM and mapped devices have no device behind them.
            if !source.path(&format!("sys/block/{name}/device")).exists() {
                continue;
            }
            // One of several ways to an NVMe disk that is listed as a whole beside them.
            if source.optional(&format!("sys/block/{name}/hidden")).as_deref() == Some("1") {
                continue;
            }
            let path = format!("sys/block/{name}/size");
            let sectors: Option<u64> = source.read(&path)?.trim().parse().ok();
            let size = sectors.and_then(|sectors| sectors.checked_mul(SECTOR));
            let size = size.ok_or_else(|| source.malformed(&path, "a number of sectors"))?;
            let removable = source.optional(&format!("sys/block/{name}/removable")).as_deref() == Some("1");
            if size == 0 || removable {
                continue;
            }
            let model = source.optional(&format!("sys/block/{name}/device/model")).unwrap_or_default();
            let class = class_of(source, &name);
            disks.push(Self { name, model, size, class });
        }
        Ok(disks)
    }
}

fn class_of(source: &Source, name: &str) -> StorageClass {
    if name.starts_with("nvme") {
        return StorageClass::Nvme;
    }
    match source.optional(&format!("sys/block/{name}/queue/rotational")).as_deref() {
        Some("0") => StorageClass::Ssd,
        Some("1") => StorageClass::Hdd,
        _ => StorageClass::Any,
    }
}

impl Space {
    /// A folder that is still to be made, as before the engine is installed, has the space that it will be made in.
    pub(crate) fn read(source: &Source, path: &Path) -> Result<Self, HardwareError> {
        let read = |why: std::io::Error| HardwareError::Read { path: path.to_owned(), why };
        let there = path.ancestors().find(|folder| folder.exists()).unwrap_or(path);
        let stat = nix::sys::statvfs::statvfs(there).map_err(|errno| read(errno.into()))?;
        let block = stat.fragment_size();
        let full = there.canonicalize().map_err(read)?;
        let mounts = mounts(&source.read("proc/self/mountinfo")?);
        // Of several mounts at one place the last one is what is seen, and the last is what this gives.
        let mount =
            mounts.iter().filter(|mount| full.starts_with(&mount.at)).max_by_key(|m| m.at.as_os_str().len());
        let class = mount.map_or(StorageClass::Any, |mount| class_below(source, &mount.device));
        Ok(Self {
            path: path.to_owned(),
            total: stat.blocks().saturating_mul(block),
            free: stat.blocks_available().saturating_mul(block),
            class,
        })
    }
}

/// Class of a device by its number, through partitions and mapped devices down to the disks.
fn class_below(source: &Source, device: &str) -> StorageClass {
    let Ok(folder) = source.path(&format!("sys/dev/block/{device}")).canonicalize() else {
        return StorageClass::Any;
    };
    // A partition's folder lies in its disk's.
    let disk = folder.ancestors().find(|folder| folder.join("queue").is_dir());
    let Some(name) = disk.and_then(|disk| disk.file_name()?.to_str()) else { return StorageClass::Any };
    slowest(source, name, 0)
}

fn slowest(source: &Source, name: &str, depth: u8) -> StorageClass {
    let below = source.names(&format!("sys/block/{name}/slaves"));
    if below.is_empty() || depth > 8 {
        return class_of(source, name);
    }
    let classes = below.iter().map(|slave| {
        if source.path(&format!("sys/block/{slave}")).exists() {
            slowest(source, slave, depth + 1)
        } else {
            // A slave may be a partition: its disk is the longest name that it begins with.
            let disks = source.names("sys/block").into_iter().filter(|disk| slave.starts_with(disk.as_str()));
            disks.max_by_key(String::len).map_or(StorageClass::Any, |disk| class_of(source, &disk))
        }
    });
    classes.min().unwrap_or_default()
}
