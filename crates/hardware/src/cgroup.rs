//! Limits that a container or a service manager has put on this process: control groups of versions 1 and 2, wherever
//! they are mounted. A group is bound by its own limit and by those of all groups above it that can be seen.

use std::path::{Path, PathBuf};

use crate::Source;
use crate::mount::{Mount, mounts};

/// Values from here on mean "no limit" in version 1 (the largest multiple of a page in 63 bits).
const UNLIMITED: u64 = 1 << 62;

/// Memory limit in bytes.
pub(crate) fn memory_limit(source: &Source) -> Option<u64> {
    let v2 = groups(source, None).into_iter().filter_map(|group| {
        let text = source.optional(&format!("{group}/memory.max"))?;
        text.parse::<u64>().ok()
    });
    let v1 = groups(source, Some("memory")).into_iter().filter_map(|group| {
        let text = source.optional(&format!("{group}/memory.limit_in_bytes"))?;
        text.parse::<u64>().ok().filter(|bytes| *bytes < UNLIMITED)
    });
    v2.chain(v1).min()
}

/// CPU limit in millicores, rounded down, at least one.
pub(crate) fn cpu_limit(source: &Source) -> Option<u64> {
    let millicores = |quota: &str, period: &str| -> Option<u64> {
        let (quota, period): (u64, u64) = (quota.parse().ok()?, period.parse().ok()?);
        Some(quota.checked_mul(1_000)?.checked_div(period)?.max(1))
    };
    let v2 = groups(source, None).into_iter().filter_map(|group| {
        let text = source.optional(&format!("{group}/cpu.max"))?;
        let (quota, period) = text.split_once(' ')?;
        millicores(quota, period)
    });
    let v1 = groups(source, Some("cpu")).into_iter().filter_map(|group| {
        // A quota of −1 is none and does not parse.
        let quota = source.optional(&format!("{group}/cpu.cfs_quota_us"))?;
        let period = source.optional(&format!("{group}/cpu.cfs_period_us"))?;
        millicores(&quota, &period)
    });
    v2.chain(v1).min()
}

/// Folders of this process's group and all above it, for a controller of version 1, or for version 2.
fn groups(source: &Source, controller: Option<&str>) -> Vec<String> {
    let text = source.optional("proc/self/cgroup").unwrap_or_default();
    let own = text.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let this = match controller {
            None => controllers.is_empty(),
            Some(controller) => controllers.split(',').any(|known| known == controller),
        };
        this.then_some(Path::new(path))
    });
    let own = own.unwrap_or(Path::new("/"));
    let has_it = |mount: &Mount| match controller {
        None => mount.kind == "cgroup2",
        Some(controller) => {
            mount.kind == "cgroup" && mount.options.split(',').any(|known| known == controller)
        }
    };
    let mountinfo = source.optional("proc/self/mountinfo").unwrap_or_default();
    mounts(&mountinfo).iter().filter(|mount| has_it(mount)).flat_map(|mount| levels(mount, own)).collect()
}

/// What of the way down to the group `own` is seen through a mount. A container often sees its own group alone, under a
/// name that its process table does not know: then the mount is the group.
fn levels(mount: &Mount, own: &Path) -> Vec<String> {
    let mut folder: PathBuf = mount.at.clone();
    let mut levels = vec![folder.clone()];
    for part in own.strip_prefix(&mount.root).unwrap_or(Path::new("")) {
        folder.push(part);
        levels.push(folder.clone());
    }
    levels.iter().map(|level| level.display().to_string().trim_start_matches('/').to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use crate::source::Source;

    use super::*;

    /// Mounts as systemd, a container of version 1, and a hybrid of both make them.
    const V2: &str = "30 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
    const CONTAINER: &str = "\
        35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n\
        36 31 0:29 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n";
    const HYBRID: &str = "\
        35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
        36 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";

    fn tree(mounts: &str, files: &[(&str, &str)]) -> (tempfile::TempDir, Source) {
        let folder = tempfile::tempdir().unwrap();
        let mounts = [("proc/self/mountinfo", mounts)];
        for (path, text) in mounts.iter().chain(files) {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let source = Source::at(folder.path());
        (folder, source)
    }

    #[test]
    fn version_2_takes_the_lowest_of_all_levels() {
        let (_folder, source) = tree(
            V2,
            &[
                ("proc/self/cgroup", "0::/system.slice/iono.service\n"),
                ("sys/fs/cgroup/system.slice/memory.max", "4294967296\n"),
                ("sys/fs/cgroup/system.slice/iono.service/memory.max", "max\n"),
                ("sys/fs/cgroup/system.slice/cpu.max", "max 100000\n"),
                ("sys/fs/cgroup/system.slice/iono.service/cpu.max", "150000 100000\n"),
            ],
        );
        assert_eq!(memory_limit(&source), Some(4 << 30));
        assert_eq!(cpu_limit(&source), Some(1_500));
    }

    #[test]
    fn version_1_inside_a_container_begins_at_the_mount() {
        let groups = "4:memory:/docker/abc/inner\n1:cpu,cpuacct:/docker/other\n0::/\n";
        let (_folder, source) = tree(
            CONTAINER,
            &[
                ("proc/self/cgroup", groups),
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n"),
                ("sys/fs/cgroup/memory/inner/memory.limit_in_bytes", "536870912\n"),
                ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "50000\n"),
                ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
            ],
        );
        assert_eq!(memory_limit(&source), Some(512 << 20));
        assert_eq!(cpu_limit(&source), Some(500));
    }

    #[test]
    fn a_hybrid_has_its_limits_in_either_version() {
        let files = [
            ("proc/self/cgroup", "4:memory:/a\n1:cpu:/\n0::/b\n"),
            ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "1073741824\n"),
            ("sys/fs/cgroup/unified/b/cpu.max", "25000 100000\n"),
        ];
        let (_folder, source) = tree(HYBRID, &files);
        assert_eq!((memory_limit(&source), cpu_limit(&source)), (Some(1 << 30), Some(250)));
    }

    #[test]
    fn no_limit_is_no_limit() {
        let (_folder, source) = tree(
            HYBRID,
            &[
                ("proc/self/cgroup", "4:memory:/\n1:cpu:/\n"),
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
                ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
                ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
            ],
        );
        assert_eq!((memory_limit(&source), cpu_limit(&source)), (None, None));
    }
}
