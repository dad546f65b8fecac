//! A cluster's machines as an offer, and what is free on each: what leases have taken there by the engine's word, and
//! what is promised but not there yet by the packer's.

use iono_placement::{Capacity, Node, place};
use iono_primitives::attributes::Compute;
use iono_primitives::{LeaseId, StorageClass};
use iono_runtime::{Machine, Room};

use super::{Claim, Gpu, Offer};
use crate::config::Kubernetes;

/// All that the machines have beyond what others took, by the cluster's settings.
#[must_use]
pub fn offer(machines: &[Machine], config: &Kubernetes) -> Offer {
    let mut all = Room::default();
    machines.iter().for_each(|machine| all.add(machine.all.without(machine.others)));
    Offer {
        cpu: all.cpu,
        memory: all.memory,
        storage: all.storage,
        storage_class: class(machines, config),
        compute: machines.iter().map(compute).min().flatten(),
        gpus: machines.iter().flat_map(|machine| cards(machine, vendor(&config.gpu_resource))).collect(),
        withheld: Vec::new(),
        machines: machines.to_vec(),
    }
}

/// The owner's word, or the slowest that the machines' agents found.
fn class(machines: &[Machine], config: &Kubernetes) -> StorageClass {
    match config.storage_tier {
        StorageClass::Any => machines.iter().map(|machine| machine.storage_class).min().unwrap_or_default(),
        word => word,
    }
}

/// The tier by the score that a machine's agent measured.
fn compute(machine: &Machine) -> Option<Compute> {
    Some(machine.agent.known()?.report.found.compute())
}

/// Whose cards a resource stands for: `nvidia` for `nvidia.com/gpu`.
fn vendor(resource: &str) -> &str {
    resource.split('.').next().unwrap_or_default()
}

/// A machine's cards that nobody else took; their plugin, not we, says which one a pod gets.
fn cards(machine: &Machine, vendor: &str) -> impl Iterator<Item = Gpu> {
    let count = machine.all.gpus.saturating_sub(machine.others.gpus);
    let (model, node) = (machine.gpu_model, machine.name.clone());
    (0..count).map(move |index| Gpu {
        id: format!("{node}/{index}"),
        model,
        vendor: vendor.to_owned(),
        node: Some(node.clone()),
    })
}

/// What is free on each machine of an offer with these claims on it; `except` counts as free.
pub(super) fn free(offer: &Offer, claims: &[Claim<'_>], except: Option<LeaseId>) -> Vec<Node> {
    let mut nodes: Vec<Node> =
        offer.machines.iter().map(|machine| node(machine, offer.storage_class)).collect();
    keep_reserve(&mut nodes, offer);
    for (node, machine) in nodes.iter_mut().zip(&offer.machines) {
        for (_, room) in machine.leases.iter().filter(|(lease, _)| Some(**lease) != except) {
            subtract(&mut node.free, *room, offer.storage_class);
        }
    }
    for claim in claims {
        let there: u64 =
            offer.machines.iter().filter_map(|machine| Some(machine.leases.get(&claim.lease)?.cpu)).sum();
        if there == 0 {
            promise(&mut nodes, claim, offer.storage_class);
        }
    }
    nodes
}

/// Sets room aside for a lease of which nothing runs yet.
fn promise(nodes: &mut [Node], claim: &Claim<'_>, class: StorageClass) {
    let needs = &claim.spec.resources;
    if let Ok(assignment) = place(nodes, &claim.spec.groups, needs.gpu_model)
        && !claim.spec.groups.is_empty()
    {
        for (name, taken) in &assignment.taken {
            let found = nodes.iter_mut().find(|node| node.name == *name);
            let fits = found.is_some_and(|node| node.free.subtract(taken));
            debug_assert!(fits, "the packer found room there a moment ago");
        }
        return;
    }
    // More is promised than there is, as after a machine went: nothing of it is free twice.
    let mut left = Room {
        cpu: needs.cpu.into(),
        memory: needs.memory.into(),
        storage: needs.storage.into(),
        gpus: needs.gpus.into(),
    };
    for node in nodes {
        let before = room_of(&node.free);
        subtract(&mut node.free, left, class);
        let now = room_of(&node.free);
        left = left.without(before.without(now));
    }
}

fn room_of(free: &Capacity) -> Room {
    Room {
        cpu: free.cpu,
        memory: free.memory,
        storage: free.storage.values().sum(),
        gpus: free.gpus.values().copied().map(u64::from).sum(),
    }
}

fn node(machine: &Machine, class: StorageClass) -> Node {
    let left = machine.all.without(machine.others);
    let count = u32::try_from(left.gpus).unwrap_or(u32::MAX);
    let gpus = [(machine.gpu_model, count)].into_iter().filter(|(_, count)| *count > 0).collect();
    let free = Capacity { cpu: left.cpu, memory: left.memory, storage: [(class, left.storage)].into(), gpus };
    Node { name: machine.name.clone(), free }
}

/// What the owner keeps, or does not offer, comes off the machines that have most.
fn keep_reserve(nodes: &mut [Node], offer: &Offer) {
    let class = offer.storage_class;
    let mut all = Room::default();
    nodes.iter().for_each(|node| all.add(room_of(&node.free)));
    let offered =
        Room { cpu: offer.cpu, memory: offer.memory, storage: offer.storage, gpus: offer.gpus.len() as u64 };
    let mut kept = all.without(offered);
    let mut order: Vec<usize> = (0..nodes.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse((nodes[*at].free.cpu, nodes[*at].free.memory)));
    for at in order {
        let before = room_of(&nodes[at].free);
        subtract(&mut nodes[at].free, kept, class);
        kept = kept.without(before.without(room_of(&nodes[at].free)));
    }
}

/// Takes an amount out of a machine, at most all that it has.
fn subtract(free: &mut Capacity, room: Room, class: StorageClass) {
    free.cpu = free.cpu.saturating_sub(room.cpu);
    free.memory = free.memory.saturating_sub(room.memory);
    if let Some(storage) = free.storage.get_mut(&class) {
        *storage = storage.saturating_sub(room.storage);
    }
    let mut gpus = u32::try_from(room.gpus).unwrap_or(u32::MAX);
    for count in free.gpus.values_mut() {
        let taken = gpus.min(*count);
        *count -= taken;
        gpus -= taken;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use alloy::primitives::B256;
    use iono_primitives::{Group, Resources};
    use proptest::prelude::*;

    use super::*;
    use crate::config::values::{Cores, Mebibytes};
    use crate::config::{Cap, Share};
    use crate::market::order::LeaseSpec;

    fn machine(name: &str, cpu: u64) -> Machine {
        let all = Room { cpu, memory: cpu, storage: 10 * cpu, gpus: 0 };
        let others = Room { cpu: 100, memory: 100, ..Room::default() };
        Machine { name: name.to_owned(), all, others, ..Machine::default() }
    }

    fn spec(count: u16, cpu: u32) -> LeaseSpec {
        let group = Group { count, cpu, memory: 10, ephemeral: 10, ..Group::default() };
        let total = u32::from(count) * cpu;
        let resources = Resources {
            cpu: total,
            memory: 10 * u32::from(count),
            storage: 10 * u32::from(count),
            ..Resources::default()
        };
        LeaseSpec { resources, groups: vec![group], manifest_hash: B256::ZERO, providers: Vec::new() }
    }

    fn ssd() -> Kubernetes {
        Kubernetes { storage_tier: StorageClass::Ssd, ..Kubernetes::default() }
    }

    fn claim(lease: u64, spec: &LeaseSpec) -> Claim<'_> {
        Claim { lease: LeaseId(lease), spec, devices: &[] }
    }

    #[test]
    fn a_replica_needs_room_on_one_machine() {
        let offer = offer(&[machine("a", 1_100), machine("b", 1_100)], &ssd());
        assert_eq!((offer.cpu, offer.memory), (2_000, 2_000));
        let free = offer.free(&[], None);
        assert!(free.place(&spec(2, 1_000), StorageClass::Ssd).is_ok());
        let why = free.place(&spec(1, 1_500), StorageClass::Ssd).unwrap_err().to_string();
        assert!(why.contains("CPU 0.5 short"), "{why}");
        let why = free.place(&spec(3, 1_000), StorageClass::Ssd).unwrap_err().to_string();
        assert!(why.contains("short"), "{why}");
    }

    #[test]
    fn what_runs_counts_where_it_runs_and_what_is_promised_where_it_fits() {
        let mut machines = [machine("a", 1_100), machine("b", 1_100)];
        machines[1].leases.insert(LeaseId(1), Room { cpu: 600, memory: 10, storage: 10, gpus: 0 });
        let offer = offer(&machines, &ssd());
        let (running, promised) = (spec(1, 600), spec(1, 700));
        let free = offer.free(&[claim(1, &running), claim(2, &promised)], None);
        let cpu: Vec<u64> = free.nodes.iter().map(|node| node.free.cpu).collect();
        assert_eq!(cpu, [300, 400]);
        // A lease that is to be changed has its own room as well.
        assert_eq!(offer.free(&[claim(2, &promised)], Some(LeaseId(1))).nodes[1].free.cpu, 1_000);
        // One that nobody claims is still there until it is removed.
        assert_eq!(offer.free(&[], None).nodes[1].free.cpu, 400);
    }

    #[test]
    fn the_owners_reserve_comes_off_the_largest_machine() {
        let all = offer(&[machine("a", 1_100), machine("b", 2_100)], &ssd());
        let reserve = Share { cpu: Cores(500), memory: Mebibytes(0), storage: Mebibytes(0), gpus: 0 };
        let offer = Offer::of(all, &reserve, &Cap::default());
        let cpu: Vec<u64> = offer.free(&[], None).nodes.iter().map(|node| node.free.cpu).collect();
        assert_eq!(cpu, [1_000, 1_500]);
    }

    #[test]
    fn cards_are_known_by_their_nodes_label() {
        let mut machine = machine("a", 2_000);
        machine.all.gpus = 2;
        machine.gpu_model = iono_hardware::model_of("NVIDIA-H100-80GB-HBM3", 81_559);
        let offer = offer(&[machine], &ssd());
        assert_eq!(offer.gpus[0].model.as_str(), "h100-sxm-80gi");
        let mut needs = spec(1, 100);
        (needs.resources.gpus, needs.groups[0].gpus) = (2, 2);
        needs.resources.gpu_model = "h100".parse().unwrap();
        assert_eq!(
            offer.free(&[], None).place(&needs, StorageClass::Ssd).unwrap().gpus.values().sum::<u64>(),
            2
        );
        let left = offer.free(&[claim(1, &needs)], None);
        assert!(left.place(&needs, StorageClass::Ssd).is_err());
    }

    proptest! {
        /// However much is promised, nothing goes below zero and nothing is given away twice.
        #[test]
        fn what_is_placed_fits_the_machines(orders in proptest::collection::vec((1u16..4, 1u32..1_500), 0..12)) {
            let offer = offer(&[machine("a", 1_100), machine("b", 2_100), machine("c", 3_100)], &ssd());
            let mut taken: Vec<LeaseSpec> = Vec::new();
            for (count, cpu) in orders {
                let claims: Vec<Claim<'_>> = taken.iter().zip(1..).map(|(spec, id)| claim(id, spec)).collect();
                let spec = spec(count, cpu);
                if offer.free(&claims, None).place(&spec, StorageClass::Ssd).is_ok() {
                    taken.push(spec);
                }
            }
            let sum: u64 = taken.iter().map(|spec| u64::from(spec.resources.cpu)).sum();
            prop_assert!(sum <= offer.cpu);
        }
    }
}
