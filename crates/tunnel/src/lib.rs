//! The reverse tunnel between light nodes and their provider's gateway (SP-33). A light node sits behind a router that
//! lets nothing in, so its [`Client`] makes every connection; the [`Gateway`] then opens streams to it, one for each
//! visitor. TLS 1.3, both sides known by their pinned keys, no certificate authority.
//!
//! - One control connection per light node: who is there, keep-alive, how many data connections are wanted, messages.
//! - A stream has a data connection to itself and gives it back when it is over, so flow control is TCP's, a lost packet
//!   delays one visitor alone, and a new visitor waits for no handshake.
//! - Everything that a peer or a visitor sends is bounded by [`Limits`].
//!
//! Why it is made so, and what was measured: `docs/tunnel.md`.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod backoff;
mod client;
mod datagrams;
mod error;
mod flows;
mod gateway;
mod limits;
mod link;
mod path;
mod read_ahead;
mod relay;
mod socket;
mod tasks;
mod traffic;
pub mod wire;

pub use client::{Client, ClientConfig, Services, State};
pub use error::TunnelError;
pub use gateway::{Admission, Event, Exposure, Gateway, GatewayConfig, Session};
pub use limits::Limits;
pub use relay::Outcome;
pub use socket::KeepAlive;
pub use traffic::Traffic;
