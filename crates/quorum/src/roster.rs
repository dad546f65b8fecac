//! Operators, their weights and sets, as `OperatorRegistry`'s events tell of them; the twin of
//! `contracts/src/operator/OperatorSets.sol`.

use std::collections::BTreeMap;

use alloy::primitives::{Log, U256};
use alloy::sol_types::SolEventInterface as _;
use iono_bindings::IOperatorRegistry::IOperatorRegistryEvents as Event;
use iono_bls::PublicKey;

use crate::{Member, OperatorSet};

/// One operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    /// Its possession was proved to the registry.
    pub key: PublicKey,
    /// Where its daemon answers; empty when it never said.
    pub endpoint: String,
    /// It was slashed: no quorum may count it any more.
    pub ejected: bool,
    /// What it weighs, from which era on; by the registry's index.
    weights: Vec<Weight>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Weight {
    from: u32,
    wei: u128,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct SetPoint {
    from: u32,
    size: u32,
}

/// All operators that ever registered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roster {
    operators: BTreeMap<u32, Operator>,
    /// By the registry's index.
    sets: BTreeMap<u32, SetPoint>,
}

impl Roster {
    /// Takes one log of the registry, in the chain's order; others change nothing.
    pub fn apply(&mut self, log: &Log) {
        let Ok(event) = Event::decode_log(log) else { return };
        match event.data {
            Event::OperatorRegistered(e) => {
                // The registry has verified a pairing with it.
                let Ok(key) = PublicKey::from_bytes(&e.key) else { return };
                let operator = Operator {
                    key,
                    endpoint: String::new(),
                    ejected: false,
                    weights: vec![Weight::default()],
                };
                self.operators.insert(small(e.operator), operator);
            }
            Event::EndpointChanged(e) => self.change(e.operator, |operator| operator.endpoint = e.url),
            Event::OperatorEjected(e) => self.change(e.operator, |operator| operator.ejected = true),
            Event::WeightChanged(e) => self.change(e.operator, |operator| {
                let weight = Weight { from: small(e.fromEra), wei: e.weight.saturating_to() };
                match operator.weights.last_mut() {
                    Some(newest) if newest.from == weight.from => *newest = weight,
                    _ => operator.weights.push(weight),
                }
            }),
            Event::SetChanged(e) => {
                let set = SetPoint { from: small(e.fromEra), size: small(e.size) };
                self.sets.insert(small(e.point), set);
            }
            _ => {}
        }
    }

    /// One operator by its number.
    #[must_use]
    pub fn operator(&self, operator: u32) -> Option<&Operator> {
        self.operators.get(&operator)
    }

    /// All operators by number.
    pub fn operators(&self) -> impl Iterator<Item = (u32, &Operator)> {
        self.operators.iter().map(|(number, operator)| (*number, operator))
    }

    /// The operator with this key.
    #[must_use]
    pub fn operator_of(&self, key: &PublicKey) -> Option<u32> {
        self.operators.iter().find(|(_, operator)| operator.key == *key).map(|(number, _)| *number)
    }

    /// Whether an era has a set of operators that may match its orders.
    #[must_use]
    pub fn has_set(&self, era: u32) -> bool {
        self.set_point(era).is_some_and(|(_, set)| set.size != 0)
    }

    /// Who may match the orders of an era, ejected ones included: their weight counts as silent. `None` when nobody may.
    #[must_use]
    pub fn set_at(&self, era: u32) -> Option<OperatorSet> {
        let (point, _) = self.set_point(era)?;
        let members: Vec<Member> = self
            .operators
            .iter()
            .filter_map(|(number, operator)| {
                let (point, weight) =
                    operator.weights.iter().enumerate().rfind(|(_, weight)| weight.from <= era)?;
                let (operator, point, key) = (*number, point as u32, operator.key);
                (weight.wei != 0).then_some(Member { operator, point, weight: weight.wei, key })
            })
            .collect();
        (!members.is_empty()).then_some(OperatorSet { era, point, members })
    }

    fn set_point(&self, era: u32) -> Option<(u32, SetPoint)> {
        self.sets.iter().rfind(|(_, set)| set.from <= era).map(|(point, set)| (*point, *set))
    }

    fn change(&mut self, operator: U256, change: impl FnOnce(&mut Operator)) {
        if let Some(operator) = self.operators.get_mut(&small(operator)) {
            change(operator);
        }
    }
}

/// Numbers, eras and points are counted from one and have 32 bits in the contract.
fn small(value: U256) -> u32 {
    value.saturating_to()
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{Address, Bytes};
    use alloy::sol_types::SolEvent;
    use iono_bindings::IOperatorRegistry as I;
    use iono_bls::SecretKey;

    use super::*;

    fn key(operator: u8) -> PublicKey {
        SecretKey::derive(&[operator; 32]).public_key()
    }

    fn tell(roster: &mut Roster, event: &impl SolEvent) {
        roster.apply(&Log { address: Address::ZERO, data: event.encode_log_data() });
    }

    fn weigh(roster: &mut Roster, operator: u8, from: u32, weight: u64) {
        let (operator, from) = (U256::from(operator), U256::from(from));
        tell(roster, &I::WeightChanged { operator, fromEra: from, weight: U256::from(weight) });
    }

    fn roster(operators: u8) -> Roster {
        let mut roster = Roster::default();
        for number in 1..=operators {
            let key = Bytes::from(key(number).to_bytes().to_vec());
            let operator = U256::from(number);
            tell(&mut roster, &I::OperatorRegistered { operator, owner: Address::ZERO, key: key.clone() });
            weigh(&mut roster, number, 2, 100);
        }
        for (point, from) in [(1, 2), (2, 5)] {
            let size = U256::from(operators);
            let (point, weight) = (U256::from(point), U256::from(100) * size);
            let changed = I::SetChanged { point, fromEra: U256::from(from), weight, size, key: Bytes::new() };
            tell(&mut roster, &changed);
        }
        roster
    }

    #[test]
    fn a_set_is_what_counted_in_its_era() {
        let mut roster = roster(3);
        weigh(&mut roster, 2, 5, 300);
        weigh(&mut roster, 2, 5, 0);
        weigh(&mut roster, 3, 5, 70);
        assert_eq!((roster.set_at(1), roster.has_set(1), roster.has_set(2)), (None, false, true));
        let of = |era| {
            let set = roster.set_at(era).unwrap();
            let members = set.members.iter().map(|m| (m.operator, m.point, m.weight)).collect::<Vec<_>>();
            (set.point, members)
        };
        assert_eq!(of(4), (1, vec![(1, 1, 100), (2, 1, 100), (3, 1, 100)]));
        assert_eq!(of(5), (2, vec![(1, 1, 100), (3, 2, 70)]));
        assert_eq!(of(9), of(5));
    }

    #[test]
    fn endpoints_and_ejections_are_known() {
        let mut roster = roster(2);
        tell(&mut roster, &I::EndpointChanged { operator: U256::from(2), url: "http://b".to_owned() });
        tell(&mut roster, &I::OperatorEjected { operator: U256::from(1), era: U256::from(3) });
        assert_eq!(roster.operator_of(&key(2)), Some(2));
        assert_eq!(roster.operator(2).unwrap().endpoint, "http://b");
        assert_eq!(
            roster.operators().map(|(n, o)| (n, o.ejected)).collect::<Vec<_>>(),
            [(1, true), (2, false)]
        );
        assert_eq!(roster.set_at(3).unwrap().members.len(), 2);
    }
}
