//! `iono stake`: SPON stakes and delegations (SP-3, SP-4); operators' stakes go the same way (SP-15).

use alloy::primitives::{Address, U256};
use alloy::providers::DynProvider;
use iono_bindings::{IERC20, IStakingManager};
use serde_json::{Value, json};

use crate::args::provider::Stake;
use crate::chain::{Call, Chain};
use crate::context::Context;
use crate::error::{Failure, Kind, Result};
use crate::output::{Report, table};
use crate::permit;
use crate::providers::Provider;
use crate::time;
use crate::token::{Token, Tokens};
use crate::tx::{Sender, Sent, Step};

/// Least shares accepted, in thousandths of what the pool gives now: it may earn or be slashed in between.
const SLIPPAGE: u64 = 990;

/// Whose stakes: providers and operators have a staking contract each.
#[derive(Clone)]
pub(super) struct Pools {
    staking: IStakingManager::IStakingManagerInstance<DynProvider>,
    /// What the pools belong to, for people and as a key of results.
    whose: &'static str,
    /// Which command lists one's stakes.
    shown_by: &'static str,
}

impl Pools {
    pub(super) fn of_providers(chain: &Chain) -> Self {
        Self { staking: chain.staking(), whose: "provider", shown_by: "iono stake show" }
    }

    pub(super) fn of_operators(chain: &Chain) -> Self {
        let staking = IStakingManager::new(chain.book.operator_staking, chain.rpc.clone());
        Self { staking, whose: "operator", shown_by: "iono operator status" }
    }

    /// What counts of a pool, in wei of SPON.
    pub(super) async fn counted(&self, holder: u32) -> Result<U256> {
        let stake = self.staking.stakeOf(U256::from(holder)).call().await;
        Ok(stake.or_call("cannot read the stake")?.counted)
    }

    fn address(&self) -> Address {
        *self.staking.address()
    }
}

pub(crate) async fn run(context: &Context, args: Stake) -> Result<Report> {
    let chain = context.chain().await?;
    let tokens = Tokens::load(&chain).await?;
    let spon = tokens.by_id(0)?;
    let pools = Pools::of_providers(&chain);
    match args {
        Stake::Show => return show(context, &chain, spon).await,
        Stake::Withdraw { request } => return withdraw(context, &chain, &pools, spon, request).await,
        _ => {}
    }
    let sender = context.sender(&chain).await?;
    match args {
        Stake::Add { provider, amount } => add(&chain, &sender, &pools, spon, provider, &amount).await,
        Stake::Delegate { provider, amount } => delegate(&chain, &sender, spon, provider, &amount).await,
        Stake::Undelegate { provider, amount } => {
            undelegate(&chain, &sender, &pools, spon, provider, &amount).await
        }
        Stake::Redelegate { from, to, amount } => redelegate(&chain, &sender, spon, from, to, &amount).await,
        Stake::Withdraw { .. } | Stake::Show => Ok(sender.plan()),
    }
}

pub(super) async fn pay(chain: &Chain, sender: &Sender, spon: &Token, amount: &str) -> Result<U256> {
    let tokens = spon.parse(amount)?;
    let held = spon.balance(chain, sender.address()).await?;
    if held < tokens {
        return Err(super::escrow::short(spon, sender.address(), held, tokens));
    }
    Ok(tokens)
}

pub(super) async fn add(
    chain: &Chain,
    sender: &Sender,
    pools: &Pools,
    spon: &Token,
    holder: u32,
    amount: &str,
) -> Result<Report> {
    let tokens = pay(chain, sender, spon, amount).await?;
    let (id, staking, whose) = (U256::from(holder), pools.address(), pools.whose);
    let doing = format!("stake {} for {whose} {holder}", spon.show(tokens));
    let mut sent = Vec::new();
    let step = match permit::sign(chain, sender.signer(), spon, staking, tokens).await? {
        Some(permit) => {
            let call = IStakingManager::permitAndStakeCall {
                provider: id,
                tokens,
                deadline: permit.deadline,
                v: permit.v,
                r: permit.r,
                s: permit.s,
            };
            Step::new("stake", doing, staking, &call)
        }
        None => {
            approve(sender, spon, staking, tokens, &mut sent).await?;
            Step::new("stake", doing, staking, &IStakingManager::stakeCall { provider: id, tokens })
        }
    };
    let facts = json!({ whose: holder, "staked": spon.plain(tokens) });
    done(sender, step, sent, facts, format!("staked {} for {whose} {holder}", spon.show(tokens))).await
}

pub(super) async fn approve(
    sender: &Sender,
    spon: &Token,
    spender: Address,
    amount: U256,
    sent: &mut Vec<Sent>,
) -> Result<()> {
    let call = IERC20::approveCall { spender, amount };
    sent.extend(
        sender
            .send(Step::new("approve", format!("approve {}", spon.show(amount)), spon.asset, &call))
            .await?,
    );
    Ok(())
}

async fn delegate(
    chain: &Chain,
    sender: &Sender,
    spon: &Token,
    provider: u32,
    amount: &str,
) -> Result<Report> {
    let tokens = pay(chain, sender, spon, amount).await?;
    let staking = chain.book.staking_manager;
    let mut sent = Vec::new();
    approve(sender, spon, staking, tokens, &mut sent).await?;
    let floor = least_shares(chain, provider, tokens).await?;
    let call = IStakingManager::delegateCall { provider: U256::from(provider), tokens, minShares: floor };
    let doing = format!("delegate {} to provider {provider}", spon.show(tokens));
    let step = Step::new("delegate", doing, staking, &call);
    let text = format!("delegated {} to provider {provider}; it counts from the next era", spon.show(tokens));
    done(sender, step, sent, json!({ "provider": provider, "delegated": spon.plain(tokens) }), text).await
}

/// Shares that a delegation of `tokens` must give at least.
pub(super) async fn least_shares(chain: &Chain, provider: u32, tokens: U256) -> Result<U256> {
    Ok(shares_for(&Pools::of_providers(chain), provider, tokens).await? * U256::from(SLIPPAGE)
        / U256::from(1_000))
}

/// Shares that `tokens` are worth in a pool now.
pub(super) async fn shares_for(pools: &Pools, holder: u32, tokens: U256) -> Result<U256> {
    let unit = U256::from(10).pow(U256::from(18));
    let worth = pools.staking.tokensFor(U256::from(holder), unit).call().await;
    let worth = worth.or_call(&format!("cannot read the pool of {} {holder}", pools.whose))?;
    // An empty pool gives a share a token.
    Ok(if worth.is_zero() { tokens } else { tokens * unit / worth })
}

/// The account's shares that make up `amount`, or all of them.
async fn own_shares(
    account: Address,
    pools: &Pools,
    spon: &Token,
    holder: u32,
    amount: &str,
) -> Result<U256> {
    let whose = pools.whose;
    let have = pools.staking.sharesOf(U256::from(holder), account).call().await;
    let have = have.or_call("cannot read your stake")?;
    if have.is_zero() {
        return Err(Failure::new(Kind::NotFound, format!("{account} has no stake at {whose} {holder}"))
            .hint(format_args!("`{}` shows it", pools.shown_by)));
    }
    if amount == "all" {
        return Ok(have);
    }
    let shares = shares_for(pools, holder, spon.parse(amount)?).await?;
    if shares > have {
        return Err(Failure::new(
            Kind::Funds,
            format!("your stake at {whose} {holder} is smaller than {amount} SPON"),
        )
        .hint("`all` takes everything"));
    }
    Ok(shares)
}

pub(super) async fn undelegate(
    chain: &Chain,
    sender: &Sender,
    pools: &Pools,
    spon: &Token,
    holder: u32,
    amount: &str,
) -> Result<Report> {
    let shares = own_shares(sender.address(), pools, spon, holder, amount).await?;
    let whose = pools.whose;
    let call = IStakingManager::unstakeCall { provider: U256::from(holder), shares };
    let step = Step::new("unstake", format!("unstake from {whose} {holder}"), pools.address(), &call);
    let Some(sent) = sender.send(step).await? else { return Ok(sender.plan()) };
    let started = sent
        .event::<IStakingManager::UnbondingStarted>()
        .ok_or_else(|| Failure::new(Kind::Rpc, "the receipt shows no unbonding"))?;
    let (_, now) = chain.head().await?;
    let until: u64 = started.until.saturating_to();
    let json = json!({
        whose: holder, "request": started.request.saturating_to::<u64>(), "tokens": spon.plain(started.tokens),
        "until": until, "transactions": [sent],
    });
    let text = format!(
        "request {}: {} can be withdrawn in {}",
        started.request,
        spon.show(started.tokens),
        time::span(until.saturating_sub(now))
    );
    Ok(Report::new(&json, text))
}

async fn redelegate(
    chain: &Chain,
    sender: &Sender,
    spon: &Token,
    from: u32,
    to: u32,
    amount: &str,
) -> Result<Report> {
    let pools = Pools::of_providers(chain);
    let shares = own_shares(sender.address(), &pools, spon, from, amount).await?;
    let call = IStakingManager::redelegateCall {
        from: U256::from(from),
        to: U256::from(to),
        shares,
        minShares: U256::ZERO,
    };
    let doing = format!("redelegate from provider {from} to {to}");
    let step = Step::new("redelegate", doing, chain.book.staking_manager, &call);
    let text = format!(
        "moves from provider {from} to {to} when it has unbonded; `iono stake withdraw` completes it"
    );
    done(sender, step, Vec::new(), json!({ "from": from, "to": to }), text).await
}

async fn done(
    sender: &Sender,
    step: Step,
    mut sent: Vec<Sent>,
    mut json: Value,
    text: String,
) -> Result<Report> {
    match sender.send(step).await? {
        Some(last) => sent.push(last),
        None => return Ok(sender.plan()),
    }
    json["transactions"] = json!(sent);
    Ok(Report::new(&json, text))
}

/// An unbonding request that has not been withdrawn.
pub(super) struct Request {
    pub(super) id: u64,
    pub(super) provider: u32,
    /// Provider that it goes to; 0 when it goes to the staker.
    target: u32,
    pub(super) tokens: U256,
    pub(super) until: u64,
}

pub(super) async fn requests(chain: &Chain, pools: &Pools, account: Address) -> Result<Vec<Request>> {
    // Redelegations emit the same event and thaw alike.
    let started = chain
        .all_events::<IStakingManager::UnbondingStarted>(
            pools.address(),
            [None, Some(account.into_word()), None],
        )
        .await?;
    let mut found = Vec::new();
    for (event, _) in started {
        let now = pools
            .staking
            .requestOf(event.request)
            .call()
            .await
            .or_call("cannot read an unbonding request")?;
        if now.staker == account {
            found.push(Request {
                id: event.request.saturating_to(),
                provider: now.provider.saturating_to(),
                target: now.target.saturating_to(),
                tokens: now.tokens,
                until: now.until.saturating_to(),
            });
        }
    }
    Ok(found)
}

pub(super) async fn withdraw(
    context: &Context,
    chain: &Chain,
    pools: &Pools,
    spon: &Token,
    request: Option<u64>,
) -> Result<Report> {
    let sender = context.sender(chain).await?;
    let (_, now) = chain.head().await?;
    let ids: Vec<u64> = match request {
        Some(id) => vec![id],
        None => requests(chain, pools, sender.address())
            .await?
            .into_iter()
            .filter(|request| request.until <= now)
            .map(|request| request.id)
            .collect(),
    };
    if ids.is_empty() {
        return Err(Failure::new(Kind::NotFound, "nothing has unbonded yet")
            .hint(format_args!("`{}` says when", pools.shown_by)));
    }
    let (mut sent, mut total) = (Vec::new(), U256::ZERO);
    for id in ids {
        let call = IStakingManager::withdrawCall { request: U256::from(id) };
        let step = Step::new("withdraw", format!("withdraw request {id}"), pools.address(), &call);
        if let Some(done) = sender.send(step).await? {
            total += done.event::<IStakingManager::StakeWithdrawn>().map_or(U256::ZERO, |event| event.tokens);
            sent.push(done);
        }
    }
    if context.global.dry_run {
        return Ok(sender.plan());
    }
    let json = json!({ "withdrawn": spon.plain(total), "transactions": sent });
    Ok(Report::new(&json, format!("withdrew {}", spon.show(total))))
}

async fn show(context: &Context, chain: &Chain, spon: &Token) -> Result<Report> {
    let account = context.address().await?;
    let (_, now) = chain.head().await?;
    let mut rows = Vec::new();
    let mut stakes = Vec::new();
    for provider in Provider::all(chain).await? {
        let id = U256::from(provider.id);
        let shares = chain.staking().sharesOf(id, account).call().await.or_call("cannot read your stake")?;
        if shares.is_zero() {
            continue;
        }
        let tokens = chain.staking().tokensFor(id, shares).call().await.or_call("cannot read your stake")?;
        rows.push(vec![provider.id.to_string(), spon.plain(tokens), "staked".to_owned()]);
        stakes.push(
            json!({ "provider": provider.id, "tokens": spon.plain(tokens), "shares": shares.to_string() }),
        );
    }
    let mut unbonding = Vec::new();
    for request in requests(chain, &Pools::of_providers(chain), account).await? {
        let left = request.until.saturating_sub(now);
        let when = if left == 0 { "ready".to_owned() } else { format!("in {}", time::span(left)) };
        rows.push(vec![
            request.provider.to_string(),
            spon.plain(request.tokens),
            match request.target {
                0 => format!("request {}: withdrawable {when}", request.id),
                target => format!("request {}: goes to provider {target}, {when}", request.id),
            },
        ]);
        unbonding.push(json!({
            "request": request.id, "provider": request.provider, "target": request.target, "tokens": spon.plain(request.tokens),
            "until": request.until,
        }));
    }
    let json = json!({ "account": account, "stakes": stakes, "unbonding": unbonding });
    if rows.is_empty() {
        context.output.note(&format!("{account} has no stake"));
        return Ok(Report::new(&json, ""));
    }
    Ok(Report::new(&json, table(&["PROVIDER", "SPON", "STATE"], rows)))
}
