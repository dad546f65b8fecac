//! The results of all orders that share a closing block and a set: what an operator signs, what an aggregator submits,
//! and what tells a liar.

use alloy::primitives::{B256, U256};
use iono_bindings::{IMatchTaskManager, Match, Quorum};
use iono_bls::SecretKey;
use iono_matching::{Bid, Weights};
use iono_primitives::OrderId;

use crate::{Anchor, Domain, Ranked, ShareResult, SignedShare, Tree, message, rank};

/// An order with its stored bids by slot, as bidding left them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedOrder {
    /// Its number.
    pub order: OrderId,
    /// Its stored words.
    pub words: [U256; 2],
    /// Weights of its policy version.
    pub weights: Weights,
    /// Its bids.
    pub bids: Vec<Bid>,
}

/// The results of a closing block and a set, ordered by order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Results {
    /// The block in which bidding closed.
    pub close_block: u64,
    /// Era of the set.
    pub set_era: u32,
    /// What the results are anchored to.
    pub anchor: Anchor,
    /// The best bid of each order that has one.
    pub ranked: Vec<Ranked>,
    tree: Tree,
    digest: B256,
}

impl Results {
    /// Ranks the bids of all orders of a closing block and a set; `None` when there is no bid at all.
    #[must_use]
    pub fn compute(
        domain: &Domain,
        close_block: u64,
        set_era: u32,
        anchor: Anchor,
        orders: &[ClosedOrder],
    ) -> Option<Self> {
        let best = |order: &ClosedOrder| rank(order.order, order.words, order.weights, &order.bids, &anchor);
        let mut ranked: Vec<Ranked> = orders.iter().filter_map(best).collect();
        ranked.sort_unstable_by_key(|result| result.order);
        let tree = Tree::new(ranked.iter().map(|result| result.leaf).collect())?;
        let digest = domain.root_digest(close_block, set_era, tree.root());
        Some(Self { close_block, set_era, anchor, ranked, tree, digest })
    }

    /// Root of the results' tree.
    #[must_use]
    pub fn root(&self) -> B256 {
        self.tree.root()
    }

    /// What is signed.
    #[must_use]
    pub fn digest(&self) -> B256 {
        self.digest
    }

    /// An operator's share, without the results.
    #[must_use]
    pub fn sign(&self, operator: u32, secret: &SecretKey) -> SignedShare {
        SignedShare {
            operator,
            set_era: self.set_era,
            close_block: self.close_block,
            root: self.root(),
            signature: secret.sign(self.digest.as_slice()).to_bytes().to_vec().into(),
            results: Vec::new(),
        }
    }

    /// The results as a share carries them when it is asked for them.
    #[must_use]
    pub fn list(&self) -> Vec<ShareResult> {
        self.ranked.iter().map(|result| ShareResult { order: result.order, bid: result.bid.0 }).collect()
    }

    /// Calls that turn the wanted orders into leases, at most so many in each.
    pub fn batches(
        &self,
        quorum: &Quorum,
        wanted: impl Fn(OrderId) -> bool,
        at_most: usize,
    ) -> Vec<IMatchTaskManager::respondBatchCall> {
        let wanted = self.ranked.iter().enumerate().filter(|(_, result)| wanted(result.order));
        let matches: Vec<Match> = wanted
            .map(|(index, result)| Match {
                order: result.order.into(),
                bid: result.bid.0,
                proof: self.tree.proof(index),
            })
            .collect();
        let call = |matches: &[Match]| IMatchTaskManager::respondBatchCall {
            closeBlock: U256::from(self.close_block),
            root: self.root(),
            quorum: quorum.clone(),
            matches: matches.to_vec(),
        };
        matches.chunks(at_most.max(1)).map(call).collect()
    }

    /// The first losing bid that a share says has won, as evidence. The share's signature must have been verified over
    /// the root that it names; a share that is about another chain, or whose results are not those of its root, tells
    /// nothing.
    #[must_use]
    pub fn lie_in(
        &self,
        share: &SignedShare,
        orders: &[ClosedOrder],
    ) -> Option<IMatchTaskManager::proveLieCall> {
        if share.close_block != self.close_block || share.set_era != self.set_era {
            return None;
        }
        let words = |order: OrderId| orders.iter().find(|closed| closed.order == order).map(|o| o.words);
        let leaves: Vec<B256> = share
            .results
            .iter()
            .map(|said| Some(message::leaf(said.order, words(said.order)?, Bid(said.bid), &self.anchor)))
            .collect::<Option<_>>()?;
        let tree = Tree::new(leaves).filter(|tree| tree.root() == share.root)?;
        let is_lie = |said: &ShareResult| {
            self.ranked.iter().any(|result| result.order == said.order && result.bid.0 != said.bid)
        };
        let index = share.results.iter().position(is_lie)?;
        let said = share.results[index];
        Some(IMatchTaskManager::proveLieCall {
            share: share.evidence(),
            result: Match { order: said.order.into(), bid: said.bid, proof: tree.proof(index) },
        })
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::Address;
    use iono_bindings::{BidWord, OrderWords};
    use iono_matching::ticket;

    use super::*;

    const DOMAIN: Domain = Domain { chain_id: 1, tasks: Address::ZERO };
    const ANCHOR: Anchor = Anchor { close_hash: B256::repeat_byte(1), seed: B256::repeat_byte(2) };

    fn closed(order: u64, rates: &[u128]) -> ClosedOrder {
        let words = OrderWords { close_block: 9, set_era: 4, max_rate: 100, ..OrderWords::default() }.words();
        let bids = (1..)
            .zip(rates)
            .map(|(provider, rate)| BidWord { provider, rate: *rate, ..BidWord::default() }.words()[0]);
        let weights = Weights::default();
        ClosedOrder { order: OrderId(order), words, weights, bids: bids.map(Bid).collect() }
    }

    fn results(orders: &[ClosedOrder]) -> Results {
        Results::compute(&DOMAIN, 9, 4, ANCHOR, orders).unwrap()
    }

    #[test]
    fn all_see_the_same_root_however_they_found_the_orders() {
        let orders = [closed(1, &[5, 6]), closed(2, &[]), closed(3, &[7])];
        let mut turned = orders.clone();
        turned.reverse();
        assert_eq!(results(&orders), results(&turned));
        assert_eq!(results(&orders).list().len(), 2);
        assert_eq!(Results::compute(&DOMAIN, 9, 4, ANCHOR, &orders[1..2]), None);
    }

    /// Bids of equal score are decided by what their providers drew, the same for all however they lie.
    #[test]
    fn sixty_four_equal_bids_have_one_winner() {
        let order = closed(1, &[5; 64]);
        let mut turned = order.clone();
        turned.bids.reverse();
        let won = |order: &ClosedOrder| results(std::slice::from_ref(order)).ranked[0];
        assert_eq!(won(&order), won(&turned));
        let luckiest = order.bids.iter().max_by_key(|bid| ticket(&ANCHOR.seed, bid.provider())).unwrap();
        assert_eq!(won(&order).bid, *luckiest);
    }

    #[test]
    fn batches_hold_what_is_wanted() {
        let orders: Vec<ClosedOrder> = (1..=5).map(|order| closed(order, &[5])).collect();
        let results = results(&orders);
        let calls = results.batches(&Quorum::default(), |order| order.0 != 2, 3);
        assert_eq!(calls.iter().map(|call| call.matches.len()).collect::<Vec<_>>(), [3, 1]);
        let (last, leaf) = (&calls[1].matches[0], results.ranked[4].leaf);
        assert_eq!(last.order, U256::from(5));
        assert!(Tree::leads(leaf, &last.proof, results.root()));
    }

    #[test]
    fn a_lie_is_found_and_honest_shares_tell_nothing() {
        let orders = [closed(1, &[5, 6]), closed(2, &[7, 8])];
        let truth = results(&orders);
        let secret = SecretKey::derive(&[1; 32]);
        let honest = SignedShare { results: truth.list(), ..truth.sign(7, &secret) };
        assert_eq!(truth.lie_in(&honest, &orders), None);

        let mut said = truth.list();
        said[1].bid = orders[1].bids.iter().find(|bid| bid.0 != said[1].bid).unwrap().0;
        let leaf = |said: &ShareResult| message::leaf(said.order, orders[0].words, Bid(said.bid), &ANCHOR);
        let root = Tree::new(said.iter().map(leaf).collect()).unwrap().root();
        let lie = SignedShare { root, results: said.clone(), ..honest.clone() };
        let evidence = truth.lie_in(&lie, &orders).unwrap();
        assert_eq!(evidence.result.order, U256::from(2));
        assert!(Tree::leads(leaf(&said[1]), &evidence.result.proof, root));

        // Results that are not those of the root, of another block, of orders that are not there, or none.
        for other in [
            SignedShare { root: truth.root(), ..lie.clone() },
            SignedShare { close_block: 8, ..lie.clone() },
            SignedShare { results: vec![], ..lie.clone() },
            SignedShare {
                results: vec![ShareResult { order: OrderId(9), bid: U256::from(1) }],
                ..lie.clone()
            },
        ] {
            assert_eq!(truth.lie_in(&other, &orders), None);
        }
        // The same words on a chain that a re-org took away.
        let elsewhere = Anchor { close_hash: B256::repeat_byte(7), ..ANCHOR };
        let here = Results::compute(&DOMAIN, 9, 4, elsewhere, &orders).unwrap();
        assert_eq!(here.lie_in(&lie, &orders), None);
    }
}
