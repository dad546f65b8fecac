//! Holds every match that a quorum made against the stored bids (SP-15): a wrong one is challenged, and its signers are
//! named to the contract, whoever they are.

use std::collections::BTreeMap;

use alloy::consensus::Transaction as _;
use alloy::primitives::{B256, U256};
use alloy::providers::Provider as _;
use alloy::sol_types::{SolCall as _, SolEvent as _};
use anyhow::{Context as _, Result};
use iono_bindings::{AddressBook, IMatchTaskManager, IOrderBook, OrderWords, Quorum};
use iono_chain::Sender;
use iono_matching::{Terms, select};
use iono_primitives::{OrderId, Rate, Region};
use iono_quorum::{Domain, Roster};
use iono_store::StoredLog;

use crate::auctions::Auctions;
use crate::reader::Reader;

/// Bytes of a silent member in a quorum: index of its weight, key.
const NON_SIGNER: usize = 4 + 256;

/// A match that a quorum made and the bids do not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WrongMatch {
    order: OrderId,
    bid: U256,
    seed: B256,
    transaction: B256,
    batch: IMatchTaskManager::BatchResponded,
}

/// The wrong ones among the matches of some blocks.
pub(crate) async fn wrong_matches(
    logs: &[StoredLog],
    auctions: &Auctions,
    reader: &mut Reader,
) -> Result<Vec<WrongMatch>> {
    let batches: BTreeMap<B256, IMatchTaskManager::BatchResponded> = logs
        .iter()
        .filter(|log| log.log.topics().first() == Some(&IMatchTaskManager::BatchResponded::SIGNATURE_HASH))
        .filter_map(|log| {
            Some((log.transaction, IMatchTaskManager::BatchResponded::decode_log(&log.log).ok()?.data))
        })
        .collect();
    let mut wrong = Vec::new();
    for log in logs.iter().filter(|log| batches.contains_key(&log.transaction)) {
        let Ok(matched) = IOrderBook::OrderMatched::decode_log(&log.log) else { continue };
        let order = OrderId(matched.order.to());
        let Some(auction) = auctions.get(order) else { continue };
        let words = OrderWords::read(auction.words);
        let weights = reader.weights(words.policy).await?;
        let terms = Terms { weights, max_rate: Rate(words.max_rate), region: Region(words.region) };
        let bids = auction.bids();
        let best = select(&terms, &bids, &matched.seed).map(|(index, _)| bids[index].0);
        if best.is_some_and(|best| best != matched.bid) {
            let (bid, seed, transaction) = (matched.bid, matched.seed, log.transaction);
            wrong.push(WrongMatch { order, bid, seed, transaction, batch: batches[&transaction].clone() });
        }
    }
    Ok(wrong)
}

impl WrongMatch {
    pub(crate) fn order(&self) -> OrderId {
        self.order
    }

    /// Proves the match wrong; then has its signers slashed.
    pub(crate) async fn challenge(
        &self,
        sender: &Sender,
        reader_of: (alloy::providers::DynProvider, AddressBook),
        roster: &Roster,
    ) -> Result<()> {
        let (provider, book) = reader_of;
        let order = U256::from(self.order.0);
        let call = IMatchTaskManager::challengeCall {
            order,
            bid: self.bid,
            seed: self.seed,
            response: self.batch.response,
        };
        let key = format!("challenge:{}", self.order);
        sender.submit(&key, book.match_task_manager, call.abi_encode().into()).await?;
        metrics::counter!("iono_matchmaker_matches_proven_wrong_total").increment(1);
        tracing::warn!(order = %self.order, "a quorum's match was proven wrong");

        let transaction = provider.get_transaction_by_hash(self.transaction).await?;
        let transaction = transaction.context("the batch's transaction is gone")?;
        let respond = IMatchTaskManager::respondBatchCall::abi_decode(transaction.input())
            .context("the batch came through another contract: its signers are to be named by hand")?;
        let (close_block, era) = (self.batch.closeBlock.to(), self.batch.setEra.to());
        let domain = Domain { chain_id: book.chain_id, tasks: book.match_task_manager };
        let call = IMatchTaskManager::punishSignersCall {
            order,
            digest: domain.root_digest(close_block, era, self.batch.root),
            setEra: self.batch.setEra,
            operators: signers(roster, era, &respond.quorum).into_iter().map(U256::from).collect(),
            nonSigners: respond.quorum.nonSigners,
        };
        let key = format!("punish:{}", self.order);
        sender.submit(&key, book.match_task_manager, call.abi_encode().into()).await?;
        Ok(())
    }
}

/// Members of the set that are not among the silent ones.
fn signers(roster: &Roster, era: u32, quorum: &Quorum) -> Vec<u32> {
    let silent: Vec<&[u8]> =
        quorum.nonSigners.chunks(NON_SIGNER).filter_map(|entry| entry.get(4..)).collect();
    let members = roster.set_at(era).map(|set| set.members).unwrap_or_default();
    let signed = members.iter().filter(|member| !silent.contains(&member.key.to_bytes().as_slice()));
    signed.map(|member| member.operator).collect()
}
