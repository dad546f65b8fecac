//! One provider's capacity: allocatable − owner's reserve − reserved by open bids − leased, and never below zero.
//!
//! A reservation is made before a bid and expires by itself, so that orders which nobody accepts lock nothing. A match
//! turns it into a lease. Times are seconds since 1970, given by the caller.

use std::collections::BTreeMap;

use iono_primitives::{GpuModel, Group, LeaseId, OrderId};
use serde::{Deserialize, Serialize};

use crate::misfit::Misfit;
use crate::node::{Capacity, Node};
use crate::pack::{Assignment, place};

/// Why the ledger refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// There is no room.
    #[error(transparent)]
    Misfit(#[from] Misfit),
    /// The order has a reservation or a lease already.
    #[error("order {0} holds capacity already")]
    Taken(OrderId),
    /// Neither reserved nor leased, or expired.
    #[error("order {0} holds no capacity (its reservation may have expired)")]
    Unknown(OrderId),
    /// The owner's reserve is more than a machine has.
    #[error("the owner's reserve is more than node {0} has")]
    Reserve(String),
}

/// What is held for an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Held {
    assignment: Assignment,
    /// When a reservation ends; a lease does not.
    expires: Option<u64>,
}

/// Sums over all machines, for metrics and the registry.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Usage {
    /// After the owner's reserve.
    pub allocatable: Capacity,
    /// For open bids.
    pub reserved: Capacity,
    /// For leases.
    pub leased: Capacity,
    /// What is left.
    pub free: Capacity,
}

/// Capacity of a provider's machines and who holds it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ledger {
    /// What each machine gives to tenants.
    allocatable: BTreeMap<String, Capacity>,
    held: BTreeMap<OrderId, Held>,
}

impl Ledger {
    /// A ledger of machines with all that they have, minus what their owner keeps of each.
    ///
    /// # Errors
    /// [`LedgerError::Reserve`] when the owner keeps more than a machine has.
    pub fn new(nodes: &[Node], reserve: &BTreeMap<String, Capacity>) -> Result<Self, LedgerError> {
        let mut allocatable = BTreeMap::new();
        for node in nodes {
            let mut free = node.free.clone();
            if let Some(kept) = reserve.get(&node.name)
                && !free.subtract(kept)
            {
                return Err(LedgerError::Reserve(node.name.clone()));
            }
            allocatable.insert(node.name.clone(), free);
        }
        Ok(Self { allocatable, held: BTreeMap::new() })
    }

    /// The machines with what is free on them at `now`.
    #[must_use]
    pub fn free(&self, now: u64) -> Vec<Node> {
        let mut free = self.allocatable.clone();
        for held in self.held.values().filter(|held| held.counts(now)) {
            for (name, taken) in &held.assignment.taken {
                if let Some(node) = free.get_mut(name)
                    && !node.subtract(taken)
                {
                    // A machine has shrunk below what it holds: nothing of it is free.
                    *node = Capacity::default();
                }
            }
        }
        free.into_iter().map(|(name, free)| Node { name, free }).collect()
    }

    /// Reserves room for an order until `expires`, before the bid is priced.
    ///
    /// # Errors
    /// [`LedgerError::Misfit`] names what is short; [`LedgerError::Taken`] for an order that holds room already.
    pub fn reserve(
        &mut self,
        order: OrderId,
        groups: &[Group],
        gpu_model: GpuModel,
        now: u64,
        expires: u64,
    ) -> Result<Assignment, LedgerError> {
        self.expire(now);
        if self.held.contains_key(&order) {
            return Err(LedgerError::Taken(order));
        }
        let assignment = place(&self.free(now), groups, gpu_model)?;
        self.held.insert(order, Held { assignment: assignment.clone(), expires: Some(expires) });
        Ok(assignment)
    }

    /// Makes a lease of a reservation: it does not expire any more.
    ///
    /// # Errors
    /// [`LedgerError::Unknown`] without a reservation; then [`Ledger::adopt`] may still find room.
    pub fn lease(&mut self, lease: LeaseId, now: u64) -> Result<&Assignment, LedgerError> {
        self.expire(now);
        let order = OrderId::from(lease);
        let held = self.held.get_mut(&order).ok_or(LedgerError::Unknown(order))?;
        held.expires = None;
        Ok(&held.assignment)
    }

    /// Finds room for a lease that the ledger does not know: after a restart, or when its reservation had expired. A
    /// lease that it knows keeps its place.
    ///
    /// # Errors
    /// [`LedgerError::Misfit`] when there is no room.
    pub fn adopt(
        &mut self,
        lease: LeaseId,
        groups: &[Group],
        gpu_model: GpuModel,
        now: u64,
    ) -> Result<&Assignment, LedgerError> {
        let order = OrderId::from(lease);
        if self.lease(lease, now).is_err() {
            let assignment = place(&self.free(now), groups, gpu_model)?;
            self.held.insert(order, Held { assignment, expires: None });
        }
        self.held.get(&order).map(|held| &held.assignment).ok_or(LedgerError::Unknown(order))
    }

    /// Changes what a lease holds (SP-23); on failure it keeps what it had.
    ///
    /// # Errors
    /// [`LedgerError::Unknown`] without the lease, [`LedgerError::Misfit`] when the new size has no room.
    pub fn resize(
        &mut self,
        lease: LeaseId,
        groups: &[Group],
        gpu_model: GpuModel,
        now: u64,
    ) -> Result<&Assignment, LedgerError> {
        self.expire(now);
        let order = OrderId::from(lease);
        let before = self.held.remove(&order).ok_or(LedgerError::Unknown(order))?;
        let placed = place(&self.free(now), groups, gpu_model);
        let (held, outcome) = match placed {
            Ok(assignment) => (Held { assignment, expires: before.expires }, Ok(())),
            Err(misfit) => (before, Err(misfit)),
        };
        let held = self.held.entry(order).or_insert(held);
        outcome?;
        Ok(&held.assignment)
    }

    /// Gives back what a bid or lease holds; giving back twice does no harm.
    pub fn release(&mut self, order: OrderId) {
        self.held.remove(&order);
    }

    /// Drops reservations whose time has come.
    pub fn expire(&mut self, now: u64) {
        self.held.retain(|_, held| held.counts(now));
    }

    /// Takes over new measurements of the machines. What is held stays held, even where it is more than there is.
    pub fn update(&mut self, nodes: &[Node]) {
        self.allocatable = nodes.iter().map(|node| (node.name.clone(), node.free.clone())).collect();
    }

    /// Where the replicas of an order or lease are.
    #[must_use]
    pub fn assignment(&self, order: OrderId) -> Option<&Assignment> {
        self.held.get(&order).map(|held| &held.assignment)
    }

    /// Sums at `now`.
    #[must_use]
    pub fn usage(&self, now: u64) -> Usage {
        let mut usage = Usage::default();
        self.allocatable.values().for_each(|node| usage.allocatable.add(node));
        self.free(now).iter().for_each(|node| usage.free.add(&node.free));
        for held in self.held.values().filter(|held| held.counts(now)) {
            let sum = if held.expires.is_some() { &mut usage.reserved } else { &mut usage.leased };
            held.assignment.taken.iter().for_each(|(_, taken)| sum.add(taken));
        }
        usage
    }
}

impl Held {
    fn counts(&self, now: u64) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }
}

#[cfg(test)]
mod tests {
    use iono_primitives::StorageClass;
    use proptest::prelude::*;

    use super::*;

    fn nodes() -> Vec<Node> {
        let node = |name: &str, gpus: u32| Node {
            name: name.into(),
            free: Capacity {
                cpu: 8_000,
                memory: 16_384,
                storage: [(StorageClass::Ssd, 100_000)].into(),
                gpus: [("a100".parse().unwrap(), gpus)].into(),
            },
        };
        vec![node("a", 2), node("b", 0)]
    }

    fn small() -> Group {
        Group { count: 1, cpu: 3_000, memory: 4_096, ephemeral: 1_024, ..Group::default() }
    }

    #[test]
    fn reservations_expire_and_leases_do_not() {
        let mut ledger = Ledger::new(&nodes(), &BTreeMap::new()).unwrap();
        let reserve = |ledger: &mut Ledger, id, now| {
            ledger.reserve(OrderId(id), &[small()], GpuModel::ANY, now, now + 10)
        };
        for id in 1..=4 {
            reserve(&mut ledger, id, 0).unwrap();
        }
        assert!(reserve(&mut ledger, 5, 0).unwrap_err().to_string().starts_with("CPU 1 short"));
        ledger.lease(LeaseId(1), 5).unwrap();
        assert_eq!(reserve(&mut ledger, 1, 5), Err(LedgerError::Taken(OrderId(1))));
        let usage = ledger.usage(10);
        assert_eq!((usage.reserved.cpu, usage.leased.cpu, usage.free.cpu), (0, 3_000, 13_000));
        assert_eq!(ledger.lease(LeaseId(2), 10), Err(LedgerError::Unknown(OrderId(2))));
        reserve(&mut ledger, 5, 10).unwrap();
        ledger.release(OrderId(1));
        ledger.release(OrderId(1));
        assert_eq!(ledger.usage(10).leased, Capacity::default());
    }

    #[test]
    fn the_owners_reserve_is_kept() {
        let kept = Capacity { cpu: 6_000, ..Capacity::default() };
        let mut ledger = Ledger::new(&nodes()[..1], &[("a".into(), kept)].into()).unwrap();
        assert!(ledger.reserve(OrderId(1), &[small()], GpuModel::ANY, 0, 1).is_err());
        let greedy = Capacity { cpu: 9_000, ..Capacity::default() };
        assert_eq!(
            Ledger::new(&nodes(), &[("a".into(), greedy)].into()),
            Err(LedgerError::Reserve("a".into()))
        );
    }

    #[test]
    fn a_machine_that_shrinks_has_nothing_free_and_never_less() {
        let mut ledger = Ledger::new(&nodes(), &BTreeMap::new()).unwrap();
        ledger.adopt(LeaseId(1), &[small()], GpuModel::ANY, 0).unwrap();
        let on = ledger.assignment(OrderId(1)).unwrap().replicas[0][0].clone();
        let mut shrunk = nodes();
        shrunk.iter_mut().find(|node| node.name == on).unwrap().free.cpu = 1_000;
        ledger.update(&shrunk);
        let free = ledger.free(0);
        assert_eq!(free.iter().find(|node| node.name == on).unwrap().free, Capacity::default());
        ledger.update(&[]);
        assert_eq!(ledger.usage(0).free, Capacity::default());
    }

    #[derive(Debug, Clone)]
    enum Step {
        Reserve(u64, u16, u32, u8, u64),
        Lease(u64),
        Adopt(u64, u32),
        Resize(u64, u16, u32),
        Release(u64),
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let id = 1u64..6;
        prop_oneof![
            (id.clone(), 1u16..4, 1u32..9_000, 0u8..3, 1u64..20)
                .prop_map(|(id, n, cpu, gpus, ttl)| Step::Reserve(id, n, cpu, gpus, ttl)),
            id.clone().prop_map(Step::Lease),
            (id.clone(), 1u32..9_000).prop_map(|(id, cpu)| Step::Adopt(id, cpu)),
            (id.clone(), 1u16..4, 1u32..9_000).prop_map(|(id, n, cpu)| Step::Resize(id, n, cpu)),
            id.prop_map(Step::Release),
            (1u64..15).prop_map(Step::Wait),
        ]
    }

    proptest! {
        /// allocatable = free + reserved + leased in every dimension after any steps; what failed changed nothing.
        #[test]
        fn nothing_is_lost_or_made(steps in prop::collection::vec(step(), 1..40)) {
            let mut ledger = Ledger::new(&nodes(), &BTreeMap::new()).unwrap();
            let model: GpuModel = "a100".parse().unwrap();
            let group = |count, cpu, gpus| Group { count, cpu, memory: cpu / 2, ephemeral: 10, gpus, ..Group::default() };
            let mut now = 0;
            for step in steps {
                ledger.expire(now);
                let before = ledger.clone();
                let failed = match step {
                    Step::Reserve(id, n, cpu, gpus, ttl) => ledger.reserve(OrderId(id), &[group(n, cpu, gpus)], model, now, now + ttl).is_err(),
                    Step::Lease(id) => ledger.lease(LeaseId(id), now).is_err(),
                    Step::Adopt(id, cpu) => ledger.adopt(LeaseId(id), &[group(1, cpu, 0)], model, now).is_err(),
                    Step::Resize(id, n, cpu) => ledger.resize(LeaseId(id), &[group(n, cpu, 0)], model, now).is_err(),
                    Step::Release(id) => { ledger.release(OrderId(id)); false }
                    Step::Wait(seconds) => { now += seconds; false }
                };
                if failed {
                    prop_assert_eq!(&before, &ledger);
                }
                let usage = ledger.usage(now);
                let mut sum = usage.free.clone();
                sum.add(&usage.reserved);
                sum.add(&usage.leased);
                prop_assert_eq!(sum, usage.allocatable);
            }
        }
    }
}
