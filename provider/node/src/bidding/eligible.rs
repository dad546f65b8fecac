//! Whether the order book would take this provider's bid, in words for the owner: the twin of
//! `contracts/src/lib/Eligibility.sol`, so that no gas is spent on a bid that must revert.

use iono_bindings::words::{order_flags, profile_flags};
use iono_bindings::{OrderWords, ProfileWord};
use iono_primitives::attributes::ORDINAL;
use iono_primitives::{Attributes, ProviderId, Region};

use super::reason::Reason;

/// Why a bid for the provider's own machines would be refused; `None` when it would be taken.
#[must_use]
pub fn why_not(order: &OrderWords, listed: &[ProviderId], profile: &ProfileWord) -> Option<Reason> {
    standing(profile).or_else(|| conditions(order, profile)).or_else(|| {
        let free = [("units", u32::from(order.units), profile.free_units), ("GPUs", u32::from(order.gpus), profile.free_gpus.into())];
        free.into_iter().find(|(_, asked, free)| free < asked).map(|(what, asked, free)| {
            let message = format!("registered capacity: {free} {what} free of the {asked} that the order takes; raise it with `provider set-record`");
            Reason::new(if what == "GPUs" { "gpu" } else { "capacity" }, message)
        })
    }).or_else(|| {
        let on_list = listed.contains(&ProviderId(profile.id));
        let flag = |bit| order.flags & bit != 0;
        match (flag(order_flags::ALLOW_LIST) && !on_list, flag(order_flags::DENY_LIST) && on_list) {
            (true, _) => Some(Reason::new("allow_list", "the tenant chose other providers")),
            (_, true) => Some(Reason::new("deny_list", "the tenant excluded this provider")),
            _ => None,
        }
    })
}

/// Why this provider may not bid on anything at present.
#[must_use]
pub fn standing(profile: &ProfileWord) -> Option<Reason> {
    let has = |bit| profile.flags & bit != 0;
    let why = if !has(profile_flags::ACTIVE) {
        "this provider is not approved yet"
    } else if !has(profile_flags::STAKED) {
        "the stake is below its tier's; add some with `provider stake`"
    } else if has(profile_flags::BARRED) {
        "barred after a missed confirmation; top the stake up with `provider stake`"
    } else if has(profile_flags::DRAINING) {
        "draining; `provider drain off` takes leases again"
    } else if !has(profile_flags::PROVIDER) {
        "the record offers no machines of its own"
    } else {
        return None;
    };
    Some(Reason::new("standing", why))
}

fn conditions(order: &OrderWords, profile: &ProfileWord) -> Option<Reason> {
    if order.flags & order_flags::PROVIDER == 0 {
        return Some(Reason::new("mode", "the order is for light nodes alone"));
    }
    if profile.tokens >> order.token & 1 == 0 {
        return Some(Reason::new(
            "token",
            format!("payment token {} is not accepted here; see public.tokens", order.token),
        ));
    }
    let strict = order.flags & order_flags::STRICT_REGION != 0;
    if strict && !in_region(order.region, profile.region) {
        let (wanted, here) = (Region(order.region), Region(profile.region));
        return Some(Reason::new(
            "region",
            format!("the order must run in {wanted}; this provider is in {here}"),
        ));
    }
    meets(order.requirements, profile.attributes, profile.trust_tier)
}

/// Equal areas, and equal zones where the order names one.
fn in_region(wanted: u16, offered: u16) -> bool {
    wanted >> 8 == 0
        || (wanted >> 8 == offered >> 8 && (wanted & 0xff == 0 || wanted & 0xff == offered & 0xff))
}

/// The tiers are ordinal, compliance is a mask, the trust tier counts down.
fn meets(wanted: u32, has: u32, tier: u8) -> Option<Reason> {
    for (name, shift, mask) in ORDINAL {
        let (wanted, has) = (wanted >> shift & mask, has >> shift & mask);
        if has < wanted {
            // A number without a word may be asked for as well.
            let shown = |tier: u32| match Attributes::read(tier << shift).to_string() {
                none if none == "none" && tier > 0 => format!("{name} tier {tier}"),
                words => words,
            };
            let message = format!("{} is asked for, this provider has {}", shown(wanted), shown(has));
            return Some(Reason::new("attributes", message));
        }
    }
    let missing = Attributes::missing_compliance(wanted, has);
    if !missing.is_empty() {
        let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
        let message = format!("{} is asked for and not attested here", missing.join(", "));
        return Some(Reason::new("compliance", message));
    }
    let lowest = (wanted >> 14) as u8;
    (lowest != 0 && tier > lowest).then(|| {
        Reason::new(
            "trust_tier",
            format!("trust tier {lowest} or better is asked for, this provider has {tier}"),
        )
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn profile() -> ProfileWord {
        ProfileWord {
            id: 3,
            trust_tier: 7,
            region: 0x0105,
            // compliance SOC2, connectivity 3, GPU 2, storage 2, compute 2
            attributes: 1 << 11 | 3 << 8 | 2 << 4 | 2 << 2 | 2,
            free_units: 8,
            total_units: 8,
            tokens: 0b11,
            flags: profile_flags::ACTIVE | profile_flags::STAKED | profile_flags::PROVIDER,
            ..ProfileWord::default()
        }
    }

    fn order() -> OrderWords {
        OrderWords { token: 1, units: 2, flags: order_flags::PROVIDER, ..OrderWords::default() }
    }

    #[test]
    fn a_plain_order_is_taken() {
        assert_eq!(why_not(&order(), &[], &profile()), None);
    }

    #[test]
    fn every_refusal_names_its_reason() {
        let flags = order_flags::PROVIDER;
        let strict = flags | order_flags::STRICT_REGION;
        let cases = [
            (OrderWords { flags: order_flags::FIZZ, ..order() }, "light nodes"),
            (OrderWords { token: 2, ..order() }, "token 2"),
            (OrderWords { region: 0x0200, flags: strict, ..order() }, "must run in us-east"),
            (OrderWords { region: 0x0106, flags: strict, ..order() }, "must run in local/6"),
            (OrderWords { units: 9, ..order() }, "8 units free of the 9"),
            (OrderWords { gpus: 1, ..order() }, "0 GPUs free of the 1"),
            (
                OrderWords { requirements: 3, ..order() },
                "compute hpc is asked for, this provider has compute general",
            ),
            (OrderWords { requirements: 7 << 8, ..order() }, "connectivity tier 7 is asked for"),
            (OrderWords { requirements: 0b110 << 11, ..order() }, "hipaa, gdpr"),
            (OrderWords { requirements: 6 << 14, ..order() }, "trust tier 6"),
            (OrderWords { flags: flags | order_flags::ALLOW_LIST, ..order() }, "chose other"),
        ];
        for (order, words) in cases {
            let why = why_not(&order, &[ProviderId(4)], &profile()).unwrap().message;
            assert!(why.contains(words), "{words}: {why}");
        }
        let denied = OrderWords { flags: flags | order_flags::DENY_LIST, ..order() };
        assert!(why_not(&denied, &[ProviderId(3)], &profile()).is_some());
        assert_eq!(why_not(&denied, &[ProviderId(4)], &profile()), None);
        // A preference alone is no condition, and a zone of the same area is one.
        assert_eq!(why_not(&OrderWords { region: 0x0200, ..order() }, &[], &profile()), None);
        assert_eq!(why_not(&OrderWords { region: 0x0105, flags: strict, ..order() }, &[], &profile()), None);
    }

    #[test]
    fn standing_names_the_remedy() {
        let with = |flags| standing(&ProfileWord { flags, ..profile() }).unwrap().message;
        use profile_flags::{ACTIVE, BARRED, DRAINING, PROVIDER, STAKED};
        assert!(with(STAKED).contains("approved"));
        assert!(with(ACTIVE).contains("provider stake"));
        assert!(with(ACTIVE | STAKED | BARRED | PROVIDER).contains("top the stake up"));
        assert!(with(ACTIVE | STAKED | DRAINING | PROVIDER).contains("drain off"));
        assert!(with(ACTIVE | STAKED).contains("no machines"));
    }
}
