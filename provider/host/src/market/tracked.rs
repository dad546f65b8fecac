//! An order as this provider tracks it: what it decided, how far its bid got, and what the chain decided.

use alloy::primitives::B256;
use iono_primitives::{FizzId, ProviderId, Rate};
use serde::{Deserialize, Serialize};

use super::order::Order;
use super::party::Party;
use crate::verdict::decide::Verdict;
use crate::verdict::reason::Reason;

/// An order and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tracked {
    /// The order.
    pub order: Order,
    /// Block that it was created in.
    pub created: u64,
    /// Which of the provider's light nodes the bid is for; 0 for a machine of its own.
    #[serde(default)]
    pub fizz: FizzId,
    /// What this provider decided.
    pub verdict: Option<Verdict>,
    /// How far its bid got.
    pub bid: BidStage,
    /// What the chain decided.
    pub outcome: Outcome,
}

/// How far a bid got.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "stage", rename_all = "snake_case")]
pub enum BidStage {
    /// There is none.
    #[default]
    None,
    /// Capacity is reserved; the bid may be on its way.
    Reserved,
    /// It stands in the order book.
    Placed,
    /// It was refused or displaced.
    Gone {
        /// Why.
        reason: Reason,
    },
}

/// What became of an order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Not decided yet.
    #[default]
    Open,
    /// Matched.
    Matched {
        /// Block of the match.
        block: u64,
        /// The winner.
        provider: ProviderId,
        /// The winner's light node, or 0.
        #[serde(default)]
        fizz: FizzId,
        /// Its rate.
        #[serde(with = "super::stored::rate")]
        rate: Rate,
        /// What the random part was drawn from.
        seed: B256,
        /// Why this provider's bid lost, once that was computed.
        lost: Option<Reason>,
    },
    /// Cancelled or void.
    Over {
        /// Block in which it ended.
        block: u64,
    },
    /// Not over by any event, but this provider cannot win it any more.
    Lost {
        /// Why.
        reason: Reason,
    },
}

impl Tracked {
    /// Whether the party itself must keep capacity for it: its bid may stand and may still win.
    #[must_use]
    pub fn holds_capacity(&self, me: Party) -> bool {
        let bids = matches!(self.bid, BidStage::Reserved | BidStage::Placed);
        match self.outcome {
            Outcome::Open => bids && self.fizz == me.fizz,
            Outcome::Matched { provider, fizz, .. } => (Party { provider, fizz }) == me,
            Outcome::Over { .. } | Outcome::Lost { .. } => false,
        }
    }

    /// Whether nothing more can come of it for this provider.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.outcome != Outcome::Open
    }
}
