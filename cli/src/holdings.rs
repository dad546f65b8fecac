//! What open orders reserve and running leases lock, per wallet and token, from the chain alone.

use std::collections::BTreeMap;

use alloy::primitives::U256;
use iono_bindings::{ILeaseBook, IOrderBook, LeaseWords, OrderWords};
use iono_primitives::{LeaseState, OrderState, Rate, money};

use crate::chain::{Call, Chain};
use crate::context::wallet_topic;
use crate::error::Result;

/// (reserved, locked) by token id, in the smallest units.
pub(crate) type Held = BTreeMap<u16, (U256, U256)>;

/// What a wallet's orders and leases hold.
pub(crate) async fn of_wallet(chain: &Chain, wallet: u64) -> Result<Held> {
    let mut held = Held::new();
    for order in orders_of(chain, wallet).await? {
        let words = order_words(chain, order).await?;
        if words.order_state() == Some(OrderState::Open) {
            held.entry(words.token).or_default().0 += reserve_of(&words);
        }
    }
    for lease in leases_of(chain, wallet).await? {
        let words = lease_words(chain, lease).await?;
        if words.lease_state() != Some(LeaseState::None) {
            let locked = chain
                .lease_book()
                .lockedOf(U256::from(lease))
                .call()
                .await
                .or_call("cannot read a lease's lock")?;
            held.entry(words.token).or_default().1 += locked;
        }
    }
    Ok(held)
}

/// Orders that a wallet ever made, lowest first.
pub(crate) async fn orders_of(chain: &Chain, wallet: u64) -> Result<Vec<u64>> {
    let events = chain
        .all_events::<IOrderBook::OrderCreated>(chain.book.order_book, [None, wallet_topic(wallet), None])
        .await?;
    Ok(events.into_iter().map(|(event, _)| event.order.saturating_to()).collect())
}

/// Leases that a wallet ever had, lowest first.
pub(crate) async fn leases_of(chain: &Chain, wallet: u64) -> Result<Vec<u64>> {
    let events = chain
        .all_events::<ILeaseBook::LeaseCreated>(chain.book.lease_book, [None, wallet_topic(wallet), None])
        .await?;
    Ok(events.into_iter().map(|(event, _)| event.lease.saturating_to()).collect())
}

/// An order's words; the state says `None` when there is no such order.
pub(crate) async fn order_words(chain: &Chain, order: u64) -> Result<OrderWords> {
    let words =
        chain.order_book().orderWords(U256::from(order)).call().await.or_call("cannot read the order")?;
    Ok(OrderWords::read([words.word0, words.word1]))
}

/// A lease's words; the state says `None` when there is no such lease.
pub(crate) async fn lease_words(chain: &Chain, lease: u64) -> Result<LeaseWords> {
    let words =
        chain.lease_book().leaseWords(U256::from(lease)).call().await.or_call("cannot read the lease")?;
    Ok(LeaseWords::read([words.word0, words.word1]))
}

/// What an open order holds: its whole length at its highest rate, the payer's fee and the keeper's fee.
pub(crate) fn reserve_of(order: &OrderWords) -> U256 {
    let bill = lock_of(Rate(order.max_rate), u64::from(order.duration), order.decimals, order.payer_fee);
    bill + U256::from(order.match_fee)
}

/// Gross and the payer's fee on it, rounded as `Bill.lockOf` of the contracts does.
pub(crate) fn lock_of(rate: Rate, seconds: u64, decimals: u8, payer_fee: u16) -> U256 {
    let gross = rate.gross(seconds, decimals);
    gross + money::payer_fee(gross, payer_fee)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_round_like_the_contract() {
        let cent = Rate::from_hourly("0.01").unwrap();
        assert_eq!(lock_of(cent, 3_600, 6, 200), U256::from(10_200));
        assert_eq!(lock_of(cent, 18, 6, 200), U256::from(51), "50 and one that is exactly 2%");
        assert_eq!(lock_of(cent, 17, 6, 200), U256::from(47), "47.2 gross, 0.94 of fee are dropped");
    }
}
