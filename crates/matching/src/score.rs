//! How good a bid is for an order. `Score.sol` has the definition of every component; all divisions round down.

use alloy::primitives::{B256, U256, keccak256};
use iono_primitives::{Rate, Region};

use crate::Bid;

/// Full marks of a component.
const ONE: u64 = 10_000;
/// Marks of a provider that nobody has rated.
const UNRATED: u64 = 6_000;

/// A version of `MatchPolicy`: weights of the components, in the order of their bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Weights {
    /// Distance of the rate from the order's maximum.
    pub price: u16,
    /// Same area, same zone.
    pub region: u16,
    /// Tenants' ratings.
    pub rating: u16,
    /// Share of the time it was seen up.
    pub availability: u16,
    /// Few slashes.
    pub slashes: u16,
    /// Trust tier.
    pub tier: u16,
    /// Stake up to the cap.
    pub stake: u16,
    /// Luck.
    pub random: u16,
    /// Whole SPON beyond which stake counts no more.
    pub stake_cap: u32,
}

impl Weights {
    /// Reads the word of `IMatchPolicy.weightsOf`.
    #[must_use]
    pub fn from_word(word: U256) -> Self {
        let limbs = word.as_limbs();
        let weight = |index: usize| (limbs[index / 4] >> (index % 4 * 16)) as u16;
        Self {
            price: weight(0),
            region: weight(1),
            rating: weight(2),
            availability: weight(3),
            slashes: weight(4),
            tier: weight(5),
            stake: weight(6),
            random: weight(7),
            stake_cap: limbs[2] as u32,
        }
    }
}

/// What an order brings to the score.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// The policy version that the order was made with.
    pub weights: Weights,
    /// The most that the tenant pays.
    pub max_rate: Rate,
    /// Where the tenant wants to be.
    pub region: Region,
}

/// A bid's place in the ranking: the higher score wins, of equal scores the higher ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scored {
    /// Σ weight × component.
    pub score: u64,
    /// What the provider drew.
    pub ticket: U256,
}

impl Terms {
    /// Everything but luck: who holds a bid slot, before the seed exists.
    #[inline]
    #[must_use]
    pub fn static_score(&self, bid: &Bid) -> u64 {
        let w = &self.weights;
        u64::from(w.price) * price(bid.rate(), self.max_rate.0)
            + u64::from(w.region) * region(u64::from(self.region.0), bid.region())
            + u64::from(w.rating) * rating(bid.rating())
            + u64::from(w.availability) * (bid.availability() * ONE / 255)
            + u64::from(w.slashes) * (ONE / (1 + bid.slashes()))
            + u64::from(w.tier) * tier(bid.trust_tier())
            + u64::from(w.stake) * stake(bid.stake(), u64::from(w.stake_cap))
    }

    /// With luck.
    #[inline]
    #[must_use]
    pub fn score(&self, bid: &Bid, seed: &B256) -> Scored {
        let ticket = ticket(seed, bid.provider());
        let luck = u64::from(self.weights.random) * remainder(&ticket, ONE + 1);
        Scored { score: self.static_score(bid) + luck, ticket }
    }
}

/// The winner among bids of different providers, by its index; `None` without any.
#[must_use]
pub fn select(terms: &Terms, bids: &[Bid], seed: &B256) -> Option<(usize, Scored)> {
    let scored = bids.iter().enumerate().map(|(index, bid)| (index, terms.score(bid, seed)));
    scored.max_by_key(|(_, scored)| *scored)
}

/// What a provider drew: keccak256(abi.encode(seed, provider)).
#[inline]
#[must_use]
pub fn ticket(seed: &B256, provider: u32) -> U256 {
    let mut input = [0; 64];
    input[..32].copy_from_slice(seed.as_slice());
    input[60..].copy_from_slice(&provider.to_be_bytes());
    U256::from_be_bytes(keccak256(input).0)
}

/// A 256-bit number modulo a small one, limb by limb.
#[inline]
fn remainder(number: &U256, modulus: u64) -> u64 {
    let limbs = number.as_limbs().iter().rev();
    limbs.fold(0, |rest, limb| ((u128::from(rest) << 64 | u128::from(*limb)) % u128::from(modulus)) as u64)
}

#[inline]
fn price(rate: u128, max_rate: u128) -> u64 {
    if rate >= max_rate {
        return 0;
    }
    // Rates have 80 bits, so the product fits 94.
    ONE - (rate * u128::from(ONE) / max_rate) as u64
}

#[inline]
fn region(wanted: u64, offered: u64) -> u64 {
    if wanted >> 8 == 0 {
        ONE
    } else if wanted >> 8 != offered >> 8 {
        0
    } else if wanted & 0xff == 0 || wanted & 0xff == offered & 0xff {
        ONE
    } else {
        ONE / 2
    }
}

#[inline]
fn rating(field: u64) -> u64 {
    if field == 0 { UNRATED } else { (field.min(501) - 1) * 20 }
}

#[inline]
fn tier(tier: u64) -> u64 {
    if tier == 0 || tier > 7 { 0 } else { (7 - tier) * ONE / 6 }
}

#[inline]
fn stake(stake: u64, cap: u64) -> u64 {
    (stake.min(cap) * ONE).checked_div(cap).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn components_at_their_edges() {
        assert_eq!(
            [price(0, 100), price(1, 3), price(100, 100), price(101, 100), price(5, 0)],
            [10_000, 6_667, 0, 0, 0]
        );
        let (any, area, zone) = (0x0003, 0x0500, 0x0503);
        assert_eq!([region(any, 0x0700), region(area, 0x0507), region(area, 0x0607)], [10_000, 10_000, 0]);
        assert_eq!([region(zone, 0x0503), region(zone, 0x0504), region(zone, 0x0603)], [10_000, 5_000, 0]);
        assert_eq!([rating(0), rating(1), rating(501), rating(1_023)], [6_000, 0, 10_000, 10_000]);
        assert_eq!([tier(0), tier(1), tier(6), tier(7), tier(8)], [0, 10_000, 1_666, 0, 0]);
        assert_eq!([stake(5, 0), stake(5, 10), stake(50, 10)], [0, 5_000, 10_000]);
    }

    #[test]
    fn full_marks_are_a_hundred_million() {
        let weights = Weights {
            price: 4_000,
            region: 1_000,
            rating: 1_500,
            availability: 1_000,
            slashes: 500,
            tier: 1_000,
            stake: 500,
            random: 500,
            stake_cap: 1_000,
        };
        let terms = Terms { weights, max_rate: Rate(1_000), region: Region(0) };
        let profile = U256::from(1)
            | U256::from(1) << 32
            | U256::from(501) << 36
            | U256::from(1_000) << 54
            | U256::from(255) << 78;
        assert_eq!(terms.static_score(&Bid::pack(profile, 0, 0)), 95_000_000);
    }

    proptest! {
        #[test]
        fn remainders_are_those_of_the_whole_number(limbs: [u64; 4], modulus in 1u64..100_000) {
            let number = U256::from_limbs(limbs);
            prop_assert_eq!(U256::from(remainder(&number, modulus)), number % U256::from(modulus));
        }

        #[test]
        fn a_cheaper_bid_is_never_worse(rate in 1u128..1 << 80, max in 1u128..1 << 80, limbs: [u64; 4], weights: [u64; 4]) {
            let terms = Terms { weights: Weights::from_word(U256::from_limbs(weights)), max_rate: Rate(max), region: Region(0) };
            let profile = U256::from_limbs(limbs);
            let (dear, cheap) = (Bid::pack(profile, 0, rate), Bid::pack(profile, 0, rate - 1));
            prop_assert!(terms.static_score(&cheap) >= terms.static_score(&dear));
        }
    }
}
