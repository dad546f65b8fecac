//! What this provider knows of the market: orders, its leases, tokens and its own profile, all derived from the chain.

pub mod book;
pub mod events;
pub mod lease;
pub mod order;
pub mod party;
pub mod reader;
pub mod stored;
pub mod tracked;
pub mod unread;
