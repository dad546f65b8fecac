//! Whose turn it is to aggregate: an order of operators that all compute alike, other for each closing block, and a turn
//! that passes on after some blocks, so that nobody can hold results back for long.

use alloy::primitives::{B256, keccak256};

use crate::OperatorSet;

/// Blocks after which the turn passes on; the same for everybody.
pub const TURN_BLOCKS: u64 = 2;

/// The members of a set in the order in which they aggregate the results of a closing block.
#[must_use]
pub fn aggregators(set: &OperatorSet, close_hash: B256) -> Vec<u32> {
    let place = |operator: u32| {
        keccak256([close_hash.as_slice(), &set.era.to_be_bytes(), &operator.to_be_bytes()].concat())
    };
    let mut order: Vec<(B256, u32)> =
        set.members.iter().map(|member| (place(member.operator), member.operator)).collect();
    order.sort_unstable();
    order.into_iter().map(|(_, operator)| operator).collect()
}

/// The turn at a block, from 0: the first begins with the block that shows the seed, which is the one after the closing
/// block where seeds are block hashes.
#[must_use]
pub fn turn_at(seeded: u64, head: u64) -> u64 {
    head.saturating_sub(seeded) / TURN_BLOCKS
}

#[cfg(test)]
mod tests {
    use iono_bls::SecretKey;

    use super::*;
    use crate::Member;

    fn set(members: u32) -> OperatorSet {
        let key = SecretKey::derive(&[7; 32]).public_key();
        let member = |operator| Member { operator, point: 1, weight: 1, key };
        OperatorSet { era: 3, point: 1, members: (1..=members).map(member).collect() }
    }

    #[test]
    fn everybody_has_a_place_and_blocks_differ() {
        let hash = B256::repeat_byte(1);
        let mut first = aggregators(&set(20), hash);
        let mut backwards = set(20);
        backwards.members.reverse();
        assert_eq!(aggregators(&backwards, hash), first);
        assert_ne!(aggregators(&set(20), B256::repeat_byte(2)), first);
        first.sort_unstable();
        assert_eq!(first, (1..=20).collect::<Vec<_>>());
    }

    #[test]
    fn turns_pass_by_blocks() {
        let turns = [9, 11, 12, 13, 14, 15].map(|head| turn_at(11, head));
        assert_eq!(turns, [0, 0, 0, 1, 1, 2]);
    }
}
