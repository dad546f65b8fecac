//! Limits that a container or a service manager has put on this process: control groups of versions 1 and 2. A group is
//! bound by its own limit and by those of all groups above it.

use crate::Source;

/// Values from here on mean "no limit" in version 1 (the largest multiple of a page in 63 bits).
const UNLIMITED: u64 = 1 << 62;

/// Memory limit in bytes.
pub(crate) fn memory_limit(source: &Source) -> Option<u64> {
    let v2 = levels(source, "", "sys/fs/cgroup").into_iter().filter_map(|group| {
        let text = source.optional(&format!("{group}/memory.max"))?;
        text.parse::<u64>().ok()
    });
    let v1 = levels(source, "memory", "sys/fs/cgroup/memory").into_iter().filter_map(|group| {
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
    let v2 = levels(source, "", "sys/fs/cgroup").into_iter().filter_map(|group| {
        let text = source.optional(&format!("{group}/cpu.max"))?;
        let (quota, period) = text.split_once(' ')?;
        millicores(quota, period)
    });
    let mounts = ["sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu,cpuacct"];
    let v1 = mounts.into_iter().flat_map(|mount| levels(source, "cpu", mount)).filter_map(|group| {
        // A quota of −1 is none and does not parse.
        let quota = source.optional(&format!("{group}/cpu.cfs_quota_us"))?;
        let period = source.optional(&format!("{group}/cpu.cfs_period_us"))?;
        millicores(&quota, &period)
    });
    v2.chain(v1).min()
}

/// Folders of this process's group and all above it, for a controller of version 1 or, with an empty name, version 2.
/// Inside a container the path of `/proc/self/cgroup` may lie outside of what is mounted; then the mount is the group.
fn levels(source: &Source, controller: &str, mount: &str) -> Vec<String> {
    let groups = source.optional("proc/self/cgroup").unwrap_or_default();
    let path = groups.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let this = if controller.is_empty() {
            controllers.is_empty()
        } else {
            controllers.split(',').any(|known| known == controller)
        };
        this.then_some(path.trim_matches('/'))
    });
    let mut levels = vec![mount.to_owned()];
    for part in path.unwrap_or("").split('/').filter(|part| !part.is_empty() && *part != "..") {
        let below = format!("{}/{part}", levels[levels.len() - 1]);
        levels.push(below);
    }
    levels
}

#[cfg(test)]
mod tests {
    use crate::source::Source;

    use super::*;

    fn tree(files: &[(&str, &str)]) -> (tempfile::TempDir, Source) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let source = Source::at(folder.path());
        (folder, source)
    }

    #[test]
    fn version_2_takes_the_lowest_of_all_levels() {
        let (_folder, source) = tree(&[
            ("proc/self/cgroup", "0::/system.slice/iono.service\n"),
            ("sys/fs/cgroup/system.slice/memory.max", "4294967296\n"),
            ("sys/fs/cgroup/system.slice/iono.service/memory.max", "max\n"),
            ("sys/fs/cgroup/system.slice/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/system.slice/iono.service/cpu.max", "150000 100000\n"),
        ]);
        assert_eq!(memory_limit(&source), Some(4 << 30));
        assert_eq!(cpu_limit(&source), Some(1_500));
    }

    #[test]
    fn version_1_inside_a_container_uses_the_mount() {
        let (_folder, source) = tree(&[
            ("proc/self/cgroup", "4:memory:/docker/abc\n1:cpu,cpuacct:/docker/abc\n0::/\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "50000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
        ]);
        assert_eq!(memory_limit(&source), Some(1 << 30));
        assert_eq!(cpu_limit(&source), Some(500));
    }

    #[test]
    fn no_limit_is_no_limit() {
        let (_folder, source) = tree(&[
            ("proc/self/cgroup", "4:memory:/\n1:cpu:/\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
        ]);
        assert_eq!((memory_limit(&source), cpu_limit(&source)), (None, None));
    }
}
