//! Why the order book would refuse this provider's bid, in words for its owner with the remedy where there is one, so that
//! no gas is spent on a bid that must revert.

use iono_bindings::{OrderWords, ProfileWord};
use iono_matching::eligibility::{self, Ineligible, Machine, Standing};
use iono_primitives::ProviderId;

use super::reason::Reason;

/// Why a bid for such a machine would be refused; `None` when it would be taken.
#[must_use]
pub fn why_not(
    order: &OrderWords,
    listed: &[ProviderId],
    profile: &ProfileWord,
    machine: Machine,
) -> Option<Reason> {
    let listed: Vec<u32> = listed.iter().map(|provider| provider.0).collect();
    eligibility::why_not(order, &listed, profile, machine).map(|why| reason(&why))
}

/// Why this provider may not bid on anything at present with such a machine.
#[must_use]
pub fn standing(profile: &ProfileWord, machine: Machine) -> Option<Reason> {
    eligibility::standing(profile, machine).map(|standing| reason(&Ineligible::Standing(standing)))
}

fn reason(why: &Ineligible) -> Reason {
    let remedy = match why {
        Ineligible::Standing(Standing::Understaked) => "; add some with `provider stake`",
        Ineligible::Standing(Standing::Barred) => "; `provider stake` does it",
        Ineligible::Standing(Standing::Draining) => "; `provider drain off` takes leases again",
        Ineligible::Token(_) => "; see public.tokens",
        Ineligible::Units { .. } | Ineligible::Gpus { .. } => "; raise it with `provider set-record`",
        _ => "",
    };
    Reason::new(why.dimension(), format!("{why}{remedy}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use iono_bindings::words::{order_flags, profile_flags};

    use super::*;

    fn profile(flags: u16) -> ProfileWord {
        ProfileWord {
            id: 3,
            trust_tier: 7,
            free_units: 8,
            total_units: 8,
            tokens: 0b11,
            flags,
            ..ProfileWord::default()
        }
    }

    #[test]
    fn what_the_owner_can_mend_names_the_remedy() {
        use profile_flags::{ACTIVE, BARRED, DRAINING, PROVIDER, STAKED};
        let standing = |flags| standing(&profile(flags), Machine::Own).unwrap().message;
        assert!(standing(STAKED).contains("approved"));
        assert!(standing(ACTIVE).contains("provider stake"));
        assert!(standing(ACTIVE | STAKED | BARRED | PROVIDER).contains("topped up; `provider stake`"));
        assert!(standing(ACTIVE | STAKED | DRAINING | PROVIDER).contains("drain off"));
        assert!(standing(ACTIVE | STAKED).contains("no machines"));

        let order = OrderWords { token: 1, units: 2, flags: order_flags::PROVIDER, ..OrderWords::default() };
        let good = profile(ACTIVE | STAKED | PROVIDER);
        assert_eq!(why_not(&order, &[], &good, Machine::Own), None);
        let why = |order: OrderWords| why_not(&order, &[ProviderId(3)], &good, Machine::Own).unwrap();
        assert!(why(OrderWords { token: 2, ..order }).message.contains("public.tokens"));
        let short = why(OrderWords { units: 9, ..order });
        assert_eq!((short.dimension.as_str(), short.message.contains("set-record")), ("capacity", true));
        let denied = why(OrderWords { flags: order.flags | order_flags::DENY_LIST, ..order });
        assert_eq!(denied.message, "the tenant excluded this provider");
    }
}
