//! `iono admin foundation`: what the foundation delegates to newcomers, and takes back once they are well used (SP-4).

use alloy::primitives::U256;
use iono_bindings::{IFoundationDelegation, IStakingManager};
use serde_json::json;

use super::stake::{self, Pools};
use crate::args::admin::Foundation;
use crate::chain::{Call, Chain};
use crate::context::Context;
use crate::error::{Failure, Kind, Result};
use crate::output::{Report, table};
use crate::providers::Provider;
use crate::time;
use crate::token::{Token, Tokens};
use crate::tx::Step;

pub(crate) async fn run(context: &Context, args: Foundation) -> Result<Report> {
    let chain = context.chain().await?;
    let tokens = Tokens::load(&chain).await?;
    let spon = tokens.by_id(0)?;
    match args {
        Foundation::Delegate { provider, amount } => delegate(context, &chain, spon, provider, &amount).await,
        Foundation::Reclaim { provider, amount } => reclaim(context, &chain, spon, provider, &amount).await,
        Foundation::Withdraw { request } => withdraw(context, &chain, spon, request).await,
        Foundation::Show => show(context, &chain, spon).await,
    }
}

async fn delegate(
    context: &Context,
    chain: &Chain,
    spon: &Token,
    provider: u32,
    amount: &str,
) -> Result<Report> {
    let at = *chain.foundation()?.address();
    let sender = context.sender(chain).await?;
    let tokens = stake::pay(chain, &sender, spon, amount).await?;
    let mut sent = Vec::new();
    stake::approve(&sender, spon, at, tokens, &mut sent).await?;
    let call = IFoundationDelegation::delegateCall {
        provider: U256::from(provider),
        tokens,
        minShares: stake::least_shares(chain, provider, tokens).await?,
    };
    let doing = format!("delegate {} of the foundation to provider {provider}", spon.show(tokens));
    let Some(last) = sender.send(Step::new("delegate", doing, at, &call)).await? else {
        return Ok(sender.plan());
    };
    let event = last
        .event::<IFoundationDelegation::FoundationDelegated>()
        .ok_or_else(|| Failure::new(Kind::Rpc, "the receipt shows no delegation"))?;
    sent.push(last);
    let until: u64 = event.committedUntil.saturating_to();
    let (_, now) = chain.head().await?;
    let json = json!({
        "provider": provider, "delegated": spon.plain(tokens), "committed_until": until, "transactions": sent,
    });
    let text = format!(
        "delegated {} to provider {provider}; it counts from the next era and stays until the provider is well used, at most {}",
        spon.show(tokens),
        time::span(until.saturating_sub(now))
    );
    Ok(Report::new(&json, text))
}

async fn reclaim(
    context: &Context,
    chain: &Chain,
    spon: &Token,
    provider: u32,
    amount: &str,
) -> Result<Report> {
    let at = *chain.foundation()?.address();
    let held = chain
        .staking()
        .sharesOf(U256::from(provider), at)
        .call()
        .await
        .or_call("cannot read the foundation's delegation")?;
    let shares = match amount {
        "all" => held,
        amount => stake::shares_for(&Pools::of_providers(chain), provider, spon.parse(amount)?).await?,
    };
    if held.is_zero() || shares > held {
        let what = if held.is_zero() { "nothing" } else { "less than that" };
        return Err(Failure::new(
            Kind::NotFound,
            format!("the foundation has {what} at provider {provider}"),
        )
        .hint("`iono admin foundation show` says what; `all` takes everything"));
    }
    let sender = context.sender(chain).await?;
    let call = IFoundationDelegation::reclaimCall { provider: U256::from(provider), shares };
    let doing = format!("reclaim the foundation's delegation from provider {provider}");
    let Some(sent) = sender.send(Step::new("reclaim", doing, at, &call)).await? else {
        return Ok(sender.plan());
    };
    let started = sent
        .event::<IStakingManager::UnbondingStarted>()
        .ok_or_else(|| Failure::new(Kind::Rpc, "the receipt shows no unbonding"))?;
    let (_, now) = chain.head().await?;
    let until: u64 = started.until.saturating_to();
    let text = format!(
        "request {}: {} can be withdrawn in {}",
        started.request,
        spon.show(started.tokens),
        time::span(until.saturating_sub(now))
    );
    let json = json!({
        "provider": provider, "request": started.request.saturating_to::<u64>(),
        "tokens": spon.plain(started.tokens), "until": until, "transactions": [sent],
    });
    Ok(Report::new(&json, text))
}

async fn withdraw(context: &Context, chain: &Chain, spon: &Token, request: Option<u64>) -> Result<Report> {
    let at = *chain.foundation()?.address();
    let (_, now) = chain.head().await?;
    let ids: Vec<u64> = match request {
        Some(id) => vec![id],
        None => {
            let all = stake::requests(chain, &Pools::of_providers(chain), at).await?;
            all.into_iter().filter(|request| request.until <= now).map(|request| request.id).collect()
        }
    };
    if ids.is_empty() {
        return Err(Failure::new(Kind::NotFound, "nothing of the foundation's has unbonded")
            .hint("`iono admin foundation show` says when"));
    }
    let sender = context.sender(chain).await?;
    let (mut sent, mut total) = (Vec::new(), U256::ZERO);
    for id in ids {
        let call = IFoundationDelegation::withdrawCall { request: U256::from(id) };
        let step = Step::new("withdraw", format!("withdraw request {id}"), at, &call);
        if let Some(done) = sender.send(step).await? {
            let repaid = done.event::<IFoundationDelegation::FoundationRepaid>();
            total += repaid.map_or(U256::ZERO, |event| event.tokens);
            sent.push(done);
        }
    }
    if context.global.dry_run {
        return Ok(sender.plan());
    }
    let json = json!({ "withdrawn": spon.plain(total), "transactions": sent });
    Ok(Report::new(&json, format!("paid {} to the foundation", spon.show(total))))
}

async fn show(context: &Context, chain: &Chain, spon: &Token) -> Result<Report> {
    let contract = chain.foundation()?;
    let unread = "cannot read the foundation's delegations";
    let threshold: u64 = contract.threshold().call().await.or_call(unread)?.saturating_to();
    let foundation = contract.foundation().call().await.or_call(unread)?;
    let (_, now) = chain.head().await?;
    let (mut rows, mut delegations) = (Vec::new(), Vec::new());
    for provider in Provider::all(chain).await? {
        let id = U256::from(provider.id);
        let shares = chain.staking().sharesOf(id, *contract.address()).call().await.or_call(unread)?;
        if shares.is_zero() {
            continue;
        }
        let tokens = chain.staking().tokensFor(id, shares).call().await.or_call(unread)?;
        let used: u64 = contract.utilisationOf(id).call().await.or_call(unread)?.saturating_to();
        let until: u64 = contract.committedUntil(id).call().await.or_call(unread)?.saturating_to();
        let reclaimable = used >= threshold || now >= until;
        rows.push(vec![
            provider.id.to_string(),
            spon.plain(tokens),
            format!("{} of {}", percent(used), percent(threshold)),
            if reclaimable {
                "reclaimable".to_owned()
            } else {
                format!("kept for {} more", time::span(until - now))
            },
        ]);
        delegations.push(json!({
            "provider": provider.id, "tokens": spon.plain(tokens), "utilisation_bp": used, "committed_until": until,
            "reclaimable": reclaimable,
        }));
    }
    let mut unbonding = Vec::new();
    for request in stake::requests(chain, &Pools::of_providers(chain), *contract.address()).await? {
        let left = request.until.saturating_sub(now);
        let when = if left == 0 { "now".to_owned() } else { format!("in {}", time::span(left)) };
        rows.push(vec![
            request.provider.to_string(),
            spon.plain(request.tokens),
            String::new(),
            format!("request {}: withdrawable {when}", request.id),
        ]);
        unbonding.push(json!({
            "request": request.id, "provider": request.provider, "tokens": spon.plain(request.tokens),
            "until": request.until,
        }));
    }
    let json = json!({
        "foundation": foundation, "threshold_bp": threshold, "delegations": delegations, "unbonding": unbonding,
    });
    if rows.is_empty() {
        context.output.note("the foundation delegates to nobody");
        return Ok(Report::new(&json, ""));
    }
    Ok(Report::new(&json, table(&["PROVIDER", "SPON", "USED", "STATE"], rows)))
}

/// Basis points as whole percent.
fn percent(basis_points: u64) -> String {
    format!("{}%", basis_points / 100)
}
