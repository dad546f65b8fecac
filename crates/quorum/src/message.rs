//! Results and the root that operators sign: the twin of `contracts/src/matching/MatchMessage.sol`.

use alloy::primitives::{Address, B256, U256, keccak256};
use alloy::sol_types::{SolStruct as _, SolValue as _, eip712_domain};
use iono_bindings::OrderWords;
use iono_matching::{Bid, Terms, Weights, select};
use iono_primitives::{OrderId, OrderState, Rate, Region};

#[allow(missing_docs, unreachable_pub)]
mod typed {
    alloy::sol! {
        struct MatchRoot { uint256 closeBlock; uint256 setEra; bytes32 root; }
        struct Match { bytes32 order; bytes32 closeHash; bytes32 seed; uint256 bid; uint256 policy; uint256 setEra; }
    }
}

/// Bits of an order's first word that hold its state.
const STATE: usize = 136;

/// Where the results count: one `MatchTaskManager` on one chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Domain {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// `MatchTaskManager`.
    pub tasks: Address,
}

impl Domain {
    /// What an operator signs for all orders of a closing block and a set (EIP-712).
    #[must_use]
    pub fn root_digest(&self, close_block: u64, set_era: u32, root: B256) -> B256 {
        let domain = eip712_domain! {
            name: "Ionosphere MatchTaskManager",
            version: "1",
            chain_id: self.chain_id,
            verifying_contract: self.tasks,
        };
        let (block, era) = (U256::from(close_block), U256::from(set_era));
        typed::MatchRoot { closeBlock: block, setEra: era, root }.eip712_signing_hash(&domain)
    }
}

/// What all results of a closing block have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// Hash of the closing block.
    pub close_hash: B256,
    /// Seed of the block after it.
    pub seed: B256,
}

/// An order's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ranked {
    /// The order.
    pub order: OrderId,
    /// The best of its bids.
    pub bid: Bid,
    /// The leaf that says so.
    pub leaf: B256,
}

/// The best bid of an order and its leaf; `None` without bids, since there is nothing to sign then.
///
/// `words` are the stored ones, whatever became of the order since; `weights` those of its policy version.
#[must_use]
pub fn rank(
    order: OrderId,
    words: [U256; 2],
    weights: Weights,
    bids: &[Bid],
    anchor: &Anchor,
) -> Option<Ranked> {
    let read = OrderWords::read(words);
    let terms = Terms { weights, max_rate: Rate(read.max_rate), region: Region(read.region) };
    let (best, _) = select(&terms, bids, &anchor.seed)?;
    let bid = bids[best];
    Some(Ranked { order, bid, leaf: leaf(order, words, bid, anchor) })
}

/// The leaf that says that `bid` wins.
#[must_use]
pub fn leaf(order: OrderId, words: [U256; 2], bid: Bid, anchor: &Anchor) -> B256 {
    let read = OrderWords::read(words);
    let result = typed::Match {
        order: order_hash(order, words),
        closeHash: anchor.close_hash,
        seed: anchor.seed,
        bid: bid.0,
        policy: U256::from(read.policy),
        setEra: U256::from(read.set_era),
    };
    result.eip712_hash_struct()
}

/// What an order was while it was open.
fn order_hash(order: OrderId, words: [U256; 2]) -> B256 {
    let state = U256::from(0xff) << STATE;
    let open = (words[0] & !state) | U256::from(OrderState::Open.code()) << STATE;
    keccak256((U256::from(order.0), open, words[1]).abi_encode())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_types_are_those_of_the_contract() {
        assert_eq!(
            typed::MatchRoot::eip712_encode_type(),
            "MatchRoot(uint256 closeBlock,uint256 setEra,bytes32 root)"
        );
        assert_eq!(
            typed::Match::eip712_encode_type(),
            "Match(bytes32 order,bytes32 closeHash,bytes32 seed,uint256 bid,uint256 policy,uint256 setEra)"
        );
    }

    #[test]
    fn what_became_of_an_order_does_not_change_its_leaf() {
        let anchor = Anchor { close_hash: B256::repeat_byte(1), seed: B256::repeat_byte(2) };
        let (bid, rest) = (Bid(U256::from(7)), U256::from(99));
        let word = |state: OrderState| U256::from(5) | U256::from(state.code()) << STATE;
        let open = leaf(OrderId(3), [word(OrderState::Open), rest], bid, &anchor);
        assert_eq!(leaf(OrderId(3), [word(OrderState::Matched), rest], bid, &anchor), open);
        assert_ne!(leaf(OrderId(4), [word(OrderState::Open), rest], bid, &anchor), open);
        assert_ne!(leaf(OrderId(3), [word(OrderState::Open), rest], Bid(U256::from(8)), &anchor), open);
        let later = Anchor { close_hash: B256::repeat_byte(3), ..anchor };
        assert_ne!(leaf(OrderId(3), [word(OrderState::Open), rest], bid, &later), open);
    }

    #[test]
    fn without_bids_there_is_nothing_to_sign() {
        let anchor = Anchor { close_hash: B256::ZERO, seed: B256::ZERO };
        assert_eq!(rank(OrderId(1), [U256::ZERO; 2], Weights::default(), &[], &anchor), None);
    }
}
