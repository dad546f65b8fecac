//! What can go wrong in a tunnel, in words for its owner.

use crate::wire::{Farewell, WireError};

/// Why a connection or a stream of the tunnel came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// The network failed.
    #[error("the connection to the other end of the tunnel failed: {0}")]
    Io(#[from] std::io::Error),
    /// The peer broke the protocol.
    #[error("the other end of the tunnel does not keep to the protocol: {0}; the connection is closed")]
    Wire(#[from] WireError),
    /// The key could not be used.
    #[error(transparent)]
    Identity(#[from] iono_identity::IdentityError),
    /// The peer showed no key.
    #[error("the other end of the tunnel showed no key")]
    NoKey,
    /// Versions, keys or ciphers did not fit.
    #[error(
        "no tunnel with {peer}: {why}; is it a gateway of this release or the one before, with the key that you expect?"
    )]
    Handshake {
        /// Whom it concerns.
        peer: String,
        /// What TLS said.
        why: std::io::Error,
    },
    /// The peer ended the connection.
    #[error("the other end of the tunnel closed the connection")]
    Closed,
    /// Half a frame, an unread answer, or a handshake that took too long.
    #[error("the other end of the tunnel took too long")]
    Slow,
    /// Nothing was heard for several keep-alive intervals.
    #[error("the other end of the tunnel fell silent")]
    Silent,
    /// The way to the gateway begins at another address now.
    #[error("this machine has another address now; the tunnel begins anew")]
    Moved,
    /// A message for the other daemon is longer than 16 KiB.
    #[error("a message for the other end of the tunnel is longer than 16 KiB")]
    MessageTooLong,
    /// A service's name is empty or longer than 255 bytes.
    #[error("a service's name must have 1 to 255 bytes")]
    BadService,
    /// The gateway turned the client away.
    #[error("the gateway ended the tunnel: {}", words(*reason))]
    Dismissed {
        /// Why.
        reason: Farewell,
        /// Seconds to stay away.
        retry_after: u16,
    },
    /// The light node is not connected at the moment.
    #[error("the light node is away")]
    Away,
    /// More streams than one light node may have, or too many that wait.
    #[error("the light node has as many streams as it may have")]
    Busy,
    /// No data connection came in time.
    #[error("the light node opened no connection for the stream in time")]
    NoConnection,
}

fn words(reason: Farewell) -> &'static str {
    match reason {
        Farewell::Draining => "it is stopping; the client comes back by itself",
        Farewell::NotAdmitted => "this key is not registered with it; register the light node first",
        Farewell::Replaced => "another client with the same key has connected",
        Farewell::Full => "it serves as many light nodes as it can",
        Farewell::Stale => "the control connection that this belonged to has ended",
        Farewell::Starting => "it has just started and does not know its light nodes yet",
    }
}
