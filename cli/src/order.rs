//! From a manifest and the command line to an order: which token, which price, which providers, and what it costs.

use alloy::primitives::aliases::{U24, U48, U80};
use alloy::primitives::{B256, U256};
use iono_bindings::{OrderWords, Spec, Terms, TermsWord, TokenWord, order_flags};
use iono_manifest::{Deployment, OrderPlan};
use iono_primitives::{Group, Rate, Region, Resources};

use crate::args::market::Price;
use crate::chain::{Call, Chain};
use crate::error::{Failure, Kind, Result};
use crate::holdings::lock_of;
use crate::providers;
use crate::token::{Token, Tokens};

/// Length of a lease when neither manifest nor command line says: a day.
pub(crate) const DEFAULT_DURATION: u32 = 86_400;
/// Most providers that an order can allow or deny.
const MAX_LISTED: usize = 8;
/// Denominations that are worth a dollar by their makers' promise, beside the tokens that the market prices.
const DOLLARS: [&str; 6] = ["USD", "USDC", "USDT", "DAI", "ACT", "CST"];
/// 1e-8 dollars of a dollar.
const DOLLAR: u128 = 100_000_000;

/// Providers that may or may not bid.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Listed {
    #[default]
    Anyone,
    Allowed(Vec<u32>),
    Denied(Vec<u32>),
}

impl Listed {
    /// The providers that a manifest names, by number or address.
    pub(crate) async fn named(chain: &Chain, names: &[String]) -> Result<Self> {
        let mut ids = Vec::new();
        for name in names {
            ids.push(providers::find(chain, name).await?);
        }
        Ok(if ids.is_empty() { Self::Anyone } else { Self::Allowed(ids) })
    }

    /// Their numbers.
    pub(crate) fn ids(&self) -> &[u32] {
        match self {
            Self::Anyone => &[],
            Self::Allowed(ids) | Self::Denied(ids) => ids,
        }
    }
}

/// An order that is ready but for wallet and manifest hash.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) plan: OrderPlan,
    pub(crate) token: Token,
    pub(crate) rate: Rate,
    pub(crate) duration: u32,
    pub(crate) region: Region,
    pub(crate) flags: u8,
    pub(crate) listed: Listed,
    /// What was decided for the tenant, to be told.
    pub(crate) notes: Vec<String>,
}

/// What an order needs in its wallet, in the token's smallest unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cost {
    /// Highest bill without fees.
    pub(crate) gross: U256,
    pub(crate) payer_fee: U256,
    pub(crate) match_fee: U256,
    /// What the order holds: the sum of the three.
    pub(crate) reserve: U256,
    /// Least free balance for any order.
    pub(crate) min_deposit: U256,
    /// Least free balance for resources of this size (SP-25).
    pub(crate) bracket: U256,
    pub(crate) bracket_cents: u64,
}

impl Cost {
    /// The largest of the three: what the wallet must have free.
    pub(crate) fn needed(&self) -> U256 {
        self.reserve.max(self.min_deposit).max(self.bracket)
    }
}

impl Draft {
    /// Chooses token, rate, time and place.
    pub(crate) fn new(
        deployment: &Deployment,
        tokens: &Tokens,
        configured: Option<&str>,
        price: &Price,
        region: Option<Region>,
        listed: Listed,
    ) -> Result<Self> {
        let plan = deployment.order();
        let mut notes = Vec::new();
        let token = pick(tokens, price.token.as_deref().or(configured), &plan.max_price.denomination)?;
        let rate = match &price.max_rate {
            Some(text) => Rate::from_hourly(text).map_err(|error| Failure::new(Kind::Usage, error))?,
            None => convert(&plan, tokens, token, &mut notes)?,
        };
        if rate.0 == 0 {
            return Err(Failure::new(Kind::Manifest, "the price is zero")
                .hint("say what you pay at most with --max-rate"));
        }
        let duration = price.duration.or(plan.duration).unwrap_or_else(|| {
            notes.push("the manifest names no duration: a day is taken; --duration changes it".to_owned());
            DEFAULT_DURATION
        });
        let mut flags = plan.flags;
        let region = match region {
            Some(region) if region != Region::ANY => {
                flags |= order_flags::STRICT_REGION;
                region
            }
            Some(_) => {
                flags &= !order_flags::STRICT_REGION;
                Region::ANY
            }
            None => plan.region,
        };
        match &listed {
            Listed::Anyone => {}
            Listed::Allowed(ids) => {
                check_list(ids)?;
                flags |= order_flags::ALLOW_LIST;
            }
            Listed::Denied(ids) => {
                check_list(ids)?;
                flags |= order_flags::DENY_LIST;
            }
        }
        Ok(Self { plan, token: token.clone(), rate, duration, region, flags, listed, notes })
    }

    /// The order's terms for a wallet; 0 lets the contract open one.
    pub(crate) fn terms(&self, wallet: u64) -> Terms {
        Terms {
            wallet: U48::saturating_from(wallet),
            token: self.token.id,
            duration: self.duration,
            maxRate: U80::saturating_from(self.rate.0),
            region: self.region.0,
            requirements: U24::saturating_from(self.plan.requirements),
            flags: self.flags,
        }
    }

    /// The order's spec for a manifest.
    pub(crate) fn spec(&self, manifest_hash: B256) -> Spec {
        Spec { providers: pack(self.listed.ids()), ..spec(&self.plan, manifest_hash) }
    }

    /// The order's words as far as they decide who may bid.
    pub(crate) fn words(&self) -> OrderWords {
        OrderWords {
            token: self.token.id,
            region: self.region.0,
            requirements: self.plan.requirements,
            flags: self.flags,
            units: u16::try_from(self.plan.resources.units()).unwrap_or(u16::MAX),
            gpus: self.plan.resources.gpus,
            ..OrderWords::default()
        }
    }

    /// What it needs in the wallet, by the market's present terms.
    pub(crate) async fn cost(&self, chain: &Chain) -> Result<Cost> {
        let words = chain
            .tokens()
            .quote(U256::from(self.token.id))
            .call()
            .await
            .or_call("cannot read the market's terms")?;
        let (token, terms) = (TokenWord::read([words.tokenWord_]), TermsWord::read([words.termsWord_]));
        if !self.token.enabled {
            return Err(Failure::new(Kind::Refused, format!("{} takes no new orders", self.token.symbol))
                .hint("choose another token with --token"));
        }
        let fee = if self.token.spon { 0 } else { terms.payer_fee };
        let gross = self.rate.gross(u64::from(self.duration), self.token.decimals);
        let bill = lock_of(self.rate, u64::from(self.duration), self.token.decimals, fee);
        let bracket_cents = bracket_steps(&self.plan.resources) * u64::from(terms.bracket);
        let bracket = chain
            .tokens()
            .unitsFor(U256::from(self.token.id), U256::from(bracket_cents))
            .call()
            .await
            .or_call("cannot read the resource bracket")?;
        let match_fee = U256::from(token.match_fee);
        Ok(Cost {
            gross,
            payer_fee: bill - gross,
            match_fee,
            reserve: bill + match_fee,
            min_deposit: U256::from(token.min_deposit),
            bracket,
            bracket_cents,
        })
    }
}

/// A plan's spec without a list of providers.
pub(crate) fn spec(plan: &OrderPlan, manifest_hash: B256) -> Spec {
    Spec {
        resources: plan.resources.word(),
        manifestHash: manifest_hash,
        providers: U256::ZERO,
        groups: Group::encode(&plan.groups).into(),
    }
}

/// Steps of the resource bracket, as `Bracket.stepsOf` of the contracts counts them.
pub(crate) fn bracket_steps(resources: &Resources) -> u64 {
    let largest = |cpu: u32, memory: u32, storage: u32| {
        let steps = [
            resources.cpu.div_ceil(cpu),
            resources.memory.div_ceil(memory),
            resources.storage.div_ceil(storage),
        ];
        u64::from(steps.into_iter().fold(1, u32::max))
    };
    if resources.gpus == 0 {
        return largest(8_000, 32_768, 524_288);
    }
    let weight = match resources.gpu_tier {
        0..=6 => 1,
        7..=8 => 2,
        _ => 4,
    };
    largest(32_000, 131_072, 1_048_576).max(u64::from(resources.gpus) * weight)
}

/// The token to pay in: the one asked for or configured, else the manifest's, else the market's default.
fn pick<'a>(tokens: &'a Tokens, asked: Option<&str>, denomination: &str) -> Result<&'a Token> {
    if let Some(text) = asked {
        return tokens.find(text);
    }
    match tokens.find(denomination) {
        Ok(token) if token.enabled => Ok(token),
        _ => tokens.default(),
    }
}

/// The manifest's price in the token that pays, by the market's governed prices.
fn convert(plan: &OrderPlan, tokens: &Tokens, token: &Token, notes: &mut Vec<String>) -> Result<Rate> {
    let price = &plan.max_price;
    if !price.conversion.is_empty() {
        notes.push(price.conversion.clone());
    }
    let named = tokens.find(&price.denomination).ok();
    if named.is_some_and(|named| named.id == token.id) {
        return Ok(price.rate);
    }
    let worth = match named {
        Some(named) => named.price,
        None if DOLLARS.contains(&price.denomination.as_str()) => DOLLAR,
        None => {
            return Err(Failure::new(
                Kind::Manifest,
                format!("the manifest's price is in {}, which has no price here", price.denomination),
            )
            .hint(format!("say what you pay at most with --max-rate, in {} an hour", token.symbol)));
        }
    };
    if token.price == 0 {
        return Err(Failure::new(Kind::Refused, format!("{} has no price", token.symbol)));
    }
    // Rounded up: the price is never below what the file says.
    let rate = (U256::from(price.rate.0) * U256::from(worth)).div_ceil(U256::from(token.price));
    let rate = u128::try_from(rate).map(Rate).ok().filter(|rate| *rate <= Rate::MAX);
    let rate = rate.ok_or_else(|| Failure::new(Kind::Manifest, "the price is too large"))?;
    notes.push(format!(
        "{} {} an hour is taken as {} {}",
        price.rate.hourly(),
        price.denomination,
        rate.hourly(),
        token.symbol
    ));
    Ok(rate)
}

fn check_list(ids: &[u32]) -> Result<()> {
    if ids.contains(&0) {
        return Err(Failure::new(Kind::Usage, "providers count from 1"));
    }
    if ids.len() > MAX_LISTED {
        return Err(Failure::new(
            Kind::Usage,
            format!("an order can list {MAX_LISTED} providers, not {}", ids.len()),
        ));
    }
    Ok(())
}

/// Ids of 32 bits, lowest first.
fn pack(ids: &[u32]) -> U256 {
    ids.iter().rev().fold(U256::ZERO, |word, id| (word << 32) | U256::from(*id))
}

/// A rate as people think of it: whole tokens an hour.
pub(crate) fn per_hour(rate: Rate, token: &Token) -> String {
    format!("{} {}/h", rate.hourly(), token.symbol)
}

#[cfg(test)]
mod tests {
    use alloy::primitives::Address;

    use super::*;

    const MANIFEST: &str = include_str!("../../examples/hello.yaml");

    fn tokens() -> Tokens {
        let token = |id: u16, symbol: &str, price: u128| Token {
            id,
            symbol: symbol.into(),
            asset: Address::with_last_byte(1),
            decimals: if id == 0 { 18 } else { 6 },
            enabled: true,
            spon: id == 0,
            price,
        };
        Tokens(vec![token(0, "SPON", 50_000_000), token(1, "USD", 100_000_000)])
    }

    fn draft(price: Price, configured: Option<&str>, listed: Listed) -> Result<Draft> {
        let deployment = iono_manifest::parse(MANIFEST).unwrap();
        Draft::new(&deployment, &tokens(), configured, &price, None, listed)
    }

    fn price(token: Option<&str>, max_rate: Option<&str>, duration: Option<u32>) -> Price {
        Price { token: token.map(Into::into), max_rate: max_rate.map(Into::into), duration }
    }

    #[test]
    fn the_manifest_decides_what_nobody_else_does() {
        let made = draft(price(None, None, None), None, Listed::Anyone).unwrap();
        assert_eq!((made.token.id, made.rate.hourly().as_str(), made.duration), (0, "0.5", 7_200));
        assert!(made.notes.is_empty());
    }

    #[test]
    fn prices_are_converted_by_the_governed_ones() {
        let made = draft(price(None, None, None), Some("USD"), Listed::Anyone).unwrap();
        assert_eq!((made.token.id, made.rate.hourly().as_str()), (1, "0.25"));
        assert!(made.notes[0].contains("0.25 USD"), "{:?}", made.notes);
    }

    #[test]
    fn the_command_line_wins() {
        let made = draft(price(Some("USD"), Some("0.02"), Some(60)), Some("SPON"), Listed::Anyone).unwrap();
        assert_eq!((made.token.id, made.rate.hourly().as_str(), made.duration), (1, "0.02", 60));
        assert_eq!(
            draft(price(None, Some("0"), None), None, Listed::Anyone).unwrap_err().kind,
            Kind::Manifest
        );
    }

    #[test]
    fn lists_of_providers_are_bounded_and_packed() {
        let made = draft(price(None, None, None), None, Listed::Denied(vec![3, 5])).unwrap();
        assert_eq!(made.spec(B256::ZERO).providers, U256::from(3) | U256::from(5) << 32);
        assert_eq!(made.flags & order_flags::DENY_LIST, order_flags::DENY_LIST);
        let nine = draft(price(None, None, None), None, Listed::Allowed((1..=9).collect()));
        assert_eq!(nine.unwrap_err().kind, Kind::Usage);
        let zero = draft(price(None, None, None), None, Listed::Allowed(vec![0]));
        assert_eq!(zero.unwrap_err().kind, Kind::Usage);
    }

    #[test]
    fn brackets_are_the_papers() {
        let base = Resources { cpu: 8_000, memory: 32_768, storage: 524_288, ..Resources::default() };
        assert_eq!(bracket_steps(&base), 1);
        assert_eq!(bracket_steps(&Resources { cpu: 8_001, ..base }), 2);
        let gpu = Resources { cpu: 32_000, memory: 131_072, gpus: 2, gpu_tier: 6, ..base };
        assert_eq!(bracket_steps(&gpu), 2);
        assert_eq!(bracket_steps(&Resources { gpu_tier: 10, ..gpu }), 8);
    }
}
