//! What a machine is made of, found by itself (SP-31): CPU and memory within the limits that it really has, disks with
//! their class, the space under a folder, GPUs.
//!
//! What a machine has and how it is comes from `/proc` and `/sys` below a root that tests replace; NVIDIA's GPUs from
//! its own library, whose absence is no error. What a machine does is measured.

mod cgroup;
mod condition;
mod cpu;
mod disk;
mod gpu;
mod measure;
mod memory;
mod mount;
mod report;
mod source;

use std::path::Path;

use serde::{Deserialize, Serialize};

pub use condition::Condition;
pub use cpu::Cpu;
pub use disk::{Disk, Space};
pub use gpu::{Gpu, GpuSource, amd::AmdSysfs, model_of, nvidia::Nvml, undriven::Undriven};
pub use measure::{compute_score, write_speed};
pub use memory::Memory;
pub use report::{AGENT_PORT, Found, Measured, Reach, Report};
pub use source::{HardwareError, Source};

/// A machine as it is found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hardware {
    /// Processors.
    pub cpu: Cpu,
    /// Main memory.
    pub memory: Memory,
    /// Physical and virtual disks; no loop, RAM or mapped devices.
    pub disks: Vec<Disk>,
    /// The file system that workloads are stored on.
    pub space: Space,
    /// Accelerators.
    pub gpus: Vec<Gpu>,
}

impl Hardware {
    /// Looks at this machine. `data` is a folder on the file system that workloads will be stored on.
    ///
    /// # Errors
    /// [`HardwareError`] when `/proc` or `/sys` cannot be read. GPUs that cannot be read are logged and left out.
    pub fn discover(data: &Path) -> Result<Self, HardwareError> {
        let source = Source::system();
        let amd = AmdSysfs::new(&source);
        Self::discover_from(&source, data, &[&Nvml, &amd])
    }

    /// The same from another root and other sources of GPUs.
    ///
    /// # Errors
    /// As [`Hardware::discover`].
    pub fn discover_from(
        source: &Source,
        data: &Path,
        gpus: &[&dyn GpuSource],
    ) -> Result<Self, HardwareError> {
        Ok(Self {
            cpu: Cpu::read(source)?,
            memory: Memory::read(source)?,
            disks: Disk::read_all(source)?,
            space: Space::read(source, data)?,
            gpus: gpus.iter().flat_map(|gpus| gpus.gpus()).collect(),
        })
    }
}
