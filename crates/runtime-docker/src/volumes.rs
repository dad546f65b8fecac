//! Volumes of bounded size: an ext4 file system in a preallocated file, mounted by loop device below the data directory.
//! Only a subdirectory of it is given to the container: while it is not mounted (after a reboot) that directory is
//! missing, and the engine refuses to start the container instead of letting it write beside its volume.
//!
//! Without root the volumes are the engine's own, whose size nothing bounds; `check` says so.
//!
//! ```text
//! <data>/volumes/<owner>/<lease>/<service>/<replica>/<name>.img      the file system
//!                                                     <name>/data    what the container sees
//! ```
//! An ephemeral volume's name is preceded by the spec of its container: `<spec>~<name>`.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bollard::models::{Mount, MountTmpfsOptions, MountType, VolumeCreateRequest};
use bollard::query_parameters::{ListVolumesOptionsBuilder, RemoveVolumeOptions};
use iono_primitives::LeaseId;
use iono_runtime::{RuntimeError, Service, Volume, VolumeKind, Workload, failed};
use iono_telemetry::fail_point;
use nix::fcntl::{FallocateFlags, fallocate};
use tokio::process::Command;

use crate::engine::{or_gone, sort};
use crate::inner::Inner;
use crate::labels;

const MIB: u64 = 1 << 20;
/// MiB below which ext4 cannot be made.
const SMALLEST: u32 = 2;

/// Whether this process may mount.
pub(crate) fn can_bound() -> bool {
    nix::unistd::geteuid().is_root()
}

/// What the volume's files are called.
fn name_of(volume: &Volume, spec: &str) -> String {
    match volume.kind {
        VolumeKind::Ephemeral => format!("{spec}~{}", volume.name),
        VolumeKind::Persistent | VolumeKind::Ram => volume.name.clone(),
    }
}

impl Inner {
    fn volumes_of(&self, lease: LeaseId) -> PathBuf {
        self.config.data_dir.join("volumes").join(self.names.short()).join(lease.to_string())
    }

    /// Makes a replica's volumes where they are missing, mounts them, and says how the container sees them.
    pub(crate) async fn prepare_volumes(
        &self,
        lease: LeaseId,
        service: &Service,
        replica: u32,
        spec: &str,
    ) -> Result<Vec<Mount>, RuntimeError> {
        let mut mounts = Vec::new();
        for volume in &service.volumes {
            let (typ, source) = match volume.kind {
                VolumeKind::Ram => (MountType::TMPFS, None),
                _ if can_bound() => {
                    let dir = self.volumes_of(lease).join(&service.name).join(replica.to_string());
                    let data = bounded(&dir, &name_of(volume, spec), volume.size_mib.max(SMALLEST)).await?;
                    (MountType::BIND, Some(data.to_string_lossy().into_owned()))
                }
                _ => (
                    MountType::VOLUME,
                    Some(self.engine_volume(lease, service, replica, &name_of(volume, spec)).await?),
                ),
            };
            let bytes = i64::from(volume.size_mib) << 20;
            let memory =
                MountTmpfsOptions { size_bytes: Some(bytes), mode: Some(0o1777), ..Default::default() };
            mounts.push(Mount {
                tmpfs_options: (typ == MountType::TMPFS).then_some(memory),
                typ: Some(typ),
                source,
                target: Some(volume.path.clone()),
                read_only: Some(volume.read_only),
                ..Default::default()
            });
        }
        if !mounts.is_empty() {
            fail_point("docker.after_volume");
        }
        Ok(mounts)
    }

    async fn engine_volume(
        &self,
        lease: LeaseId,
        service: &Service,
        replica: u32,
        name: &str,
    ) -> Result<String, RuntimeError> {
        let short = self.names.short();
        let name = format!("iono-{short}-{lease}-{}-{replica}-{}", service.name, name.replace('~', "-"));
        let labels = Some(self.names.labels(lease, "volume"));
        let request = VolumeCreateRequest { name: Some(name.clone()), labels, ..Default::default() };
        self.engine.docker()?.create_volume(request).await.map_err(sort)?;
        Ok(name)
    }

    /// Removes the ephemeral volumes of a container that is gone.
    pub(crate) async fn remove_ephemeral(
        &self,
        lease: LeaseId,
        service: &str,
        replica: u32,
        spec: &str,
    ) -> Result<(), RuntimeError> {
        let dir = self.volumes_of(lease).join(service).join(replica.to_string());
        let prefix = format!("{spec}~");
        discard(&dir, |name| name.starts_with(&prefix)).await
    }

    /// Removes the volumes that the workload no longer names.
    pub(crate) async fn remove_unnamed(&self, workload: &Workload) -> Result<(), RuntimeError> {
        let root = self.volumes_of(workload.lease);
        for service_dir in entries(&root)? {
            let service = workload.services.iter().find(|service| is_named(&service_dir, &service.name));
            for replica_dir in entries(&service_dir)? {
                let keep = |name: &str| {
                    let Some(service) = service else { return false };
                    let index =
                        replica_dir.file_name().and_then(|n| n.to_str()).and_then(|n| n.parse::<u32>().ok());
                    let in_range = index.is_some_and(|index| index < service.replicas);
                    let volume = name.split_once('~').map_or(name, |(_, volume)| volume);
                    in_range && service.volumes.iter().any(|known| known.name == volume)
                };
                discard(&replica_dir, |name| !keep(name)).await?;
            }
        }
        Ok(())
    }

    /// Removes all volumes of a lease.
    pub(crate) async fn remove_volumes(&self, lease: LeaseId) -> Result<(), RuntimeError> {
        let root = self.volumes_of(lease);
        for service in entries(&root)? {
            for replica in entries(&service)? {
                discard(&replica, |_| true).await?;
            }
        }
        match fs::remove_dir_all(&root) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed("remove", &root, &error)),
            _ => {}
        }
        let docker = self.engine.docker()?;
        let mut filters = self.names.filter(Some(lease));
        let kind = labels::of_kind("volume");
        filters.entry("label".to_owned()).or_default().push(kind);
        let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
        let listed = docker.list_volumes(Some(options)).await.map_err(sort)?;
        for volume in listed.volumes.unwrap_or_default() {
            or_gone(docker.remove_volume(&volume.name, None::<RemoveVolumeOptions>).await)?;
        }
        Ok(())
    }

    /// The leases that have volumes in the data directory.
    pub(crate) fn leases_with_volumes(&self) -> Result<Vec<LeaseId>, RuntimeError> {
        let root = self.config.data_dir.join("volumes").join(self.names.short());
        let names = entries(&root)?.into_iter();
        Ok(names.filter_map(|path| path.file_name()?.to_str()?.parse().ok()).collect())
    }
}

fn is_named(path: &Path, name: &str) -> bool {
    path.file_name().is_some_and(|file| file == name)
}

/// The entries of a directory; none when it is not there.
pub(crate) fn entries(dir: &Path) -> Result<Vec<PathBuf>, RuntimeError> {
    let read = match fs::read_dir(dir) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        other => other.map_err(|error| failed("read", dir, &error))?,
    };
    let paths = read.map(|entry| entry.map(|entry| entry.path()));
    paths.collect::<Result<_, _>>().map_err(|error| failed("read", dir, &error))
}

/// Makes, grows and mounts one volume; returns the directory for the container.
async fn bounded(dir: &Path, name: &str, size_mib: u32) -> Result<PathBuf, RuntimeError> {
    let (image, mount) = (dir.join(format!("{name}.img")), dir.join(name));
    let size = u64::from(size_mib) * MIB;
    fs::create_dir_all(&mount).map_err(|error| failed("create", &mount, &error))?;
    match fs::metadata(&image).map(|meta| meta.len()) {
        Err(error) if error.kind() == ErrorKind::NotFound => make(&image, size).await?,
        Err(error) => return Err(failed("read", &image, &error)),
        Ok(now) if now > size => {
            let text = format!("the volume `{name}` cannot shrink from {} to {size_mib} MiB", now / MIB);
            return Err(RuntimeError::Refused(text));
        }
        Ok(now) if now < size => grow(&image, &mount, size).await?,
        Ok(_) => {}
    }
    if !is_mounted(&mount)?
        && let Err(error) = run("mount", &["-o", "loop,nosuid,nodev"], &[&image, &mount]).await
        // The program outlives a killed run of ours, and may be there first.
        && !is_mounted(&mount)?
    {
        return Err(error);
    }
    let data = mount.join("data");
    if !data.exists() {
        // Whatever user the image runs as: nobody else on the node gets past the parent directory.
        fs::create_dir(&data).map_err(|error| failed("create", &data, &error))?;
        fs::set_permissions(&data, fs::Permissions::from_mode(0o777))
            .map_err(|error| failed("open", &data, &error))?;
    }
    Ok(data)
}

/// Formats beside and renames: a crash leaves no half-made file system. The space is taken at once, so that a volume
/// that was promised can be filled.
async fn make(image: &Path, size: u64) -> Result<(), RuntimeError> {
    let beside = image.with_extension("new");
    allocate(&beside, size)?;
    let options = ["-q", "-F", "-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1,nodiscard"];
    if let Err(error) = run("mkfs.ext4", &options, &[&beside]).await {
        drop(fs::remove_file(&beside));
        return Err(error);
    }
    fs::rename(&beside, image).map_err(|error| failed("rename", &beside, &error))
}

/// Grows a volume while nobody uses it: a service with a writable volume is stopped before its next generation starts.
async fn grow(image: &Path, mount: &Path, size: u64) -> Result<(), RuntimeError> {
    unmount(mount).await?;
    allocate(image, size)?;
    run("e2fsck", &["-p", "-f"], &[image]).await?;
    run("resize2fs", &[], &[image]).await
}

fn allocate(path: &Path, size: u64) -> Result<(), RuntimeError> {
    let problem = |error: std::io::Error| failed("allocate", path, &error);
    let file = fs::OpenOptions::new().create(true).truncate(false).write(true).open(path).map_err(problem)?;
    let length = i64::try_from(size).map_err(|_| problem(ErrorKind::FileTooLarge.into()))?;
    match fallocate(&file, FallocateFlags::empty(), 0, length) {
        Ok(()) => Ok(()),
        // A file system without preallocation: the size is bounded all the same, only not promised.
        Err(nix::errno::Errno::EOPNOTSUPP) => file.set_len(size).map_err(problem),
        Err(error) => {
            drop(fs::remove_file(path));
            Err(problem(error.into()))
        }
    }
}

/// Unmounts and removes the volumes in `dir` whose name is `wanted`.
async fn discard(dir: &Path, wanted: impl Fn(&str) -> bool) -> Result<(), RuntimeError> {
    for path in entries(dir)? {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let volume = name.strip_suffix(".img").or_else(|| name.strip_suffix(".new")).unwrap_or(name);
        if !wanted(volume) {
            continue;
        }
        if path.is_dir() {
            unmount(&path).await?;
            fs::remove_dir_all(&path).map_err(|error| failed("remove", &path, &error))?;
        } else {
            // Its mount has to go before it; directories sort nowhere in particular.
            unmount(&dir.join(volume)).await?;
            fs::remove_file(&path).map_err(|error| failed("remove", &path, &error))?;
        }
    }
    Ok(())
}

/// Unmounts whatever is mounted there, however often.
async fn unmount(path: &Path) -> Result<(), RuntimeError> {
    while is_mounted(path)? {
        run("umount", &[], &[path]).await?;
    }
    Ok(())
}

fn is_mounted(path: &Path) -> Result<bool, RuntimeError> {
    Ok(mounts()?.iter().any(|(_, target)| target == path))
}

/// Sources and targets of all mounts. Paths of ours hold no character that the kernel would escape, if the data
/// directory's holds none.
fn mounts() -> Result<Vec<(String, PathBuf)>, RuntimeError> {
    let table = Path::new("/proc/self/mounts");
    let text = fs::read_to_string(table).map_err(|error| failed("read", table, &error))?;
    let line = |line: &str| {
        let mut fields = line.split(' ');
        Some((fields.next()?.to_owned(), PathBuf::from(fields.next()?.replace("\\040", " "))))
    };
    Ok(text.lines().filter_map(line).collect())
}

async fn run(program: &str, options: &[&str], paths: &[&Path]) -> Result<(), RuntimeError> {
    let output = Command::new(program).args(options).args(paths).output().await;
    let output = output.map_err(|error| RuntimeError::Engine(format!("cannot run {program}: {error}")))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if text.contains("No space left") {
        return Err(RuntimeError::NoSpace(format!("{program}: {text}")));
    }
    Err(RuntimeError::Engine(format!("{program} failed: {text}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn holds_its_size_survives_and_grows_but_never_shrinks() {
        assert!(can_bound(), "volumes are mounted: this test runs as root");
        let dir = tempfile::tempdir().unwrap();
        let data = bounded(dir.path(), "db", 8).await.unwrap();
        fs::write(data.join("kept"), "x").unwrap();
        let full = fs::write(data.join("filler"), vec![1; 16 << 20]);
        assert_eq!(full.unwrap_err().kind(), ErrorKind::StorageFull);
        run("umount", &[], &[&dir.path().join("db")]).await.unwrap();
        assert!(!data.exists());
        assert_eq!(bounded(dir.path(), "db", 32).await.unwrap(), data);
        assert_eq!(fs::read_to_string(data.join("kept")).unwrap(), "x");
        fs::write(data.join("filler"), vec![1; 16 << 20]).unwrap();
        assert!(matches!(bounded(dir.path(), "db", 8).await, Err(RuntimeError::Refused(_))));
        discard(dir.path(), |name| name == "db").await.unwrap();
        assert!(entries(dir.path()).unwrap().is_empty());
    }

    #[test]
    fn says_when_the_disk_is_full() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("big");
        let result = allocate(&path, 1 << 50);
        assert!(matches!(result, Err(RuntimeError::NoSpace(_))), "{result:?}");
        assert!(!path.exists());
    }
}
