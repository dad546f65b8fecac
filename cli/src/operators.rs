//! Operators of the quorum as the chain's logs tell of them, and what they earned.

use alloy::primitives::{Address, U256};
use alloy::providers::DynProvider;
use futures::future::try_join_all;
use iono_bindings::{IMatchTaskManager, IOperatorRegistry};
use iono_quorum::Roster;

use crate::chain::{Call, Chain};
use crate::error::{Failure, Kind, Result};
use crate::token::{Token, Tokens};

/// What an era's batches say of an operator, in one token.
pub(crate) struct Performance<'a> {
    pub(crate) era: u32,
    pub(crate) token: &'a Token,
    /// Orders that were matched.
    pub(crate) matched: U256,
    /// Of those, how many without it.
    pub(crate) missed: U256,
    /// Fees that wait for its owner, in the token's smallest unit.
    pub(crate) unclaimed: U256,
}

pub(crate) fn registry(chain: &Chain) -> IOperatorRegistry::IOperatorRegistryInstance<DynProvider> {
    IOperatorRegistry::new(chain.book.operator_registry, chain.rpc.clone())
}

pub(crate) fn tasks(chain: &Chain) -> IMatchTaskManager::IMatchTaskManagerInstance<DynProvider> {
    IMatchTaskManager::new(chain.book.match_task_manager, chain.rpc.clone())
}

/// All operators.
pub(crate) async fn roster(chain: &Chain) -> Result<Roster> {
    let mut roster = Roster::default();
    chain.logs(chain.book.operator_registry).await?.iter().for_each(|log| roster.apply(&log.inner));
    Ok(roster)
}

/// The era that the chain is in.
pub(crate) async fn current_era(chain: &Chain) -> Result<u32> {
    let era = registry(chain).currentEra().call().await.or_call("cannot read the era")?;
    Ok(era.saturating_to())
}

/// Who owns an operator.
pub(crate) async fn owner(chain: &Chain, operator: u32) -> Result<Address> {
    registry(chain).ownerOf(U256::from(operator)).call().await.or_call("cannot read the operator's owner")
}

/// An operator of the roster.
pub(crate) fn find(roster: &Roster, operator: u32) -> Result<&iono_quorum::Operator> {
    roster.operator(operator).ok_or_else(|| {
        Failure::new(Kind::NotFound, format!("there is no operator {operator}"))
            .hint("`iono operator list` shows them")
    })
}

/// How an operator did in every era in which a quorum matched orders, by token.
pub(crate) async fn performance<'a>(
    chain: &Chain,
    tokens: &'a Tokens,
    operator: u32,
) -> Result<Vec<Performance<'a>>> {
    let batches = chain
        .all_events::<IMatchTaskManager::BatchResponded>(chain.book.match_task_manager, [None, None, None])
        .await?;
    let mut eras: Vec<u32> = batches.iter().map(|(batch, _)| batch.setEra.saturating_to()).collect();
    eras.sort_unstable();
    eras.dedup();
    let manager = tasks(chain);
    let wanted = eras.iter().flat_map(|era| tokens.0.iter().map(move |token| (*era, token)));
    let asked = wanted.map(async |(era, token)| {
        let (operator, number) = (U256::from(operator), U256::from(era));
        let found = manager.performanceOf(operator, number, U256::from(token.id)).call().await;
        let found = found.or_call("cannot read what the operator did")?;
        let (matched, missed, unclaimed) = (found.matched, found.missed, found.unclaimed);
        Ok::<_, Failure>(Performance { era, token, matched, missed, unclaimed })
    });
    let found = try_join_all(asked).await?;
    Ok(found.into_iter().filter(|performance| !performance.matched.is_zero()).collect())
}
