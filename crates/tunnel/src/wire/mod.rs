//! What travels between gateway and client, without any I/O: frames, what opens a stream, and the control protocol.
//! Every length is checked against a bound before anything is kept. Format and limits: `docs/tunnel.md`.

mod frame;
mod message;
mod open;

pub use frame::{Header, Kind, MAX_PAYLOAD, Reason};
pub use message::{Farewell, MAX_MESSAGE, Message, Role};
pub use open::{MAX_OPEN, Open, Purpose};

/// What the TLS handshake negotiates (ALPN), newest first. A release keeps the version before it in this list.
pub const VERSIONS: [&[u8]; 1] = [b"iono-tunnel/1"];

/// The peer does not keep to the protocol; its connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A kind of frame that no version knows.
    #[error("it sent a frame of unknown kind {0}")]
    UnknownKind(u8),
    /// A frame that belongs to another place, such as data before a stream is open.
    #[error("it sent a frame of kind {0:?} where none may be")]
    OutOfPlace(Kind),
    /// A frame whose content is cut short, too long or contradicts itself.
    #[error("it sent a frame of kind {0:?} with a malformed content")]
    Malformed(Kind),
}
