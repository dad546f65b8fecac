//! What machines have and replicas need. All arithmetic is checked: nothing ever goes below zero.

use std::collections::BTreeMap;

use iono_primitives::{GpuModel, Group, StorageClass};
use serde::{Deserialize, Serialize};

/// GPUs by model.
pub type Gpus = BTreeMap<GpuModel, u32>;

/// Amounts of a machine: what it has, what is free, or what is used.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Capacity {
    /// Millicores.
    pub cpu: u64,
    /// MiB.
    pub memory: u64,
    /// MiB by class; [`StorageClass::Any`] is disk whose class is not known.
    pub storage: BTreeMap<StorageClass, u64>,
    /// Devices by model, with interface and memory in the name where they are known (`a100-sxm-80gi`).
    pub gpus: Gpus,
}

/// A machine that runs workloads.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Node {
    /// Its name, for people and assignments.
    pub name: String,
    /// What may still be given away.
    pub free: Capacity,
}

/// What one replica takes from one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    /// Millicores.
    pub cpu: u64,
    /// MiB.
    pub memory: u64,
    /// MiB, ephemeral and persistent together.
    pub storage: u64,
    /// Lowest class that will do.
    pub storage_class: StorageClass,
    /// Devices.
    pub gpus: u32,
    /// Model that they must have.
    pub gpu_model: GpuModel,
}

impl Demand {
    /// What one replica of a group needs; all GPUs of an order are of one model. At least a millicore and a MiB, so that
    /// an order of nothing, many times over, does not keep the packer busy.
    #[must_use]
    pub fn of(group: &Group, gpu_model: GpuModel) -> Self {
        Self {
            cpu: u64::from(group.cpu).max(1),
            memory: u64::from(group.memory).max(1),
            storage: u64::from(group.ephemeral) + u64::from(group.persistent),
            storage_class: group.storage_class,
            gpus: u32::from(group.gpus),
            gpu_model,
        }
    }
}

impl Capacity {
    /// MiB of disk of at least that class.
    #[must_use]
    pub fn storage_of(&self, class: StorageClass) -> u64 {
        self.storage.range(class..).fold(0, |sum, (_, size)| sum.saturating_add(*size))
    }

    /// GPUs that satisfy a model.
    #[must_use]
    pub fn gpus_of(&self, wanted: GpuModel) -> u32 {
        let matching = self.gpus.iter().filter(|(model, _)| model.satisfies(&wanted));
        matching.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// Takes a replica's demand out and says what was taken; nothing changes when it does not fit. One class of disk and
    /// one model of GPU serve a replica: the lowest class and the first model that have enough.
    pub(crate) fn take(&mut self, demand: &Demand) -> Option<Capacity> {
        let mut taken = Capacity { cpu: demand.cpu, memory: demand.memory, ..Capacity::default() };
        if demand.storage > 0 {
            let mut classes = self.storage.range(demand.storage_class..);
            let class = *classes.find(|(_, free)| **free >= demand.storage)?.0;
            taken.storage.insert(class, demand.storage);
        }
        if demand.gpus > 0 {
            let enough = |(model, count): &(&GpuModel, &u32)| {
                model.satisfies(&demand.gpu_model) && **count >= demand.gpus
            };
            let model = *self.gpus.iter().find(enough)?.0;
            taken.gpus.insert(model, demand.gpus);
        }
        self.subtract(&taken).then_some(taken)
    }

    /// Takes an amount out; `false`, and nothing changed, when something would go below zero.
    #[must_use]
    pub fn subtract(&mut self, amount: &Capacity) -> bool {
        let mut rest = self.clone();
        let fits = (|| {
            rest.cpu = rest.cpu.checked_sub(amount.cpu)?;
            rest.memory = rest.memory.checked_sub(amount.memory)?;
            for (class, size) in &amount.storage {
                if *size > 0 {
                    let free = rest.storage.get_mut(class)?;
                    *free = free.checked_sub(*size)?;
                }
            }
            for (model, count) in &amount.gpus {
                if *count > 0 {
                    let free = rest.gpus.get_mut(model)?;
                    *free = free.checked_sub(*count)?;
                }
            }
            Some(())
        })();
        if fits.is_some() {
            *self = rest;
        }
        fits.is_some()
    }

    /// Puts an amount back.
    pub fn add(&mut self, amount: &Capacity) {
        self.cpu = self.cpu.saturating_add(amount.cpu);
        self.memory = self.memory.saturating_add(amount.memory);
        for (class, size) in &amount.storage {
            let free = self.storage.entry(*class).or_default();
            *free = free.saturating_add(*size);
        }
        for (model, count) in &amount.gpus {
            let free = self.gpus.entry(*model).or_default();
            *free = free.saturating_add(*count);
        }
    }
}
