//! What the chain says happened, with the gas that each transaction's receipt shows.

use alloy::primitives::{Address, B256};
use alloy::providers::{DynProvider, Provider};
use alloy::rpc::types::{Filter, Log};
use alloy::sol_types::SolEvent;
use anyhow::{Context, Result};

/// An event with the block and the gas of its transaction.
#[derive(Debug, Clone)]
pub struct Mined<E> {
    /// The decoded event.
    pub event: E,
    /// Its block.
    pub block: u64,
    /// Gas that the whole transaction used.
    pub gas: u64,
    /// Its transaction.
    pub transaction: B256,
}

/// All events of a kind that `contract` emitted, oldest first.
///
/// # Errors
/// When the chain does not answer.
pub async fn all<E: SolEvent>(chain: &DynProvider, contract: Address) -> Result<Vec<Mined<E>>> {
    let filter = Filter::new().address(contract).event_signature(E::SIGNATURE_HASH).from_block(0);
    let mut found = Vec::new();
    for log in chain.get_logs(&filter).await? {
        found.push(mined(chain, log).await?);
    }
    Ok(found)
}

/// The newest event of a kind that fits `wanted`.
///
/// # Errors
/// When there is none or the chain does not answer.
pub async fn last<E: SolEvent>(
    chain: &DynProvider,
    contract: Address,
    wanted: impl Fn(&E) -> bool,
) -> Result<Mined<E>> {
    let found = all::<E>(chain, contract).await?;
    let newest = found.into_iter().rev().find(|mined| wanted(&mined.event));
    newest.with_context(|| format!("{contract} emitted no such {}", E::SIGNATURE))
}

async fn mined<E: SolEvent>(chain: &DynProvider, log: Log) -> Result<Mined<E>> {
    let transaction = log.transaction_hash.context("a log without its transaction")?;
    let receipt = chain.get_transaction_receipt(transaction).await?.context("a log without its receipt")?;
    let block = receipt.block_number.context("a receipt without its block")?;
    Ok(Mined { event: E::decode_log(&log.inner)?.data, block, gas: receipt.gas_used, transaction })
}
