//! What operators sign, made by hand from what the chain says: the truth, or whatever a test wants them to say.

use std::collections::BTreeMap;

use alloy::eips::BlockId;
use alloy::primitives::{B256, U256};
use alloy::providers::{DynProvider, Provider as _};
use alloy::rpc::types::Filter;
use anyhow::{Context, Result, ensure};
use iono_bindings::{
    AddressBook, IMatchPolicy, IMatchTaskManager, IOrderBook, IRandomness, Match, OrderWords, Quorum,
};
use iono_bls::SecretKey;
use iono_matching::{Bid, Weights};
use iono_primitives::OrderId;
use iono_quorum::{
    Anchor, ClosedOrder, Domain, Results, Roster, ShareResult, SignedShare, Tree, message, rank,
};

/// Bids that are said to win orders of one closing block and set, and the tree over them.
pub struct Ballot {
    /// The block in which bidding closed.
    pub close_block: u64,
    /// Era of the set.
    pub set_era: u32,
    /// What it is anchored to.
    pub anchor: Anchor,
    /// The orders, in the tree's order.
    pub orders: Vec<ClosedOrder>,
    /// What is said of them.
    pub results: Vec<ShareResult>,
    domain: Domain,
    tree: Tree,
}

/// All operators, as the chain's logs tell of them.
///
/// # Errors
/// When the chain does not answer.
pub async fn roster(chain: &DynProvider, book: &AddressBook) -> Result<Roster> {
    let mut roster = Roster::default();
    let filter = Filter::new().address(book.operator_registry).from_block(0);
    chain.get_logs(&filter).await?.iter().for_each(|log| roster.apply(&log.inner));
    Ok(roster)
}

impl Ballot {
    /// Reads orders whose bidding is over; `choose` names each one's bid, given its bids and the best of them.
    ///
    /// # Errors
    /// When the chain does not answer, an order has no bid, or they do not close together.
    pub async fn of(
        chain: &DynProvider,
        book: &AddressBook,
        orders: &[OrderId],
        choose: impl Fn(&[Bid], Bid) -> Bid,
    ) -> Result<Self> {
        let order_book = IOrderBook::new(book.order_book, chain);
        let policies = IMatchPolicy::new(book.match_policy, chain);
        let domain = Domain { chain_id: book.chain_id, tasks: book.match_task_manager };
        let (mut closed, mut results, mut leaves, mut task) = (Vec::new(), Vec::new(), Vec::new(), None);
        let mut known: BTreeMap<u16, Weights> = BTreeMap::new();
        for order in orders {
            let read = order_book.orderWords((*order).into()).call().await?;
            let words = [read.word0, read.word1];
            let OrderWords { close_block, set_era, policy, .. } = OrderWords::read(words);
            let (together, anchor) = match task {
                Some(task) => task,
                None => *task.insert(((close_block, set_era), anchor(chain, book, close_block).await?)),
            };
            ensure!(together == (close_block, set_era), "order {order} closes elsewhere");
            let weights = match known.get(&policy) {
                Some(weights) => *weights,
                None => {
                    let word = policies.weightsOf(U256::from(policy)).call().await?;
                    *known.entry(policy).or_insert_with(|| Weights::from_word(word))
                }
            };
            let bids: Vec<Bid> =
                order_book.bidsOf((*order).into()).call().await?.into_iter().map(Bid).collect();
            let best = rank(*order, words, weights, &bids, &anchor).context("no bid")?.bid;
            let bid = choose(&bids, best);
            leaves.push(message::leaf(*order, words, bid, &anchor));
            results.push(ShareResult { order: *order, bid: bid.0 });
            closed.push(ClosedOrder { order: *order, words, weights, bids });
        }
        let ((close_block, set_era), anchor) = task.context("no order")?;
        let tree = Tree::new(leaves).context("no order")?;
        Ok(Self { close_block, set_era, anchor, orders: closed, results, domain, tree })
    }

    /// As honest operators fill it in.
    ///
    /// # Errors
    /// As [`Ballot::of`].
    pub async fn honest(chain: &DynProvider, book: &AddressBook, orders: &[OrderId]) -> Result<Self> {
        Self::of(chain, book, orders, |_, best| best).await
    }

    /// With a bid that lost wherever there is one.
    ///
    /// # Errors
    /// As [`Ballot::of`].
    pub async fn lying(chain: &DynProvider, book: &AddressBook, orders: &[OrderId]) -> Result<Self> {
        let losing = |bids: &[Bid], best| bids.iter().copied().find(|bid| *bid != best).unwrap_or(best);
        Self::of(chain, book, orders, losing).await
    }

    /// Root of the tree.
    #[must_use]
    pub fn root(&self) -> B256 {
        self.tree.root()
    }

    /// What is signed.
    #[must_use]
    pub fn digest(&self) -> B256 {
        self.domain.root_digest(self.close_block, self.set_era, self.root())
    }

    /// What an operator's own crate makes of the same orders.
    #[must_use]
    pub fn truth(&self) -> Option<Results> {
        Results::compute(&self.domain, self.close_block, self.set_era, self.anchor, &self.orders)
    }

    /// An operator's share, with the results.
    #[must_use]
    pub fn share(&self, operator: u32, secret: &SecretKey) -> SignedShare {
        SignedShare {
            operator,
            set_era: self.set_era,
            close_block: self.close_block,
            root: self.root(),
            signature: secret.sign(self.digest().as_slice()).to_bytes().to_vec().into(),
            results: self.results.clone(),
        }
    }

    /// A quorum over it, by those operators whose secrets are given.
    ///
    /// # Errors
    /// When they are too few.
    pub fn quorum(&self, roster: &Roster, secret_of: impl Fn(u32) -> Option<SecretKey>) -> Result<Quorum> {
        let set = roster.set_at(self.set_era).context("no operators")?;
        Ok(set.quorum(|operator| secret_of(operator).map(|secret| secret.sign(self.digest().as_slice())))?)
    }

    /// The batch that makes leases of it.
    #[must_use]
    pub fn batch(&self, quorum: Quorum) -> IMatchTaskManager::respondBatchCall {
        let matches = self.results.iter().enumerate().map(|(index, said)| Match {
            order: said.order.into(),
            bid: said.bid,
            proof: self.tree.proof(index),
        });
        let (close_block, root) = (U256::from(self.close_block), self.root());
        IMatchTaskManager::respondBatchCall {
            closeBlock: close_block,
            root,
            quorum,
            matches: matches.collect(),
        }
    }
}

/// Also while the seed's block is the head.
async fn anchor(chain: &DynProvider, book: &AddressBook, close_block: u64) -> Result<Anchor> {
    let block = chain.get_block_by_number(close_block.into()).await?.context("no closing block")?;
    let randomness = IRandomness::new(book.randomness, chain);
    let seed = randomness.seedOf(U256::from(close_block + 1)).block(BlockId::pending()).call().await?;
    Ok(Anchor { close_hash: block.header.hash, seed })
}
