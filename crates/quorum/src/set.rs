//! A set of operators and the quorum that its members' shares make.

use std::collections::BTreeSet;

use alloy::primitives::{B256, Bytes, keccak256};
use iono_bindings::Quorum;
use iono_bls::{BlsError, PublicKey, Signature};

/// An operator in a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its number in `OperatorRegistry`.
    pub operator: u32,
    /// Index of its weight in the set's era.
    pub point: u32,
    /// Wei of SPON.
    pub weight: u128,
    /// Its possession was proved to the registry.
    pub key: PublicKey,
}

impl Member {
    /// By which `OperatorRegistry` knows the key.
    #[must_use]
    pub fn key_hash(&self) -> B256 {
        keccak256(self.key.to_bytes())
    }
}

/// The operators that may match the orders of an era.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorSet {
    /// The era.
    pub era: u32,
    /// Index of the set in `OperatorRegistry`.
    pub point: u32,
    /// In any order.
    pub members: Vec<Member>,
}

/// Why there is no quorum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum QuorumError {
    /// At most two thirds.
    #[error("only {signed} of {total} wei signed; more than two thirds are needed")]
    TooLight {
        /// Weight of those who signed.
        signed: u128,
        /// Weight of the set.
        total: u128,
    },
    /// Not one signature, or keys that cancel out.
    #[error("the signatures cannot be added: {0}")]
    Bls(#[from] BlsError),
}

impl OperatorSet {
    /// Weight of all members, in wei.
    #[must_use]
    pub fn weight(&self) -> u128 {
        self.members.iter().map(|member| member.weight).sum()
    }

    /// Whether so much weight is more than two thirds.
    #[must_use]
    pub fn is_quorum(&self, signed: u128) -> bool {
        // A weight is below 2^91 (all SPON twice), so neither product overflows.
        signed * 3 > self.weight() * 2
    }

    /// What `MatchTaskManager` takes: the members' shares over one digest, each checked before, by operator.
    ///
    /// # Errors
    /// [`QuorumError`] when they are too few.
    pub fn quorum(&self, share_of: impl Fn(u32) -> Option<Signature>) -> Result<Quorum, QuorumError> {
        let mut signatures = Vec::new();
        let mut silent = BTreeSet::new();
        let mut signed = 0;
        for member in &self.members {
            match share_of(member.operator) {
                Some(signature) => {
                    signatures.push(signature);
                    signed += member.weight;
                }
                None => drop(silent.insert(member.key_hash())),
            }
        }
        if !self.is_quorum(signed) {
            return Err(QuorumError::TooLight { signed, total: self.weight() });
        }
        let keys: Vec<PublicKey> = self.members.iter().map(|member| member.key).collect();
        Ok(Quorum {
            era: self.era,
            point: self.point,
            key: PublicKey::aggregate(&keys)?.to_bytes().into(),
            signature: Signature::aggregate(&signatures)?.to_bytes().into(),
            nonSigners: self.non_signers(&silent),
        })
    }

    /// Those members as `MatchTaskManager` takes them: by key hash, index of the weight and key of each.
    #[must_use]
    pub fn non_signers(&self, silent: &BTreeSet<B256>) -> Bytes {
        let mut members: Vec<(B256, &Member)> =
            self.members.iter().map(|member| (member.key_hash(), member)).collect();
        members.retain(|(hash, _)| silent.contains(hash));
        members.sort_by_key(|(hash, _)| *hash);
        let entry = |(_, member): &(B256, &Member)| {
            [member.point.to_be_bytes().as_slice(), &member.key.to_bytes()].concat()
        };
        members.iter().flat_map(entry).collect::<Vec<u8>>().into()
    }
}

#[cfg(test)]
mod tests {
    use iono_bls::SecretKey;

    use super::*;

    fn secret(operator: u32) -> SecretKey {
        SecretKey::derive(&[operator as u8; 32])
    }

    fn set(weights: &[u128]) -> OperatorSet {
        let members = (1..).zip(weights).map(|(operator, weight)| Member {
            operator,
            point: operator + 10,
            weight: *weight,
            key: secret(operator).public_key(),
        });
        OperatorSet { era: 4, point: 2, members: members.collect() }
    }

    #[test]
    fn who_is_silent_is_listed_by_the_hash_of_its_key() {
        let set = set(&[10, 10, 10, 10, 10, 10, 10]);
        let sign = |operator: u32| (operator != 2 && operator != 5).then(|| secret(operator).sign(b"root"));
        let quorum = set.quorum(sign).unwrap();
        assert_eq!(quorum.nonSigners.len(), 2 * 260);
        let hash = |from: usize| keccak256(&quorum.nonSigners[from + 4..from + 260]);
        assert!(hash(0) < hash(260));
        let keys: Vec<PublicKey> = [1, 3, 4, 6, 7].map(|n| secret(n).public_key()).to_vec();
        let signature = Signature::from_bytes(&quorum.signature).unwrap();
        assert!(signature.verify(b"root", &PublicKey::aggregate(&keys).unwrap()));
    }

    #[test]
    fn two_thirds_are_too_few() {
        let set = set(&[1, 1, 1]);
        let two = |operator: u32| (operator != 3).then(|| secret(operator).sign(b"root"));
        assert_eq!(set.quorum(two).unwrap_err(), QuorumError::TooLight { signed: 2, total: 3 });
        let heavy = super::OperatorSet { members: [&set.members[..2], &[]].concat(), ..set };
        assert!(heavy.quorum(two).is_ok());
    }

    #[test]
    fn nobody_is_no_quorum() {
        let nobody = OperatorSet { members: vec![], ..set(&[]) };
        assert_eq!(nobody.quorum(|_| None).unwrap_err(), QuorumError::TooLight { signed: 0, total: 0 });
    }
}
