//! GPUs: one trait, a source per vendor, and the market's names for models.

pub(crate) mod amd;
pub(crate) mod nvidia;
pub(crate) mod undriven;

use iono_primitives::GpuModel;
use serde::{Deserialize, Serialize};

/// A device that workloads can be given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gpu {
    /// `nvidia` or `amd`.
    pub vendor: String,
    /// As the market calls it, with interface and memory: `a100-sxm-80gi`.
    pub model: GpuModel,
    /// As the vendor calls it.
    pub name: String,
    /// What the vendor's tools address it by: NVIDIA's UUID, AMD's PCI address.
    pub id: String,
    /// MiB of its memory.
    pub memory: u64,
}

/// Somewhere GPUs are found.
pub trait GpuSource {
    /// All that can be read; problems with single devices are logged.
    fn gpus(&self) -> Vec<Gpu>;
}

/// Memory sizes that cards are sold with, in GiB. Drivers report less than is on the card, since error correction and
/// firmware take their share.
const SOLD: [u64; 27] = [
    2, 3, 4, 5, 6, 8, 10, 11, 12, 16, 20, 24, 32, 40, 45, 48, 64, 80, 94, 96, 128, 141, 144, 180, 192, 256,
    288,
];

/// The market's name for a card: its own name without the vendor's decoration, then interface and memory in GiB. What
/// does not fit 16 characters is left out, interface first.
#[must_use]
pub fn model_of(name: &str, memory: u64) -> GpuModel {
    let lower = name.to_ascii_lowercase();
    let words = lower.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let (mut base, mut interface, mut ada) = (String::new(), "", "");
    for word in words {
        match word {
            "ada" => ada = "-ada",
            "pcie" | "nvl" => interface = "-pcie",
            // H100 and its kin come with this memory on SXM boards; their PCIe cards say so in their names.
            "hbm3" | "hbm3e" => interface = if interface.is_empty() { "-sxm" } else { interface },
            sxm if sxm.starts_with("sxm") => interface = "-sxm",
            "nvidia" | "geforce" | "tesla" | "quadro" | "amd" | "radeon" | "instinct" | "generation"
            | "graphics" | "laptop" | "gpu" | "blackwell" | "workstation" | "server" | "edition" | "max"
            | "q" | "hbm2" | "hbm2e" => {}
            size if size.ends_with("gb") && size[..size.len() - 2].bytes().all(|b| b.is_ascii_digit()) => {}
            other => base.push_str(other),
        }
    }
    base.push_str(ada);
    let reported = memory.div_ceil(1_024);
    let sold =
        SOLD.into_iter().find(|sold| *sold >= reported.saturating_sub(reported / 100)).unwrap_or(reported);
    let size = if memory == 0 { String::new() } else { format!("-{sold}gi") };
    let candidates = [format!("{base}{interface}{size}"), format!("{base}{size}"), base];
    candidates.iter().find_map(|text| text.parse().ok()).unwrap_or(GpuModel::ANY)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn vendors_names_become_the_markets() {
        for (name, memory, model) in [
            ("NVIDIA A100-SXM4-80GB", 81_920, "a100-sxm-80gi"),
            ("NVIDIA A100 80GB PCIe", 81_920, "a100-pcie-80gi"),
            ("NVIDIA A100-PCIE-40GB", 40_960, "a100-pcie-40gi"),
            ("NVIDIA H100 80GB HBM3", 81_559, "h100-sxm-80gi"),
            ("NVIDIA H100 PCIe", 81_559, "h100-pcie-80gi"),
            ("NVIDIA H100 NVL", 95_830, "h100-pcie-94gi"),
            ("NVIDIA H200", 143_771, "h200-141gi"),
            ("NVIDIA GeForce RTX 4090", 24_564, "rtx4090-24gi"),
            ("NVIDIA GeForce RTX 3090 Ti", 24_564, "rtx3090ti-24gi"),
            ("NVIDIA RTX 6000 Ada Generation", 49_140, "rtx6000-ada-48gi"),
            ("NVIDIA RTX A6000", 49_140, "rtxa6000-48gi"),
            ("Tesla T4", 15_360, "t4-16gi"),
            ("Tesla V100-SXM2-16GB", 16_384, "v100-sxm-16gi"),
            ("NVIDIA A10", 23_028, "a10-24gi"),
            ("NVIDIA L40S", 46_068, "l40s-45gi"),
            ("Quadro RTX 8000", 49_152, "rtx8000-48gi"),
            ("NVIDIA GeForce GTX 1080 Ti", 11_264, "gtx1080ti-11gi"),
            ("AMD Instinct MI300X", 196_592, "mi300x-192gi"),
            ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", 97_887, "rtxpro6000-96gi"),
            ("", 0, ""),
        ] {
            assert_eq!(model_of(name, memory).as_str(), model, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_name_gives_a_model(name in "\\PC{0,80}", memory in 0u64..1 << 40) {
            let _ = model_of(&name, memory);
        }
    }
}
