//! Packs replicas onto machines: groups that are hardest to place first, each replica where least room is left over, so
//! that large holes stay for large orders. First fit on that order; deterministic.

use std::cmp::Reverse;

use iono_primitives::{GpuModel, Group};
use serde::{Deserialize, Serialize};

use crate::misfit::{Misfit, explain};
use crate::node::{Capacity, Demand, Node};

/// Where the replicas of an order go and what they take there.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Assignment {
    /// For every group the machines of its replicas, by name.
    pub replicas: Vec<Vec<String>>,
    /// Per machine, the sum of what is taken from it.
    pub taken: Vec<(String, Capacity)>,
}

/// Finds a place for every replica of every group.
///
/// # Errors
/// [`Misfit`] for the first replica without a place: which dimension, how much, on which machine.
pub fn place(nodes: &[Node], groups: &[Group], gpu_model: GpuModel) -> Result<Assignment, Misfit> {
    let mut nodes = nodes.to_vec();
    let mut assignment = Assignment { replicas: vec![Vec::new(); groups.len()], taken: Vec::new() };
    let mut order: Vec<usize> = (0..groups.len()).collect();
    order.sort_by_key(|group| {
        let group = &groups[*group];
        Reverse((
            group.gpus,
            group.memory,
            group.cpu,
            group.storage_class,
            group.ephemeral.saturating_add(group.persistent),
        ))
    });
    for index in order {
        let demand = Demand::of(&groups[index], gpu_model);
        for placed in 0..groups[index].count {
            let fitting = nodes.iter().enumerate().filter_map(|(at, node)| {
                let mut left = node.free.clone();
                left.take(&demand).map(|taken| (rank(&left, &demand), at, taken))
            });
            let Some((_, at, taken)) = fitting.min_by_key(|(rank, at, _)| (*rank, *at)) else {
                return Err(explain(&nodes, &demand, index, placed));
            };
            let fits = nodes[at].free.subtract(&taken);
            debug_assert!(fits, "the same machine had room a moment ago");
            let name = nodes[at].name.clone();
            match assignment.taken.iter_mut().find(|(known, _)| *known == name) {
                Some((_, sum)) => sum.add(&taken),
                None => assignment.taken.push((name.clone(), taken)),
            }
            assignment.replicas[index].push(name);
        }
    }
    Ok(assignment)
}

/// Room left over: machines without GPUs first for what needs none, then the fullest.
fn rank(left: &Capacity, demand: &Demand) -> (u32, u64, u64) {
    let idle_gpus = if demand.gpus == 0 { left.gpus.values().sum() } else { 0 };
    (idle_gpus, left.memory, left.cpu)
}

#[cfg(test)]
mod tests {
    use iono_primitives::StorageClass;
    use proptest::prelude::*;

    use super::*;

    fn node(name: &str, cpu: u64, memory: u64, nvme: u64, gpus: &[(&str, u32)]) -> Node {
        let gpus = gpus.iter().map(|(model, count)| (model.parse().unwrap(), *count)).collect();
        Node {
            name: name.into(),
            free: Capacity { cpu, memory, storage: [(StorageClass::Nvme, nvme)].into(), gpus },
        }
    }

    fn group(count: u16, cpu: u32, memory: u32, ephemeral: u32, gpus: u8) -> Group {
        Group { count, cpu, memory, ephemeral, gpus, ..Group::default() }
    }

    fn a100() -> GpuModel {
        "a100".parse().unwrap()
    }

    #[test]
    fn the_dimension_and_amount_are_named() {
        let nodes = [
            node("big", 64_000, 262_144, 1 << 20, &[]),
            node("gpu-1", 16_000, 32_768, 1 << 20, &[("a100-sxm-80gi", 1)]),
        ];
        let why = |group: Group| place(&nodes, &[group], a100()).unwrap_err().to_string();
        assert_eq!(
            why(group(1, 1_000, 35_840, 1_024, 1)),
            "memory 3 GiB short on the only node with an a100 (gpu-1)"
        );
        assert_eq!(why(group(1, 1_000, 1_024, 1_024, 2)), "1 a100 GPU short on gpu-1, the best of 2 nodes");
        assert_eq!(
            why(group(2, 1_000, 1_024, 1_024, 1)),
            "1 a100 GPU short on big, the best of 2 nodes, after 1 replica found a place"
        );
        assert_eq!(why(group(1, 65_500, 1_024, 1_024, 0)), "CPU 1.5 short on big, the best of 2 nodes");
        let hdd = Group { storage_class: StorageClass::Nvme, ephemeral: 2 << 20, ..group(1, 1, 1, 0, 0) };
        assert_eq!(why(hdd), "nvme storage 1024 GiB short on big, the best of 2 nodes");
        assert_eq!(
            place(&[], &[group(1, 1, 1, 1, 0)], GpuModel::ANY).unwrap_err().to_string(),
            "there is no node"
        );
    }

    #[test]
    fn work_without_gpus_leaves_them_free() {
        let nodes =
            [node("gpu", 8_000, 8_192, 8_192, &[("h100", 8)]), node("plain", 8_000, 8_192, 8_192, &[])];
        let placed = place(&nodes, &[group(1, 1_000, 1_024, 1_024, 0)], GpuModel::ANY).unwrap();
        assert_eq!(placed.replicas, [["plain"]]);
    }

    #[test]
    fn a_faster_disk_serves_a_slower_class_but_not_the_other_way() {
        let mut fast = node("fast", 1_000, 1_024, 4_096, &[]);
        let wants_ssd = Group { storage_class: StorageClass::Ssd, ..group(1, 100, 100, 1_024, 0) };
        assert!(place(std::slice::from_ref(&fast), &[wants_ssd], GpuModel::ANY).is_ok());
        fast.free.storage = [(StorageClass::Hdd, 4_096)].into();
        assert!(place(&[fast], &[wants_ssd], GpuModel::ANY).is_err());
    }

    proptest! {
        #[test]
        fn what_is_assigned_was_free(
            shapes in prop::collection::vec((0u64..16_000, 0u64..16_384, 0u64..65_536, 0u32..4), 0..5),
            wants in prop::collection::vec((1u16..4, 1u32..8_000, 1u32..8_192, 0u32..32_768, 0u8..3), 1..6),
        ) {
            let nodes: Vec<Node> = shapes.iter().enumerate().map(|(at, (cpu, memory, disk, gpus))| {
                node(&format!("n{at}"), *cpu, *memory, *disk, &[("a100", *gpus)])
            }).collect();
            let groups: Vec<Group> = wants.iter().map(|(n, cpu, memory, disk, gpus)| group(*n, *cpu, *memory, *disk, *gpus)).collect();
            match place(&nodes, &groups, a100()) {
                Ok(assignment) => {
                    let mut free = nodes.clone();
                    for (name, taken) in &assignment.taken {
                        let node = free.iter_mut().find(|node| node.name == *name).unwrap();
                        prop_assert!(node.free.subtract(taken));
                    }
                    for (group, replicas) in groups.iter().zip(&assignment.replicas) {
                        prop_assert_eq!(usize::from(group.count), replicas.len());
                    }
                    let cpu: u64 = assignment.taken.iter().map(|(_, taken)| taken.cpu).sum();
                    let wanted: u64 = groups.iter().map(|group| u64::from(group.count) * u64::from(group.cpu)).sum();
                    prop_assert_eq!(cpu, wanted);
                }
                Err(misfit) => {
                    prop_assert!(misfit.short > 0);
                    prop_assert!(misfit.node.is_some() || nodes.is_empty());
                }
            }
        }
    }
}
