//! The light node (SP-32): a laptop or a small server behind a router lends what its owner does not need. It hosts leases
//! ([`iono_host`]) on its own Docker and is reached through its gateway's tunnel alone; it has no key that moves money.
//!
//! - [`link`]: the tunnel, and what is said over it.
//! - [`offers`]: orders that the gateway asks for.
//! - [`ways`]: what the gateway has to open for each lease.
//! - [`rest`]: when the machine belongs to its owner alone.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod cli;
pub mod commands;
pub mod daemon;
pub mod link;
pub mod offers;
pub mod rest;
pub mod ways;
