//! Whether a provider may bid for an order, with a machine of its own or for a light node, and why not: the twin of
//! `contracts/src/lib/Eligibility.sol` (SP-3, SP-10, SP-11). Providers ask it before they pay for a bid that must revert,
//! tenants before they order what nobody can take.

use std::fmt;

use iono_bindings::words::{order_flags, profile_flags};
use iono_bindings::{OrderWords, ProfileWord};
use iono_primitives::attributes::{Compliance, ORDINAL};
use iono_primitives::{Attributes, FizzId, Region};

/// Whose machine a bid is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// The provider's own.
    Own,
    /// A light node's of its subnet (SP-34); whether that node is active is another question.
    Light,
}

impl From<FizzId> for Machine {
    fn from(fizz: FizzId) -> Self {
        if fizz == FizzId(0) { Self::Own } else { Self::Light }
    }
}

/// Why a provider may bid for nothing at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Not approved, or withdrawn.
    Inactive,
    /// Its stake is below its tier's.
    Understaked,
    /// Missed a confirmation, and has not topped its stake up since.
    Barred,
    /// Takes no new leases.
    Draining,
    /// Its record offers no machines of its own.
    NoMachines,
    /// Its record says of no gateway that it has.
    NoGateway,
}

/// Why a bid would be refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ineligible {
    /// It may bid for nothing.
    Standing(Standing),
    /// The order is for the other kind of machine alone.
    Mode(Machine),
    /// It does not take this payment token.
    Token(u16),
    /// The order must run elsewhere.
    Region {
        /// Where.
        wanted: Region,
        /// Where the provider is.
        here: Region,
    },
    /// An attribute's tier is too low.
    Attribute {
        /// Lowest tier that the order accepts, in words.
        wanted: String,
        /// The provider's.
        has: String,
    },
    /// Standards that the order asks for and nobody attested.
    Compliance(Vec<Compliance>),
    /// The trust tier is too low; 1 is the best.
    TrustTier {
        /// Lowest tier that the order accepts.
        lowest: u8,
        /// The provider's.
        has: u8,
    },
    /// Too few units are free of those that it registered.
    Units {
        /// That the order takes.
        asked: u32,
        /// That are free.
        free: u32,
    },
    /// Too few GPUs are free of those that it registered.
    Gpus {
        /// That the order takes.
        asked: u32,
        /// That are free.
        free: u32,
    },
    /// The tenant chose other providers.
    AllowList,
    /// The tenant excluded it.
    DenyList,
}

impl Ineligible {
    /// What did not fit, in one word for programs.
    #[must_use]
    pub fn dimension(&self) -> &'static str {
        match self {
            Self::Standing(_) => "standing",
            Self::Mode(_) => "mode",
            Self::Token(_) => "token",
            Self::Region { .. } => "region",
            Self::Attribute { .. } => "attributes",
            Self::Compliance(_) => "compliance",
            Self::TrustTier { .. } => "trust_tier",
            Self::Units { .. } => "capacity",
            Self::Gpus { .. } => "gpu",
            Self::AllowList => "allow_list",
            Self::DenyList => "deny_list",
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inactive => "not approved",
            Self::Understaked => "the stake is below its tier's",
            Self::Barred => "barred after a missed confirmation until the stake is topped up",
            Self::Draining => "draining: no new leases are taken",
            Self::NoMachines => "the record offers no machines of its own",
            Self::NoGateway => "the record offers no gateway of light nodes",
        })
    }
}

impl fmt::Display for Ineligible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standing(standing) => standing.fmt(f),
            Self::Mode(Machine::Own) => f.write_str("the order is for light nodes alone"),
            Self::Mode(Machine::Light) => f.write_str("the order is not for light nodes"),
            Self::Token(token) => write!(f, "payment token {token} is not accepted"),
            Self::Region { wanted, here } => {
                write!(f, "the order must run in {wanted}; this provider is in {here}")
            }
            Self::Attribute { wanted, has } => write!(f, "{wanted} is asked for, this provider has {has}"),
            Self::Compliance(missing) => {
                let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
                write!(f, "{} is asked for and not attested here", missing.join(", "))
            }
            Self::TrustTier { lowest, has } => {
                write!(f, "trust tier {lowest} or better is asked for, this provider has {has}")
            }
            Self::Units { asked, free } => {
                write!(f, "registered capacity: {free} units free of the {asked} that the order takes")
            }
            Self::Gpus { asked, free } => {
                write!(f, "registered capacity: {free} GPUs free of the {asked} that the order takes")
            }
            Self::AllowList => f.write_str("the tenant chose other providers"),
            Self::DenyList => f.write_str("the tenant excluded this provider"),
        }
    }
}

/// Why the order book would refuse a bid of this provider; `None` when it would take it.
#[must_use]
pub fn why_not(
    order: &OrderWords,
    listed: &[u32],
    profile: &ProfileWord,
    machine: Machine,
) -> Option<Ineligible> {
    standing(profile, machine)
        .map(Ineligible::Standing)
        .or_else(|| conditions(order, profile, machine))
        .or_else(|| capacity(order, profile))
        .or_else(|| lists(order, listed, profile.id))
}

/// Why it would refuse all bids of this provider, for its own machines and for light nodes.
#[must_use]
pub fn why_not_any(order: &OrderWords, listed: &[u32], profile: &ProfileWord) -> Option<Ineligible> {
    let own = why_not(order, listed, profile, Machine::Own)?;
    let light = why_not(order, listed, profile, Machine::Light)?;
    Some(match own {
        // Nothing that hinders light nodes is said by what hinders machines that are not asked for, or not there.
        Ineligible::Mode(_) | Ineligible::Standing(Standing::NoMachines) => light,
        own => own,
    })
}

/// Why a provider may bid for nothing at present with such a machine; `None` when it may.
#[must_use]
pub fn standing(profile: &ProfileWord, machine: Machine) -> Option<Standing> {
    let has = |bit| profile.flags & bit != 0;
    let (kind, lacking) = match machine {
        Machine::Own => (profile_flags::PROVIDER, Standing::NoMachines),
        Machine::Light => (profile_flags::FIZZ, Standing::NoGateway),
    };
    if !has(profile_flags::ACTIVE) {
        Some(Standing::Inactive)
    } else if !has(profile_flags::STAKED) {
        Some(Standing::Understaked)
    } else if has(profile_flags::BARRED) {
        Some(Standing::Barred)
    } else if has(profile_flags::DRAINING) {
        Some(Standing::Draining)
    } else {
        (!has(kind)).then_some(lacking)
    }
}

/// Whether a place lies in the region asked for: the same area, and the same zone where one is named.
#[must_use]
pub fn in_region(wanted: Region, place: Region) -> bool {
    wanted.area() == 0
        || (wanted.area() == place.area() && (wanted.zone() == 0 || wanted.zone() == place.zone()))
}

fn conditions(order: &OrderWords, profile: &ProfileWord, machine: Machine) -> Option<Ineligible> {
    let mode = match machine {
        Machine::Own => order_flags::PROVIDER,
        Machine::Light => order_flags::FIZZ,
    };
    if order.flags & mode == 0 {
        return Some(Ineligible::Mode(machine));
    }
    if profile.tokens >> order.token & 1 == 0 {
        return Some(Ineligible::Token(order.token));
    }
    let (wanted, here) = (Region(order.region), Region(profile.region));
    if order.flags & order_flags::STRICT_REGION != 0 && !in_region(wanted, here) {
        return Some(Ineligible::Region { wanted, here });
    }
    meets(order.requirements, profile.attributes, profile.trust_tier)
}

/// The tiers are ordinal, compliance is a mask, the trust tier counts down.
fn meets(wanted: u32, has: u32, tier: u8) -> Option<Ineligible> {
    for (name, shift, mask) in ORDINAL {
        let (wanted, has) = (wanted >> shift & mask, has >> shift & mask);
        if has < wanted {
            // A number that stands for no tier may be asked for as well.
            let words = |tier: u32| match Attributes::read(tier << shift).to_string() {
                none if none == "none" && tier > 0 => format!("{name} tier {tier}"),
                words => words,
            };
            return Some(Ineligible::Attribute { wanted: words(wanted), has: words(has) });
        }
    }
    let missing = Attributes::missing_compliance(wanted, has);
    if !missing.is_empty() {
        return Some(Ineligible::Compliance(missing));
    }
    let lowest = (wanted >> 14) as u8;
    (lowest != 0 && tier > lowest).then_some(Ineligible::TrustTier { lowest, has: tier })
}

fn capacity(order: &OrderWords, profile: &ProfileWord) -> Option<Ineligible> {
    let (units, gpus) = (u32::from(order.units), u32::from(order.gpus));
    if profile.free_units < units {
        return Some(Ineligible::Units { asked: units, free: profile.free_units });
    }
    let free = u32::from(profile.free_gpus);
    (free < gpus).then_some(Ineligible::Gpus { asked: gpus, free })
}

fn lists(order: &OrderWords, listed: &[u32], provider: u32) -> Option<Ineligible> {
    let on_list = listed.contains(&provider);
    let has = |flag: u8| order.flags & flag != 0;
    if has(order_flags::ALLOW_LIST) && !on_list {
        return Some(Ineligible::AllowList);
    }
    (has(order_flags::DENY_LIST) && on_list).then_some(Ineligible::DenyList)
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
        assert_eq!(why_not(&order(), &[], &profile(), Machine::Own), None);
    }

    #[test]
    fn every_refusal_names_its_reason() {
        let flags = order_flags::PROVIDER;
        let strict = flags | order_flags::STRICT_REGION;
        let cases = [
            (OrderWords { flags: order_flags::FIZZ, ..order() }, "mode", "light nodes"),
            (OrderWords { token: 2, ..order() }, "token", "token 2"),
            (OrderWords { region: 0x0200, flags: strict, ..order() }, "region", "must run in us-east"),
            (OrderWords { region: 0x0106, flags: strict, ..order() }, "region", "must run in local/6"),
            (OrderWords { units: 9, ..order() }, "capacity", "8 units free of the 9"),
            (OrderWords { gpus: 1, ..order() }, "gpu", "0 GPUs free of the 1"),
            (
                OrderWords { requirements: 3, ..order() },
                "attributes",
                "compute hpc is asked for, this provider has compute general",
            ),
            (
                OrderWords { requirements: 7 << 8, ..order() },
                "attributes",
                "connectivity tier 7 is asked for",
            ),
            (OrderWords { requirements: 0b110 << 11, ..order() }, "compliance", "hipaa, gdpr"),
            (OrderWords { requirements: 6 << 14, ..order() }, "trust_tier", "trust tier 6"),
            (OrderWords { flags: flags | order_flags::ALLOW_LIST, ..order() }, "allow_list", "chose other"),
        ];
        for (order, dimension, words) in cases {
            let why = why_not(&order, &[4], &profile(), Machine::Own).unwrap();
            assert_eq!(why.dimension(), dimension);
            assert!(why.to_string().contains(words), "{words}: {why}");
        }
        let denied = OrderWords { flags: flags | order_flags::DENY_LIST, ..order() };
        assert_eq!(why_not(&denied, &[3], &profile(), Machine::Own), Some(Ineligible::DenyList));
        assert_eq!(why_not(&denied, &[4], &profile(), Machine::Own), None);
        // A preference alone is no condition, and a zone of the same area is one.
        assert_eq!(why_not(&OrderWords { region: 0x0200, ..order() }, &[], &profile(), Machine::Own), None);
        assert_eq!(
            why_not(&OrderWords { region: 0x0105, flags: strict, ..order() }, &[], &profile(), Machine::Own),
            None
        );
    }

    #[test]
    fn an_order_says_which_machines_it_is_for() {
        let both =
            profile_flags::ACTIVE | profile_flags::STAKED | profile_flags::PROVIDER | profile_flags::FIZZ;
        let why = |flags, machine| {
            let why = why_not(
                &OrderWords { flags, ..order() },
                &[],
                &ProfileWord { flags: both, ..profile() },
                machine,
            );
            why.map(|why| why.to_string()).unwrap_or_default()
        };
        assert_eq!(why(order_flags::FIZZ, Machine::Own), "the order is for light nodes alone");
        assert_eq!(why(order_flags::PROVIDER, Machine::Light), "the order is not for light nodes");
        for machine in [Machine::Own, Machine::Light] {
            assert_eq!(why(order_flags::PROVIDER | order_flags::FIZZ, machine), "");
        }
    }

    #[test]
    fn a_provider_with_one_kind_of_machine_is_told_of_that_one() {
        let of = |order, kinds: u16| {
            let order = OrderWords { token: 1, units: 9, flags: order, ..OrderWords::default() };
            let flags = kinds | profile_flags::ACTIVE | profile_flags::STAKED;
            why_not_any(&order, &[], &ProfileWord { flags, ..profile() }).map(|why| why.dimension())
        };
        let (own, light) = (profile_flags::PROVIDER, profile_flags::FIZZ);
        assert_eq!(of(order_flags::PROVIDER, own), Some("capacity"));
        assert_eq!(of(order_flags::FIZZ, light), Some("capacity"));
        assert_eq!(of(order_flags::FIZZ, own | light), Some("capacity"));
        assert_eq!(of(order_flags::FIZZ, own), Some("standing"));
        assert_eq!(of(order_flags::PROVIDER, light), Some("mode"));
    }

    #[test]
    fn a_standing_that_forbids_bids_comes_first() {
        use profile_flags::{ACTIVE, BARRED, DRAINING, FIZZ, PROVIDER, STAKED};
        let by = |flags, machine| standing(&ProfileWord { flags, ..profile() }, machine);
        let of = |flags| by(flags, Machine::Own);
        assert_eq!(of(STAKED), Some(Standing::Inactive));
        assert_eq!(of(ACTIVE), Some(Standing::Understaked));
        assert_eq!(of(ACTIVE | STAKED | BARRED | DRAINING | PROVIDER), Some(Standing::Barred));
        assert_eq!(of(ACTIVE | STAKED | DRAINING | PROVIDER), Some(Standing::Draining));
        assert_eq!(of(ACTIVE | STAKED), Some(Standing::NoMachines));
        assert_eq!(of(ACTIVE | STAKED | PROVIDER), None);
        assert_eq!(by(ACTIVE | STAKED | PROVIDER, Machine::Light), Some(Standing::NoGateway));
        assert_eq!(by(ACTIVE | STAKED | FIZZ, Machine::Light), None);
        let barred = ProfileWord { flags: ACTIVE | STAKED | BARRED | PROVIDER, ..profile() };
        let impossible = OrderWords { token: 2, ..order() };
        assert_eq!(
            why_not(&impossible, &[], &barred, Machine::Own),
            Some(Ineligible::Standing(Standing::Barred))
        );
    }

    #[test]
    fn regions_contain_their_zones() {
        let region = |text: &str| text.parse::<Region>().unwrap();
        assert!(in_region(region("eu-west"), region("eu-west/3")));
        assert!(in_region(Region::ANY, region("eu-west/3")));
        assert!(!in_region(region("eu-west/2"), region("eu-west/3")));
        assert!(!in_region(region("eu-west"), region("us-east")));
    }
}
