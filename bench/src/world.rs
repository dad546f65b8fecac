//! A market with a set of operators and enough providers to fill every slot of an order.

use alloy::eips::BlockNumberOrTag;
use alloy::network::Ethereum;
use alloy::primitives::aliases::U80;
use alloy::primitives::{Address, B256, Bytes, keccak256};
use alloy::providers::ext::AnvilApi as _;
use alloy::providers::{PendingTransactionBuilder, Provider as _};
use alloy::rpc::types::{TransactionReceipt, TransactionRequest};
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::SolCall;
use anyhow::{Context, Result, ensure};
use iono_bindings::{ILeaseBook, IMatchTaskManager, IOperatorRegistry, IOrderBook, Quorum};
use iono_bls::SecretKey;
use iono_matching::{SLOTS, slot_of};
use iono_primitives::{OrderId, Rate, WalletId};
use iono_testkit::{Ballot, Devnet, ProviderSetup, ballot};

/// Whole SPON of a provider, and of all operators together.
const STAKE: u64 = 10_000;
const OPERATORS_STAKE: u64 = 10_000_000;
const DAY: u64 = 86_400;
/// For an order or a bid.
const GAS: u64 = 150_000;
/// A block holds a thousand of them and more.
const BLOCK_GAS: u64 = 1_000_000_000;

/// An operator's key, the same in each run.
pub(crate) fn secret(operator: u8) -> SecretKey {
    SecretKey::derive(&[operator; 32])
}

pub(crate) struct World {
    pub(crate) net: Devnet,
    keeper: PrivateKeySigner,
    tenant: PrivateKeySigner,
    wallet: WalletId,
    /// Provider ids and hot keys.
    providers: Vec<(u32, PrivateKeySigner)>,
    secrets: Vec<SecretKey>,
}

impl World {
    /// With operators of equal weight.
    pub(crate) async fn open(operators: u8, providers: usize) -> Result<Self> {
        let net = Devnet::start().await?;
        net.anvil.provider().anvil_set_block_gas_limit(BLOCK_GAS).await?;
        let (tenant, keeper) = (net.anvil.key(1), net.anvil.key(2));
        let wallet = net.wallet(&tenant, 100_000_000_000).await?;
        let mut bidders = Vec::new();
        for _ in 0..providers {
            let hot = PrivateKeySigner::random();
            let setup =
                ProviderSetup { stake: STAKE, ..ProviderSetup::new(PrivateKeySigner::random(), hot.clone()) };
            bidders.push((net.provider(&setup).await?.0, hot));
        }
        let secrets: Vec<SecretKey> = (1..=operators).map(secret).collect();
        for secret in &secrets {
            let stake = OPERATORS_STAKE / u64::from(operators);
            net.operator(&PrivateKeySigner::random(), secret, stake).await?;
        }
        net.anvil.advance(DAY).await?;
        Ok(Self { net, keeper, tenant, wallet, providers: bidders, secrets })
    }

    pub(crate) async fn send(&self, to: Address, call: impl SolCall) -> Result<TransactionReceipt> {
        self.net.send(&self.keeper, to, call).await
    }

    /// Orders of one block whose bidding is over, each with so many bids in slots of their own.
    pub(crate) async fn orders(&self, count: usize, bids: usize) -> Result<Vec<OrderId>> {
        let input = self.order_input().await?;
        let book = IOrderBook::new(self.net.book.order_book, self.net.anvil.provider());
        let before: u64 = book.orderCount().call().await?.to();
        self.by_hand(async {
            let mut sent = Vec::new();
            for _ in 0..count {
                sent.push(self.queue(&self.tenant, input.clone()).await?);
            }
            Ok(sent)
        })
        .await?;
        let orders: Vec<OrderId> = (1..=count as u64).map(|place| OrderId(before + place)).collect();
        self.by_hand(async {
            let mut sent = Vec::new();
            for order in &orders {
                for (place, hot) in self.bidders(*order, bids)?.into_iter().enumerate() {
                    let rate = U80::from(Self::rate()?.0 / (place as u128 % 8 + 1));
                    let call = IOrderBook::placeBidCall { order: (*order).into(), rate, fizz: 0 };
                    sent.push(self.queue(hot, call.abi_encode().into()).await?);
                }
            }
            Ok(sent)
        })
        .await?;
        self.net.anvil.mine(4).await?;
        Ok(orders)
    }

    /// An order with this many bids.
    pub(crate) async fn crowded(&self, bids: usize) -> Result<OrderId> {
        // Which slots the providers share is other for each order.
        let book = IOrderBook::new(self.net.book.order_book, self.net.anvil.provider());
        for _ in 0..32 {
            let next = OrderId(book.orderCount().call().await?.to::<u64>() + 2);
            if self.bidders(next, bids).is_ok() {
                return self.orders(1, bids).await.map(|orders| orders[0]);
            }
            self.order_input().await?;
        }
        anyhow::bail!("{} providers do not fill {bids} of {SLOTS} slots", self.providers.len())
    }

    /// Hot keys of providers in slots of their own.
    fn bidders(&self, order: OrderId, count: usize) -> Result<Vec<&PrivateKeySigner>> {
        let mut taken = [false; SLOTS];
        let mut found = Vec::new();
        // Another provider is the first for each order, so that nobody's machine is full.
        let start = order.0 as usize * count % self.providers.len();
        for (provider, hot) in self.providers.iter().cycle().skip(start).take(self.providers.len()) {
            let slot = slot_of(order.0, *provider);
            if found.len() < count && !std::mem::replace(&mut taken[slot], true) {
                found.push(hot);
            }
        }
        ensure!(found.len() == count, "{} slots", found.len());
        Ok(found)
    }

    fn rate() -> Result<Rate> {
        Ok(Rate::from_hourly("0.1")?)
    }

    /// What creates an order, as the kit makes one.
    async fn order_input(&self) -> Result<Bytes> {
        use alloy::consensus::Transaction as _;
        self.net.order(&self.tenant, self.wallet, Self::rate()?).await?;
        let chain = self.net.anvil.provider();
        let made = chain.get_block_by_number(BlockNumberOrTag::Latest).full().await?.context("no block")?;
        Ok(made.transactions.txns().next().context("no transaction")?.inner.input().clone())
    }

    async fn queue(
        &self,
        key: &PrivateKeySigner,
        input: Bytes,
    ) -> Result<PendingTransactionBuilder<Ethereum>> {
        let request = TransactionRequest::default().to(self.net.book.order_book).input(input.into());
        Ok(self.net.anvil.signing(key).send_transaction(request.gas_limit(GAS)).await?)
    }

    /// Sends without waiting and mines it all in one block.
    async fn by_hand(
        &self,
        sending: impl Future<Output = Result<Vec<PendingTransactionBuilder<Ethereum>>>>,
    ) -> Result<()> {
        let chain = self.net.anvil.provider();
        chain.anvil_set_auto_mine(false).await?;
        let sent = sending.await?;
        self.net.anvil.mine(1).await?;
        chain.anvil_set_auto_mine(true).await?;
        for pending in sent {
            let receipt = pending.get_receipt().await?;
            ensure!(receipt.status(), "{} reverted", receipt.transaction_hash);
        }
        Ok(())
    }

    /// The provider accepts its lease.
    pub(crate) async fn confirm(&self, order: OrderId, provider: u32) -> Result<()> {
        let (_, hot) = self.providers.iter().find(|(id, _)| *id == provider).context("whose bid is it?")?;
        let call = ILeaseBook::confirmCall { lease: order.into() };
        self.net.send(hot, self.net.book.lease_book, call).await?;
        Ok(())
    }

    /// A batch for a ballot that all sign but so many.
    pub(crate) async fn batch(
        &self,
        ballot: &Ballot,
        silent: u32,
    ) -> Result<IMatchTaskManager::respondBatchCall> {
        let roster = ballot::roster(self.net.anvil.provider(), &self.net.book).await?;
        let secret_of =
            |operator: u32| (operator > silent).then(|| self.secrets[operator as usize - 1].clone());
        Ok(ballot.batch(ballot.quorum(&roster, secret_of)?))
    }

    /// A digest and a quorum over it, with so many operators silent.
    pub(crate) async fn quorum_over_anything(&self, silent: u32) -> Result<(B256, Quorum)> {
        let (chain, book) = (self.net.anvil.provider(), &self.net.book);
        let era = IOperatorRegistry::new(book.operator_registry, chain).currentEra().call().await?.to();
        let set = ballot::roster(chain, book).await?.set_at(era).context("no operators")?;
        let digest = keccak256("a digest");
        let sign = |operator: u32| {
            (operator > silent).then(|| self.secrets[operator as usize - 1].sign(digest.as_slice()))
        };
        Ok((digest, set.quorum(sign)?))
    }
}

/// What challenges the match that a receipt shows.
pub(crate) fn challenge_of(
    order: OrderId,
    receipt: &TransactionReceipt,
) -> Result<IMatchTaskManager::challengeCall> {
    let matched = receipt.decoded_log::<IOrderBook::OrderMatched>().context("no OrderMatched")?;
    let batch = receipt.decoded_log::<IMatchTaskManager::BatchResponded>().context("no BatchResponded")?;
    let (bid, seed, response) = (matched.bid, matched.seed, batch.response);
    Ok(IMatchTaskManager::challengeCall { order: order.into(), bid, seed, response })
}
