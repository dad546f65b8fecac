//! The provider daemon: rents a machine out on Ionosphere (SP-26 to SP-31). It bids on orders that it can place and
//! price, confirms its leases, runs their workloads, serves the lease API, settles and cashes out.
//!
//! The chain is the truth and the engine is the second witness: what the daemon keeps itself is a cache. Everything it
//! does is decided from the present state, not from the event that brought it about, so a restart at any instant goes on
//! where it stopped.
//!
//! - [`config`], [`pricing`]: the owner's settings.
//! - [`market`]: what is known of the chain.
//! - [`bidding`]: orders, until they are won or lost.
//! - [`lease`]: leases, from the match to the end.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod api;
pub mod bidding;
pub mod capacity;
pub mod cli;
pub mod config;
pub mod follow;
pub mod lease;
pub mod market;
pub mod node;
pub mod pricing;
