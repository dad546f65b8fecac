//! Processors: how many this process may use, and at most how much of them.

use serde::{Deserialize, Serialize};

use crate::{HardwareError, Source, cgroup};

/// Processors of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cpu {
    /// As the processor names itself.
    pub model: String,
    /// Hardware threads that are online and allowed: what `nproc` says.
    pub threads: u32,
    /// Limit of the control group in millicores, if there is one.
    pub limit: Option<u32>,
    /// Millicores that can be used: threads, or the limit if that is less.
    pub millicores: u32,
}

impl Cpu {
    pub(crate) fn read(source: &Source) -> Result<Self, HardwareError> {
        let status = source.read("proc/self/status")?;
        let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        let allowed = allowed.and_then(|list| ranges(list.trim()));
        let allowed = allowed.ok_or_else(|| source.malformed("proc/self/status", "Cpus_allowed_list"))?;
        let online = source.read("sys/devices/system/cpu/online")?;
        let online = ranges(online.trim());
        let online =
            online.ok_or_else(|| source.malformed("sys/devices/system/cpu/online", "a list of CPUs"))?;
        let overlap = |a: &(u32, u32), b: &(u32, u32)| (a.1.min(b.1) + 1).saturating_sub(a.0.max(b.0));
        let threads: u32 = allowed.iter().flat_map(|a| online.iter().map(move |b| overlap(a, b))).sum();
        let limit = cgroup::cpu_limit(source).and_then(|limit| u32::try_from(limit).ok());
        let all = threads.saturating_mul(1_000);
        let info = source.read("proc/cpuinfo")?;
        let names = ["model name", "Model", "Hardware", "cpu model"];
        let named = |name: &str| {
            info.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                (key.trim() == name).then(|| value.trim().to_owned())
            })
        };
        let model = names.into_iter().find_map(named).unwrap_or_else(|| "unknown".into());
        Ok(Self { model, threads, limit, millicores: limit.map_or(all, |limit| limit.min(all)) })
    }
}

/// `0-3,8` as pairs of first and last.
fn ranges(list: &str) -> Option<Vec<(u32, u32)>> {
    let pair = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        (first <= last && last < 1 << 16).then_some((first, last))
    };
    list.split(',').map(pair).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lists_of_cpus() {
        assert_eq!(ranges("0-3,8"), Some(vec![(0, 3), (8, 8)]));
        for bad in ["", "a", "3-1", "0-", "0,,1", "0-99999999"] {
            assert_eq!(ranges(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_lists_never_panic(list in "[0-9,\\-]{0,30}") {
            let _ = ranges(&list);
        }
    }
}
