//! Resident memory of the daemons, idle, without leases and with 200: real processes on a chain with 1-second blocks,
//! and leases that went all the way from order to confirmation. Their manifests are never sent: what a lease costs the
//! daemon is measured, not what its containers cost the machine.

use std::time::Duration;

use alloy::primitives::{Address, B256, U256, aliases};
use alloy::providers::{DynProvider, Provider};
use alloy::rpc::types::{TransactionReceipt, TransactionRequest};
use alloy::sol_types::SolCall;
use anyhow::{Context, Result, ensure};
use iono_bindings::{
    IDevDollar, IERC20, IEscrow, ILeaseBook, IOrderBook, IPaymentTokens, IProviderRegistry, LeaseWords, Spec,
    Terms, order_flags,
};
use iono_e2e::network::DOLLAR;
use iono_e2e::{Network, Node, NodePlan};
use iono_primitives::{Group, LeaseState, Resources};
use iono_testkit::{Daemon, eventually};

use crate::figure::Figure;

const LEASES: u64 = 200;
/// Orders at a time: the bids for them fit into the two blocks in which bidding is open.
const BATCH: u64 = 10;
/// Time for what a daemon does after a change, before its memory is read.
const CALM: Duration = Duration::from_secs(10);
/// From order to confirmation of a batch.
const CONFIRMED: Duration = Duration::from_secs(120);

/// Starts the daemons, rents 200 times and measures.
pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let mut network = Network::start().await?;
    let mut matchmaker = network.matchmaker("matchmaker").await?.daemon;
    let mut plan = NodePlan::new("provider");
    plan.stake = 1_000_000;
    let mut node = network.provider(plan).await?;
    let mut tenant = Tenant::new(&mut network).await?;
    register_room(&network, &node).await?;
    node.run().await?;

    let before = settled(&mut matchmaker, &mut node).await?;
    for _ in 0..LEASES / BATCH {
        let first = tenant.leases + 1;
        for _ in 0..BATCH {
            tenant.order().await?;
        }
        tenant.confirmed(first).await?;
    }
    let after = settled(&mut matchmaker, &mut node).await?;

    let names = [
        ["matchmaker_rss_mib_0_leases", "matchmaker_rss_mib_200_leases", "matchmaker_mib_per_lease"],
        ["provider_rss_mib_0_leases", "provider_rss_mib_200_leases", "provider_mib_per_lease"],
    ];
    let mut figures = Vec::new();
    for (daemon, ([none, many, each], (before, after))) in
        ["matchmaker", "provider"].iter().zip(names.into_iter().zip(before.into_iter().zip(after)))
    {
        #[allow(clippy::cast_precision_loss)] // far below 2^52
        let per_lease = (after - before) / LEASES as f64;
        figures.push(Figure::new(none, format!("{daemon}, idle, without leases"), before, "MiB"));
        figures.push(Figure::new(many, format!("{daemon}, idle, with {LEASES} leases"), after, "MiB"));
        figures.push(Figure::new(each, "  each lease", per_lease, "MiB").at_most(1.0));
    }
    Ok(figures)
}

/// MiB of matchmaker and provider, once they are calm.
async fn settled(matchmaker: &mut Daemon, node: &mut Node) -> Result<[f64; 2]> {
    tokio::time::sleep(CALM).await;
    #[allow(clippy::cast_precision_loss)] // far below 2^52
    let mib = |kib: u64| kib as f64 / 1_024.0;
    Ok([mib(matchmaker.memory_kib()?), mib(node.daemon()?.memory_kib()?)])
}

/// The chain counts whole cores, of which 200 leases take as many; this machine has fewer and its daemon counts in
/// thousandths.
async fn register_room(network: &Network, node: &Node) -> Result<()> {
    let registry = IProviderRegistry::new(network.book.provider_registry, network.anvil.provider());
    let id = U256::from(node.id);
    let mut record = registry.record(id).call().await?;
    record.capacity =
        Resources { cpu: 1_000_000, memory: 1 << 20, storage: 1 << 24, ..Resources::default() }.word();
    let owner = network.anvil.signing(&node.owner);
    let call = IProviderRegistry::setRecordCall { provider: id, record };
    send(&owner, network.book.provider_registry, call).await?;
    Ok(())
}

/// Somebody with a funded wallet.
struct Tenant {
    chain: DynProvider,
    orders: Address,
    book: Address,
    wallet: U256,
    /// Orders so far; their leases have the same numbers.
    leases: u64,
}

impl Tenant {
    async fn new(network: &mut Network) -> Result<Self> {
        let key = network.fresh_key();
        let (chain, book) = (network.anvil.signing(&key), network.book.clone());
        let amount = U256::from(1_000_000_000_000_u64);
        let token = U256::from(DOLLAR);
        let dollar = IPaymentTokens::new(book.payment_tokens, &chain).assetOf(token).call().await?;
        send(&chain, dollar, IDevDollar::mintCall { to: key.address(), amount }).await?;
        send(&chain, dollar, IERC20::approveCall { spender: book.escrow, amount }).await?;
        let receipt = send(&chain, book.escrow, IEscrow::createWalletCall { owner: key.address() }).await?;
        let wallet = receipt.decoded_log::<IEscrow::WalletCreated>().context("no WalletCreated")?.wallet;
        send(&chain, book.escrow, IEscrow::depositCall { wallet, token, amount }).await?;
        Ok(Self { chain, orders: book.order_book, book: book.lease_book, wallet, leases: 0 })
    }

    /// Orders next to nothing for a week, without waiting for the block.
    async fn order(&mut self) -> Result<()> {
        let terms = Terms {
            wallet: aliases::U48::from(self.wallet.to::<u64>()),
            token: DOLLAR,
            duration: 7 * 86_400,
            maxRate: aliases::U80::from(100_000_000_000_000_u64),
            region: 0,
            requirements: aliases::U24::ZERO,
            flags: order_flags::PROVIDER,
        };
        let group = Group { count: 1, cpu: 5, memory: 4, ephemeral: 4, ..Group::default() };
        let resources = Resources { cpu: 5, memory: 4, storage: 4, ..Resources::default() };
        let spec = Spec {
            resources: resources.word(),
            manifestHash: B256::repeat_byte(1),
            providers: U256::ZERO,
            groups: Group::encode(&[group]).into(),
        };
        let call = IOrderBook::createOrderCall { terms, spec };
        let request =
            TransactionRequest::default().to(self.orders).input(call.abi_encode().into()).gas_limit(300_000);
        let _ = self.chain.send_transaction(request).await?;
        self.leases += 1;
        Ok(())
    }

    /// Waits until all leases from `first` on are confirmed.
    async fn confirmed(&self, first: u64) -> Result<()> {
        let leases = ILeaseBook::new(self.book, &self.chain);
        for lease in first..=self.leases {
            let active = || async {
                let words = leases.leaseWords(U256::from(lease)).call().await.ok()?;
                let state = LeaseWords::read([words.word0, words.word1]).lease_state();
                (state == Some(LeaseState::Active)).then_some(())
            };
            eventually(&format!("the confirmation of lease {lease}"), CONFIRMED, active).await?;
        }
        Ok(())
    }
}

/// Sends a call and waits until it is mined.
async fn send(chain: &DynProvider, to: Address, call: impl SolCall) -> Result<TransactionReceipt> {
    let request = TransactionRequest::default().to(to).input(call.abi_encode().into());
    let receipt = chain.send_transaction(request).await?.get_receipt().await?;
    ensure!(receipt.status(), "{} reverted", receipt.transaction_hash);
    Ok(receipt)
}
