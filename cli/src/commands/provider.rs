//! `iono provider`: the registry as everyone sees it, approval for governance, settings and earnings for owners.

use std::collections::BTreeMap;
use std::time::Duration;

use alloy::primitives::{Address, U256};
use futures::future::try_join_all;
use iono_bindings::{IEscrow, IProviderAccount, IProviderRegistry, ProviderRecord};
use iono_identity::Pin;
use iono_primitives::Region;
use serde_json::{Value, json};

use super::cash_out;
use crate::args::provider::Provider as Args;
use crate::chain::{Call, Chain};
use crate::context::Context;
use crate::error::{Failure, Result};
use crate::offers::{self, List, Offer};
use crate::output::{Report, facts, table};
use crate::providers::{self, Provider, stars};
use crate::token::Tokens;
use crate::tx::Step;

/// How long a provider may take to say its prices.
const ASK: Duration = Duration::from_secs(3);

pub(crate) async fn run(context: &Context, args: Args) -> Result<Report> {
    match args {
        Args::List => list(context).await,
        Args::Show { provider } => show(context, provider).await,
        Args::Proposals => proposals(context).await,
        Args::Approve { proposal } => approve(context, proposal).await,
        Args::Reject { proposal } => {
            let call = IProviderRegistry::rejectCall { proposal: U256::from(proposal) };
            let (doing, done) =
                (format!("reject proposal {proposal}"), format!("rejected proposal {proposal}"));
            registry(context, "reject", doing, &call, json!({ "proposal": proposal }), done).await
        }
        Args::Drain { provider, off } => {
            let call = IProviderRegistry::setDrainingCall { provider: U256::from(provider), draining: !off };
            let what = if off { "takes leases again" } else { "takes no new leases; the present ones stay" };
            let done = format!("provider {provider} {what}");
            let facts = json!({ "provider": provider, "draining": !off });
            registry(context, "set_draining", format!("change provider {provider}"), &call, facts, done).await
        }
        Args::Payout { provider, to } => payout(context, provider, to).await,
        Args::CashOut { provider, token } => cash_out::provider(context, provider, token.as_deref()).await,
        Args::Sweep { provider, token, to } => sweep(context, provider, token.as_deref(), to).await,
    }
}

async fn list(context: &Context) -> Result<Report> {
    let chain = context.chain().await?;
    let all = Provider::all(&chain).await?;
    let rows = all.iter().map(|provider| {
        let profile = &provider.profile;
        vec![
            provider.id.to_string(),
            provider.standing().to_owned(),
            provider.region().to_string(),
            format!("{}/{}", profile.free_units, profile.total_units),
            provider.gpus_shown(),
            profile.trust_tier.to_string(),
            stars(profile.rating),
            profile.stake.to_string(),
            provider.record.endpoint.clone(),
        ]
    });
    let head = ["ID", "STATE", "REGION", "FREE UNITS", "FREE GPUS", "TIER", "RATING", "SPON", "ENDPOINT"];
    let text = if all.is_empty() { String::new() } else { table(&head, rows) };
    if all.is_empty() {
        context.output.note("no provider is registered");
    }
    Ok(Report::new(&all.iter().map(Provider::json).collect::<Vec<_>>(), text))
}

async fn show(context: &Context, id: u32) -> Result<Report> {
    let chain = context.chain().await?;
    let provider = Provider::load(&chain, id).await?;
    let number = U256::from(id);
    let registry = chain.registry();
    let owner = registry.ownerOf(number).call().await.or_call("cannot read the provider's owner")?;
    let account = registry.accountOf(number).call().await.or_call("cannot read the provider's account")?;
    let payout = chain.escrow().payoutOf(number).call().await.or_call("cannot read the provider's payout")?;
    let stake = chain.staking().stakeOf(number).call().await.or_call("cannot read the provider's stake")?;
    let pins: Vec<String> =
        providers::pins(&chain, &provider).await?.into_iter().map(|pin| Pin(pin).to_string()).collect();
    let tokens = Tokens::load(&chain).await?;
    let escrow = chain.escrow();
    let ledgers = tokens.0.iter().map(async |token| {
        let ledger = escrow.ledgerOf(number, U256::from(token.id)).call().await;
        Ok::<_, Failure>((token, ledger.or_call("cannot read the ledger")?.net))
    });
    let ledgers = try_join_all(ledgers).await?;
    let earned = ledgers.into_iter().filter(|(_, net)| !net.is_zero());
    let earned: BTreeMap<_, _> =
        earned.map(|(token, net)| (token.symbol.clone(), token.plain(net))).collect();
    let offer = offers::ask(&chain, [&provider], ASK).await.remove(&id);
    if let Some(Err(why)) = &offer {
        context.output.note(&format!("it does not say its prices: {why}"));
    }
    let mut json = provider.json();
    json["owner"] = json!(owner);
    json["account"] = json!(account);
    json["payout"] = json!(payout);
    json["pins"] = json!(pins);
    json["own_stake_wei"] = json!(stake.own.to_string());
    json["counted_stake_wei"] = json!(stake.counted.to_string());
    json["to_cash_out"] = json!(earned);
    json["offer"] = json!(offer.as_ref().and_then(|offer| offer.as_ref().ok()).map(Offer::json));
    json["offer_error"] = json!(offer.as_ref().and_then(|offer| offer.as_ref().err()));
    let profile = &provider.profile;
    let mut pairs = vec![
        ("provider", id.to_string()),
        ("state", provider.standing().to_owned()),
        ("region", provider.region().to_string()),
        ("endpoint", provider.record.endpoint.clone()),
        ("pins", pins.join(", ")),
        (
            "capacity",
            provider.capacity.map_or_else(|| "malformed".to_owned(), |capacity| capacity.to_string()),
        ),
        (
            "free",
            format!("{} of {} units, {} GPUs", profile.free_units, profile.total_units, profile.free_gpus),
        ),
        ("tiers", provider.tiers().to_string()),
        ("trust tier", profile.trust_tier.to_string()),
        ("rating", stars(profile.rating)),
        ("slashed", format!("{} times", profile.slashes)),
        ("stake", format!("{} SPON", profile.stake)),
        ("owner", owner.to_string()),
        ("hot key", provider.record.hotKey.to_string()),
        ("account", account.to_string()),
        ("payout", payout.to_string()),
        (
            "earned",
            earned.iter().map(|(symbol, amount)| format!("{amount} {symbol}")).collect::<Vec<_>>().join(", "),
        ),
    ];
    if let Some(Ok(offer)) = &offer {
        pairs.push(("GPUs", offer.gpus_shown()));
        if let Some([core, memory, disk, gpus]) = offer.prices.as_ref().map(List::columns) {
            let each = format!("a core {core}, a GiB of memory {memory}, of disk {disk}; GPUs: {gpus}");
            pairs.push(("an hour of", each));
        }
    }
    Ok(Report::new(&json, facts(&pairs)))
}

/// Proposals that were neither approved nor rejected.
async fn waiting(chain: &Chain) -> Result<BTreeMap<u64, (Address, ProviderRecord)>> {
    use IProviderRegistry::{ProposalRejected, ProviderProposed, ProviderRegistered};
    let at = chain.book.provider_registry;
    let none = [None, None, None];
    let (proposed, rejected, registered) = tokio::try_join!(
        chain.all_events::<ProviderProposed>(at, none),
        chain.all_events::<ProposalRejected>(at, none),
        chain.all_events::<ProviderRegistered>(at, none),
    )?;
    let mut waiting: BTreeMap<u64, _> = proposed
        .into_iter()
        .map(|(event, _)| (event.proposal.saturating_to(), (event.owner, event.record)))
        .collect();
    for (event, _) in rejected {
        waiting.remove(&event.proposal.saturating_to());
    }
    for (event, _) in registered {
        waiting.remove(&event.proposal.saturating_to());
    }
    Ok(waiting)
}

async fn proposals(context: &Context) -> Result<Report> {
    let chain = context.chain().await?;
    let waiting = waiting(&chain).await?;
    let json: Vec<Value> = waiting
        .iter()
        .map(|(id, (owner, record))| {
            json!({ "proposal": id, "owner": owner, "hot_key": record.hotKey, "endpoint": record.endpoint,
                    "region": Region(record.region).to_string() })
        })
        .collect();
    if waiting.is_empty() {
        context.output.note("no proposal waits");
        return Ok(Report::new(&json, ""));
    }
    let rows = waiting.iter().map(|(id, (owner, record))| {
        vec![id.to_string(), owner.to_string(), Region(record.region).to_string(), record.endpoint.clone()]
    });
    Ok(Report::new(&json, table(&["PROPOSAL", "OWNER", "REGION", "ENDPOINT"], rows)))
}

async fn approve(context: &Context, proposal: u64) -> Result<Report> {
    let chain = context.chain().await?;
    let sender = context.sender(&chain).await?;
    let call = IProviderRegistry::approveCall { proposal: U256::from(proposal) };
    let doing = format!("approve proposal {proposal}");
    let Some(sent) = sender.send(Step::new("approve", doing, chain.book.provider_registry, &call)).await?
    else {
        return Ok(sender.plan());
    };
    let provider: u32 = sent
        .event::<IProviderRegistry::ProviderRegistered>()
        .map_or(0, |event| event.provider.saturating_to());
    let json = json!({ "proposal": proposal, "provider": provider, "transactions": [sent] });
    Ok(Report::new(&json, format!("proposal {proposal} is provider {provider} now")))
}

async fn registry<C: alloy::sol_types::SolCall>(
    context: &Context,
    name: &'static str,
    doing: String,
    call: &C,
    mut json: Value,
    text: String,
) -> Result<Report> {
    let chain = context.chain().await?;
    let sender = context.sender(&chain).await?;
    let Some(sent) = sender.send(Step::new(name, doing, chain.book.provider_registry, call)).await? else {
        return Ok(sender.plan());
    };
    json["transactions"] = json!([sent]);
    Ok(Report::new(&json, text))
}

async fn payout(context: &Context, provider: u32, to: Address) -> Result<Report> {
    let chain = context.chain().await?;
    let sender = context.sender(&chain).await?;
    let call = IEscrow::setPayoutCall { provider: U256::from(provider), payout: to };
    let doing = format!("set the payout of provider {provider}");
    let Some(sent) = sender.send(Step::new("set_payout", doing, chain.book.escrow, &call)).await? else {
        return Ok(sender.plan());
    };
    let json = json!({ "provider": provider, "payout": to, "transactions": [sent] });
    Ok(Report::new(&json, format!("provider {provider} is paid to {to} now")))
}

async fn sweep(context: &Context, provider: u32, token: Option<&str>, to: Option<Address>) -> Result<Report> {
    let chain = context.chain().await?;
    let tokens = Tokens::load(&chain).await?;
    let token = context.pick_token(&tokens, token)?;
    let sender = context.sender(&chain).await?;
    let to = to.unwrap_or_else(|| sender.address());
    let account = chain
        .registry()
        .accountOf(U256::from(provider))
        .call()
        .await
        .or_call("cannot read the provider's account")?;
    let call = IProviderAccount::sweepCall { asset: token.asset, to };
    let doing = format!("sweep the account of provider {provider}");
    let Some(sent) = sender.send(Step::new("sweep", doing, account, &call)).await? else {
        return Ok(sender.plan());
    };
    let amount = sent.event::<IProviderAccount::Swept>().map_or(U256::ZERO, |event| event.amount);
    let json = json!({
        "provider": provider, "account": account, "token": token.symbol, "amount": token.plain(amount), "to": to,
        "transactions": [sent],
    });
    Ok(Report::new(&json, format!("took {} out of {account}", token.show(amount))))
}
