//! Why an order does not fit, naming the dimension, the amount and the machine that comes closest.

use std::fmt;

use iono_primitives::{GpuModel, StorageClass};

use crate::node::{Demand, Node};

/// What is short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dimension {
    /// Millicores.
    Cpu,
    /// MiB.
    Memory,
    /// MiB of disk of at least this class.
    Storage(StorageClass),
    /// Devices of this model.
    Gpu(GpuModel),
}

/// An order that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Misfit {
    /// What excludes it on the machine that comes closest.
    pub dimension: Dimension,
    /// How much of it is missing there, in the dimension's unit.
    pub short: u64,
    /// That machine; `None` when there is no machine at all.
    pub node: Option<String>,
    /// Machines that have everything else that sets one apart (the GPUs); 1 makes it "the only node with …".
    pub candidates: usize,
    /// GPUs per replica that the order asks for.
    pub gpus: u32,
    /// Model that it asks for.
    pub gpu_model: GpuModel,
    /// The group in question, counted from 0.
    pub group: usize,
    /// Replicas of that group that found a place before.
    pub placed: u16,
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(node) = &self.node else { return f.write_str("there is no node") };
        match self.dimension {
            Dimension::Cpu => write!(f, "CPU {} short", cores(self.short))?,
            Dimension::Memory => write!(f, "memory {} short", size(self.short))?,
            Dimension::Storage(StorageClass::Any) => write!(f, "storage {} short", size(self.short))?,
            Dimension::Storage(class) => {
                write!(f, "{} storage {} short", format!("{class:?}").to_lowercase(), size(self.short))?;
            }
            Dimension::Gpu(model) => {
                let plural = if self.short == 1 { "" } else { "s" };
                write!(f, "{} {}GPU{plural} short", self.short, named(model))?;
            }
        }
        let gpu_decided = self.gpus > 0 && !matches!(self.dimension, Dimension::Gpu(_));
        match (gpu_decided, self.candidates) {
            (true, 1) => write!(f, " on the only node with {} ({node})", article(self.gpus, self.gpu_model))?,
            (true, several) => {
                let what = article(self.gpus, self.gpu_model);
                write!(f, " on {node}, the best of {several} nodes with {what}")?;
            }
            (false, 1) => write!(f, " on the only node ({node})")?,
            (false, several) => write!(f, " on {node}, the best of {several} nodes")?,
        }
        match self.placed {
            0 => Ok(()),
            1 => f.write_str(", after 1 replica found a place"),
            many => write!(f, ", after {many} replicas found a place"),
        }
    }
}

/// Finds what is short on the machine that comes closest: fewest dimensions short, then the smallest share missing.
pub(crate) fn explain(nodes: &[Node], demand: &Demand, group: usize, placed: u16) -> Misfit {
    let with_gpus: Vec<&Node> = nodes
        .iter()
        .filter(|node| demand.gpus > 0 && gpus_in_one_model(node, demand) >= demand.gpus)
        .collect();
    let candidates: Vec<&Node> = if with_gpus.is_empty() { nodes.iter().collect() } else { with_gpus };
    let best = candidates
        .iter()
        .filter_map(|node| {
            let short = shortages(node, demand);
            let (dimension, missing, wanted) = *short.first()?;
            Some((
                (short.len(), missing.saturating_mul(1_000) / wanted.max(1)),
                dimension,
                missing,
                node.name.clone(),
            ))
        })
        .min_by_key(|(rank, ..)| *rank);
    let (dimension, short, node) = match best {
        Some((_, dimension, short, name)) => (dimension, short, Some(name)),
        None => (Dimension::Cpu, demand.cpu, None),
    };
    let candidates = candidates.len();
    Misfit {
        dimension,
        short,
        node,
        candidates,
        gpus: demand.gpus,
        gpu_model: demand.gpu_model,
        group,
        placed,
    }
}

/// GPUs of a replica are of one model.
fn gpus_in_one_model(node: &Node, demand: &Demand) -> u32 {
    let matching = node.free.gpus.iter().filter(|(model, _)| model.satisfies(&demand.gpu_model));
    matching.map(|(_, count)| *count).max().unwrap_or(0)
}

/// Disk of a replica is of one class.
fn storage_in_one_class(node: &Node, demand: &Demand) -> u64 {
    node.free.storage.range(demand.storage_class..).map(|(_, size)| *size).max().unwrap_or(0)
}

/// What a machine lacks, the largest share first, each with the amount missing and wanted.
fn shortages(node: &Node, demand: &Demand) -> Vec<(Dimension, u64, u64)> {
    let pairs = [
        (Dimension::Cpu, demand.cpu, node.free.cpu),
        (Dimension::Memory, demand.memory, node.free.memory),
        (Dimension::Storage(demand.storage_class), demand.storage, storage_in_one_class(node, demand)),
        (
            Dimension::Gpu(demand.gpu_model),
            u64::from(demand.gpus),
            u64::from(gpus_in_one_model(node, demand)),
        ),
    ];
    let mut short: Vec<_> = pairs
        .into_iter()
        .filter(|(_, wanted, free)| wanted > free)
        .map(|(dimension, wanted, free)| (dimension, wanted - free, wanted))
        .collect();
    short.sort_by_key(|(_, missing, wanted)| {
        std::cmp::Reverse(missing.saturating_mul(1_000) / (*wanted).max(1))
    });
    short
}

fn named(model: GpuModel) -> String {
    if model == GpuModel::ANY { String::new() } else { format!("{} ", model.as_str()) }
}

/// `an a100`, `2 h100`, `a GPU`.
fn article(gpus: u32, model: GpuModel) -> String {
    let name = model.as_str();
    match (gpus, name) {
        (1, "") => "a GPU".into(),
        (1, name) if name.starts_with(['a', 'h', 'l', 'm', 'r']) => format!("an {name}"),
        (1, name) => format!("a {name}"),
        (many, "") => format!("{many} GPUs"),
        (many, name) => format!("{many} {name}"),
    }
}

fn cores(millicores: u64) -> String {
    let text = format!("{}.{:03}", millicores / 1_000, millicores % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn size(mebibytes: u64) -> String {
    if mebibytes >= 1_024 && mebibytes.is_multiple_of(1_024) {
        format!("{} GiB", mebibytes / 1_024)
    } else if mebibytes >= 10 * 1_024 {
        format!("{:.1} GiB", mebibytes as f64 / 1_024.0)
    } else {
        format!("{mebibytes} MiB")
    }
}
