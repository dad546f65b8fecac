//! What this operator has signed: one root for a closing block, a set and an anchor, written down before it leaves the
//! machine. Ranking is a pure function, so a second root could only come of a fault of ours, and would cost the stake.

use alloy::primitives::B256;
use anyhow::{Result, ensure};
use iono_quorum::Results;
use iono_store::{Change, SharedStore, StoreError};
use serde::{Deserialize, Serialize};

use crate::task::TaskId;

const NAMESPACE: &str = "signed";

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Signed {
    close_hash: B256,
    seed: B256,
    root: B256,
}

/// Writes down what is about to be signed; refuses when something else was signed for the same anchor.
pub(crate) async fn sign_once(store: &SharedStore, results: &Results) -> Result<()> {
    let key = key((results.close_block, results.set_era));
    let anchor = results.anchor;
    let signing = Signed { close_hash: anchor.close_hash, seed: anchor.seed, root: results.root() };
    if let Some(document) = store.document(NAMESPACE, &key).await? {
        let signed: Signed = document.parse()?;
        let is_same_chain = (signed.close_hash, signed.seed) == (signing.close_hash, signing.seed);
        let contradicts = is_same_chain && signed.root != signing.root;
        if contradicts {
            tracing::error!(block = results.close_block, signed = %signed.root, "a fault of ours: not signing");
        }
        ensure!(
            !contradicts,
            "another root was signed for block {}: this daemon would contradict itself and does not sign",
            results.close_block
        );
    }
    store.change(&[Change::put(NAMESPACE, &key, &signing)?]).await?;
    Ok(())
}

/// Nobody asks for the task any more.
pub(crate) async fn forget(store: &SharedStore, id: TaskId) -> Result<(), StoreError> {
    store.change(&[Change::delete(NAMESPACE, key(id))]).await
}

fn key((close_block, era): TaskId) -> String {
    format!("{close_block}:{era}")
}

#[cfg(test)]
mod tests {
    use alloy::primitives::Address;
    use iono_bindings::{BidWord, OrderWords};
    use iono_matching::{Bid, Weights};
    use iono_primitives::OrderId;
    use iono_quorum::{Anchor, ClosedOrder, Domain};

    use super::*;

    fn results(close_hash: u8, rate: u128) -> Results {
        let domain = Domain { chain_id: 1, tasks: Address::ZERO };
        let anchor = Anchor { close_hash: B256::repeat_byte(close_hash), seed: B256::ZERO };
        let bid = Bid(BidWord { provider: 1, rate, ..BidWord::default() }.words()[0]);
        let words = OrderWords { close_block: 9, set_era: 4, ..OrderWords::default() }.words();
        let order = ClosedOrder { order: OrderId(1), words, weights: Weights::default(), bids: vec![bid] };
        Results::compute(&domain, 9, 4, anchor, &[order]).unwrap()
    }

    #[tokio::test]
    async fn one_root_for_one_chain() {
        let store = iono_store::connect("sqlite::memory:").await.unwrap();
        sign_once(&store, &results(1, 5)).await.unwrap();
        sign_once(&store, &results(1, 5)).await.unwrap();
        let error = sign_once(&store, &results(1, 6)).await.unwrap_err().to_string();
        assert!(error.contains("contradict"), "{error}");
        // After a re-org another root is right, and the first is never signed again by mistake.
        sign_once(&store, &results(2, 6)).await.unwrap();
        forget(&store, (9, 4)).await.unwrap();
        sign_once(&store, &results(2, 7)).await.unwrap();
    }
}
