//! Holds every match that a quorum made against the stored bids (SP-15): a wrong one is challenged, and its signers are
//! named to the contract, whoever they are.

use std::collections::BTreeSet;

use alloy::primitives::{B256, U256};
use alloy::sol_types::{SolCall as _, SolEvent as _};
use anyhow::{Context as _, Result};
use iono_bindings::{AddressBook, IMatchTaskManager, IOrderBook, OrderWords};
use iono_chain::SendError;
use iono_matching::{Terms, select};
use iono_primitives::{OrderId, Rate, Region};
use iono_quorum::{Domain, Roster};
use iono_store::StoredLog;

use crate::auctions::Auctions;
use crate::keeper::{Keeper, Outcome};
use crate::reader::Reader;

/// A match that a quorum made and the bids do not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WrongMatch {
    pub(crate) order: OrderId,
    /// The block it was made in.
    pub(crate) block: u64,
    bid: U256,
    seed: B256,
    batch: IMatchTaskManager::BatchResponded,
}

/// The wrong ones among the matches of some blocks, whose logs are in the chain's order.
pub(crate) async fn wrong_matches(
    logs: &[StoredLog],
    auctions: &Auctions,
    reader: &mut Reader,
) -> Result<Vec<WrongMatch>> {
    let mut wrong = Vec::new();
    // A batch's log follows those of its matches; one transaction may have several.
    let mut batch: Option<(B256, IMatchTaskManager::BatchResponded)> = None;
    for log in logs.iter().rev() {
        if let Ok(responded) = IMatchTaskManager::BatchResponded::decode_log(&log.log) {
            batch = Some((log.transaction, responded.data));
        }
        let Ok(matched) = IOrderBook::OrderMatched::decode_log(&log.log) else { continue };
        let Some((_, batch)) = batch.as_ref().filter(|(transaction, _)| *transaction == log.transaction)
        else {
            continue;
        };
        let order = OrderId(matched.order.to());
        let Some(auction) = auctions.get(order) else { continue };
        let words = OrderWords::read(auction.words);
        let weights = reader.weights(words.policy).await?;
        let terms = Terms { weights, max_rate: Rate(words.max_rate), region: Region(words.region) };
        let bids = auction.bids();
        let best = select(&terms, &bids, &matched.seed).map(|(index, _)| bids[index].0);
        if best.is_some_and(|best| best != matched.bid) {
            let (block, bid, seed) = (log.block, matched.bid, matched.seed);
            wrong.push(WrongMatch { order, block, bid, seed, batch: batch.clone() });
        }
    }
    Ok(wrong)
}

impl WrongMatch {
    /// Proves the match wrong, unless somebody did, and has its signers slashed. Each step is sent once, whatever happens in
    /// between: it may be called again.
    pub(crate) async fn challenge(&self, keeper: &Keeper, roster: &Roster) -> Outcome {
        match self.try_challenge(keeper, roster).await {
            Ok(()) => Outcome::Done,
            Err(error) if error.downcast_ref::<SendError>().is_some_and(|e| e.revert_code().is_some()) => {
                tracing::info!(order = %self.order, error = format!("{error:#}"), "not challenged by us");
                Outcome::Done
            }
            Err(error) => {
                tracing::warn!(order = %self.order, error = format!("{error:#}"), "not possible now; trying again");
                Outcome::Later
            }
        }
    }

    async fn try_challenge(&self, keeper: &Keeper, roster: &Roster) -> Result<()> {
        let (sender, book, order) = (&keeper.sender, &keeper.book, U256::from(self.order.0));
        let (bid, seed, response) = (self.bid, self.seed, self.batch.response);
        let call = IMatchTaskManager::challengeCall { order, bid, seed, response };
        let key = format!("challenge:{}", self.order);
        match sender.submit(&key, book.match_task_manager, call.abi_encode().into()).await {
            Ok(_) => {
                metrics::counter!("iono_matchmaker_matches_proven_wrong_total").increment(1);
                tracing::warn!(order = %self.order, "a quorum's match was proven wrong");
            }
            // Somebody else did; its signers may still be there to be named.
            Err(error) if error.revert_code() == Some("MatchTasks_NoCase") => {}
            Err(error) => return Err(error.into()),
        }
        let call = self.punishment(book, roster).context("the set that matched it is not in the logs")?;
        let key = format!("punish:{}", self.order);
        sender.submit(&key, book.match_task_manager, call.abi_encode().into()).await?;
        Ok(())
    }

    /// What names the signers to the contract.
    fn punishment(
        &self,
        book: &AddressBook,
        roster: &Roster,
    ) -> Option<IMatchTaskManager::punishSignersCall> {
        let (close_block, era) = (self.batch.closeBlock.to(), self.batch.setEra.to());
        let set = roster.set_at(era)?;
        let silent: BTreeSet<B256> = self.batch.silent.iter().copied().collect();
        let signers = set.members.iter().filter(|member| !silent.contains(&member.key_hash()));
        let domain = Domain { chain_id: book.chain_id, tasks: book.match_task_manager };
        Some(IMatchTaskManager::punishSignersCall {
            order: U256::from(self.order.0),
            digest: domain.root_digest(close_block, era, self.batch.root),
            setEra: self.batch.setEra,
            operators: signers.map(|member| U256::from(member.operator)).collect(),
            nonSigners: set.non_signers(&silent),
        })
    }
}

/// Whether a log is needed to check matches.
pub(crate) fn is_about_matches(log: &StoredLog) -> bool {
    let wanted =
        [IMatchTaskManager::BatchResponded::SIGNATURE_HASH, IOrderBook::OrderMatched::SIGNATURE_HASH];
    log.log.topics().first().is_some_and(|topic| wanted.contains(topic))
}
