//! AMD's GPUs from sysfs, as the `amdgpu` driver shows them.

use super::{Gpu, GpuSource, model_of};
use crate::Source;

/// AMD's PCI vendor id.
const VENDOR: &str = "0x1002";

/// Names by PCI device id, for cards whose driver does not tell a product name.
const NAMES: [(&str, &str); 14] = [
    ("0x740f", "MI210"),
    ("0x7408", "MI250X"),
    ("0x740c", "MI250X"),
    ("0x74a0", "MI300A"),
    ("0x74a1", "MI300X"),
    ("0x74a5", "MI325X"),
    ("0x75a0", "MI350X"),
    ("0x75a3", "MI355X"),
    ("0x738c", "MI100"),
    ("0x744c", "RX 7900 XTX"),
    ("0x7448", "PRO W7900"),
    ("0x747e", "RX 7800 XT"),
    ("0x7550", "RX 9070 XT"),
    ("0x73bf", "RX 6900 XT"),
];

/// Cards below `/sys/class/drm`.
#[derive(Debug, Clone)]
pub struct AmdSysfs {
    source: Source,
}

impl AmdSysfs {
    /// Reads below this root.
    #[must_use]
    pub fn new(source: &Source) -> Self {
        Self { source: source.clone() }
    }

    fn card(&self, name: &str) -> Option<Gpu> {
        let device = format!("sys/class/drm/{name}/device");
        let text = |file: &str| self.source.optional(&format!("{device}/{file}"));
        if text("vendor")? != VENDOR {
            return None;
        }
        let memory = text("mem_info_vram_total")?.parse::<u64>().ok()? >> 20;
        let id = text("device")?;
        let known = NAMES.iter().find(|(known, _)| *known == id).map(|(_, name)| (*name).to_owned());
        let product = text("product_name").filter(|name| !name.is_empty());
        let name = product.or(known).unwrap_or_else(|| format!("amd{}", id.trim_start_matches("0x")));
        let address = text("uevent").and_then(|uevent| {
            uevent.lines().find_map(|line| line.strip_prefix("PCI_SLOT_NAME=").map(str::to_owned))
        });
        let model = model_of(&name, memory);
        Some(Gpu { vendor: "amd".into(), model, name, id: address.unwrap_or_default(), memory })
    }
}

impl GpuSource for AmdSysfs {
    fn gpus(&self) -> Vec<Gpu> {
        let names = self.source.names("sys/class/drm");
        // `card0-DP-1` is a socket of card0.
        let is_card =
            |name: &&String| name.strip_prefix("card").is_some_and(|rest| rest.parse::<u32>().is_ok());
        names.iter().filter(is_card).filter_map(|name| self.card(name)).collect()
    }
}
