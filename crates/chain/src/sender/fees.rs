//! What to pay for gas: the node's estimate, never more than the operator's limit, and enough above an earlier attempt
//! for nodes to take the replacement.

use alloy::eips::eip1559::Eip1559Estimation;

use crate::SenderConfig;

const GWEI: u128 = 1_000_000_000;

/// Wei per unit of gas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fees {
    pub(crate) max_fee: u128,
    pub(crate) tip: u128,
}

impl Fees {
    /// For a first attempt.
    pub(crate) fn first(estimate: &Eip1559Estimation, config: &SenderConfig) -> Self {
        let limit = u128::from(config.max_fee_gwei) * GWEI;
        let max_fee = estimate.max_fee_per_gas.min(limit);
        Self { max_fee, tip: estimate.max_priority_fee_per_gas.min(max_fee) }
    }

    /// For another attempt with the nonce of one that paid `last`; `None` when the limit leaves no room.
    pub(crate) fn replacing(last: Self, estimate: &Eip1559Estimation, config: &SenderConfig) -> Option<Self> {
        let limit = u128::from(config.max_fee_gwei) * GWEI;
        let raised = |fee: u128| (fee * (100 + u128::from(config.bump_percent))).div_ceil(100) + 1;
        let max_fee = raised(last.max_fee).max(estimate.max_fee_per_gas).min(limit);
        let tip = raised(last.tip).max(estimate.max_priority_fee_per_gas).min(max_fee);
        (max_fee >= raised(last.max_fee) && tip >= raised(last.tip)).then_some(Self { max_fee, tip })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn estimate(max_fee_per_gas: u128, max_priority_fee_per_gas: u128) -> Eip1559Estimation {
        Eip1559Estimation { max_fee_per_gas, max_priority_fee_per_gas }
    }

    proptest! {
        #[test]
        fn a_replacement_pays_a_tenth_more_and_stays_below_the_limit(max_fee in 1u128..1_000 * GWEI, tip in 0u128..GWEI, estimated in 1u128..1_000 * GWEI) {
            let config = SenderConfig::default();
            let last = Fees::first(&estimate(max_fee, tip), &config);
            prop_assert!(last.tip <= last.max_fee && last.max_fee <= 500 * GWEI);
            if let Some(next) = Fees::replacing(last, &estimate(estimated, tip), &config) {
                prop_assert!(next.max_fee * 10 >= last.max_fee * 11 && next.tip * 10 >= last.tip * 11);
                prop_assert!(next.tip <= next.max_fee && next.max_fee <= 500 * GWEI);
            } else {
                prop_assert!(last.max_fee * 116 / 100 >= 500 * GWEI - 1);
            }
        }
    }
}
