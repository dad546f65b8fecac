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
pub mod backend;
pub mod bidding;
pub mod capacity;
pub mod certificates;
pub mod chain_link;
pub mod cli;
pub mod commands;
pub mod config;
pub mod control;
pub mod daemon;
pub mod follow;
pub mod lease;
pub mod machine;
pub mod market;
pub mod node;
pub mod pins;
pub mod pricing;
pub mod reload;
pub mod treasury;
pub mod vitals;

/// Places at which a test may kill the daemon; see [`iono_telemetry::fail_point`].
pub const FAIL_POINTS: &[&str] = &[
    "provider.bid.reserved",
    "provider.bid.before_send",
    "provider.bid.after_send",
    "provider.confirm.before_send",
    "provider.confirm.after_send",
    "provider.manifest.stored",
    "provider.apply.routed",
    "provider.apply.done",
    "provider.remove.before",
    "provider.remove.unrouted",
    "provider.remove.done",
    "provider.pause.before_send",
    "provider.pause.after_send",
    "provider.resume.before_send",
    "provider.close.before_send",
    "provider.close.after_send",
    "provider.expire.before_send",
    "provider.settle.before_send",
    "provider.settle.after_send",
    "provider.cash_out.before_send",
    "provider.cash_out.after_send",
    "provider.pin.written",
    "provider.pin.announced",
];
