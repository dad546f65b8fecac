//! What this crate computes is what the contracts take: a batch that a quorum signed becomes leases, and a lie costs its
//! operator its stake, on a real chain.

#![allow(clippy::unwrap_used)]

use std::cell::Cell;

use alloy::consensus::Transaction as _;
use alloy::eips::BlockNumberOrTag;
use alloy::primitives::{B256, U256};
use alloy::providers::Provider as _;
use alloy::providers::ext::AnvilApi as _;
use alloy::rpc::types::TransactionRequest;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::SolCall as _;
use anyhow::{Context as _, Result};
use iono_bindings::{IERC20, IMatchTaskManager, IOperatorRegistry, IOrderBook, IStakingManager, Quorum};
use iono_bls::{PublicKey, SecretKey, check_shares};
use iono_matching::Bid;
use iono_primitives::{OrderId, Rate, WalletId};
use iono_quorum::{Member, OperatorSet};
use iono_testkit::{Ballot, Devnet, ProviderSetup, ballot};

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

    /// Orders of one block with a bid of every provider each, whose seed is there.
    async fn orders(&self, count: usize) -> Result<Vec<OrderId>> {
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

        Ok(ids)
    }

    async fn honest(&self, orders: &[OrderId]) -> Result<Ballot> {
        Ballot::honest(self.net.anvil.provider(), &self.net.book, orders).await
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
    let ids = world.orders(5).await.unwrap();
    let ballot = world.honest(&ids).await.unwrap();
    let (era, digest) = (ballot.set_era, ballot.digest());
    let tasks = IMatchTaskManager::new(world.net.book.match_task_manager, world.net.anvil.provider());
    let (close_block, root) = (U256::from(ballot.close_block), ballot.root());
    assert_eq!(digest, tasks.rootDigest(close_block, U256::from(era), root).call().await.unwrap());
    // What the crate makes of the same orders is what was put together by hand.
    let truth = ballot.truth().unwrap();
    assert_eq!((truth.digest(), truth.list()), (digest, ballot.results.clone()));

    let set = world.set(era).await.unwrap();
    let roster = ballot::roster(world.net.anvil.provider(), &world.net.book).await.unwrap();
    assert_eq!(roster.set_at(era).unwrap(), set, "the logs tell what the registry says");
    let shares: Vec<_> =
        [1, 2, 4, 5, 6, 7].map(|operator| (operator, world.share(operator, &digest))).to_vec();
    let plain: Vec<_> = shares.iter().map(|(_, share)| *share).collect();
    assert!(check_shares(digest.as_slice(), &plain).bad.is_empty());
    let share_of = |operator| shares.iter().find(|(o, _)| *o == operator).map(|(_, share)| share.signature);
    let quorum = set.quorum(share_of).unwrap();
    let non_signers = quorum.nonSigners.clone();
    let call = ballot.batch(quorum);
    let receipt = world.net.send(&world.net.anvil.key(2), *tasks.address(), call).await.unwrap();
    let responded = receipt.decoded_log::<IMatchTaskManager::BatchResponded>().unwrap();
    assert_eq!(responded.matched, U256::from(5));
    // Who was silent is told, and that is all it takes to name the others.
    assert_eq!(responded.silent, [set.members[2].key_hash()]);
    assert_eq!(set.non_signers(&responded.silent.iter().copied().collect()), non_signers);
    for result in &truth.ranked {
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
    let ids = world.orders(2).await.unwrap();
    // The truth of the first order, and a losing bid for the second.
    let place = Cell::new(0);
    let choose = |bids: &[Bid], best: Bid| {
        let other = bids.iter().copied().find(|bid| *bid != best).unwrap();
        if place.replace(place.get() + 1) == 0 { best } else { other }
    };
    let ballot = Ballot::of(world.net.anvil.provider(), &world.net.book, &ids, choose).await.unwrap();
    let era = ballot.set_era;
    let share = ballot.share(6, &world.secrets[5]).evidence();
    let matches = ballot.batch(Quorum::default()).matches;
    let reporter = world.net.anvil.key(3);
    let tasks = world.net.book.match_task_manager;
    let of = |index: usize| IMatchTaskManager::proveLieCall {
        share: share.clone(),
        result: matches[index].clone(),
    };
    let refused = world.net.send(&reporter, tasks, of(0)).await.unwrap_err().to_string();
    assert!(refused.contains("MatchTasks_NoCase"), "{refused}");

    world.net.send(&reporter, tasks, of(1)).await.unwrap();
    let staking = IStakingManager::new(world.net.book.operator_staking, world.net.anvil.provider());
    let whole = U256::from(STAKE) * U256::from(10).pow(U256::from(18));
    assert_eq!(staking.poolOf(U256::from(6)).call().await.unwrap().tokens, whole / U256::from(2));
    let spon = IERC20::new(world.net.book.spon, world.net.anvil.provider());
    assert_eq!(spon.balanceOf(reporter.address()).call().await.unwrap(), whole / U256::from(4));
    let registry = IOperatorRegistry::new(world.net.book.operator_registry, world.net.anvil.provider());
    assert_eq!(registry.ejectedIn(U256::from(6)).call().await.unwrap(), U256::from(era));
}
