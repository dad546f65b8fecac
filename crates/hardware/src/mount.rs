//! What is mounted where, as this process sees it (`/proc/self/mountinfo`).

use std::path::PathBuf;

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// `major:minor` of its device.
    pub(crate) device: String,
    /// The folder of the mounted file system that is seen at `at`.
    pub(crate) root: PathBuf,
    /// Where it is seen.
    pub(crate) at: PathBuf,
    /// The file system's type, such as `ext4` or `cgroup2`.
    pub(crate) kind: String,
    /// The file system's own options: for control groups of version 1 its controllers.
    pub(crate) options: String,
}

/// All mounts; of several at one place the last one is what is seen. Lines that are not understood are left out.
pub(crate) fn mounts(mountinfo: &str) -> Vec<Mount> {
    mountinfo.lines().filter_map(mount).collect()
}

fn mount(line: &str) -> Option<Mount> {
    // A number of optional fields ends with a dash.
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ').skip(2);
    let (device, root, at) = (before.next()?, before.next()?, before.next()?);
    let mut after = after.split(' ');
    let (kind, _source, options) = (after.next()?, after.next()?, after.next()?);
    Some(Mount {
        device: device.to_owned(),
        root: path(root),
        at: path(at),
        kind: kind.to_owned(),
        options: options.to_owned(),
    })
}

/// Blanks in paths are written as \040.
fn path(written: &str) -> PathBuf {
    PathBuf::from(written.replace("\\040", " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_whatever_is_between() {
        let text = "36 35 98:0 /mnt1 /mnt\\0402 rw,noatime master:1 shared:7 - ext3 /dev/root rw,errors=continue\n\
                    33 31 0:30 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct\n\
                    nonsense\n";
        let mounts = mounts(text);
        assert_eq!(mounts.len(), 2);
        assert_eq!((mounts[0].device.as_str(), mounts[0].kind.as_str()), ("98:0", "ext3"));
        assert_eq!((mounts[0].root.as_path(), mounts[0].at.as_path()), ("/mnt1".as_ref(), "/mnt 2".as_ref()));
        assert_eq!((mounts[1].kind.as_str(), mounts[1].options.as_str()), ("cgroup", "rw,cpu,cpuacct"));
    }
}
