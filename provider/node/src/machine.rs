//! What of a machine could be offered (SP-31), from what was found by itself.

use iono_hardware::Hardware;

use crate::capacity::{Gpu, Offer};

/// All that the machine has, before the owner's reserve.
#[must_use]
pub fn offer(found: &Hardware) -> Offer {
    let mebibytes = |bytes: u64| bytes / (1 << 20);
    Offer {
        cpu: found.cpu.millicores.into(),
        memory: mebibytes(found.memory.usable),
        storage: mebibytes(found.space.total),
        storage_class: found.space.class,
        gpus: found.gpus.iter().map(|gpu| Gpu { id: gpu.id.clone(), model: gpu.model }).collect(),
    }
}
