//! The bid engine: decides on each order, reserves what it offers, bids, and remembers why (SP-27).

pub mod decide;
mod desk;
pub mod eligible;
pub mod engine;
pub mod lost;
pub mod reason;
