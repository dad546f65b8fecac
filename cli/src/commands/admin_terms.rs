//! `iono admin terms`, `policy use`, `tier-stake` and `provider tier`: the numbers that governance sets for new orders and
//! for providers.

use alloy::primitives::U256;
use futures::future::try_join_all;
use iono_bindings::{IPaymentTokens, IProviderRegistry, IStakingManager, TermsWord};
use iono_primitives::money::{format_decimal, parse_decimal};
use serde_json::{Value, json};

use crate::args::admin::Change;
use crate::chain::{Call, Chain};
use crate::context::Context;
use crate::error::{Failure, Kind, Result};
use crate::output::{Report, table};
use crate::providers::Provider;
use crate::tx::Step;

/// Digits of SPON.
const SPON_DECIMALS: u8 = 18;
/// Trust tiers count from 1, the best, to this.
const TIERS: u8 = 7;

/// One of the market's terms.
struct Term {
    name: &'static str,
    unit: &'static str,
    what: &'static str,
    get: fn(&TermsWord) -> u32,
    /// Whether the word has room for the value.
    set: fn(&mut TermsWord, u32) -> bool,
}

/// All terms but the policy, which `policy use` sets. What is too much the contract says.
const TERMS: [Term; 9] = [
    Term {
        name: "commission",
        unit: "bp",
        what: "of what a lease pays, to the foundation",
        get: |terms| terms.commission.into(),
        set: |terms, value| put(&mut terms.commission, value),
    },
    Term {
        name: "payer-fee",
        unit: "bp",
        what: "on top, for payers in another token than SPON",
        get: |terms| terms.payer_fee.into(),
        set: |terms, value| put(&mut terms.payer_fee, value),
    },
    Term {
        name: "receiver-fee",
        unit: "bp",
        what: "off, for providers paid in another token than SPON",
        get: |terms| terms.receiver_fee.into(),
        set: |terms, value| put(&mut terms.receiver_fee, value),
    },
    Term {
        name: "tier1-rebate",
        unit: "bp",
        what: "of the provider's fees that tier 1 is spared",
        get: |terms| terms.tier1_rebate.into(),
        set: |terms, value| put(&mut terms.tier1_rebate, value),
    },
    Term {
        name: "bid-blocks",
        unit: "blocks",
        what: "after an order's own in which bids count",
        get: |terms| terms.bid_blocks.into(),
        set: |terms, value| put(&mut terms.bid_blocks, value),
    },
    Term {
        name: "bracket",
        unit: "cents",
        what: "in the wallet for each step of resources",
        get: |terms| terms.bracket,
        set: |terms, value| put(&mut terms.bracket, value),
    },
    Term {
        name: "match-fee",
        unit: "cents",
        what: "for whoever resolves an order",
        get: |terms| terms.match_fee,
        set: |terms, value| put(&mut terms.match_fee, value),
    },
    Term {
        name: "min-deposit",
        unit: "cents",
        what: "in the wallet for any order",
        get: |terms| terms.min_deposit,
        set: |terms, value| put(&mut terms.min_deposit, value),
    },
    Term {
        name: "miss-penalty",
        unit: "cents",
        what: "slashed in SPON for a missed confirmation or a failed lease",
        get: |terms| terms.miss_penalty,
        set: |terms, value| put(&mut terms.miss_penalty, value),
    },
];

fn put<T: TryFrom<u32>>(field: &mut T, value: u32) -> bool {
    T::try_from(value).map(|value| *field = value).is_ok()
}

async fn read(chain: &Chain) -> Result<TermsWord> {
    let word = chain.tokens().termsWord().call().await.or_call("cannot read the market's terms")?;
    Ok(TermsWord::read([word]))
}

fn document(terms: &TermsWord) -> Value {
    let mut json: serde_json::Map<String, Value> =
        TERMS.iter().map(|term| (term.name.replace('-', "_"), json!((term.get)(terms)))).collect();
    json.insert("policy".to_owned(), json!(terms.policy));
    Value::Object(json)
}

pub(crate) async fn show(context: &Context) -> Result<Report> {
    let terms = read(&context.chain().await?).await?;
    let mut rows: Vec<Vec<String>> = TERMS
        .iter()
        .map(|term| {
            let value = (term.get)(&terms).to_string();
            vec![term.name.to_owned(), value, term.unit.to_owned(), term.what.to_owned()]
        })
        .collect();
    rows.push(vec![
        "policy".to_owned(),
        terms.policy.to_string(),
        "version".to_owned(),
        "of the matching weights; `iono admin policy use` sets it".to_owned(),
    ]);
    Ok(Report::new(&document(&terms), table(&["TERM", "VALUE", "UNIT", "WHAT"], rows)))
}

pub(crate) async fn set(context: &Context, changes: &[Change]) -> Result<Report> {
    let chain = context.chain().await?;
    let mut terms = read(&chain).await?;
    let told = apply(&mut terms, changes)?;
    store(context, &chain, terms, format!("{told}, for new orders")).await
}

/// Changes a word; says what changed.
fn apply(terms: &mut TermsWord, changes: &[Change]) -> Result<String> {
    let mut told = Vec::new();
    for Change { name, value } in changes {
        let term = TERMS.iter().find(|term| term.name == name).ok_or_else(|| {
            let known: Vec<&str> = TERMS.iter().map(|term| term.name).collect();
            Failure::new(Kind::Usage, format!("there is no term `{name}`"))
                .hint(format!("known are {}", known.join(", ")))
        })?;
        let before = (term.get)(terms);
        if !(term.set)(terms, *value) {
            return Err(Failure::new(
                Kind::Usage,
                format!("{name} cannot be {value}: the chain has no room for it"),
            ));
        }
        told.push(format!("{name} {before} → {value} {}", term.unit));
    }
    Ok(told.join(", "))
}

pub(crate) async fn use_policy(context: &Context, version: u16) -> Result<Report> {
    let chain = context.chain().await?;
    let terms = TermsWord { policy: version, ..read(&chain).await? };
    store(context, &chain, terms, format!("new orders are matched by version {version} of the weights")).await
}

async fn store(context: &Context, chain: &Chain, terms: TermsWord, text: String) -> Result<Report> {
    let sender = context.sender(chain).await?;
    let call = IPaymentTokens::setTermsCall { terms: terms.words()[0] };
    let step = Step::new("set_terms", "change the market's terms", chain.book.payment_tokens, &call);
    let Some(sent) = sender.send(step).await? else { return Ok(sender.plan()) };
    let mut json = document(&terms);
    json["transactions"] = json!([sent]);
    Ok(Report::new(&json, text))
}

/// Shows the stakes of all tiers, or sets one.
pub(crate) async fn tier_stake(context: &Context, change: Option<(u8, String)>) -> Result<Report> {
    let chain = context.chain().await?;
    let Some((tier, amount)) = change else { return tier_stakes(&chain).await };
    let tokens = parse_decimal(&amount, SPON_DECIMALS).map_err(|error| Failure::new(Kind::Usage, error))?;
    let sender = context.sender(&chain).await?;
    let call = IStakingManager::setTierStakeCall { tier: U256::from(tier), tokens };
    let doing = format!("set the stake of tier {tier}");
    let step = Step::new("set_tier_stake", doing, chain.book.staking_manager, &call);
    let Some(sent) = sender.send(step).await? else { return Ok(sender.plan()) };
    let json = json!({ "tier": tier, "spon": amount, "transactions": [sent] });
    Ok(Report::new(&json, format!("tier {tier} asks for {amount} SPON of stake now")))
}

async fn tier_stakes(chain: &Chain) -> Result<Report> {
    let stakes =
        try_join_all(
            (1..=TIERS).map(|tier| {
                let staking = chain.staking();
                async move {
                    staking.tierStake(U256::from(tier)).call().await.or_call("cannot read a tier's stake")
                }
            }),
        )
        .await?;
    let stakes: Vec<(u8, String)> =
        (1..).zip(stakes.into_iter().map(|wei| format_decimal(wei, SPON_DECIMALS))).collect();
    let json: Vec<Value> = stakes.iter().map(|(tier, spon)| json!({ "tier": tier, "spon": spon })).collect();
    let rows = stakes.iter().map(|(tier, spon)| vec![tier.to_string(), spon.clone()]);
    Ok(Report::new(&json, table(&["TIER", "SPON"], rows)))
}

pub(crate) async fn trust_tier(context: &Context, provider: u32, tier: u8) -> Result<Report> {
    let chain = context.chain().await?;
    let before = Provider::load(&chain, provider).await?.profile.trust_tier;
    let sender = context.sender(&chain).await?;
    let call = IProviderRegistry::setTrustTierCall { provider: U256::from(provider), tier: U256::from(tier) };
    let doing = format!("set the trust tier of provider {provider}");
    let step = Step::new("set_trust_tier", doing, chain.book.provider_registry, &call);
    let Some(sent) = sender.send(step).await? else { return Ok(sender.plan()) };
    let after = Provider::load(&chain, provider).await?;
    if after.standing() == "understaked" {
        context.output.warn(&format!(
            "provider {provider} may not bid until it stakes what tier {tier} asks for: `iono admin tier-stake`"
        ));
    }
    let json = json!({
        "provider": provider, "trust_tier": tier, "before": before, "state": after.standing(),
        "transactions": [sent],
    });
    Ok(Report::new(&json, format!("provider {provider} is in trust tier {tier} now; it was in {before}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_term_has_a_place_of_its_own() {
        for (index, term) in TERMS.iter().enumerate() {
            let mut terms = TermsWord::default();
            assert!((term.set)(&mut terms, 7), "{}", term.name);
            for (other, read) in TERMS.iter().enumerate() {
                assert_eq!(
                    (read.get)(&terms),
                    if other == index { 7 } else { 0 },
                    "{} {}",
                    term.name,
                    read.name
                );
            }
        }
    }

    #[test]
    fn changes_are_named_and_bounded() {
        let change = |name: &str, value| Change { name: name.to_owned(), value };
        let mut terms = TermsWord { match_fee: 5, ..TermsWord::default() };
        let told = apply(&mut terms, &[change("match-fee", 10), change("bid-blocks", 3)]).unwrap();
        assert_eq!(told, "match-fee 5 → 10 cents, bid-blocks 0 → 3 blocks");
        assert_eq!((terms.match_fee, terms.bid_blocks), (10, 3));
        assert_eq!(apply(&mut terms, &[change("bid-blocks", 256)]).unwrap_err().kind, Kind::Usage);
        let failure = apply(&mut terms, &[change("policy", 2)]).unwrap_err();
        assert!(failure.hint.unwrap().contains("miss-penalty"));
    }
}
