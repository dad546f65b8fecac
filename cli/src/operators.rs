//! Operators of the quorum as the chain's logs tell of them, and what they earned.

use std::collections::BTreeSet;

use alloy::primitives::{Address, U256};
use alloy::providers::DynProvider;
use futures::future::try_join_all;
use iono_bindings::{IMatchTaskManager, IOperatorRegistry};
use iono_quorum::{OperatorSet, Roster};

use crate::chain::{Call, Chain};
use crate::context::Context;
use crate::error::{Failure, Kind, Result};
use crate::token::{Token, Tokens};

/// Eras that are looked at unless one is named: about a month, so that the number of calls has a bound.
const RECENT_ERAS: usize = 30;

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

/// The one operator to look at: asked for, or the only one that this key owns.
pub(crate) async fn one(context: &Context, chain: &Chain, asked: Option<u32>) -> Result<u32> {
    if let Some(operator) = asked {
        return Ok(operator);
    }
    let owner = context.address().await?;
    // An operator's owner never changes.
    let registered = chain
        .all_events::<IOperatorRegistry::OperatorRegistered>(
            chain.book.operator_registry,
            [None, Some(owner.into_word()), None],
        )
        .await?;
    let operators: Vec<u32> = registered.iter().map(|(event, _)| event.operator.saturating_to()).collect();
    match operators.as_slice() {
        [] => Err(Failure::new(Kind::NotFound, format!("{owner} owns no operator"))
            .hint("`iono operator register` makes one, `iono operator list` shows those in the set")),
        [only] => Ok(*only),
        several => {
            let list: Vec<String> = several.iter().map(ToString::to_string).collect();
            Err(Failure::new(Kind::Usage, format!("{owner} owns several operators: {}", list.join(", ")))
                .hint("say which: `iono operator status OPERATOR`"))
        }
    }
}

/// What an operator weighs in a set; 0 when it is no member.
pub(crate) fn weight_in(set: Option<&OperatorSet>, operator: u32) -> u128 {
    let members = set.map(|set| set.members.as_slice()).unwrap_or_default();
    members.iter().find(|member| member.operator == operator).map_or(0, |member| member.weight)
}

/// The newest eras in which a quorum matched orders and the operator was a member, at most [`RECENT_ERAS`].
pub(crate) async fn recent_eras(chain: &Chain, roster: &Roster, operator: u32) -> Result<Vec<u32>> {
    let batches = chain
        .all_events::<IMatchTaskManager::BatchResponded>(chain.book.match_task_manager, [None, None, None])
        .await?;
    let eras: BTreeSet<u32> = batches.iter().map(|(batch, _)| batch.setEra.saturating_to()).collect();
    let was_member = |era: &u32| weight_in(roster.set_at(*era).as_ref(), operator) != 0;
    let mut newest: Vec<u32> = eras.into_iter().rev().filter(was_member).take(RECENT_ERAS).collect();
    newest.reverse();
    Ok(newest)
}

/// How an operator did in these eras, by token; without those in which nothing was matched.
pub(crate) async fn performance<'a>(
    chain: &Chain,
    tokens: &'a Tokens,
    operator: u32,
    eras: &[u32],
) -> Result<Vec<Performance<'a>>> {
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
