//! Secrets as files in a tmpfs of the host, mounted into the container one by one, read-only. They never touch a disk
//! and are gone after a reboot; the next apply writes them again.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use bollard::models::{Mount, MountType};
use iono_primitives::LeaseId;
use iono_runtime::{RuntimeError, Service, failed};
use nix::sys::statfs::{TMPFS_MAGIC, statfs};

use crate::inner::Inner;
use crate::volumes::entries;

/// Where memory-backed file systems usually are.
const CANDIDATES: [&str; 2] = ["/run", "/dev/shm"];

/// The directory for secrets, or why there is none.
pub(crate) fn find_memory_dir(configured: Option<&Path>) -> Result<PathBuf, String> {
    let in_memory = |path: &Path| statfs(path).is_ok_and(|stat| stat.filesystem_type() == TMPFS_MAGIC);
    if let Some(path) = configured {
        let parent = path.ancestors().find(|path| path.exists()).unwrap_or(path);
        let problem = || format!("{} is not on a tmpfs; secrets would reach a disk", path.display());
        return if in_memory(parent) { Ok(path.to_owned()) } else { Err(problem()) };
    }
    let found = CANDIDATES.iter().map(Path::new).find(|path| in_memory(path));
    found.map(|path| path.join("ionosphere")).ok_or_else(|| "neither /run nor /dev/shm is a tmpfs".to_owned())
}

impl Inner {
    fn secrets_of(&self, lease: LeaseId) -> Result<PathBuf, RuntimeError> {
        let dir = self.memory_dir.as_ref().map_err(|why| RuntimeError::Refused(why.clone()))?;
        Ok(dir.join(self.names.short()).join(lease.to_string()))
    }

    /// Writes the service's secrets, named by the spec that they belong to, and says how they are mounted.
    pub(crate) fn write_secrets(
        &self,
        lease: LeaseId,
        service: &Service,
        spec: &str,
        user: &str,
    ) -> Result<Vec<Mount>, RuntimeError> {
        if service.secrets.is_empty() {
            return Ok(Vec::new());
        }
        let dir = self.secrets_of(lease)?.join(&service.name).join(spec);
        make_private(&dir).map_err(|error| failed("create", &dir, &error))?;
        let mut mounts = Vec::new();
        for (n, secret) in service.secrets.iter().enumerate() {
            let content = secret.bytes().ok_or_else(|| {
                RuntimeError::Refused(format!("the secret file {} is no base64 or too long", secret.path))
            })?;
            let path = dir.join(n.to_string());
            if !path.exists() {
                write(&path, &content, user).map_err(|error| failed("write", &path, &error))?;
            }
            mounts.push(Mount {
                typ: Some(MountType::BIND),
                source: Some(path.to_string_lossy().into_owned()),
                target: Some(secret.path.clone()),
                read_only: Some(true),
                ..Default::default()
            });
        }
        Ok(mounts)
    }

    /// Removes the secrets of generations other than these.
    pub(crate) fn prune_secrets(&self, lease: LeaseId, specs: &[&str]) -> Result<(), RuntimeError> {
        let Ok(dir) = self.secrets_of(lease) else { return Ok(()) };
        for service in entries(&dir)? {
            for generation in entries(&service)? {
                if !specs.iter().any(|spec| generation.ends_with(spec)) {
                    fs::remove_dir_all(&generation).map_err(|error| failed("remove", &generation, &error))?;
                }
            }
        }
        Ok(())
    }

    /// Removes the secrets of a lease.
    pub(crate) fn remove_secrets(&self, lease: LeaseId) -> Result<(), RuntimeError> {
        // Without a tmpfs none were ever written.
        let Ok(dir) = self.secrets_of(lease) else { return Ok(()) };
        match fs::remove_dir_all(&dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed("remove", &dir, &error)),
            _ => Ok(()),
        }
    }
}

/// Nobody on the host but root gets past this directory; in a container only its files appear.
pub(crate) fn make_private(dir: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Written beside and renamed: a crash leaves no half secret.
fn write(path: &Path, content: &[u8], user: &str) -> std::io::Result<()> {
    let beside = path.with_extension("new");
    let (mode, owner) = access(user);
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&beside)?;
    file.write_all(content)?;
    fs::set_permissions(&beside, std::os::unix::fs::PermissionsExt::from_mode(mode))?;
    if let Some(owner) = owner {
        chown(&beside, Some(owner), None)?;
    }
    fs::rename(&beside, path)
}

/// For the image's user alone. A user given by name is known only inside the image, so all users of the container
/// may read then.
fn access(user: &str) -> (u32, Option<u32>) {
    let name = user.split(':').next().unwrap_or("");
    match name.parse::<u32>() {
        Ok(id) => (0o400, Some(id)),
        Err(_) if name.is_empty() || name == "root" => (0o400, None),
        Err(_) => (0o444, None),
    }
}

#[cfg(test)]
mod tests {
    use super::access;

    #[test]
    fn only_the_images_user_reads() {
        assert_eq!(access(""), (0o400, None));
        assert_eq!(access("root:root"), (0o400, None));
        assert_eq!(access("1000:5"), (0o400, Some(1000)));
        assert_eq!(access("app"), (0o444, None));
    }
}
