//! The stored words and bids of orders that are not final, folded from the order book's logs: what operators rank and
//! what a match is held against. Nothing of it is kept but the logs themselves.

use std::collections::BTreeMap;

use alloy::primitives::{Address, U256};
use alloy::sol_types::SolEvent as _;
use iono_bindings::{IOrderBook, OrderWords};
use iono_matching::{Bid, slot_of};
use iono_primitives::OrderId;
use iono_store::{LogQuery, SharedStore, StoreError, StoredLog};

use crate::market::Market;

/// Where the second word says which slots hold a bid.
const OCCUPANCY: usize = 192;

/// An order and its bids by slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Auction {
    /// As they are stored while it is open.
    pub(crate) words: [U256; 2],
    bids: BTreeMap<usize, Bid>,
}

impl Auction {
    /// Version of its matching policy.
    pub(crate) fn policy(&self) -> u16 {
        OrderWords::read(self.words).policy
    }

    pub(crate) fn has_bids(&self) -> bool {
        !self.bids.is_empty()
    }

    /// Its bids by slot.
    pub(crate) fn bids(&self) -> Vec<Bid> {
        self.bids.values().copied().collect()
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Auctions(BTreeMap<OrderId, Auction>);

impl Auctions {
    /// Those of the market's orders, from the logs that the store has.
    pub(crate) async fn load(
        store: &SharedStore,
        order_book: Address,
        market: &Market,
    ) -> Result<Self, StoreError> {
        let mut auctions = Self::default();
        if let Some(oldest) = market.orders.values().map(|order| order.created).min() {
            let query = LogQuery { address: Some(order_book), ..LogQuery::blocks(oldest..=u64::MAX) };
            auctions.apply(&store.logs(&query).await?);
        }
        auctions.keep(market);
        Ok(auctions)
    }

    /// Takes logs in, in the chain's order.
    pub(crate) fn apply(&mut self, logs: &[StoredLog]) {
        for log in logs {
            let (topics, data) = (log.log.topics(), &log.log.data.data);
            match topics.first() {
                Some(&IOrderBook::OrderCreated::SIGNATURE_HASH) => {
                    let Ok(event) = IOrderBook::OrderCreated::decode_raw_log(topics, data) else { continue };
                    let auction = Auction { words: [event.word0, event.word1], bids: BTreeMap::new() };
                    self.0.insert(OrderId(event.order.to()), auction);
                }
                Some(&IOrderBook::BidPlaced::SIGNATURE_HASH) => {
                    let Ok(event) = IOrderBook::BidPlaced::decode_raw_log(topics, data) else { continue };
                    let (order, bid) = (OrderId(event.order.to()), Bid(event.bid));
                    if let Some(auction) = self.0.get_mut(&order) {
                        let slot = slot_of(order.0, bid.provider());
                        auction.words[1] |= U256::ONE << (OCCUPANCY + slot);
                        auction.bids.insert(slot, bid);
                    }
                }
                _ => {}
            }
        }
    }

    /// Forgets the orders that the market has forgotten.
    pub(crate) fn keep(&mut self, market: &Market) {
        self.0.retain(|order, _| market.orders.contains_key(order));
    }

    pub(crate) fn get(&self, order: OrderId) -> Option<&Auction> {
        self.0.get(&order)
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::{B256, Log};
    use alloy::sol_types::SolEvent;
    use iono_bindings::BidWord;

    use super::*;

    fn log(block: u64, event: &impl SolEvent) -> StoredLog {
        let log = Log { address: Address::ZERO, data: event.encode_log_data() };
        StoredLog { block, index: 0, transaction: B256::ZERO, log }
    }

    fn bid(provider: u32, rate: u128) -> StoredLog {
        let bid = BidWord { provider, rate, ..BidWord::default() }.words()[0];
        let (order, provider) = (U256::from(1), U256::from(provider));
        log(2, &IOrderBook::BidPlaced { order, provider, bid, replaced: U256::ZERO })
    }

    #[test]
    fn a_later_bid_takes_its_slot() {
        let mut auctions = Auctions::default();
        let [word0, word1] = OrderWords { policy: 3, ..OrderWords::default() }.words();
        let spec = iono_bindings::Spec::default();
        let created =
            IOrderBook::OrderCreated { order: U256::from(1), wallet: U256::from(1), word0, word1, spec };
        auctions.apply(&[bid(9, 1), log(1, &created), bid(5, 8), bid(6, 7), bid(5, 6)]);
        let auction = auctions.get(OrderId(1)).unwrap();
        assert_eq!((auction.policy(), auction.words[0]), (3, word0));
        let slots = [5, 6].map(|provider| 1_u64 << slot_of(1, provider));
        assert_eq!(OrderWords::read(auction.words).occupancy, slots[0] | slots[1]);
        let mut bids: Vec<_> = auction.bids().iter().map(|bid| (bid.provider(), bid.rate())).collect();
        bids.sort_unstable();
        assert_eq!(bids, [(5, 6), (6, 7)]);
        auctions.keep(&Market::default());
        assert!(auctions.get(OrderId(1)).is_none());
    }
}
