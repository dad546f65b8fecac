//! `iono` as people and scripts run it: the real binary, its stdout, stderr and exit code, on a real chain.

#![allow(clippy::unwrap_used, missing_docs)]

mod chain;
mod docs;
mod errors;
mod fizz;
mod foundation;
mod help;
mod host;
mod leases;
mod market;
mod money;
mod operators;
mod person;
mod rewards;
