//! Whether an order fits the machines that there are, where each replica goes, and in words why not. One packer for the
//! provider (reserve before it bids), the gateway, and the CLI (`iono bids`).
//!
//! [`place`] is a pure function; [`Ledger`] keeps one provider's capacity with its reservations and leases.

mod ledger;
mod misfit;
mod node;
mod pack;

pub use ledger::{Ledger, LedgerError, Usage};
pub use misfit::{Dimension, Misfit};
pub use node::{Capacity, Demand, Gpus, Node};
pub use pack::{Assignment, place};
