//! NVIDIA's GPUs through its management library, loaded at run time.

use nvml_wrapper::Nvml as Library;
use nvml_wrapper::error::NvmlError;

use super::{Gpu, GpuSource, model_of};

/// The library `libnvidia-ml.so.1` of this machine; without it there are no such GPUs.
#[derive(Debug, Clone, Copy)]
pub struct Nvml;

impl GpuSource for Nvml {
    fn gpus(&self) -> Vec<Gpu> {
        let library = match Library::init() {
            Ok(library) => library,
            Err(NvmlError::LibloadingError(_) | NvmlError::LibraryNotFound | NvmlError::DriverNotLoaded) => {
                return Vec::new();
            }
            Err(why) => {
                tracing::warn!(%why, "NVIDIA's library cannot be used; its GPUs are not offered");
                return Vec::new();
            }
        };
        let count = library.device_count().unwrap_or(0);
        let read = |index| match device(&library, index) {
            Ok(gpu) => Some(gpu),
            Err(why) => {
                tracing::warn!(index, %why, "a GPU cannot be read and is not offered");
                None
            }
        };
        (0..count).filter_map(read).collect()
    }
}

fn device(library: &Library, index: u32) -> Result<Gpu, NvmlError> {
    let device = library.device_by_index(index)?;
    let name = device.name()?;
    let memory = device.memory_info()?.total >> 20;
    Ok(Gpu { vendor: "nvidia".into(), model: model_of(&name, memory), name, id: device.uuid()?, memory })
}
