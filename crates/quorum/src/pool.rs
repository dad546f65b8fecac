//! Shares over one root, gathered until they are a quorum. They are checked together once they could be one; what is
//! false is dropped, so that rubbish in an operator's name does not keep its share out.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::B256;
use iono_bindings::Quorum;
use iono_bls::{Share, Signature, check_shares};

use crate::{OperatorSet, QuorumError};

/// Unchecked shares that may wait in one operator's name.
const WAITING: usize = 3;

/// What became of a share that was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// It is kept, and checked when it matters.
    Taken,
    /// This operator's share is there and holds.
    Known,
    /// The set has no such member, or it was ejected.
    NotMember,
}

/// The shares of one root.
#[derive(Debug, Clone)]
pub struct Pool {
    digest: B256,
    set: OperatorSet,
    ejected: BTreeSet<u32>,
    holding: BTreeMap<u32, Signature>,
    waiting: Vec<(u32, Signature)>,
    bad: u64,
}

impl Pool {
    /// For the members of a set, but for the ejected ones.
    #[must_use]
    pub fn new(digest: B256, set: OperatorSet, ejected: BTreeSet<u32>) -> Self {
        let (holding, waiting) = (BTreeMap::new(), Vec::new());
        Self { digest, set, ejected, holding, waiting, bad: 0 }
    }

    /// Takes a share in.
    pub fn offer(&mut self, operator: u32, signature: Signature) -> Offer {
        if self.ejected.contains(&operator) || !self.is_member(operator) {
            return Offer::NotMember;
        }
        if self.holding.contains_key(&operator) {
            return Offer::Known;
        }
        if self.waiting.iter().filter(|(waiting, _)| *waiting == operator).count() >= WAITING {
            self.check();
            if self.holding.contains_key(&operator) {
                return Offer::Known;
            }
        }
        self.waiting.push((operator, signature));
        Offer::Taken
    }

    /// Keeps a share that needs no check: the caller has just made it.
    pub fn hold(&mut self, operator: u32, signature: Signature) {
        self.holding.insert(operator, signature);
    }

    /// Checks what waits, if that may make a quorum or complete it; `true` when there is a quorum.
    pub fn settle(&mut self) -> bool {
        if !self.waiting.is_empty() && self.set.is_quorum(self.weight_of(&self.named())) {
            self.check();
        }
        self.set.is_quorum(self.signed())
    }

    /// Whether everybody signed who still may.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.set.members.iter().all(|member| {
            self.ejected.contains(&member.operator) || self.holding.contains_key(&member.operator)
        })
    }

    /// An operator was slashed: what it signed counts no more.
    pub fn eject(&mut self, operator: u32) {
        self.ejected.insert(operator);
        self.holding.remove(&operator);
        self.waiting.retain(|(waiting, _)| *waiting != operator);
    }

    /// Weight of those whose shares hold, in wei.
    #[must_use]
    pub fn signed(&self) -> u128 {
        self.weight_of(&self.holding.keys().copied().collect())
    }

    /// Operators whose shares hold.
    pub fn signers(&self) -> impl Iterator<Item = u32> {
        self.holding.keys().copied()
    }

    /// The set.
    #[must_use]
    pub fn set(&self) -> &OperatorSet {
        &self.set
    }

    /// Shares that were no signature of the root by their operator's key.
    #[must_use]
    pub fn bad(&self) -> u64 {
        self.bad
    }

    /// What `MatchTaskManager` takes, of the shares that hold.
    ///
    /// # Errors
    /// [`QuorumError`] when they are too few.
    pub fn quorum(&self) -> Result<Quorum, QuorumError> {
        self.set.quorum(|operator| self.holding.get(&operator).copied())
    }

    fn check(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        let key_of =
            |operator| self.set.members.iter().find(|member| member.operator == operator).map(|m| m.key);
        let shares: Vec<Share> = waiting
            .iter()
            .filter_map(|(operator, signature)| {
                Some(Share { key: key_of(*operator)?, signature: *signature })
            })
            .collect();
        let bad = check_shares(self.digest.as_slice(), &shares).bad;
        self.bad += bad.len() as u64;
        for (index, (operator, signature)) in waiting.into_iter().enumerate() {
            if bad.binary_search(&index).is_err() {
                self.holding.insert(operator, signature);
            }
        }
    }

    /// Who has signed or may have.
    fn named(&self) -> BTreeSet<u32> {
        self.holding.keys().copied().chain(self.waiting.iter().map(|(operator, _)| *operator)).collect()
    }

    fn is_member(&self, operator: u32) -> bool {
        self.set.members.iter().any(|member| member.operator == operator)
    }

    fn weight_of(&self, operators: &BTreeSet<u32>) -> u128 {
        let members = self.set.members.iter().filter(|member| operators.contains(&member.operator));
        members.map(|member| member.weight).sum()
    }
}

#[cfg(test)]
mod tests {
    use iono_bls::SecretKey;
    use proptest::prelude::*;

    use super::*;
    use crate::Member;

    const DIGEST: B256 = B256::repeat_byte(3);

    fn secret(operator: u32) -> SecretKey {
        SecretKey::derive(&[operator as u8; 32])
    }

    fn good(operator: u32) -> Signature {
        secret(operator).sign(DIGEST.as_slice())
    }

    fn false_share(operator: u32) -> Signature {
        secret(operator).sign(b"another root")
    }

    fn pool(members: u32) -> Pool {
        let member = |operator| Member { operator, point: 1, weight: 10, key: secret(operator).public_key() };
        let set = OperatorSet { era: 1, point: 1, members: (1..=members).map(member).collect() };
        Pool::new(DIGEST, set, BTreeSet::new())
    }

    #[test]
    fn a_quorum_is_made_of_shares_that_hold() {
        let mut pool = pool(4);
        pool.hold(1, good(1));
        assert_eq!(pool.offer(2, false_share(2)), Offer::Taken);
        assert_eq!(pool.offer(3, good(3)), Offer::Taken);
        assert!(!pool.settle());
        assert_eq!((pool.signers().collect::<Vec<_>>(), pool.bad()), (vec![1, 3], 1));
        assert_eq!(pool.offer(1, good(1)), Offer::Known);
        assert_eq!(pool.offer(5, good(5)), Offer::NotMember);
        assert_eq!(pool.offer(2, good(2)), Offer::Taken);
        assert!(pool.settle() && !pool.is_complete());
        assert!(pool.quorum().is_ok());
        pool.offer(4, good(4));
        assert!(pool.settle() && pool.is_complete());
    }

    #[test]
    fn rubbish_in_an_operators_name_does_not_keep_it_out() {
        let mut pool = pool(2);
        for _ in 0..10 {
            assert_eq!(pool.offer(1, false_share(1)), Offer::Taken);
        }
        assert_eq!(pool.offer(1, good(1)), Offer::Taken);
        pool.offer(2, good(2));
        assert!(pool.settle());
        assert_eq!(pool.bad(), 10);
    }

    #[test]
    fn an_ejected_one_counts_no_more() {
        let mut pool = pool(4);
        for operator in 1..=3 {
            pool.offer(operator, good(operator));
        }
        assert!(pool.settle());
        pool.eject(3);
        assert!(!pool.settle());
        assert_eq!(pool.offer(3, good(3)), Offer::NotMember);
        pool.offer(4, good(4));
        assert!(pool.settle() && pool.is_complete());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// However shares come, a quorum verifies and holds no false one.
        #[test]
        fn a_quorum_always_verifies(offers in prop::collection::vec((1_u32..=7, any::<bool>()), 1..30)) {
            let mut pool = pool(7);
            let mut honest = BTreeSet::new();
            for (operator, is_good) in offers {
                pool.offer(operator, if is_good { good(operator) } else { false_share(operator) });
                honest.extend(is_good.then_some(operator));
            }
            let is_quorum = pool.settle();
            prop_assert_eq!(is_quorum, honest.len() >= 5);
            if is_quorum {
                let signature = Signature::from_bytes(&pool.quorum().unwrap().signature).unwrap();
                let keys: Vec<_> = pool.signers().map(|operator| secret(operator).public_key()).collect();
                let key = iono_bls::PublicKey::aggregate(&keys).unwrap();
                prop_assert!(signature.verify(DIGEST.as_slice(), &key));
            }
        }
    }
}
