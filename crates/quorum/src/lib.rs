//! The matching quorum (SP-14): what operators sign, how their shares become what `MatchTaskManager` takes, and what tells
//! a liar. No I/O: pure functions of the contracts' logs, an order's stored words, its bids and its seed.

pub mod message;
mod pool;
mod results;
mod roster;
mod schedule;
mod set;
mod share;
mod tree;

pub use message::{Anchor, Domain, Ranked, rank};
pub use pool::{Offer, Pool};
pub use results::{ClosedOrder, Results};
pub use roster::{Operator, Roster};
pub use schedule::{TURN_BLOCKS, aggregators, turn_at};
pub use set::{Member, OperatorSet, QuorumError};
pub use share::{ShareResult, SignedShare};
pub use tree::Tree;
