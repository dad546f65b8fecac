//! A Merkle tree whose pairs are hashed in order of their values, as OpenZeppelin's `MerkleProof` climbs it. The last node
//! of a level with an odd number goes up as it is. A leaf is the hash of 224 bytes and a node of 64, so that neither can
//! pass for the other.

use alloy::primitives::{B256, keccak256};

/// All levels, the leaves first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree(Vec<Vec<B256>>);

impl Tree {
    /// `None` without leaves.
    #[must_use]
    pub fn new(leaves: Vec<B256>) -> Option<Self> {
        if leaves.is_empty() {
            return None;
        }
        let mut levels = vec![leaves];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            let above = level.chunks(2).map(|pair| match pair {
                [left, right] => node(*left, *right),
                single => single[0],
            });
            levels.push(above.collect());
        }
        Some(Self(levels))
    }

    /// What is signed.
    #[must_use]
    pub fn root(&self) -> B256 {
        self.0[self.0.len() - 1][0]
    }

    /// The path from leaf `index` to the root.
    ///
    /// # Panics
    /// When there is no such leaf.
    #[must_use]
    pub fn proof(&self, mut index: usize) -> Vec<B256> {
        assert!(index < self.0[0].len(), "leaf {index} of {}", self.0[0].len());
        let mut path = Vec::new();
        for level in &self.0 {
            path.extend(level.get(index ^ 1).filter(|_| level.len() > 1));
            index /= 2;
        }
        path
    }

    /// Whether a path leads from a leaf to a root.
    #[must_use]
    pub fn leads(leaf: B256, path: &[B256], root: B256) -> bool {
        path.iter().fold(leaf, |reached, sibling| node(reached, *sibling)) == root
    }
}

fn node(a: B256, b: B256) -> B256 {
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    keccak256([low, high].concat())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn leaves(count: u64) -> Vec<B256> {
        (0..count).map(|index| keccak256(index.to_be_bytes())).collect()
    }

    #[test]
    fn a_single_leaf_is_the_root() {
        let tree = Tree::new(leaves(1)).unwrap();
        assert_eq!((tree.root(), tree.proof(0)), (leaves(1)[0], vec![]));
        assert_eq!(Tree::new(vec![]), None);
    }

    proptest! {
        #[test]
        fn every_leaf_leads_to_the_root_and_no_other_does(count in 1_u64..70, pick in any::<prop::sample::Index>()) {
            let leaves = leaves(count);
            let tree = Tree::new(leaves.clone()).unwrap();
            for (index, leaf) in leaves.iter().enumerate() {
                prop_assert!(Tree::leads(*leaf, &tree.proof(index), tree.root()));
            }
            let index = pick.index(leaves.len());
            prop_assert!(!Tree::leads(B256::repeat_byte(9), &tree.proof(index), tree.root()));
            prop_assert!(tree.proof(index).len() <= 7);
        }
    }
}
