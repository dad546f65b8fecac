//! The slots that hold an order's bids: a provider's slot is keccak256(abi.encode(order, provider)) mod 64; only a
//! strictly better static score takes a slot from another provider, and nobody raises its own bid, so that neither a
//! crowd of worthless bids nor one that is not meant shuts anybody out.

use alloy::primitives::{B256, keccak256};

use crate::{Bid, Scored, Terms};

/// Slots of an order.
pub const SLOTS: usize = 64;

/// The slot of a provider's bid.
#[must_use]
pub fn slot_of(order: u64, provider: u32) -> usize {
    let mut input = [0; 64];
    input[24..32].copy_from_slice(&order.to_be_bytes());
    input[60..].copy_from_slice(&provider.to_be_bytes());
    usize::from(keccak256(input)[31]) % SLOTS
}

/// What became of a bid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placed {
    /// The slot was free.
    New,
    /// It took the place of this provider's bid.
    Replaced(u32),
    /// This provider's bid stays: it is at least as good, or the bidder's own and cheaper.
    Outbid(u32),
}

/// The bids of one order.
#[derive(Debug, Clone)]
pub struct BidTable {
    order: u64,
    terms: Terms,
    occupancy: u64,
    slots: [Bid; SLOTS],
}

impl BidTable {
    /// An order without bids.
    #[must_use]
    pub fn new(order: u64, terms: Terms) -> Self {
        Self { order, terms, occupancy: 0, slots: [Bid::default(); SLOTS] }
    }

    /// Places a bid as `OrderBook.placeBid` does once the bidder is eligible.
    pub fn place(&mut self, bid: Bid) -> Placed {
        let slot = slot_of(self.order, bid.provider());
        let bit = 1 << slot;
        let held = self.slots[slot];
        let replaces = if held.provider() == bid.provider() {
            bid.rate() <= held.rate()
        } else {
            self.terms.static_score(&bid) > self.terms.static_score(&held)
        };
        let placed = if self.occupancy & bit == 0 {
            Placed::New
        } else if replaces {
            Placed::Replaced(held.provider())
        } else {
            return Placed::Outbid(held.provider());
        };
        self.occupancy |= bit;
        self.slots[slot] = bid;
        placed
    }

    /// Puts a bid where the chain has it, as `BidPlaced` reports it.
    pub fn restore(&mut self, bid: Bid) {
        let slot = slot_of(self.order, bid.provider());
        self.occupancy |= 1 << slot;
        self.slots[slot] = bid;
    }

    /// Bit s is set when slot s holds a bid.
    #[must_use]
    pub fn occupancy(&self) -> u64 {
        self.occupancy
    }

    /// The bids by rising slot.
    pub fn bids(&self) -> impl Iterator<Item = &Bid> {
        self.slots.iter().enumerate().filter(|(slot, _)| self.occupancy >> slot & 1 == 1).map(|(_, bid)| bid)
    }

    /// The order's winner, as `OrderBook.resolve` finds it; `None` without bids.
    #[must_use]
    pub fn winner(&self, seed: &B256) -> Option<(Bid, Scored)> {
        let scored = self.bids().map(|bid| (*bid, self.terms.score(bid, seed)));
        scored.max_by_key(|(_, scored)| *scored)
    }
}

#[cfg(test)]
mod tests {
    use alloy::primitives::U256;
    use iono_primitives::{Rate, Region};

    use super::*;
    use crate::Weights;

    fn terms() -> Terms {
        let weights = Weights { price: 9_500, random: 500, ..Weights::default() };
        Terms { weights, max_rate: Rate(10_000), region: Region(0) }
    }

    fn bid(provider: u32, rate: u128) -> Bid {
        Bid::pack(U256::from(provider), 0, rate)
    }

    /// Another provider whose bid falls into the same slot.
    fn neighbour(order: u64, provider: u32) -> u32 {
        (provider + 1..).find(|other| slot_of(order, *other) == slot_of(order, provider)).unwrap()
    }

    #[test]
    fn only_a_better_bid_takes_a_slot() {
        let mut table = BidTable::new(7, terms());
        let other = neighbour(7, 1);
        assert_eq!(table.place(bid(1, 5_000)), Placed::New);
        assert_eq!(table.place(bid(other, 5_000)), Placed::Outbid(1));
        assert_eq!(table.place(bid(other, 4_999)), Placed::Replaced(1));
        assert_eq!(table.place(bid(other, 5_000)), Placed::Outbid(other), "nobody raises its own bid");
        assert_eq!(table.place(bid(other, 4_999)), Placed::Replaced(other));
        assert_eq!(table.place(bid(other, 4_998)), Placed::Replaced(other));
        assert_eq!((table.occupancy().count_ones(), table.bids().count()), (1, 1));
    }

    #[test]
    fn sixty_four_worthless_bids_do_not_shut_out_an_honest_one() {
        let mut table = BidTable::new(3, terms());
        for provider in 1.. {
            table.place(bid(provider, 10_000));
            if table.occupancy() == u64::MAX {
                break;
            }
        }
        let honest = 1_000_000;
        assert!(matches!(table.place(bid(honest, 2_000)), Placed::Replaced(_)));
        assert_eq!(table.winner(&B256::repeat_byte(1)).unwrap().0.provider(), honest);
    }

    #[test]
    fn equal_bids_are_decided_by_the_ticket() {
        let terms = Terms { weights: Weights { price: 10_000, ..Weights::default() }, ..terms() };
        let bids = [bid(1, 7), bid(2, 7), bid(3, 7)];
        let seed = B256::repeat_byte(9);
        let (index, scored) = crate::select(&terms, &bids, &seed).unwrap();
        assert!(bids.iter().all(|bid| crate::ticket(&seed, bid.provider()) <= scored.ticket));
        let mut table = BidTable::new(1, terms);
        for bid in bids {
            table.place(bid);
        }
        assert_eq!(table.winner(&seed).unwrap().0, bids[index]);
    }
}
