//! Why a bid lost: the component of the score that cost it most against the winner's (market promise 1).

use alloy::primitives::B256;
use iono_bindings::BidWord;
use iono_matching::{Bid, Terms, Weights};

use iono_host::verdict::reason::Reason;

/// Compares two stored bids of one order; `seed` drew the random part.
#[must_use]
pub fn why_lost(terms: &Terms, ours: &BidWord, winner: &BidWord, seed: &B256) -> Reason {
    let (us, them) = (Bid(ours.words()[0]), Bid(winner.words()[0]));
    let w = terms.weights;
    let none = Weights { stake_cap: w.stake_cap, ..Weights::default() };
    let parts = [
        ("price", Weights { price: w.price, ..none }),
        ("region", Weights { region: w.region, ..none }),
        ("rating", Weights { rating: w.rating, ..none }),
        ("availability", Weights { availability: w.availability, ..none }),
        ("slashes", Weights { slashes: w.slashes, ..none }),
        ("tier", Weights { tier: w.tier, ..none }),
        ("stake", Weights { stake: w.stake, ..none }),
        ("luck", Weights { random: w.random, ..none }),
    ];
    let behind = parts.map(|(name, weights)| {
        let part = Terms { weights, ..*terms };
        let (us, them) = (part.score(&us, seed).score, part.score(&them, seed).score);
        (i128::from(them) - i128::from(us), name)
    });
    let (points, dimension) = behind.into_iter().max().unwrap_or((0, "luck"));
    let (us, them) = (terms.score(&us, seed).score, terms.score(&them, seed).score);
    let detail = match dimension {
        "price" => format!("{} against {}", winner.rate(), ours.rate()),
        "tier" => format!("trust tier {} against {}", winner.trust_tier, ours.trust_tier),
        "stake" => format!("{} SPON against {}", winner.stake, ours.stake),
        "slashes" => format!("{} slashes against {}", winner.slashes, ours.slashes),
        "luck" => "the random part decided".to_owned(),
        _ => format!("{points} points"),
    };
    let message = format!(
        "lost to provider {} by {} points: {dimension}, {detail}",
        winner.provider,
        them.saturating_sub(us)
    );
    Reason::new(dimension, message)
}

#[cfg(test)]
mod tests {
    use iono_primitives::{Rate, Region};

    use super::*;

    fn terms() -> Terms {
        let weights = Weights {
            price: 5_000,
            tier: 2_500,
            stake: 2_400,
            random: 100,
            stake_cap: 1_000,
            ..Weights::default()
        };
        Terms { weights, max_rate: Rate(1_000), region: Region::ANY }
    }

    fn bid(provider: u32, rate: u128, stake: u32) -> BidWord {
        BidWord { provider, rate, stake, trust_tier: 7, ..BidWord::default() }
    }

    #[test]
    fn the_costliest_component_is_named() {
        let why = |ours, winner| why_lost(&terms(), &ours, &winner, &B256::ZERO);
        let price = why(bid(1, 900, 500), bid(3, 500, 500));
        assert_eq!(price.dimension, "price");
        assert!(price.message.contains("lost to provider 3 by"), "{price}");
        let stake = why(bid(1, 500, 10), bid(3, 600, 1_000));
        assert_eq!(stake.dimension, "stake");
        assert!(stake.message.contains("1000 SPON against 10"), "{stake}");
    }
}
