//! The market's score and the winner of an order, in integers: the twin of `contracts/src/matching/Score.sol` and of the
//! bid slots of `contracts/src/market/OrderBook.sol` (SP-12, SP-13). A differential test holds the two together.
//!
//! Everything is a pure function of stored words and the seed; nothing allocates.

mod bid;
mod score;
mod table;

pub use bid::Bid;
pub use score::{Scored, Terms, Weights, select, ticket};
pub use table::{BidTable, Placed, SLOTS, slot_of};
