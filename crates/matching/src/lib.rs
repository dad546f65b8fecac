//! Who may bid, the market's score and the winner of an order, in integers: the twin of
//! `contracts/src/lib/Eligibility.sol`, of `contracts/src/matching/Score.sol` and of the bid slots of
//! `contracts/src/market/OrderBook.sol` (SP-10 to SP-13). A differential test holds the score and the draw together.
//!
//! Everything is a pure function of stored words and the seed; scoring allocates nothing.

mod bid;
pub mod eligibility;
mod score;
mod table;

pub use bid::Bid;
pub use score::{Scored, Terms, Weights, select, ticket};
pub use table::{BidTable, Placed, SLOTS, slot_of};
