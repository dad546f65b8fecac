//! The packed words of the contracts as structs: the Rust twin of `contracts/src/lib/*Word.sol`, whose layouts stand in
//! `contracts/src/lib/Types.sol`. Resources are in `iono_primitives::Resources`.

use alloy::primitives::U256;
use iono_primitives::{Amount, CloseReason, LeaseState, OrderState, Rate};

/// A number that fits a field of a word.
trait Field: Copy {
    fn read(bits: u128) -> Self;
    fn bits(self) -> u128;
}

macro_rules! field {
    ($($number:ty),*) => {$(
        impl Field for $number {
            fn read(bits: u128) -> Self {
                bits as $number
            }
            fn bits(self) -> u128 {
                u128::from(self)
            }
        }
    )*};
}
field!(u8, u16, u32, u64, u128);

/// Defines a struct over one or more words: `field: type = bits`, from the least significant bit up.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $count:literal {
        $([$($(#[$fdoc:meta])* $field:ident: $type:ty = $bits:literal,)*])*
    }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
        pub struct $name {
            $($($(#[$fdoc])* pub $field: $type,)*)*
        }

        impl $name {
            /// Reads the stored words; every bit pattern is a value.
            #[must_use]
            #[allow(unused_assignments)]
            pub fn read(words: [U256; $count]) -> Self {
                let mut value = Self::default();
                let mut index = 0;
                $(
                    let mut word = words[index];
                    $(
                        let mask: U256 = (U256::from(1) << $bits) - U256::from(1);
                        let bits: U256 = word & mask;
                        value.$field = <$type as Field>::read(bits.to::<u128>());
                        word >>= $bits;
                    )*
                    index += 1;
                )*
                value
            }

            /// The words as stored. A value wider than its field is cut, as the contracts' setters do.
            #[must_use]
            #[allow(unused_assignments)]
            pub fn words(self) -> [U256; $count] {
                let mut words = [U256::ZERO; $count];
                let mut index = 0;
                $(
                    let mut shift = 0_usize;
                    $(
                        let mask: U256 = (U256::from(1) << $bits) - U256::from(1);
                        words[index] |= (U256::from(Field::bits(self.$field)) & mask) << shift;
                        shift += $bits;
                    )*
                    index += 1;
                )*
                words
            }
        }
    };
}

words! {
    /// What the chain knows of a provider in one word, read by its hot key for every bid.
    ProfileWord, 1 {[
        /// Provider id.
        id: u32 = 32,
        /// Trust tier, 1 (best) to 7.
        trust_tier: u8 = 4,
        /// 0 unrated, else average × 100 + 1.
        rating: u16 = 10,
        /// Times slashed, saturating.
        slashes: u8 = 8,
        /// Whole SPON.
        stake: u32 = 24,
        /// Share of the time it was seen up, of 255.
        availability: u8 = 8,
        /// Area and zone; see `iono_primitives::Region`.
        region: u16 = 16,
        /// Tiers and compliance bits.
        attributes: u32 = 24,
        /// Units not leased.
        free_units: u32 = 24,
        /// Units offered.
        total_units: u32 = 24,
        /// GPUs not leased.
        free_gpus: u16 = 12,
        /// Mask of the payment tokens it accepts.
        tokens: u64 = 48,
        /// [`profile_flags`].
        flags: u16 = 16,
    ]}
}

words! {
    /// A bid: the bidder's profile at that time, its light node and its rate.
    BidWord, 1 {[
        /// Provider id; 0 stands for no bid.
        provider: u32 = 32,
        /// Trust tier, 1 (best) to 7.
        trust_tier: u8 = 4,
        /// 0 unrated, else average × 100 + 1.
        rating: u16 = 10,
        /// Times slashed, saturating.
        slashes: u8 = 8,
        /// Whole SPON.
        stake: u32 = 24,
        /// Share of the time it was seen up, of 255.
        availability: u8 = 8,
        /// Area and zone.
        region: u16 = 16,
        /// Tiers and compliance bits.
        attributes: u32 = 24,
        /// Light node of the gateway that bids; 0 for the provider's own machines.
        fizz: u32 = 32,
        /// 1e-18 whole tokens per second.
        rate: u128 = 80,
    ]}
}

words! {
    /// An order's first two words; the third is its spec hash.
    OrderWords, 2 {[
        /// Escrow wallet that pays.
        wallet: u64 = 48,
        /// Payment token.
        token: u16 = 16,
        /// Last block in which bids are taken.
        close_block: u64 = 40,
        /// Lease length in seconds.
        duration: u32 = 32,
        /// Number of the state; see [`OrderWords::order_state`].
        state: u8 = 8,
        /// Version of the match policy.
        policy: u16 = 16,
        /// Era whose set of operators may match it.
        set_era: u32 = 24,
        /// Digits of the payment token.
        decimals: u8 = 8,
        /// Wanted region; 0 any.
        region: u16 = 16,
        /// 14 bits of attributes, then the lowest trust tier accepted (0 any).
        requirements: u32 = 18,
        /// [`order_flags`].
        flags: u8 = 6,
        /// Coarse size; see `Resources::units`.
        units: u16 = 16,
        /// GPUs.
        gpus: u8 = 8,
    ][
        /// Highest rate the tenant pays, 1e-18 whole tokens per second.
        max_rate: u128 = 80,
        /// Receiver's fee in basis points.
        fee: u16 = 16,
        /// Payer's fee in basis points.
        payer_fee: u16 = 16,
        /// What the keeper gets for resolving, in the token's smallest unit.
        match_fee: u128 = 80,
        /// Which of the 64 bid slots are taken.
        occupancy: u64 = 64,
    ]}
}

words! {
    /// A lease's two words.
    LeaseWords, 2 {[
        /// Escrow wallet that pays.
        wallet: u64 = 48,
        /// Payment token.
        token: u16 = 16,
        /// Provider that serves it.
        provider: u32 = 32,
        /// Light node; 0 for the provider's own machines.
        fizz: u32 = 32,
        /// Receiver's fee in basis points.
        fee: u16 = 16,
        /// Payer's fee in basis points.
        payer_fee: u16 = 16,
        /// The light node's share in basis points.
        fizz_share: u16 = 16,
        /// Lease length in seconds: `end − duration` is the start, whatever extended it.
        duration: u32 = 32,
        /// Coarse size.
        units: u16 = 16,
        /// GPUs.
        gpus: u8 = 8,
        /// Digits of the payment token.
        decimals: u8 = 8,
        /// Counts updates and changes of the manifest.
        manifest_version: u16 = 16,
    ][
        /// 1e-18 whole tokens per second.
        rate: u128 = 80,
        /// Unix seconds at which it ends; while pending, until when it must be confirmed.
        end: u64 = 40,
        /// Unix seconds up to which it is paid; 0 while pending.
        settled_to: u64 = 40,
        /// Unix seconds since when it is paused or closed and costs nothing; else 0.
        stopped_at: u64 = 40,
        /// Seconds after `settled_to` that are not billed.
        unbilled: u32 = 24,
        /// Number of the state; see [`LeaseWords::lease_state`].
        state: u8 = 8,
        /// Number of the close reason; see [`LeaseWords::close_reason`].
        reason: u8 = 8,
        /// Who paused it: 1 the provider, 2 the arbiter.
        paused_by: u8 = 8,
    ]}
}

words! {
    /// A payment token as `PaymentTokens` keeps it.
    TokenWord, 1 {[
        /// 1 enabled, 2 SPON (no payer and receiver fee).
        flags: u8 = 8,
        /// Digits.
        decimals: u8 = 8,
        /// 1e-8 dollars per whole token.
        price: u128 = 80,
        /// What the keeper gets for resolving, in the smallest unit.
        match_fee: u128 = 80,
        /// Least free balance for an order, in the smallest unit.
        min_deposit: u128 = 80,
    ]}
}

words! {
    /// The market's governed terms.
    TermsWord, 1 {[
        /// Commission in basis points.
        commission: u16 = 16,
        /// Payer's fee in basis points.
        payer_fee: u16 = 16,
        /// Receiver's fee in basis points.
        receiver_fee: u16 = 16,
        /// What tier 1 saves, in basis points.
        tier1_rebate: u16 = 16,
        /// Match policy of new orders.
        policy: u16 = 16,
        /// Blocks in which bids are taken.
        bid_blocks: u8 = 8,
        /// Resource bracket: cents per step.
        bracket: u32 = 32,
        /// Match fee in cents.
        match_fee: u32 = 32,
        /// Least deposit in cents.
        min_deposit: u32 = 32,
        /// Penalty for a missed confirmation in cents.
        miss_penalty: u32 = 32,
    ]}
}

/// Bits of an order's flags.
pub mod order_flags {
    /// Providers may bid for themselves.
    pub const PROVIDER: u8 = 1;
    /// Gateways may bid for a light node.
    pub const FIZZ: u8 = 2;
    /// The region is a condition, not a preference.
    pub const STRICT_REGION: u8 = 4;
    /// Only the providers that the spec lists may bid.
    pub const ALLOW_LIST: u8 = 8;
    /// The providers that the spec lists may not bid.
    pub const DENY_LIST: u8 = 16;
}

/// Bits of a profile's flags.
pub mod profile_flags {
    /// Approved and not withdrawn.
    pub const ACTIVE: u16 = 1;
    /// Its stake meets its tier (SP-3).
    pub const STAKED: u16 = 2;
    /// Missed a confirmation; until it tops its stake up.
    pub const BARRED: u16 = 4;
    /// Wants no new leases.
    pub const DRAINING: u16 = 8;
    /// Offers machines of its own.
    pub const PROVIDER: u16 = 16;
    /// Gateway of light nodes.
    pub const FIZZ: u16 = 32;
}

impl BidWord {
    /// The rate with its unit.
    #[must_use]
    pub fn rate(&self) -> Rate {
        Rate(self.rate)
    }
}

impl OrderWords {
    /// The state; `None` when the number is not one of ours.
    #[must_use]
    pub fn order_state(&self) -> Option<OrderState> {
        OrderState::from_code(self.state)
    }

    /// The block whose hash seeds the match.
    #[must_use]
    pub fn seed_block(&self) -> u64 {
        self.close_block + 1
    }

    /// The first block in which `resolve` works.
    #[must_use]
    pub fn ready_block(&self) -> u64 {
        self.close_block + 2
    }
}

impl LeaseWords {
    /// The state; `None` when the number is not one of ours.
    #[must_use]
    pub fn lease_state(&self) -> Option<LeaseState> {
        LeaseState::from_code(self.state)
    }

    /// Why it closed; `None` when the number is not one of ours.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        CloseReason::from_code(self.reason)
    }

    /// The rate with its unit.
    #[must_use]
    pub fn rate(&self) -> Rate {
        Rate(self.rate)
    }

    /// Seconds that are still payable: `end − settledTo − unbilled`, once closed `stoppedAt` for `end`; 0 while pending.
    #[must_use]
    pub fn payable_seconds(&self) -> u64 {
        if self.settled_to == 0 {
            return 0;
        }
        let until = if self.lease_state() == Some(LeaseState::Closed) { self.stopped_at } else { self.end };
        until.saturating_sub(self.settled_to).saturating_sub(u64::from(self.unbilled))
    }

    /// What the payable seconds cost before fees, in the token's smallest unit.
    #[must_use]
    pub fn gross(&self) -> Amount {
        self.rate().gross(self.payable_seconds(), self.decimals)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn word() -> impl Strategy<Value = U256> {
        any::<[u64; 4]>().prop_map(U256::from_limbs)
    }

    /// All bits below `bits`.
    fn low(word: U256, bits: usize) -> U256 {
        if bits == 256 { word } else { word & ((U256::from(1) << bits) - U256::from(1)) }
    }

    proptest! {
        #[test]
        fn every_bit_of_a_word_is_kept(a in word(), b in word()) {
            prop_assert_eq!(ProfileWord::read([a]).words(), [low(a, 250)]);
            prop_assert_eq!(BidWord::read([a]).words(), [low(a, 238)]);
            prop_assert_eq!(OrderWords::read([a, b]).words(), [low(a, 256), b]);
            prop_assert_eq!(LeaseWords::read([a, b]).words(), [a, low(b, 248)]);
            prop_assert_eq!(TokenWord::read([a]).words(), [a]);
            prop_assert_eq!(TermsWord::read([a]).words(), [low(a, 216)]);
        }

        #[test]
        fn a_bid_starts_with_the_profile(a in word()) {
            let (profile, bid) = (ProfileWord::read([a]), BidWord::read([a]));
            prop_assert_eq!(profile.id, bid.provider);
            prop_assert_eq!(profile.stake, bid.stake);
            prop_assert_eq!(profile.attributes, bid.attributes);
        }
    }

    #[test]
    fn wide_values_are_cut_and_leave_their_neighbours() {
        let words = OrderWords { requirements: u32::MAX, ..OrderWords::default() }.words();
        assert_eq!(
            OrderWords::read(words),
            OrderWords { requirements: (1 << 18) - 1, ..OrderWords::default() }
        );
    }

    #[test]
    fn payable_seconds_never_underflow() {
        let lease = LeaseWords { end: 10, settled_to: 20, unbilled: 5, ..LeaseWords::default() };
        assert_eq!(lease.payable_seconds(), 0);
    }
}
