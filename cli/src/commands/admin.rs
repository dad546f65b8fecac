//! `iono admin`: what governance does with a deployment. `deploy` has a file of its own.

use alloy::primitives::U256;
use futures::future::try_join_all;
use iono_bindings::{IMatchPolicy, IPaymentTokens, IProviderRegistry, TermsWord};
use iono_matching::Weights;
use iono_primitives::money::{format_decimal, parse_decimal};
use serde_json::json;

use super::{admin_foundation, admin_terms, cash_out};
use crate::args::admin::{Admin, Policy, Provider, Terms, Token as Args, Weights as WeightArgs};
use crate::chain::Call;
use crate::context::Context;
use crate::error::{Failure, Kind, Result};
use crate::output::{Report, table};
use crate::token::Tokens;
use crate::tx::Step;

/// Digits of a governed price.
const PRICE_DECIMALS: u8 = 8;
/// The weights in their order in a policy's word, 16 bits each.
const COMPONENTS: [&str; 8] =
    ["price", "region", "rating", "availability", "slashes", "tier", "stake", "random"];

pub(crate) async fn run(context: &Context, args: Admin) -> Result<Report> {
    match args {
        Admin::Deploy(deploy) => super::admin_deploy::run(context, &deploy).await,
        Admin::Token(args) => token(context, &args).await,
        Admin::AutoApproval { state } => auto_approval(context, state.as_deref()).await,
        Admin::Policy(Policy::List) => policies(context).await,
        Admin::Policy(Policy::Add(weights)) => add_policy(context, &weights).await,
        Admin::Policy(Policy::Use { weights }) => admin_terms::use_policy(context, weights).await,
        Admin::Terms(Terms::Show) => admin_terms::show(context).await,
        Admin::Terms(Terms::Set { changes }) => admin_terms::set(context, &changes).await,
        Admin::TierStake { tier, amount } => admin_terms::tier_stake(context, tier.zip(amount)).await,
        Admin::Provider(Provider::Tier { provider, tier }) => {
            admin_terms::trust_tier(context, provider, tier).await
        }
        Admin::Foundation(args) => admin_foundation::run(context, args).await,
        Admin::CollectFees { token } => cash_out::collect_fees(context, token.as_deref()).await,
    }
}

async fn tokens(context: &Context) -> Result<Report> {
    let chain = context.chain().await?;
    let tokens = Tokens::load(&chain).await?;
    let rows = tokens.0.iter().map(|token| {
        vec![
            token.id.to_string(),
            token.symbol.clone(),
            if token.enabled { "enabled" } else { "disabled" }.to_owned(),
            format!("${}", format_decimal(U256::from(token.price), PRICE_DECIMALS)),
            token.decimals.to_string(),
            token.asset.to_string(),
        ]
    });
    Ok(Report::new(&tokens.0, table(&["ID", "TOKEN", "STATE", "PRICE", "DECIMALS", "CONTRACT"], rows)))
}

async fn token(context: &Context, args: &Args) -> Result<Report> {
    let chain = context.chain().await?;
    let tokens = Tokens::load(&chain).await?;
    let at = chain.book.payment_tokens;
    let (step, json, text) = match args {
        Args::Enable { asset, price } => {
            let call = IPaymentTokens::enableTokenCall { asset: *asset, price: dollars(price)? };
            let step = Step::new("enable_token", format!("enable {asset}"), at, &call);
            (
                step,
                json!({ "asset": asset, "price": price }),
                format!("{asset} is a payment token at ${price} now"),
            )
        }
        Args::Disable { token } => {
            let token = tokens.find(token)?;
            let call = IPaymentTokens::disableTokenCall { token: U256::from(token.id) };
            let step = Step::new("disable_token", format!("disable {}", token.symbol), at, &call);
            let text = format!("{} takes no new orders and deposits; what is there can leave", token.symbol);
            (step, json!({ "token": token.symbol, "id": token.id }), text)
        }
        Args::Price { token, price } => {
            let token = tokens.find(token)?;
            let call = IPaymentTokens::setPriceCall { token: U256::from(token.id), price: dollars(price)? };
            let step = Step::new("set_price", format!("set the price of {}", token.symbol), at, &call);
            let text = format!("a {} counts as ${price} now", token.symbol);
            (step, json!({ "token": token.symbol, "id": token.id, "price": price }), text)
        }
        Args::List => return self::tokens(context).await,
    };
    let sender = context.sender(&chain).await?;
    let Some(sent) = sender.send(step).await? else { return Ok(sender.plan()) };
    let mut json = json;
    if let Some(event) = sent.event::<IPaymentTokens::TokenEnabled>() {
        json["id"] = json!(event.token.saturating_to::<u16>());
    }
    json["transactions"] = json!([sent]);
    Ok(Report::new(&json, text))
}

fn dollars(text: &str) -> Result<U256> {
    let price = parse_decimal(text.trim_start_matches('$'), PRICE_DECIMALS)
        .map_err(|error| Failure::new(Kind::Usage, error))?;
    if price.is_zero() { Err(Failure::new(Kind::Usage, "a price is above zero")) } else { Ok(price) }
}

async fn auto_approval(context: &Context, state: Option<&str>) -> Result<Report> {
    let chain = context.chain().await?;
    let Some(state) = state else {
        let on = chain.registry().autoApproval().call().await.or_call("cannot read auto-approval")?;
        return Ok(Report::new(&json!({ "auto_approval": on }), if on { "on" } else { "off" }));
    };
    let on = state == "on";
    let sender = context.sender(&chain).await?;
    let call = IProviderRegistry::setAutoApprovalCall { on };
    let step = Step::new("set_auto_approval", "switch auto-approval", chain.book.provider_registry, &call);
    let Some(sent) = sender.send(step).await? else { return Ok(sender.plan()) };
    let text = if on { "proposals are approved at once now" } else { "proposals wait for approval now" };
    Ok(Report::new(&json!({ "auto_approval": on, "transactions": [sent] }), text))
}

async fn policies(context: &Context) -> Result<Report> {
    let chain = context.chain().await?;
    let contract = chain.policies();
    let latest: u64 = contract.latest().call().await.or_call("cannot read the policies")?.saturating_to();
    let words = try_join_all((1..=latest).map(|version| {
        let contract = chain.policies();
        async move { contract.weightsOf(U256::from(version)).call().await.or_call("cannot read a policy") }
    }))
    .await?;
    let terms = chain.tokens().termsWord().call().await.or_call("cannot read the market's terms")?;
    let active = TermsWord::read([terms]).policy;
    let mut rows = Vec::new();
    let mut json = Vec::new();
    for (version, word) in (1u64..).zip(words) {
        let is_active = version == u64::from(active);
        let mut row = vec![if is_active { format!("{version} *") } else { version.to_string() }];
        let mut weights = serde_json::Map::new();
        let read = Weights::from_word(word);
        let parts = [
            read.price,
            read.region,
            read.rating,
            read.availability,
            read.slashes,
            read.tier,
            read.stake,
            read.random,
        ];
        for (name, part) in COMPONENTS.iter().zip(parts) {
            row.push(part.to_string());
            weights.insert((*name).to_owned(), json!(part));
        }
        row.push(read.stake_cap.to_string());
        json.push(json!({ "version": version, "active": is_active, "weights": weights, "stake_cap": read.stake_cap }));
        rows.push(row);
    }
    let head: Vec<String> =
        std::iter::once("VERSION").chain(COMPONENTS).chain(["stake cap"]).map(str::to_uppercase).collect();
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    Ok(Report::new(&json, table(&head, rows)))
}

async fn add_policy(context: &Context, weights: &WeightArgs) -> Result<Report> {
    let parts = [
        weights.price,
        weights.region,
        weights.rating,
        weights.availability,
        weights.slashes,
        weights.tier,
        weights.stake,
        weights.random,
    ];
    let sum: u32 = parts.iter().map(|part| u32::from(*part)).sum();
    if sum != 10_000 {
        return Err(Failure::new(Kind::Usage, format!("the weights sum to {sum}, not to 10,000")));
    }
    let word =
        parts.iter().rev().fold(U256::from(weights.stake_cap), |word, part| (word << 16) | U256::from(*part));
    let chain = context.chain().await?;
    let sender = context.sender(&chain).await?;
    let call = IMatchPolicy::addVersionCall { weights: word };
    let Some(sent) =
        sender.send(Step::new("add_policy", "add a policy", chain.book.match_policy, &call)).await?
    else {
        return Ok(sender.plan());
    };
    let version: u64 =
        sent.event::<IMatchPolicy::VersionAdded>().map_or(0, |event| event.version.saturating_to());
    let json = json!({ "version": version, "weights": word, "transactions": [sent] });
    Ok(Report::new(
        &json,
        format!("version {version} is there; `iono admin policy use {version}` picks it for new orders"),
    ))
}
