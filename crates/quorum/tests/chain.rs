//! What this crate computes is what the contracts take: a batch that a quorum signed becomes leases, and a lie costs its
//! operator its stake, on a real chain.

#![allow(clippy::unwrap_used)]

use alloy::consensus::Transaction as _;
use alloy::eips::BlockNumberOrTag;
use alloy::primitives::{B256, Bytes, U256};
use alloy::providers::Provider as _;
use alloy::providers::ext::AnvilApi as _;
use alloy::rpc::types::TransactionRequest;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::SolCall as _;
use anyhow::{Context as _, Result};
use iono_bindings::{
    IERC20, IMatchPolicy, IMatchTaskManager, IOperatorRegistry, IOrderBook, IRandomness, IStakingManager,
    Match, OrderWords, Share,
};
use iono_bls::{PublicKey, SecretKey, check_shares};
use iono_matching::{Bid, Weights};
use iono_primitives::{OrderId, Rate, WalletId};
use iono_quorum::{Anchor, Domain, Member, OperatorSet, Ranked, Tree, message, rank};
use iono_testkit::{Devnet, ProviderSetup};

const OPERATORS: u8 = 7;
const STAKE: u64 = 10_000;
const DAY: u64 = 86_400;
const GAS: u64 = 600_000;

/// A market with three providers and seven operators.
struct World {
    net: Devnet,
    tenant: PrivateKeySigner,
    wallet: WalletId,
    hot_keys: Vec<PrivateKeySigner>,
    secrets: Vec<SecretKey>,
}

impl World {
    async fn open() -> Result<Self> {
        let net = Devnet::start().await?;
        let tenant = net.anvil.key(1);
        let wallet = net.wallet(&tenant, 1_000_000_000).await?;
        let mut hot_keys = Vec::new();
        for _ in 0..3 {
            let hot = PrivateKeySigner::random();
            net.provider(&ProviderSetup::new(PrivateKeySigner::random(), hot.clone())).await?;
            hot_keys.push(hot);
        }
        let secrets: Vec<SecretKey> =
            (1..=OPERATORS).map(|number| SecretKey::derive(&[number; 32])).collect();
        for secret in &secrets {
            net.operator(&PrivateKeySigner::random(), secret, STAKE).await?;
        }
        net.anvil.advance(DAY).await?;
        Ok(Self { net, tenant, wallet, hot_keys, secrets })
    }

    fn domain(&self) -> Domain {
        Domain { chain_id: self.net.book.chain_id, tasks: self.net.book.match_task_manager }
    }

    /// Orders of one block with a bid of every provider each, and the anchor of their closing block.
    async fn orders(&self, count: usize) -> Result<(Vec<OrderId>, u64, Anchor)> {
        let chain = self.net.anvil.provider();
        let book = IOrderBook::new(self.net.book.order_book, chain);
        let before: u64 = book.orderCount().call().await?.to();
        // One order as the kit makes it, again and again within one block.
        let rate = Rate::from_hourly("0.1")?;
        let first = self.net.order(&self.tenant, self.wallet, rate).await?;
        let made = chain.get_block_by_number(BlockNumberOrTag::Latest).full().await?.context("no block")?;
        let input = made.transactions.txns().next().context("no transaction")?.inner.input().clone();
        assert_eq!(first.0, before + 1);
        chain.anvil_set_auto_mine(false).await?;
        let owner = self.net.anvil.signing(&self.tenant);
        for _ in 0..count {
            let request =
                TransactionRequest::default().to(self.net.book.order_book).input(input.clone().into());
            let _ = owner.send_transaction(request.gas_limit(GAS)).await?;
        }
        self.net.anvil.mine(1).await?;
        let ids: Vec<OrderId> = (0..count as u64).map(|index| OrderId(first.0 + 1 + index)).collect();
        for (place, hot) in self.hot_keys.iter().enumerate() {
            let sender = self.net.anvil.signing(hot);
            for id in &ids {
                let rate = alloy::primitives::aliases::U80::from(rate.0 / (place as u128 + 1));
                let call = IOrderBook::placeBidCall { order: (*id).into(), rate, fizz: 0 };
                let request = TransactionRequest::default().to(self.net.book.order_book);
                let request = request.input(call.abi_encode().into()).gas_limit(GAS);
                let _ = sender.send_transaction(request).await?;
            }
        }
        self.net.anvil.mine(1).await?;
        chain.anvil_set_auto_mine(true).await?;
        self.net.anvil.mine(3).await?;

        let close_block = OrderWords::read(self.words(ids[0]).await?).close_block;
        let block = chain.get_block_by_number(close_block.into()).await?.context("no closing block")?;
        let randomness = IRandomness::new(self.net.book.randomness, chain);
        let seed = randomness.seedOf(U256::from(close_block + 1)).call().await?;
        Ok((ids, close_block, Anchor { close_hash: block.header.hash, seed }))
    }

    async fn words(&self, order: OrderId) -> Result<[U256; 2]> {
        let book = IOrderBook::new(self.net.book.order_book, self.net.anvil.provider());
        let words = book.orderWords(order.into()).call().await?;
        Ok([words.word0, words.word1])
    }

    async fn bids(&self, order: OrderId) -> Result<Vec<Bid>> {
        let book = IOrderBook::new(self.net.book.order_book, self.net.anvil.provider());
        Ok(book.bidsOf(order.into()).call().await?.into_iter().map(Bid).collect())
    }

    async fn rank(&self, order: OrderId, anchor: &Anchor) -> Result<Ranked> {
        let words = self.words(order).await?;
        let policy = U256::from(OrderWords::read(words).policy);
        let policies = IMatchPolicy::new(self.net.book.match_policy, self.net.anvil.provider());
        let weights = Weights::from_word(policies.weightsOf(policy).call().await?);
        rank(order, words, weights, &self.bids(order).await?, anchor).context("no bid")
    }

    async fn set(&self, era: u32) -> Result<OperatorSet> {
        let registry = IOperatorRegistry::new(self.net.book.operator_registry, self.net.anvil.provider());
        let point = registry.setAt(U256::from(era)).call().await?.point.to();
        let mut members = Vec::new();
        for operator in 1..=u32::from(OPERATORS) {
            let at = registry.weightAt(U256::from(operator), U256::from(era)).call().await?;
            let key = registry.keyOf(U256::from(operator)).call().await?;
            let (point, weight) = (at.point.to(), at.weight.to());
            members.push(Member { operator, point, weight, key: PublicKey::from_bytes(&key)? });
        }
        Ok(OperatorSet { era, point, members })
    }

    fn share(&self, operator: u32, digest: &B256) -> iono_bls::Share {
        let secret = &self.secrets[operator as usize - 1];
        iono_bls::Share { key: secret.public_key(), signature: secret.sign(digest.as_slice()) }
    }
}

#[tokio::test]
async fn a_batch_that_a_quorum_signed_becomes_leases() {
    let world = World::open().await.unwrap();
    let (ids, close_block, anchor) = world.orders(5).await.unwrap();
    let mut ranked = Vec::new();
    for id in &ids {
        ranked.push(world.rank(*id, &anchor).await.unwrap());
    }
    let tree = Tree::new(ranked.iter().map(|result| result.leaf).collect()).unwrap();
    let era = OrderWords::read(world.words(ids[0]).await.unwrap()).set_era;
    let digest = world.domain().root_digest(close_block, era, tree.root());
    let tasks = IMatchTaskManager::new(world.net.book.match_task_manager, world.net.anvil.provider());
    let theirs =
        tasks.rootDigest(U256::from(close_block), U256::from(era), tree.root()).call().await.unwrap();
    assert_eq!(digest, theirs);

    let set = world.set(era).await.unwrap();
    let shares: Vec<_> =
        [1, 2, 4, 5, 6, 7].map(|operator| (operator, world.share(operator, &digest))).to_vec();
    let plain: Vec<_> = shares.iter().map(|(_, share)| *share).collect();
    assert!(check_shares(digest.as_slice(), &plain).bad.is_empty());
    let share_of = |operator| shares.iter().find(|(o, _)| *o == operator).map(|(_, share)| share.signature);
    let quorum = set.quorum(share_of).unwrap();
    let matches = ranked.iter().enumerate().map(|(index, result)| Match {
        order: result.order.into(),
        bid: result.bid.0,
        proof: tree.proof(index),
    });
    let call = IMatchTaskManager::respondBatchCall {
        closeBlock: U256::from(close_block),
        root: tree.root(),
        quorum,
        matches: matches.collect(),
    };
    let receipt = world.net.send(&world.net.anvil.key(2), *tasks.address(), call).await.unwrap();
    let responded = receipt.decoded_log::<IMatchTaskManager::BatchResponded>().unwrap();
    assert_eq!(responded.matched, U256::from(5));
    for result in &ranked {
        let lease = world.net.lease(iono_primitives::LeaseId(result.order.0)).await.unwrap();
        assert_eq!(lease.provider, result.bid.provider());
    }
    let token = world.net.dollar_id();
    let silent = tasks.performanceOf(U256::from(3), U256::from(era), token.into()).call().await.unwrap();
    assert_eq!((silent.matched, silent.missed), (U256::from(5), U256::from(5)));
    assert_eq!(silent.unclaimed, U256::ZERO);
}

#[tokio::test]
async fn a_lie_costs_its_operator_half_of_its_stake() {
    let world = World::open().await.unwrap();
    let (ids, close_block, anchor) = world.orders(2).await.unwrap();
    let (truth, lie) = (ids[0], ids[1]);
    let right = world.rank(lie, &anchor).await.unwrap().bid;
    let wrong = world.bids(lie).await.unwrap().into_iter().find(|bid| *bid != right).unwrap();
    let words = world.words(lie).await.unwrap();
    let leaves =
        vec![world.rank(truth, &anchor).await.unwrap().leaf, message::leaf(lie, words, wrong, &anchor)];
    let tree = Tree::new(leaves).unwrap();
    let era = OrderWords::read(words).set_era;
    let signature = world.share(6, &world.domain().root_digest(close_block, era, tree.root())).signature;
    let share = Share {
        operator: 6,
        setEra: era,
        closeBlock: alloy::primitives::aliases::U40::from(close_block),
        root: tree.root(),
        signature: Bytes::from(signature.to_bytes().to_vec()),
    };
    let reporter = world.net.anvil.key(3);
    let tasks = world.net.book.match_task_manager;
    let of = |index: usize, order: OrderId, bid: Bid| IMatchTaskManager::proveLieCall {
        share: share.clone(),
        result: Match { order: order.into(), bid: bid.0, proof: tree.proof(index) },
    };
    let honest = world.rank(truth, &anchor).await.unwrap().bid;
    let refused = world.net.send(&reporter, tasks, of(0, truth, honest)).await.unwrap_err().to_string();
    assert!(refused.contains("MatchTasks_NoCase"), "{refused}");

    world.net.send(&reporter, tasks, of(1, lie, wrong)).await.unwrap();
    let staking = IStakingManager::new(world.net.book.operator_staking, world.net.anvil.provider());
    let whole = U256::from(STAKE) * U256::from(10).pow(U256::from(18));
    assert_eq!(staking.poolOf(U256::from(6)).call().await.unwrap().tokens, whole / U256::from(2));
    let spon = IERC20::new(world.net.book.spon, world.net.anvil.provider());
    assert_eq!(spon.balanceOf(reporter.address()).call().await.unwrap(), whole / U256::from(4));
    let registry = IOperatorRegistry::new(world.net.book.operator_registry, world.net.anvil.provider());
    assert_eq!(registry.ejectedIn(U256::from(6)).call().await.unwrap(), U256::from(era));
}
