//! A lease's bill, recomputed from its terms and two block times, against every balance that it touched: the numbers are
//! read by a stranger's tool.

use alloy::primitives::{Address, U256};
use alloy::sol_types::SolEvent;
use anyhow::{Result, ensure};
use iono_bindings::{
    IEscrow, ILeaseBook, IOrderBook, IPaymentTokens, IProviderRegistry, LeaseWords, OrderWords,
};
use iono_primitives::Rate;
use iono_testkit::events;

use crate::{Market, cast, network};

/// A whole bill as the documents have it: gross rounded down once, what the provider gets rounded down, the payer's fee
/// on top of the gross; in the token's smallest unit.
#[derive(Debug)]
struct Bill {
    /// The provider's.
    net: U256,
    /// The foundation's: from the provider's side and the payer's.
    fees: U256,
}

impl Bill {
    fn of(words: &LeaseWords, seconds: u64) -> Self {
        let basis = U256::from(10_000);
        let gross = Rate(words.rate).gross(seconds, words.decimals);
        let net = gross * (basis - U256::from(words.fee)) / basis;
        Self { net, fees: gross - net + gross * U256::from(words.payer_fee) / basis }
    }
}

/// Settles a closed lease of half an hour or more, the market's only one, and cashes out; then checks what provider, tenant, matchmaker and
/// foundation have and what the escrow holds.
///
/// # Errors
/// Showing the balance that is not what follows from the blocks.
pub async fn is_exact(market: &Market, lease: u64) -> Result<()> {
    let (network, id) = (&market.network, U256::from(lease));
    let (chain, book, rpc) = (network.anvil.provider(), &network.book, network.anvil.url());
    let words = market.words(lease).await?;
    let start = block_time::<ILeaseBook::LeaseConfirmed>(market, |event| event.lease == id).await?;
    let end = block_time::<ILeaseBook::LeaseClosed>(market, |event| event.lease == id).await?;
    let bill = Bill::of(&words, end - start);
    ensure!(end - start >= 2_000, "too short to be settled in two parts: {start} to {end}");
    let order = IOrderBook::new(book.order_book, chain).orderWords(id).call().await?;
    let match_fee = U256::from(OrderWords::read([order.word0, order.word1]).match_fee);
    ensure!(match_fee > U256::ZERO, "the match cost nothing");
    let deposits = events::all::<IEscrow::Deposited>(chain, book.escrow).await?;
    let deposited: U256 = deposits.iter().map(|found| found.event.amount).sum();

    // Half of it is behind the holdback, then all: how often somebody settles makes no difference to anybody.
    let signing = network.anvil.signing(&network.anvil.key(0));
    for seconds in [2_600, 1_100] {
        network.anvil.advance(seconds).await?;
        let settle = ILeaseBook::new(book.lease_book, &signing).settle(id).send().await?;
        ensure!(settle.get_receipt().await?.status(), "the settlement failed");
    }
    let settled = events::all::<ILeaseBook::LeaseSettled>(chain, book.lease_book).await?.len();
    ensure!(settled == 2, "{settled} settlements");

    let (escrow, token) = (book.escrow.to_string(), network::DOLLAR.to_string());
    let expect = async |signature: &str, of: String, expected: &[U256]| -> Result<()> {
        let found = cast::call(&rpc, &escrow, signature, &[&of, &token]).await?;
        ensure!(found == expected, "{signature} of {of} is {found:?}, not {expected:?}: {bill:?}");
        Ok(())
    };
    let ledger = "ledgerOf(uint256,uint256)(uint256,uint256)";
    let provider = market.node.id.to_string();
    expect(ledger, provider.clone(), &[bill.net, bill.fees]).await?;
    let keeper = U256::from_be_slice(market.matchmaker.key.address().as_slice());
    expect(ledger, keeper.to_string(), &[match_fee, U256::ZERO]).await?;
    let left = deposited - bill.net - bill.fees - match_fee;
    expect("balanceOf(uint256,uint256)(uint256)", words.wallet.to_string(), &[left]).await?;
    let dollar =
        IPaymentTokens::new(book.payment_tokens, chain).assetOf(U256::from(network::DOLLAR)).call().await?;
    let holds = async |who: Address, expected: U256| -> Result<()> {
        let found = cast::balance(&rpc, dollar, who).await?;
        ensure!(found == expected, "{who} holds {found}, not {expected}: {bill:?}");
        Ok(())
    };
    holds(book.escrow, deposited).await?;
    market.balanced().await?;

    // What the provider takes out leaves the escrow and arrives.
    market.node.json(&["cash-out"]).await?;
    let registry = IProviderRegistry::new(book.provider_registry, chain);
    let account = registry.accountOf(U256::from(market.node.id)).call().await?;
    holds(account, bill.net).await?;
    holds(book.escrow, deposited - bill.net).await?;
    expect(ledger, provider, &[U256::ZERO, bill.fees]).await?;
    market.balanced().await
}

/// Seconds of the block of a lease's event.
async fn block_time<E: SolEvent>(market: &Market, wanted: impl Fn(&E) -> bool) -> Result<u64> {
    let network = &market.network;
    let found = events::last(network.anvil.provider(), network.book.lease_book, wanted).await?;
    cast::timestamp(&network.anvil.url(), found.block).await
}
