//! What hosts leases on a machine or a cluster, whoever bids for it: a provider's daemon and a light node's are made of it
//! (SP-26 to SP-32).
//!
//! The chain is the truth and the engine is the second witness: what is kept here is a cache. Everything is decided from
//! the present state, not from the event that brought it about, so a restart at any instant goes on where it stopped.
//!
//! - [`config`], [`pricing`]: the owner's settings.
//! - [`market`]: what is known of the chain.
//! - [`verdict`]: whether an order can be served, and for how much.
//! - [`lease`]: leases, from the match to the end.
//! - [`acts`]: what a lease's course asks of the chain, whoever sends it.
//! - [`api`]: the lease API's methods.
//! - [`subnet`]: what light nodes and their gateway say to each other.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod acts;
pub mod api;
pub mod capacity;
pub mod certificates;
pub mod config;
pub mod engine;
pub mod follow;
pub mod lease;
pub mod machine;
pub mod market;
pub mod node;
pub mod outside;
pub mod pricing;
pub mod reload;
pub mod start;
pub mod subnet;
pub mod verdict;
pub mod vitals;

/// Places at which a test may kill the daemon; see [`iono_telemetry::fail_point`].
pub const FAIL_POINTS: &[&str] = &[
    "host.manifest.stored",
    "host.apply.routed",
    "host.apply.done",
    "host.remove.before",
    "host.remove.unrouted",
    "host.remove.done",
];
