//! The provider daemon: rents a machine or a cluster out on Ionosphere (SP-26 to SP-31). It bids on orders that it can
//! place and price, confirms its leases, hosts them ([`iono_host`]), settles and cashes out.
//!
//! - [`bidding`]: orders, until they are won or lost.
//! - [`gateway`]: light nodes, for which it bids as well.
//! - [`acts`], [`treasury`]: leases and money on chain, with the hot key.
//! - [`commands`]: what the owner does.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod acts;
pub mod backend;
pub mod bidding;
pub mod chain_link;
pub mod cli;
pub mod commands;
pub mod control;
pub mod daemon;
pub mod gas;
pub mod gateway;
pub mod machine;
pub mod paid_out;
pub mod pins;
pub mod treasury;

/// Places at which a test may kill the daemon; see [`iono_telemetry::fail_point`].
pub const FAIL_POINTS: &[&str] = &[
    "provider.bid.reserved",
    "provider.bid.before_send",
    "provider.bid.after_send",
    "provider.confirm.before_send",
    "provider.confirm.after_send",
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
