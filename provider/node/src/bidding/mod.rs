//! The bid engine: decides on each order, reserves what it offers, bids, and remembers why (SP-27).

mod desk;
pub mod engine;
pub mod lost;
