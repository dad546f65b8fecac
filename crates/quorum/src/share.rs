//! A share as it travels: what one operator signed, self-authenticating, so that it may come from anywhere.

use alloy::primitives::aliases::U40;
use alloy::primitives::{B256, Bytes, U256};
use iono_bls::{BlsError, Signature};
use iono_primitives::OrderId;
use serde::{Deserialize, Serialize};

/// One operator's signature over the root of a closing block and set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SignedShare {
    /// Its number in `OperatorRegistry`.
    pub operator: u32,
    /// Era of the set.
    pub set_era: u32,
    /// The block in which bidding closed.
    pub close_block: u64,
    /// Of the tree of all results.
    pub root: B256,
    /// Of the root's digest; EIP-2537's encoding, 128 bytes.
    pub signature: Bytes,
    /// What the root is of, in the tree's order. Only asked for when the root is not the aggregator's own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub results: Vec<ShareResult>,
}

/// The bid that an operator holds for an order's best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShareResult {
    /// The order.
    pub order: OrderId,
    /// The bid's word.
    pub bid: U256,
}

impl SignedShare {
    /// The signature as a point.
    ///
    /// # Errors
    /// [`BlsError`] when it is none.
    pub fn point(&self) -> Result<Signature, BlsError> {
        Signature::from_bytes(&self.signature)
    }

    /// As `MatchTaskManager` takes it.
    #[must_use]
    pub fn evidence(&self) -> iono_bindings::Share {
        iono_bindings::Share {
            operator: self.operator,
            setEra: self.set_era,
            closeBlock: U40::saturating_from(self.close_block),
            root: self.root,
            signature: self.signature.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share() -> SignedShare {
        SignedShare {
            operator: 7,
            set_era: 3,
            close_block: 12,
            root: B256::repeat_byte(1),
            signature: Bytes::from(vec![2; 128]),
            results: vec![],
        }
    }

    #[test]
    fn the_usual_share_is_short() {
        let text = serde_json::to_string(&share()).unwrap();
        assert!(text.len() < 450, "{} bytes", text.len());
        assert!(!text.contains("results"), "{text}");
        assert_eq!(serde_json::from_str::<SignedShare>(&text).unwrap(), share());
        let results = vec![ShareResult { order: OrderId(4), bid: U256::from(9) }];
        let long = SignedShare { results, ..share() };
        let text = serde_json::to_string(&long).unwrap();
        assert_eq!(serde_json::from_str::<SignedShare>(&text).unwrap(), long);
    }

    #[test]
    fn what_nobody_knows_is_refused() {
        let text = serde_json::to_string(&share()).unwrap();
        assert!(serde_json::from_str::<SignedShare>(&text.replace("setEra", "setTime")).is_err());
        assert!(share().point().is_err());
    }
}
