//! `matchmaker status`: from the store and the chain, whether the daemon runs or not.

use std::fmt;

use alloy::primitives::{Address, U256};
use alloy::providers::{DynProvider, Provider as _};
use anyhow::{Context, Result};
use iono_bindings::{IERC20, IEscrow, IOperatorRegistry, IPaymentTokens};
use iono_chain::Rpc;
use iono_primitives::money::format_decimal;
use iono_store::SharedStore;
use iono_telemetry::Health;
use serde::Serialize;

use crate::config::Config;
use crate::market::Market;
use crate::roster;

/// How the matchmaker stands.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    /// The key's address.
    keeper: Address,
    /// Last block that was followed.
    cursor: Option<u64>,
    /// The chain's head.
    head: u64,
    /// Orders that wait for their match.
    open_orders: Vec<u64>,
    /// Leases that have not ended.
    open_leases: usize,
    /// Wei for gas.
    gas_wei: U256,
    /// Fees that wait in escrow; anyone may cash them out to the key.
    earned: Vec<Earned>,
    /// Its part in the quorum, with `operator.key` set.
    operator: Option<Seat>,
}

/// An operator's place in the quorum, as far as the chain was followed.
#[derive(Debug, Serialize)]
struct Seat {
    /// Its number; `None` while the registry does not know the key.
    number: Option<u32>,
    /// Where others are told to reach it.
    endpoint: String,
    ejected: bool,
    era: u32,
    /// Wei of SPON in the set of this era, and in the next.
    weight: [String; 2],
    /// Wei of SPON of all members in this era.
    total: String,
    /// Members in this era.
    members: usize,
}

impl Seat {
    async fn read(config: &Config, chain: &DynProvider, store: &SharedStore) -> Result<Option<Self>> {
        let Some(file) = &config.operator.key else { return Ok(None) };
        let key = iono_identity::bls_keystore::public_key(file)?;
        let registry = config.chain.address_book()?.operator_registry;
        let roster = roster::load(store, registry).await?;
        let era: u32 = IOperatorRegistry::new(registry, chain).currentEra().call().await?.saturating_to();
        let number = roster.operator_of(&key);
        let operator = number.and_then(|number| roster.operator(number));
        let weight = |era| {
            let set = roster.set_at(era);
            let member = set.and_then(|set| set.members.into_iter().find(|m| Some(m.operator) == number));
            member.map_or(0, |member| member.weight).to_string()
        };
        let set = roster.set_at(era);
        Ok(Some(Self {
            number,
            endpoint: operator.map(|operator| operator.endpoint.clone()).unwrap_or_default(),
            ejected: operator.is_some_and(|operator| operator.ejected),
            era,
            weight: [weight(era), weight(era + 1)],
            total: set.as_ref().map_or(0, iono_quorum::OperatorSet::weight).to_string(),
            members: set.map_or(0, |set| set.members.len()),
        }))
    }
}

impl fmt::Display for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(number) = self.number else {
            return write!(f, "operator     not registered, or not followed so far");
        };
        let spon = |wei: &str| wei.parse().map_or_else(|_| wei.to_owned(), |wei| format_decimal(wei, 18));
        let [now, next] = &self.weight;
        writeln!(f, "operator     {number}{}", if self.ejected { ", slashed and ejected" } else { "" })?;
        writeln!(
            f,
            "endpoint     {}",
            if self.endpoint.is_empty() { "none announced" } else { &self.endpoint }
        )?;
        write!(
            f,
            "weight       {} of {} SPON in era {} ({} members), {} in the next",
            spon(now),
            spon(&self.total),
            self.era,
            self.members,
            spon(next)
        )
    }
}

/// Fees in one token.
#[derive(Debug, Serialize)]
struct Earned {
    token: u16,
    symbol: String,
    /// In the token's smallest unit.
    amount: U256,
    /// In whole tokens.
    decimal: String,
}

/// Reads it.
pub(crate) async fn read(config: &Config) -> Result<Status> {
    let book = config.chain.address_book()?;
    let keeper = iono_identity::keystore::address(&config.keys.hot_key)?;
    let keeper = match keeper {
        Some(address) => address,
        None => config.open_key().await?.address(),
    };
    let store = iono_store::connect(&config.store_url()).await?;
    let rpc = Rpc::connect(&config.chain, book.chain_id, Health::default().check("rpc"))?;
    let market = Market::load(&store, config.keeper.drand.is_some()).await?;
    let provider = rpc.provider();
    let tokens = IPaymentTokens::new(book.payment_tokens, provider);
    let escrow = IEscrow::new(book.escrow, provider);
    let count = tokens.tokenCount().call().await.context("cannot read the payment tokens")?;
    let payee = U256::from_be_slice(keeper.as_slice());
    let mut earned = Vec::new();
    for token in 0..count.to::<u16>() {
        let amount = escrow.ledgerOf(payee, U256::from(token)).call().await?.net;
        let asset = IERC20::new(tokens.assetOf(U256::from(token)).call().await?, provider);
        let (symbol, decimals) = (asset.symbol().call().await?, asset.decimals().call().await?);
        earned.push(Earned { token, symbol, amount, decimal: format_decimal(amount, decimals) });
    }
    Ok(Status {
        keeper,
        cursor: store.cursor().await?.map(|block| block.number),
        head: provider.get_block_number().await?,
        open_orders: market.orders.iter().filter(|(_, e)| e.done.is_none()).map(|(id, _)| id.0).collect(),
        open_leases: market.leases.values().filter(|e| e.done.is_none()).count(),
        gas_wei: provider.get_balance(keeper).await?,
        earned,
        operator: Seat::read(config, provider, &store).await?,
    })
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cursor = self.cursor.map_or_else(|| "nothing".to_owned(), |cursor| format!("block {cursor}"));
        writeln!(f, "keeper       {}", self.keeper)?;
        writeln!(f, "followed     {cursor} of {}", self.head)?;
        writeln!(f, "open orders  {}", self.open_orders.len())?;
        writeln!(f, "open leases  {}", self.open_leases)?;
        write!(f, "for gas      {}", format_decimal(self.gas_wei, 18))?;
        for Earned { symbol, decimal, .. } in &self.earned {
            write!(f, "\nearned       {decimal} {symbol}")?;
        }
        if let Some(seat) = &self.operator {
            write!(f, "\n{seat}")?;
        }
        Ok(())
    }
}
