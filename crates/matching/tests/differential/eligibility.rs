//! Random profiles ask whether they may bid for random orders: the order book's library and this crate must say the same,
//! for the same reason.

use std::ops::BitOr;

use alloy::primitives::U256;
use iono_bindings::words::{order_flags, profile_flags};
use iono_bindings::{OrderWords, ProfileWord};
use iono_matching::eligibility::{Ineligible, Machine, Standing, why_not};
use iono_primitives::FizzId;
use rand::Rng;
use rand::rngs::StdRng;

use crate::{replay, skewed};

/// The contract's words for a refusal; none for a provider that may bid.
fn words(order: &OrderWords, why: Option<&Ineligible>) -> &'static str {
    match why {
        None => "",
        Some(Ineligible::Standing(standing)) => match standing {
            Standing::Inactive => "not active",
            Standing::Understaked => "stake below its tier's",
            Standing::Barred => "barred until its stake is topped up",
            Standing::Draining => "draining",
            // Where both are so, the contract names the order first.
            Standing::NoMachines if order.flags & order_flags::PROVIDER == 0 => "order is for light nodes",
            Standing::NoMachines => "offers no machines of its own",
            Standing::NoGateway if order.flags & order_flags::FIZZ == 0 => "order is not for light nodes",
            Standing::NoGateway => "no gateway of light nodes",
        },
        Some(Ineligible::Mode(Machine::Own)) => "order is for light nodes",
        Some(Ineligible::Mode(Machine::Light)) => "order is not for light nodes",
        Some(Ineligible::Token(_)) => "does not take the token",
        Some(Ineligible::Region { .. }) => "region",
        Some(Ineligible::Attribute { .. } | Ineligible::Compliance(_) | Ineligible::TrustTier { .. }) => {
            "attributes or trust tier"
        }
        Some(Ineligible::Units { .. }) => "no free units",
        Some(Ineligible::Gpus { .. }) => "no free gpus",
        Some(Ineligible::AllowList) => "not on the allow list",
        Some(Ineligible::DenyList) => "on the deny list",
    }
}

/// Each flag set with its own likelihood of `n` in 16.
fn flags<T: Default + BitOr<Output = T>>(
    random: &mut StdRng,
    likely: impl IntoIterator<Item = (T, u32)>,
) -> T {
    let set = likely.into_iter().filter(|(_, n)| random.random_ratio(*n, 16));
    set.fold(T::default(), |all, (flag, _)| all | flag)
}

/// Mostly what fits in all respects but one or two, so that every reason and none come up thousands of times.
fn record(_: u64, random: &mut StdRng, file: &mut Vec<u8>) {
    let region =
        |random: &mut StdRng| u16::from(random.random_range(0..3_u8)) << 8 | random.random_range(0..3);
    let order = OrderWords {
        token: random.random_range(0..48),
        region: region(random),
        requirements: if random.random_ratio(1, 3) { skewed(random, 18) as u32 } else { 0 },
        units: skewed(random, 12) as u16,
        gpus: skewed(random, 4) as u8,
        flags: flags(
            random,
            [
                (order_flags::PROVIDER, 15),
                (order_flags::FIZZ, 12),
                (order_flags::STRICT_REGION, 6),
                (order_flags::ALLOW_LIST, 4),
                (order_flags::DENY_LIST, 4),
            ],
        ),
        ..OrderWords::default()
    };
    let profile = ProfileWord {
        id: random.random_range(1..12),
        trust_tier: random.random_range(1..8),
        region: region(random),
        attributes: if random.random() { 0x3fff } else { skewed(random, 14) as u32 },
        free_units: skewed(random, 24) as u32,
        free_gpus: skewed(random, 12) as u16,
        tokens: if random.random_ratio(7, 8) { u64::MAX >> 16 } else { skewed(random, 48) as u64 },
        flags: flags(
            random,
            [
                (profile_flags::ACTIVE, 15),
                (profile_flags::STAKED, 15),
                (profile_flags::BARRED, 1),
                (profile_flags::DRAINING, 1),
                (profile_flags::PROVIDER, 15),
                (profile_flags::FIZZ, 15),
            ],
        ),
        ..ProfileWord::default()
    };
    let mut listed: Vec<u32> = (0..random.random_range(0..=8)).map(|_| random.random_range(1..12)).collect();
    let list = listed.iter().rev().fold(U256::ZERO, |word, id| word << 32 | U256::from(*id));
    if order.flags & (order_flags::ALLOW_LIST | order_flags::DENY_LIST) == 0 {
        listed.clear();
    }
    let fizz = if random.random() { 0 } else { random.random_range(1..=u32::MAX) };
    let said = words(&order, why_not(&order, &listed, &profile, FizzId(fizz).into()).as_ref());
    let [w0, _] = order.words();
    let [profile] = profile.words();
    let mut text = [0; 64];
    text[..said.len()].copy_from_slice(said.as_bytes());
    for word in [w0, list, profile, U256::from(fizz), U256::from(said.len())] {
        file.extend(word.to_be_bytes::<32>());
    }
    file.extend(text);
}

#[test]
fn who_may_bid_is_said_alike() {
    replay("EligibilityReplay.t.sol", 10, 10_000, record);
}
