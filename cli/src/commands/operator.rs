//! `iono operator`: what the owner of an operator does (SP-14, SP-15).

use alloy::primitives::U256;
use alloy::sol_types::SolCall;
use iono_bindings::IOperatorRegistry::OperatorRegistry_NotMember;
use iono_bindings::{IMatchTaskManager, IOperatorRegistry};
use iono_quorum::OperatorSet;
use serde_json::json;

use super::stake::{self, Pools};
use super::{operator_register, operator_view};
use crate::args::operator::Operator as Args;
use crate::chain::Chain;
use crate::context::Context;
use crate::error::{Failure, Kind, Result};
use crate::operators;
use crate::output::Report;
use crate::token::Tokens;
use crate::tx::{Sender, Sent, Step};

pub(crate) async fn run(context: &Context, args: Args) -> Result<Report> {
    match args {
        Args::Key { out } => operator_register::key(context, &out).await,
        Args::Register { bls_key, bls_passphrase_file, endpoint } => {
            operator_register::register(context, &bls_key, bls_passphrase_file, endpoint).await
        }
        Args::Announce { operator, url } => operator_register::announce(context, operator, url).await,
        Args::Stake { operator, amount } => {
            let (chain, tokens) = market(context).await?;
            let (sender, pools) = (context.sender(&chain).await?, Pools::of_operators(&chain));
            only_owner(&chain, &sender, operator).await?;
            stake::add(&chain, &sender, &pools, tokens.by_id(0)?, operator, &amount).await
        }
        Args::Unstake { operator, amount } => {
            let (chain, tokens) = market(context).await?;
            let (sender, pools) = (context.sender(&chain).await?, Pools::of_operators(&chain));
            stake::undelegate(&chain, &sender, &pools, tokens.by_id(0)?, operator, &amount).await
        }
        Args::Withdraw { request } => {
            let (chain, tokens) = market(context).await?;
            stake::withdraw(context, &chain, &Pools::of_operators(&chain), tokens.by_id(0)?, request).await
        }
        Args::Enter { operator, evict } => enter(context, operator, evict).await,
        Args::Exit { operator } => exit(context, operator).await,
        Args::Sync { operator } => sync(context, operator).await,
        Args::List => operator_view::list(context).await,
        Args::Status { operator } => operator_view::status(context, operator).await,
        Args::Claim { operator, era, token } => claim(context, operator, era, token.as_deref()).await,
    }
}

async fn market(context: &Context) -> Result<(Chain, Tokens)> {
    let chain = context.chain().await?;
    let tokens = Tokens::load(&chain).await?;
    Ok((chain, tokens))
}

/// The staking contract would speak of a provider.
async fn only_owner(chain: &Chain, sender: &Sender, operator: u32) -> Result<()> {
    let (owner, account) = (operators::owner(chain, operator).await?, sender.address());
    if owner == account {
        return Ok(());
    }
    Err(Failure::new(Kind::Refused, format!("{account} does not own operator {operator}"))
        .hint(format_args!("{owner} does: use its key")))
}

async fn enter(context: &Context, operator: u32, evict: Option<u32>) -> Result<Report> {
    let chain = context.chain().await?;
    let sender = context.sender(&chain).await?;
    check_seats(&chain, &sender, operator, evict).await?;
    let evicted = U256::from(evict.unwrap_or_default());
    let call = IOperatorRegistry::enterCall { operator: U256::from(operator), evicted };
    let Some(sent) = change(&chain, &sender, "enter", operator, &call).await? else {
        return Ok(sender.plan());
    };
    let entered = sent.event::<IOperatorRegistry::OperatorEntered>();
    let era: u32 = entered.ok_or_else(no_event)?.fromEra.saturating_to();
    let instead = evict.map(|evict| format!(", in place of operator {evict}")).unwrap_or_default();
    let json = json!({ "operator": operator, "from_era": era, "evicted": evict, "transactions": [sent] });
    Ok(Report::new(&json, format!("operator {operator} is in the set from era {era} on{instead}")))
}

/// Whether somebody has to leave for a newcomer, where it is not as the user thinks. The registry decides; it says of both
/// cases only that the evicted one is no member.
async fn check_seats(chain: &Chain, sender: &Sender, operator: u32, evict: Option<u32>) -> Result<()> {
    let evicted = U256::from(evict.unwrap_or_default());
    let registry = operators::registry(chain);
    let refused = registry.enter(U256::from(operator), evicted).from(sender.address()).call().await.err();
    if refused.and_then(|error| error.as_decoded_error::<OperatorRegistry_NotMember>()).is_none() {
        return Ok(());
    }
    let set = operators::roster(chain).await?.set_at(operators::current_era(chain).await? + 1);
    match evict {
        None => Err(is_full(chain, set, operator).await?),
        Some(other) if operators::weight_in(set.as_ref(), other) != 0 => {
            let room = format!("the set has room: operator {other} need not leave");
            let without = format!("`iono operator enter {operator}` takes a free seat");
            Err(Failure::new(Kind::Refused, room).hint(without))
        }
        Some(_) => Ok(()),
    }
}

/// Names the lightest member, the one that is never too heavy to be evicted.
async fn is_full(chain: &Chain, set: Option<OperatorSet>, operator: u32) -> Result<Failure> {
    let members = set.map(|set| set.members).unwrap_or_default();
    let full = Failure::new(Kind::Refused, format!("the set is full with {} members", members.len()));
    let Some(lightest) = members.into_iter().min_by_key(|member| member.weight) else { return Ok(full) };
    let tokens = Tokens::load(chain).await?;
    let (weight, other) = (tokens.by_id(0)?.show(U256::from(lightest.weight)), lightest.operator);
    Ok(full.hint(format_args!(
        "the lightest is operator {other} with {weight}: `iono operator enter {operator} --evict {other}` takes its \
         seat if yours outweighs it by a tenth"
    )))
}

async fn exit(context: &Context, operator: u32) -> Result<Report> {
    let chain = context.chain().await?;
    let sender = context.sender(&chain).await?;
    let call = IOperatorRegistry::exitCall { operator: U256::from(operator) };
    let Some(sent) = change(&chain, &sender, "exit", operator, &call).await? else {
        return Ok(sender.plan());
    };
    let left = sent.event::<IOperatorRegistry::OperatorLeft>();
    let era: u32 = left.ok_or_else(no_event)?.fromEra.saturating_to();
    let json = json!({ "operator": operator, "from_era": era, "transactions": [sent] });
    let text = format!("operator {operator} is in the set until era {era} begins; it has to sign till then");
    Ok(Report::new(&json, text))
}

async fn sync(context: &Context, operator: u32) -> Result<Report> {
    let chain = context.chain().await?;
    let sender = context.sender(&chain).await?;
    let call = IOperatorRegistry::syncCall { operator: U256::from(operator) };
    let Some(sent) = change(&chain, &sender, "sync", operator, &call).await? else {
        return Ok(sender.plan());
    };
    let json = json!({ "operator": operator, "transactions": [sent] });
    Ok(Report::new(&json, format!("operator {operator} is weighed anew")))
}

/// One transaction to the registry about an operator.
async fn change(
    chain: &Chain,
    sender: &Sender,
    name: &'static str,
    operator: u32,
    call: &impl SolCall,
) -> Result<Option<Sent>> {
    let doing = format!("{name} operator {operator}");
    sender.send(Step::new(name, doing, chain.book.operator_registry, call)).await
}

fn no_event() -> Failure {
    Failure::new(Kind::Rpc, "the receipt does not show what the registry did")
}

async fn claim(context: &Context, operator: u32, era: Option<u32>, token: Option<&str>) -> Result<Report> {
    let (chain, tokens) = market(context).await?;
    let token = token.map(|token| tokens.find(token)).transpose()?;
    let owner = operators::owner(&chain, operator).await?;
    let eras = match era {
        Some(era) => vec![era],
        None => operators::recent_eras(&chain, &operators::roster(&chain).await?, operator).await?,
    };
    let all = operators::performance(&chain, &tokens, operator, &eras).await?;
    let due: Vec<_> = all
        .into_iter()
        .filter(|part| !part.unclaimed.is_zero())
        .filter(|part| token.is_none_or(|token| part.token.id == token.id))
        .collect();
    if due.is_empty() {
        return Err(Failure::new(Kind::NotFound, format!("nothing waits for operator {operator}")).hint(
            format_args!(
                "`iono operator status {operator}` shows what it matched and missed; --era names an older era"
            ),
        ));
    }
    let sender = context.sender(&chain).await?;
    let (mut transactions, mut paid, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    for part in due {
        let call = IMatchTaskManager::claimCall {
            operator: U256::from(operator),
            era: U256::from(part.era),
            token: U256::from(part.token.id),
        };
        let doing = format!("claim the fees of era {}", part.era);
        let sent = sender.send(Step::new("claim", doing, chain.book.match_task_manager, &call)).await?;
        let Some(sent) = sent else { continue };
        let amount =
            sent.event::<IMatchTaskManager::RewardClaimed>().map_or(U256::ZERO, |event| event.amount);
        let plain = part.token.plain(amount);
        paid.push(json!({ "era": part.era, "token": part.token.symbol, "amount": plain }));
        lines.push(format!("era {}: {} to {owner}", part.era, part.token.show(amount)));
        transactions.push(sent);
    }
    if context.global.dry_run {
        return Ok(sender.plan());
    }
    let json = json!({ "operator": operator, "owner": owner, "paid": paid, "transactions": transactions });
    Ok(Report::new(&json, lines.join("\n")))
}
