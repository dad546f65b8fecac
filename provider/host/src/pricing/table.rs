//! The price table: dollars an hour by resource, times what is really allocated. Every rounding is up, so a price is
//! never below the table (SP-27).

use std::collections::BTreeMap;

use alloy::primitives::U256;
use iono_primitives::{GpuModel, StorageClass};
use serde::{Deserialize, Serialize};

use super::NoPrice;
use crate::config::values::Dollars;

/// Dollars an hour by resource, before the market's fees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceTable {
    /// One CPU core.
    pub cpu: Dollars,
    /// One GiB of memory.
    pub memory: Dollars,
    /// One exposed port.
    #[serde(default)]
    pub endpoint: Dollars,
    /// The least that any lease costs.
    #[serde(default)]
    pub minimum: Dollars,
    /// One GiB of disk, by class (`hdd`, `ssd`, `nvme`).
    #[serde(default)]
    pub storage: BTreeMap<StorageClass, Dollars>,
    /// One GPU, by model (`h100`, `rtx4090`, …). A model without a price is not offered.
    #[serde(default)]
    pub gpu: BTreeMap<GpuModel, Dollars>,
}

/// What a lease gets, as the packer placed it: the models and classes that are really handed out, not those asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Allocation {
    /// Millicores.
    pub cpu: u64,
    /// MiB.
    pub memory: u64,
    /// MiB by class.
    pub storage: BTreeMap<StorageClass, u64>,
    /// Number by model.
    pub gpus: BTreeMap<GpuModel, u64>,
    /// Exposed ports.
    pub endpoints: u64,
}

impl PriceTable {
    /// Dollars an hour for `allocation`, in units of 1e-18, rounded up and at least the minimum.
    ///
    /// # Errors
    /// [`NoPrice`] names the line that the table lacks.
    pub fn hourly(&self, allocation: &Allocation) -> Result<Dollars, NoPrice> {
        // Sums of (price × amount ÷ step), each rounded up on its own.
        let part = |price: Dollars, amount: u64, step: u64| {
            (price.0 * U256::from(amount)).div_ceil(U256::from(step))
        };
        let mut total = part(self.cpu, allocation.cpu, 1_000)
            + part(self.memory, allocation.memory, 1_024)
            + part(self.endpoint, allocation.endpoints, 1);
        for (class, amount) in &allocation.storage {
            if *amount > 0 {
                total += part(self.storage_price(*class)?, *amount, 1_024);
            }
        }
        for (model, count) in &allocation.gpus {
            if *count > 0 {
                let price = self.gpu_price(model).ok_or_else(|| NoPrice::Gpu(model.as_str().to_owned()))?;
                total += part(price, *count, 1);
            }
        }
        Ok(Dollars(total).max(self.minimum))
    }

    /// Whether the owner set a price for cards of this model.
    #[must_use]
    pub fn has_gpu(&self, model: &GpuModel) -> bool {
        self.gpu_price(model).is_some()
    }

    /// The line that fits a model best: `a100` covers `a100-sxm-80gi` unless that has a line of its own.
    fn gpu_price(&self, model: &GpuModel) -> Option<Dollars> {
        let lines = self.gpu.iter().filter(|(line, _)| **line != GpuModel::ANY && model.satisfies(line));
        lines.max_by_key(|(line, _)| line.as_str().len()).map(|(_, price)| *price)
    }

    /// Price of one GiB of a class; where the class is not known the dearest line counts, since it may be that one.
    fn storage_price(&self, class: StorageClass) -> Result<Dollars, NoPrice> {
        match class {
            StorageClass::Any => self.storage.values().max().copied(),
            known => self.storage.get(&known).copied(),
        }
        .ok_or(NoPrice::Storage(class))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn dollars(text: &str) -> Dollars {
        Dollars::parse(text).unwrap()
    }

    fn table() -> PriceTable {
        PriceTable {
            cpu: dollars("0.01"),
            memory: dollars("0.002"),
            endpoint: dollars("0.0001"),
            minimum: dollars("0.0005"),
            storage: [(StorageClass::Hdd, dollars("0.0001")), (StorageClass::Nvme, dollars("0.0004"))].into(),
            gpu: [("h100".parse().unwrap(), dollars("1.99"))].into(),
        }
    }

    fn allocation() -> Allocation {
        Allocation {
            cpu: 1_500,
            memory: 2_048,
            storage: [(StorageClass::Nvme, 10_240)].into(),
            gpus: [("h100".parse().unwrap(), 2)].into(),
            endpoints: 3,
        }
    }

    #[test]
    fn the_sum_is_that_of_the_table() {
        // 1.5 × 0.01 + 2 × 0.002 + 10 × 0.0004 + 2 × 1.99 + 3 × 0.0001
        assert_eq!(table().hourly(&allocation()).unwrap(), dollars("4.0033"));
        assert_eq!(table().hourly(&Allocation::default()).unwrap(), dollars("0.0005"));
    }

    #[test]
    fn what_has_no_price_is_named() {
        let mut other = allocation();
        other.gpus = [("a100".parse().unwrap(), 1)].into();
        assert_eq!(
            table().hourly(&other).unwrap_err().to_string(),
            "no price for GPU model a100; add it to [prices.gpu]"
        );
        let mut table = table();
        table.gpu.insert("a100".parse().unwrap(), dollars("1"));
        table.gpu.insert("a100-80gi".parse().unwrap(), dollars("2"));
        let of = |model: &str| {
            let gpus = [(model.parse().unwrap(), 1)].into();
            table.hourly(&Allocation { gpus, ..Allocation::default() }).unwrap()
        };
        assert_eq!(of("a100-sxm-40gi"), dollars("1"));
        assert_eq!(of("a100-sxm-80gi"), dollars("2"));
        let table = self::table();
        other.gpus.clear();
        other.storage = [(StorageClass::Ssd, 1)].into();
        assert_eq!(table.hourly(&other), Err(NoPrice::Storage(StorageClass::Ssd)));
        other.storage = [(StorageClass::Any, 1_024)].into();
        other.cpu = 0;
        other.memory = 0;
        other.endpoints = 0;
        assert_eq!(table.hourly(&other).unwrap(), dollars("0.0005"));
    }

    proptest! {
        #[test]
        fn more_never_costs_less(cpu in 0u64..1_000_000, memory in 0u64..10_000_000, more_cpu in 0u64..1_000_000, more_memory in 0u64..1_000_000) {
            let small = Allocation { cpu, memory, ..Allocation::default() };
            let large = Allocation { cpu: cpu + more_cpu, memory: memory + more_memory, ..Allocation::default() };
            prop_assert!(table().hourly(&small).unwrap() <= table().hourly(&large).unwrap());
        }
    }
}
