//! The one ledger of capacity: what the machine has, less the owner's reserve, less what open bids reserve, less what is
//! leased; never below zero (market promises 9 and 11). It is derived from the book each time, so nothing can leak.

pub mod cluster;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use iono_placement::{Capacity, Dimension, Gpus, Node, place};
use iono_primitives::attributes::Compute;
use iono_primitives::{Attributes, GpuModel, Group, LeaseId, Resources, StorageClass};
use iono_runtime::Machine;
use serde::Serialize;

use crate::config::{Cap, Public, Share};
use crate::market::order::LeaseSpec;
use crate::pricing::Allocation;
use crate::verdict::reason::Reason;

/// What people call the one machine of a provider on Docker.
const NODE: &str = "this machine";
/// What people call all machines together.
const CLUSTER: &str = "all machines";

/// A GPU of this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gpu {
    /// The device's id, as the engine takes it.
    pub id: String,
    /// Its model.
    pub model: GpuModel,
    /// `nvidia` or `amd`.
    pub vendor: String,
    /// The machine that it is in, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

/// A GPU of this machine that is not offered, whatever the owner's reserve is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Withheld {
    /// Which.
    #[serde(flatten)]
    pub gpu: Gpu,
    /// Why, and what to do about it.
    pub why: String,
}

impl fmt::Display for Withheld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.gpu.model.as_str(), self.why)
    }
}

/// What is offered to the market.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Offer {
    /// Millicores.
    pub cpu: u64,
    /// MiB.
    pub memory: u64,
    /// MiB.
    pub storage: u64,
    /// Class of the disk that leases live on.
    pub storage_class: StorageClass,
    /// Tier by the measured score, the lowest of several machines'; `None` where it was not measured.
    pub compute: Option<Compute>,
    /// GPUs.
    pub gpus: Vec<Gpu>,
    /// GPUs that the engine cannot assign.
    pub withheld: Vec<Withheld>,
    /// The machines that it is spread over; none where it is all of the one that the daemon runs on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub machines: Vec<Machine>,
}

/// Something that holds capacity.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// The number that order and lease share.
    pub lease: LeaseId,
    /// What was ordered.
    pub spec: &'a LeaseSpec,
    /// The GPUs that it was given, by id; empty until it runs.
    pub devices: &'a [String],
}

/// What is not claimed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Free {
    /// Millicores.
    pub cpu: u64,
    /// MiB.
    pub memory: u64,
    /// MiB.
    pub storage: u64,
    /// GPUs that nobody was given.
    pub gpus: Vec<Gpu>,
    /// The same machine by machine, where there are several.
    pub nodes: Vec<Node>,
}

impl Offer {
    /// What a machine offers: all that it has, less the reserve, at most the cap.
    #[must_use]
    pub fn of(machine: Offer, reserve: &Share, cap: &Cap) -> Self {
        let left = |has: u64, kept: u32, most: Option<u32>| {
            let left = has.saturating_sub(kept.into());
            most.map_or(left, |most| left.min(most.into()))
        };
        let gpus = left(machine.gpus.len() as u64, reserve.gpus.into(), cap.gpus.map(u32::from));
        Self {
            cpu: left(machine.cpu, reserve.cpu.0, cap.cpu.map(|cap| cap.0)),
            memory: left(machine.memory, reserve.memory.0, cap.memory.map(|cap| cap.0)),
            storage: left(machine.storage, reserve.storage.0, cap.storage.map(|cap| cap.0)),
            storage_class: machine.storage_class,
            compute: machine.compute,
            // The owner keeps the first ones.
            gpus: machine.gpus.into_iter().rev().take(gpus as usize).rev().collect(),
            withheld: machine.withheld,
            machines: machine.machines,
        }
    }

    /// The attribute tiers of the registry's record (SP-5): the owner's word on connectivity, compliance and, where it is
    /// given, compute, and what the offer itself shows. Of mixed GPUs the lowest tier counts, since an order for any model may get it.
    #[must_use]
    pub fn attributes(&self, owner: &Public) -> Attributes {
        Attributes {
            compute: Some(owner.compute.or(self.compute).unwrap_or(Compute::Basic)),
            storage: self.storage_class,
            gpu: self.gpus.iter().map(|gpu| gpu.model.tier()).min().unwrap_or(0),
            connectivity: Some(owner.connectivity),
            compliance: owner.compliance.clone(),
        }
    }

    /// What is withheld and why, in words; `None` when nothing is.
    #[must_use]
    pub fn withheld_words(&self) -> Option<String> {
        let words: BTreeSet<String> = self.withheld.iter().map(ToString::to_string).collect();
        let words: Vec<String> = words.into_iter().collect();
        (!words.is_empty()).then(|| format!("withheld: {}", words.join("; ")))
    }

    /// The registry's word with what light nodes lend beside it.
    #[must_use]
    pub fn resources_with(&self, lent: Option<&Cap>) -> Resources {
        let own = self.resources();
        let Some(lent) = lent else { return own };
        Resources {
            cpu: own.cpu.saturating_add(lent.cpu.map_or(0, |cpu| cpu.0)),
            memory: own.memory.saturating_add(lent.memory.map_or(0, |memory| memory.0)),
            storage: own.storage.saturating_add(lent.storage.map_or(0, |storage| storage.0)),
            gpus: own.gpus.saturating_add(lent.gpus.unwrap_or(0)),
            ..own
        }
    }

    /// The registry's word: what is counted on chain. A mixed set of GPUs is registered without a model.
    #[must_use]
    pub fn resources(&self) -> Resources {
        let capped = |amount: u64| u32::try_from(amount).unwrap_or(u32::MAX);
        let models: BTreeSet<GpuModel> = self.gpus.iter().map(|gpu| gpu.model).collect();
        Resources {
            cpu: capped(self.cpu),
            memory: capped(self.memory),
            storage: capped(self.storage),
            gpus: u8::try_from(self.gpus.len()).unwrap_or(u8::MAX),
            storage_class: self.storage_class,
            gpu_model: if models.len() == 1 {
                models.into_iter().next().unwrap_or_default()
            } else {
                GpuModel::ANY
            },
            ..Resources::default()
        }
    }

    /// What is left of the offer with these claims on it; `except` is a lease whose own room counts as free.
    #[must_use]
    pub fn free(&self, claims: &[Claim<'_>], except: Option<LeaseId>) -> Free {
        let mut free = Free {
            cpu: self.cpu,
            memory: self.memory,
            storage: self.storage,
            gpus: self.gpus.clone(),
            nodes: cluster::free(self, claims, except),
        };
        let mut unplaced = Vec::new();
        for claim in claims {
            let needs = &claim.spec.resources;
            free.cpu = free.cpu.saturating_sub(needs.cpu.into());
            free.memory = free.memory.saturating_sub(needs.memory.into());
            free.storage = free.storage.saturating_sub(needs.storage.into());
            free.gpus.retain(|gpu| !claim.devices.contains(&gpu.id));
            if claim.devices.is_empty() && needs.gpus > 0 {
                unplaced.push(*needs);
            }
        }
        for needs in unplaced {
            if let Some(taken) = pick(&free.gpus, needs.gpus, needs.gpu_model) {
                free.gpus.retain(|gpu| !taken.contains(gpu));
            }
        }
        free
    }
}

impl Free {
    /// Whether `spec` fits, and what it would get.
    ///
    /// # Errors
    /// The dimension that is short, with how much is missing.
    pub fn place(&self, spec: &LeaseSpec, class: StorageClass) -> Result<Allocation, Reason> {
        let needs = &spec.resources;
        let name = if self.nodes.is_empty() { NODE } else { CLUSTER };
        let all = [Node { name: name.to_owned(), free: self.capacity(class) }];
        let nodes = if self.nodes.is_empty() { &all } else { &self.nodes[..] };
        // The totals as well: they are what is paid for, whatever the groups say.
        let total = Group {
            count: 1,
            cpu: needs.cpu,
            memory: needs.memory,
            ephemeral: needs.storage,
            storage_class: needs.storage_class,
            ..Group::default()
        };
        let placed =
            place(&all, &[total], needs.gpu_model).and_then(|_| place(nodes, &spec.groups, needs.gpu_model));
        placed.map_err(|misfit| Reason::new(dimension(misfit.dimension), misfit.to_string()))?;
        let mut gpus = BTreeMap::new();
        if needs.gpus > 0 {
            for gpu in self.gpus(needs)? {
                *gpus.entry(gpu.model).or_default() += 1;
            }
        }
        Ok(Allocation {
            cpu: needs.cpu.into(),
            memory: needs.memory.into(),
            storage: [(class, u64::from(needs.storage))].into(),
            gpus,
            endpoints: needs.endpoints.into(),
        })
    }

    fn capacity(&self, class: StorageClass) -> Capacity {
        let mut gpus = Gpus::new();
        for gpu in &self.gpus {
            *gpus.entry(gpu.model).or_default() += 1;
        }
        Capacity { cpu: self.cpu, memory: self.memory, storage: [(class, self.storage)].into(), gpus }
    }

    /// The devices that a lease would get.
    ///
    /// # Errors
    /// How many are missing, of which model.
    pub fn gpus(&self, needs: &Resources) -> Result<Vec<Gpu>, Reason> {
        pick(&self.gpus, needs.gpus, needs.gpu_model).ok_or_else(|| {
            let fitting = self.gpus.iter().filter(|gpu| fits(gpu, needs.gpu_model)).count();
            let model =
                if needs.gpu_model == GpuModel::ANY { "GPUs of one model" } else { needs.gpu_model.as_str() };
            Reason::new("gpu", format!("{} {model} asked, {fitting} free", needs.gpus))
        })
    }
}

fn fits(gpu: &Gpu, model: GpuModel) -> bool {
    gpu.model.satisfies(&model)
}

fn dimension(short: Dimension) -> &'static str {
    match short {
        Dimension::Cpu => "cpu",
        Dimension::Memory => "memory",
        Dimension::Storage(_) => "storage",
        Dimension::Gpu(_) => "gpu",
    }
}

/// `count` GPUs of the asked model, or all of one model where it is open.
fn pick(free: &[Gpu], count: u8, model: GpuModel) -> Option<Vec<Gpu>> {
    let models: BTreeSet<GpuModel> =
        free.iter().filter(|gpu| fits(gpu, model)).map(|gpu| gpu.model).collect();
    models.into_iter().find_map(|model| {
        let of_model: Vec<Gpu> =
            free.iter().filter(|gpu| gpu.model == model).take(count.into()).cloned().collect();
        (of_model.len() == usize::from(count)).then_some(of_model)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use alloy::primitives::B256;
    use proptest::prelude::*;

    use super::*;
    use crate::config::values::{Cores, Mebibytes};

    fn gpu(id: &str, model: &str) -> Gpu {
        Gpu { id: id.to_owned(), model: model.parse().unwrap(), vendor: "nvidia".to_owned(), node: None }
    }

    fn claim<'a>(spec: &'a LeaseSpec, devices: &'a [String]) -> Claim<'a> {
        Claim { lease: LeaseId(1), spec, devices }
    }

    fn machine() -> Offer {
        Offer {
            cpu: 8_000,
            memory: 16_384,
            storage: 100_000,
            storage_class: StorageClass::Ssd,
            gpus: vec![gpu("g0", "h100"), gpu("g1", "h100"), gpu("g2", "rtx4090")],
            ..Offer::default()
        }
    }

    fn spec(cpu: u32, memory: u32, gpus: u8, model: &str) -> LeaseSpec {
        let gpu_model = if model.is_empty() { GpuModel::ANY } else { model.parse().unwrap() };
        let resources = Resources { cpu, memory, storage: 1_000, gpus, gpu_model, ..Resources::default() };
        LeaseSpec { resources, groups: Vec::new(), manifest_hash: B256::ZERO, providers: Vec::new() }
    }

    #[test]
    fn the_owner_keeps_the_reserve() {
        let reserve = Share { cpu: Cores(1_000), memory: Mebibytes(20_000), storage: Mebibytes(0), gpus: 1 };
        let cap = Cap { storage: Some(Mebibytes(50_000)), ..Cap::default() };
        let offer = Offer::of(machine(), &reserve, &cap);
        assert_eq!((offer.cpu, offer.memory, offer.storage, offer.gpus.len()), (7_000, 0, 50_000, 2));
        assert_eq!(offer.gpus[0].id, "g1");
    }

    #[test]
    fn tiers_are_the_owners_word_and_what_the_offer_shows() {
        use iono_primitives::attributes::{Compliance, Connectivity};
        let toml = "endpoint = 'a:1'\ndomain = 'a'\ncompute = 'general'\nconnectivity = 'high'\ncompliance = ['soc2']";
        let owner: Public = toml::from_str(toml).unwrap();
        let tiers = Attributes {
            compute: Some(Compute::General),
            storage: StorageClass::Ssd,
            // The lower one of h100 and rtx4090.
            gpu: 4,
            connectivity: Some(Connectivity::High),
            compliance: [Compliance::Soc2].into(),
        };
        assert_eq!(machine().attributes(&owner), tiers);
        let reserve = Share { gpus: 3, ..Share::default() };
        assert_eq!(Offer::of(machine(), &reserve, &Cap::default()).attributes(&owner).gpu, 0);
        let plain: Public = toml::from_str("endpoint = 'a:1'\ndomain = 'a'").unwrap();
        assert_eq!(Offer::default().attributes(&plain).to_string(), "compute basic, connectivity low");
        // What was measured counts where the owner says nothing.
        let fast = Offer { compute: Some(Compute::Hpc), ..machine() };
        assert_eq!(fast.attributes(&plain).compute, Some(Compute::Hpc));
        assert_eq!(fast.attributes(&owner).compute, Some(Compute::General));
    }

    #[test]
    fn what_is_short_is_named() {
        let held = spec(7_000, 10_000, 0, "");
        let free = machine().free(&[claim(&held, &[])], None);
        let why = |spec: LeaseSpec| free.place(&spec, StorageClass::Ssd).unwrap_err().to_string();
        assert_eq!(why(spec(1_500, 1, 0, "")), "cpu: CPU 0.5 short on the only node (this machine)");
        assert_eq!(
            why(spec(1, 7_000, 0, "")),
            "memory: memory 616 MiB short on the only node (this machine)"
        );
        assert_eq!(why(spec(1, 1, 3, "h100")), "gpu: 3 h100 asked, 2 free");
        assert_eq!(why(spec(1, 1, 3, "")), "gpu: 3 GPUs of one model asked, 3 free");
        let mut nvme = spec(1, 1, 0, "");
        nvme.resources.storage_class = StorageClass::Nvme;
        assert!(why(nvme.clone()).starts_with("storage: nvme storage 1000 MiB short"), "{}", why(nvme));
        let mut many = spec(500, 100, 0, "");
        many.groups = vec![Group { count: 3, cpu: 400, memory: 10, ..Group::default() }];
        assert!(why(many.clone()).contains("after 2 replicas found a place"), "{}", why(many));
    }

    #[test]
    fn the_price_goes_by_the_gpu_that_is_handed_out() {
        let free = machine().free(&[], None);
        let open = free.place(&spec(1, 1, 1, ""), StorageClass::Ssd).unwrap();
        assert_eq!(
            open.gpus.into_keys().map(|model| model.as_str().to_owned()).collect::<Vec<_>>(),
            ["h100"]
        );
        let (first, second) = (spec(1, 1, 2, "h100"), spec(1, 1, 1, ""));
        let free = machine().free(&[claim(&first, &[])], None);
        assert_eq!(
            free.place(&second, StorageClass::Ssd).unwrap().gpus.keys().next().unwrap().as_str(),
            "rtx4090"
        );
        let devices = ["g0".to_owned()];
        let free = machine().free(&[claim(&second, &devices)], None);
        assert_eq!(free.gpus.iter().map(|gpu| gpu.id.as_str()).collect::<Vec<_>>(), ["g1", "g2"]);
    }

    proptest! {
        #[test]
        fn what_is_placed_never_exceeds_the_machine(orders in proptest::collection::vec((0u32..5_000, 0u32..9_000, 0u8..3), 0..12)) {
            let machine = machine();
            let mut taken: Vec<LeaseSpec> = Vec::new();
            for (cpu, memory, gpus) in orders {
                let claims: Vec<Claim<'_>> = taken.iter().map(|spec| claim(spec, &[])).collect();
                let free = machine.free(&claims, None);
                let spec = spec(cpu, memory, gpus, "");
                if free.place(&spec, StorageClass::Ssd).is_ok() {
                    taken.push(spec);
                }
            }
            let sum = |of: fn(&Resources) -> u64| taken.iter().map(|spec| of(&spec.resources)).sum::<u64>();
            prop_assert!(sum(|r| r.cpu.into()) <= machine.cpu);
            prop_assert!(sum(|r| r.memory.into()) <= machine.memory);
            prop_assert!(sum(|r| r.gpus.into()) <= 3);
        }
    }
}
