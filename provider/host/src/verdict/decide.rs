//! Whether to bid on an order and at what rate: a pure function of what is handed to it. What is refused is refused in
//! words that name the dimension, since they are served to tenants as well (market promise 1).

use iono_bindings::{ProfileWord, TokenWord};
use iono_matching::eligibility::Machine;
use iono_primitives::Rate;
use serde::{Deserialize, Serialize};

use super::eligible;
use super::reason::Reason;
use crate::config::Bidding;
use crate::config::values::Dollars;
use crate::market::order::Order;
use crate::pricing::{Allocation, NoPrice, to_rate};

/// Everything but the order that the decision depends on.
pub struct View<'a> {
    /// This provider as the registry has it.
    pub profile: &'a ProfileWord,
    /// Whose machine the bid would be for.
    pub machine: Machine,
    /// The order's payment token, if governance enabled it.
    pub token: Option<TokenWord>,
    /// The owner's rules.
    pub rules: &'a Bidding,
    /// Leases and reservations at present.
    pub held: usize,
    /// Number of the newest block.
    pub head: u64,
    /// Why no bids are made at present, if so: chain behind, engine down, disk full, gas short.
    pub obstacle: Option<&'a str>,
    /// Which GPUs are not offered and why, if there are such.
    pub withheld: Option<&'a str>,
}

/// A decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// Bid at this rate.
    Bid {
        /// 1e-18 whole tokens per second.
        #[serde(with = "crate::market::stored::rate")]
        rate: Rate,
    },
    /// Do not bid.
    Decline {
        /// Why.
        reason: Reason,
    },
}

/// Decides on `order`; `place` tries it on the capacity that is free and says what it would get, or what is short, and
/// `price` says what that costs in dollars an hour. `None` when it does not say so yet, and all else speaks for a bid.
pub fn decide(
    order: &Order,
    view: &View<'_>,
    place: impl FnOnce(&Order) -> Result<Allocation, Reason>,
    price: impl FnOnce(&Allocation, &TokenWord) -> Option<Result<Dollars, NoPrice>>,
) -> Option<Verdict> {
    match bid(order, view, place, price) {
        Ok(rate) => rate.map(|rate| Verdict::Bid { rate }),
        Err(mut reason) => {
            if let Some(withheld) = view.withheld.filter(|_| reason.dimension == "gpu") {
                reason.message = format!("{}; {withheld}", reason.message);
            }
            Some(Verdict::Decline { reason })
        }
    }
}

fn bid(
    order: &Order,
    view: &View<'_>,
    place: impl FnOnce(&Order) -> Result<Allocation, Reason>,
    price: impl FnOnce(&Allocation, &TokenWord) -> Option<Result<Dollars, NoPrice>>,
) -> Result<Option<Rate>, Reason> {
    let words = &order.words;
    if let Some(obstacle) = view.obstacle {
        return Err(Reason::new("provider", obstacle));
    }
    owners_rules(order, view)?;
    if let Some(why) = eligible::why_not(words, &order.spec.providers, view.profile, view.machine) {
        return Err(why);
    }
    let token = view.token.filter(|token| token.flags & 1 != 0);
    let token =
        token.ok_or_else(|| Reason::new("token", format!("payment token {} is not enabled", words.token)))?;
    let allocation = place(order)?;
    if view.head >= words.close_block {
        let message = format!("bidding closes with block {}, the newest is {}", words.close_block, view.head);
        return Err(Reason::new("time", message));
    }
    let Some(hourly) = price(&allocation, &token) else { return Ok(None) };
    let rate = hourly
        .and_then(|hourly| to_rate(hourly, token.price))
        .map_err(|error| Reason::new("price", error.to_string()))?;
    if rate.0 > words.max_rate {
        let most = Rate(words.max_rate);
        return Err(Reason::new("price", format!("{rate} tokens asked here, the order pays at most {most}")));
    }
    Ok(Some(rate))
}

fn owners_rules(order: &Order, view: &View<'_>) -> Result<(), Reason> {
    let (words, rules) = (&order.words, view.rules);
    if !rules.enabled {
        return Err(Reason::new("owner", "the owner switched bidding off"));
    }
    let longest = rules.max_duration.0.as_secs();
    if u64::from(words.duration) > longest {
        return Err(Reason::new(
            "duration",
            format!("{} s, the longest lease taken here is {longest} s", words.duration),
        ));
    }
    let denied = rules.deny_wallets.contains(&words.wallet);
    if denied || !(rules.allow_wallets.is_empty() || rules.allow_wallets.contains(&words.wallet)) {
        return Err(Reason::new("owner", format!("wallet {} is not served here", words.wallet)));
    }
    if view.held >= rules.max_leases as usize {
        return Err(Reason::new("leases", format!("all {} lease places are taken", rules.max_leases)));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use alloy::primitives::B256;
    use iono_bindings::OrderWords;
    use iono_bindings::words::{order_flags, profile_flags};
    use iono_primitives::OrderId;
    use proptest::prelude::*;

    use super::*;
    use crate::config::values::Seconds;
    use crate::market::order::LeaseSpec;
    use crate::pricing::PriceTable;

    fn order() -> Order {
        let words = OrderWords {
            wallet: 1,
            token: 1,
            close_block: 12,
            duration: 3_600,
            flags: order_flags::PROVIDER,
            units: 1,
            max_rate: Rate::from_hourly("1").unwrap().0,
            ..OrderWords::default()
        };
        let spec = LeaseSpec {
            resources: iono_primitives::Resources { cpu: 1_000, memory: 1_024, ..Default::default() },
            groups: Vec::new(),
            manifest_hash: B256::ZERO,
            providers: Vec::new(),
        };
        Order { id: OrderId(1), words, spec }
    }

    fn prices() -> PriceTable {
        PriceTable {
            cpu: Dollars::parse("0.01").unwrap(),
            memory: Dollars::parse("0.002").unwrap(),
            endpoint: Dollars::default(),
            minimum: Dollars::default(),
            storage: Default::default(),
            gpu: Default::default(),
        }
    }

    fn profile() -> ProfileWord {
        let flags = profile_flags::ACTIVE | profile_flags::STAKED | profile_flags::PROVIDER;
        ProfileWord { id: 1, trust_tier: 7, free_units: 4, tokens: 0b10, flags, ..ProfileWord::default() }
    }

    fn place(order: &Order) -> Result<Allocation, Reason> {
        let resources = order.spec.resources;
        Ok(Allocation { cpu: resources.cpu.into(), memory: resources.memory.into(), ..Allocation::default() })
    }

    struct Fixture {
        profile: ProfileWord,
        rules: Bidding,
        token: Option<TokenWord>,
        held: usize,
        head: u64,
        obstacle: Option<&'static str>,
        withheld: Option<&'static str>,
    }

    fn verdict(order: &Order, change: impl FnOnce(&mut Fixture)) -> Verdict {
        let token = TokenWord { flags: 1, decimals: 6, price: 100_000_000, ..TokenWord::default() };
        let (profile, rules) = (profile(), Bidding::default());
        let token = Some(token);
        let mut fixture =
            Fixture { profile, rules, token, held: 0, head: 10, obstacle: None, withheld: None };
        change(&mut fixture);
        let view = View {
            profile: &fixture.profile,
            machine: Machine::Own,
            token: fixture.token,
            rules: &fixture.rules,
            held: fixture.held,
            head: fixture.head,
            obstacle: fixture.obstacle,
            withheld: fixture.withheld,
        };
        decide(order, &view, place, |allocation, _| Some(prices().hourly(allocation))).unwrap()
    }

    #[test]
    fn the_bid_is_the_tables_price() {
        let rate = Rate::from_hourly("0.012").unwrap();
        assert_eq!(verdict(&order(), |_| {}), Verdict::Bid { rate });
    }

    #[test]
    fn every_refusal_says_why() {
        let mut dear = order();
        dear.words.max_rate = Rate::from_hourly("0.011").unwrap().0;
        let mut with_gpu = order();
        with_gpu.words.gpus = 1;
        let withheld = Some("withheld: mi300x: not assignable");
        let cases: Vec<(Verdict, &str)> = vec![
            (verdict(&dear, |_| {}), "price: 0.012/h tokens asked here, the order pays at most 0.011/h"),
            (verdict(&order(), |v| v.rules.max_duration = Seconds::secs(60)), "duration: 3600 s"),
            (verdict(&order(), |v| v.rules.enabled = false), "switched bidding off"),
            (verdict(&order(), |v| v.rules.deny_wallets = vec![1]), "wallet 1"),
            (verdict(&order(), |v| v.rules.allow_wallets = vec![2]), "wallet 1"),
            (verdict(&order(), |v| v.held = 200), "all 200 lease places"),
            (verdict(&order(), |v| v.head = 12), "time: bidding closes"),
            (verdict(&order(), |v| v.token = None), "not enabled"),
            (verdict(&order(), |v| v.obstacle = Some("the container engine is down")), "engine is down"),
            (verdict(&order(), |v| v.profile = ProfileWord::default()), "not approved"),
            (verdict(&with_gpu, |v| v.withheld = withheld), "; withheld: mi300x: not assignable"),
        ];
        for (verdict, words) in cases {
            let Verdict::Decline { reason } = verdict else { panic!("bid despite {words}") };
            assert!(reason.to_string().contains(words), "{words}: {reason}");
        }
    }

    #[test]
    fn a_price_that_is_not_known_yet_leaves_all_else_decided() {
        let (profile, rules) = (profile(), Bidding::default());
        let token = TokenWord { flags: 1, price: 100_000_000, ..TokenWord::default() };
        let view = |head| View {
            profile: &profile,
            machine: Machine::Own,
            token: Some(token),
            rules: &rules,
            held: 0,
            head,
            obstacle: None,
            withheld: None,
        };
        assert_eq!(decide(&order(), &view(10), place, |_, _| None), None);
        assert!(matches!(decide(&order(), &view(12), place, |_, _| None), Some(Verdict::Decline { .. })));
        let no = Some(Err(NoPrice::Declined("not on Sundays".to_owned())));
        let Some(Verdict::Decline { reason }) = decide(&order(), &view(10), place, |_, _| no) else {
            panic!()
        };
        assert_eq!(reason.to_string(), "price: the pricing script declines: not on Sundays");
    }

    proptest! {
        #[test]
        fn a_bid_is_never_above_what_the_order_pays(max_rate in 0u128..1 << 80, head in 0u64..20, cpu in 0u32..64_000) {
            let mut order = order();
            order.words.max_rate = max_rate;
            order.spec.resources.cpu = cpu;
            if let Verdict::Bid { rate } = verdict(&order, |v| v.head = head) {
                prop_assert!(rate.0 <= max_rate && head < 12);
            }
        }
    }
}
