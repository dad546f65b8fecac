//! What each step costs in gas: whole transactions by their receipts on a real Anvil, with a dollar of OpenZeppelin's
//! ERC-20. The second order of a funded wallet is measured, as tenants meet it day by day.

use alloy::network::Ethereum;
use alloy::primitives::{Address, B256, U256, keccak256};
use alloy::providers::ext::AnvilApi;
use alloy::providers::{PendingTransactionBuilder, Provider};
use alloy::rpc::types::{TransactionReceipt, TransactionRequest};
use alloy::signers::Signer as _;
use alloy::signers::local::PrivateKeySigner;
use alloy::sol_types::{SolCall, SolValue};
use anyhow::{Context, Result, ensure};
use iono_bindings::{IERC20, IEscrow, ILeaseBook, IOrderBook, Spec, Terms, order_flags};
use iono_matching::slot_of;
use iono_primitives::{Group, OrderId, ProviderId, Rate, Resources, WalletId};
use iono_testkit::{Devnet, ProviderSetup};

use crate::figure::Figure;

/// Ten-thousandths of a dollar a second.
const MAX_RATE: Rate = Rate(100_000_000_000_000);
const DAY: u32 = 86_400;
/// Longer than the holdback.
const LATER: u64 = 3 * 3_600;
/// Enough that eight of them bid in different slots.
const PROVIDERS: usize = 14;

/// Sends every transaction of a lease's life twice and reads the receipts of the second.
pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let mut market = Market::open().await?;
    let order = market.order().await?.0;
    market.bid(order, 1).await?;
    market.live(order).await?;

    let (order, create_order) = market.order().await?;
    let place_bid = market.bid(order, 3).await?;
    let [resolve, confirm, settle, cash_out, close] = market.live(order).await?;

    let (crowded, _) = market.order().await?;
    market.bid(crowded, 8).await?;
    let replace_bid = market.bid(crowded, 1).await?;
    let resolve_8 = market.resolve(crowded).await?;
    let permit_and_create = market.permit_and_create().await?;

    #[allow(clippy::cast_precision_loss)] // far below 2^52
    let figure = |name, what, gas: u64, most| Figure::new(name, what, gas as f64, "gas").at_most(most);
    Ok(vec![
        figure("gas_create_order", "create an order", create_order, 125_000.0),
        figure(
            "gas_permit_and_create",
            "deposit by permit and create an order, empty wallet",
            permit_and_create,
            185_000.0,
        ),
        figure("gas_place_bid", "place a bid", place_bid, 62_000.0),
        figure("gas_replace_bid", "replace a bid", replace_bid, 45_000.0),
        figure("gas_resolve", "resolve an order of 3 bids, lease included", resolve, 160_000.0),
        figure("gas_resolve_8_bids", "resolve an order of 8 bids, lease included", resolve_8, 165_000.0),
        figure("gas_confirm", "confirm a lease", confirm, 42_000.0),
        figure("gas_settle", "settle a lease", settle, 42_000.0),
        figure("gas_cash_out", "cash out", cash_out, 50_000.0),
        figure("gas_close", "close a lease", close, 55_000.0),
    ])
}

/// A tenant with money, a keeper, and providers of which the first is always the best.
struct Market {
    net: Devnet,
    tenant: PrivateKeySigner,
    wallet: WalletId,
    keeper: PrivateKeySigner,
    providers: Vec<(ProviderId, PrivateKeySigner)>,
}

impl Market {
    async fn open() -> Result<Self> {
        let net = Devnet::start().await?;
        let (tenant, keeper) = (net.anvil.key(1), net.anvil.key(2));
        let wallet = net.wallet(&tenant, 10_000_000_000).await?;
        let mut providers = Vec::new();
        for _ in 0..PROVIDERS {
            let hot = PrivateKeySigner::random();
            let setup = ProviderSetup::new(PrivateKeySigner::random(), hot.clone());
            providers.push((net.provider(&setup).await?, hot));
        }
        Ok(Self { net, tenant, wallet, keeper, providers })
    }

    fn terms(&self, wallet: WalletId) -> Terms {
        Terms {
            wallet: alloy::primitives::aliases::U48::from(wallet.0),
            token: self.net.dollar_id().0,
            duration: DAY,
            maxRate: alloy::primitives::aliases::U80::from(MAX_RATE.0),
            region: 0,
            requirements: alloy::primitives::aliases::U24::ZERO,
            flags: order_flags::PROVIDER,
        }
    }

    /// What `examples/hello.yaml` orders.
    fn spec() -> Spec {
        let resources =
            Resources { cpu: 250, memory: 64, storage: 128, endpoints: 1, ..Resources::default() };
        let group = Group { count: 1, cpu: 250, memory: 64, ephemeral: 128, ..Group::default() };
        Spec {
            resources: resources.word(),
            manifestHash: keccak256("manifest"),
            providers: U256::ZERO,
            groups: Group::encode(&[group]).into(),
        }
    }

    async fn order(&self) -> Result<(OrderId, u64)> {
        let call = IOrderBook::createOrderCall { terms: self.terms(self.wallet), spec: Self::spec() };
        let receipt = self.net.send(&self.tenant, self.net.book.order_book, call).await?;
        let created = receipt.decoded_log::<IOrderBook::OrderCreated>().context("no OrderCreated")?;
        Ok((OrderId(created.order.to()), receipt.gas_used))
    }

    /// So many providers bid within one block, each in a slot of its own; the gas of the first.
    async fn bid(&self, order: OrderId, count: usize) -> Result<u64> {
        let chain = self.net.anvil.provider();
        chain.anvil_set_auto_mine(false).await?;
        let (mut slots, mut sent) = (Vec::new(), Vec::new());
        for (place, (provider, hot)) in self.providers.iter().enumerate() {
            let slot = slot_of(order.0, provider.0);
            if sent.len() == count || slots.contains(&slot) {
                continue;
            }
            slots.push(slot);
            let rate = if place == 0 { MAX_RATE.0 / 10 } else { MAX_RATE.0 / 10 * 9 };
            let rate = alloy::primitives::aliases::U80::from(rate);
            let call = IOrderBook::placeBidCall { order: order.into(), rate, fizz: 0 };
            sent.push(self.send(hot, self.net.book.order_book, &call).await?);
        }
        ensure!(sent.len() == count, "{PROVIDERS} providers share {} slots", sent.len());
        self.net.anvil.mine(1).await?;
        chain.anvil_set_auto_mine(true).await?;
        let mut gas = Vec::new();
        for pending in sent {
            let receipt: TransactionReceipt = pending.get_receipt().await?;
            ensure!(receipt.status(), "a bid reverted");
            gas.push(receipt.gas_used);
        }
        gas.first().copied().context("no bid")
    }

    /// Hands a transaction to the chain without waiting for its block.
    async fn send(
        &self,
        key: &PrivateKeySigner,
        to: Address,
        call: &impl SolCall,
    ) -> Result<PendingTransactionBuilder<Ethereum>> {
        let request = TransactionRequest::default().to(to).input(call.abi_encode().into()).gas_limit(300_000);
        Ok(self.net.anvil.signing(key).send_transaction(request).await?)
    }

    async fn resolve(&self, order: OrderId) -> Result<u64> {
        self.net.anvil.mine(4).await?;
        let call = IOrderBook::resolveCall { order: order.into() };
        Ok(self.net.send(&self.keeper, self.net.book.order_book, call).await?.gas_used)
    }

    /// Gas of resolve, confirm, settle, cash out and close.
    async fn live(&mut self, order: OrderId) -> Result<[u64; 5]> {
        let (provider, hot) = &self.providers[0];
        let (leases, lease) = (self.net.book.lease_book, U256::from(order.0));
        let resolve = self.resolve(order).await?;
        let confirm = self.net.send(hot, leases, ILeaseBook::confirmCall { lease }).await?.gas_used;
        self.net.anvil.advance(LATER).await?;
        let settle = self.net.send(&self.keeper, leases, ILeaseBook::settleCall { lease }).await?.gas_used;
        let token = U256::from(self.net.dollar_id().0);
        let call = IEscrow::cashOutCall { payee: U256::from(provider.0), token };
        let cash_out = self.net.send(hot, self.net.book.escrow, call).await?.gas_used;
        let close = self.net.send(&self.tenant, leases, ILeaseBook::closeCall { lease }).await?.gas_used;
        Ok([resolve, confirm, settle, cash_out, close])
    }

    /// One signature and one transaction from a wallet that is there and empty.
    async fn permit_and_create(&self) -> Result<u64> {
        let (signer, escrow, dollar) =
            (self.net.anvil.key(3), self.net.book.escrow, self.net.dollar().await?);
        self.net.mint(signer.address(), 10_000_000_000).await?;
        let call = IEscrow::createWalletCall { owner: signer.address() };
        let receipt = self.net.send(&signer, escrow, call).await?;
        let wallet = receipt.decoded_log::<IEscrow::WalletCreated>().context("no WalletCreated")?.wallet;

        let (amount, deadline) = (U256::from(100_000_000), U256::MAX);
        let token = IERC20::new(dollar, self.net.anvil.provider());
        let kind =
            keccak256("Permit(address owner,address spender,uint256 value,uint256 nonce,uint256 deadline)");
        let nonce = token.nonces(signer.address()).call().await?;
        let permit = (kind, signer.address(), escrow, amount, nonce, deadline).abi_encode();
        let domain = token.DOMAIN_SEPARATOR().call().await?;
        let hash = keccak256([&[0x19, 0x01], domain.as_slice(), keccak256(permit).as_slice()].concat());
        let signature = signer.sign_hash(&hash).await?;
        let call = IOrderBook::permitAndCreateCall {
            terms: self.terms(WalletId(wallet.to())),
            spec: Self::spec(),
            amount,
            deadline,
            v: 27 + u8::from(signature.v()),
            r: B256::from(signature.r()),
            s: B256::from(signature.s()),
        };
        Ok(self.net.send(&signer, self.net.book.order_book, call).await?.gas_used)
    }
}
