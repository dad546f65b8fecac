//! A bid's packed word (layout in `contracts/src/lib/Types.sol`), read field by field without unpacking the whole.

use alloy::primitives::U256;

/// A bid: provider 32 | trust tier 4 | rating 10 | slashes 8 | stake 24 | availability 8 | region 16 | attributes 24 |
/// fizz 32 | rate 80, from the least significant bit up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(transparent)]
pub struct Bid(pub U256);

impl Bid {
    /// At most 64 bits from `offset` on.
    #[inline]
    fn bits(&self, offset: usize, width: usize) -> u64 {
        let limbs = self.0.as_limbs();
        let (limb, shift) = (offset / 64, offset % 64);
        let mut value = limbs[limb] >> shift;
        if shift + width > 64 {
            value |= limbs[limb + 1] << (64 - shift);
        }
        if width < 64 { value & ((1 << width) - 1) } else { value }
    }

    /// Provider id; 0 stands for no bid.
    #[inline]
    #[must_use]
    pub fn provider(&self) -> u32 {
        self.bits(0, 32) as u32
    }

    /// 1 (best) to 7.
    #[inline]
    #[must_use]
    pub fn trust_tier(&self) -> u64 {
        self.bits(32, 4)
    }

    /// 0 unrated, else average × 100 + 1.
    #[inline]
    #[must_use]
    pub fn rating(&self) -> u64 {
        self.bits(36, 10)
    }

    /// Times slashed, saturating.
    #[inline]
    #[must_use]
    pub fn slashes(&self) -> u64 {
        self.bits(46, 8)
    }

    /// Whole SPON.
    #[inline]
    #[must_use]
    pub fn stake(&self) -> u64 {
        self.bits(54, 24)
    }

    /// Of 255.
    #[inline]
    #[must_use]
    pub fn availability(&self) -> u64 {
        self.bits(78, 8)
    }

    /// Area high, zone low.
    #[inline]
    #[must_use]
    pub fn region(&self) -> u64 {
        self.bits(86, 16)
    }

    /// Light node of the gateway that bids; 0 for the provider's own machines.
    #[inline]
    #[must_use]
    pub fn fizz(&self) -> u32 {
        self.bits(126, 32) as u32
    }

    /// 1e-18 whole tokens per second; 80 bits.
    #[inline]
    #[must_use]
    pub fn rate(&self) -> u128 {
        u128::from(self.bits(158, 34)) | u128::from(self.bits(192, 46)) << 34
    }

    /// Packs a profile word's low 126 bits with light node and rate, as `BidWord.pack` does.
    #[must_use]
    pub fn pack(profile: U256, fizz: u32, rate: u128) -> Self {
        let carried = (U256::from(1) << 126) - U256::from(1);
        Self((profile & carried) | U256::from(fizz) << 126 | U256::from(rate) << 158)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn fields_are_those_of_the_word(limbs: [u64; 4]) {
            let word = U256::from_limbs(limbs);
            let bid = Bid(word);
            let field = |offset: usize, width: usize| {
                let masked: U256 = (word >> offset) & ((U256::from(1) << width) - U256::from(1));
                masked.to::<u128>()
            };
            prop_assert_eq!(u128::from(bid.provider()), field(0, 32));
            prop_assert_eq!(u128::from(bid.trust_tier()), field(32, 4));
            prop_assert_eq!(u128::from(bid.rating()), field(36, 10));
            prop_assert_eq!(u128::from(bid.slashes()), field(46, 8));
            prop_assert_eq!(u128::from(bid.stake()), field(54, 24));
            prop_assert_eq!(u128::from(bid.availability()), field(78, 8));
            prop_assert_eq!(u128::from(bid.region()), field(86, 16));
            prop_assert_eq!(u128::from(bid.fizz()), field(126, 32));
            prop_assert_eq!(bid.rate(), field(158, 80));
        }

        #[test]
        fn packed_bids_are_read_back(limbs: [u64; 4], fizz: u32, rate in 0u128..1 << 80) {
            let profile = U256::from_limbs(limbs);
            let bid = Bid::pack(profile, fizz, rate);
            prop_assert_eq!((bid.fizz(), bid.rate()), (fizz, rate));
            prop_assert_eq!(bid.provider(), Bid(profile).provider());
            prop_assert_eq!(bid.region(), Bid(profile).region());
        }
    }
}
