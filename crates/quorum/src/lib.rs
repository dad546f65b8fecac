//! The matching quorum (SP-14): what operators sign, and how their shares become what `MatchTaskManager` takes. No I/O:
//! a pure function of an order's stored words, its bids and its seed.

pub mod message;
mod set;
mod tree;

pub use message::{Anchor, Domain, Ranked, rank};
pub use set::{Member, OperatorSet, QuorumError};
pub use tree::Tree;
