//! The control protocol: what the two daemons say to each other beside the streams.

use bytes::Bytes;

use super::{Header, Kind, WireError};

/// Most bytes of one message between the daemons.
pub const MAX_MESSAGE: usize = 16 * 1024;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The client's only control connection. `process` is drawn anew by each process of a client, so that the gateway
    /// knows whether both go on with the same counters.
    Control {
        /// Drawn by the client when it started.
        process: u64,
    },
    /// One of its data connections, under the control connection that was given this epoch.
    Data {
        /// From [`Message::Welcome`].
        epoch: u64,
    },
}

/// One frame of the control protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// What this connection is for.
    Hello(Role),
    /// The client is admitted.
    Welcome {
        /// Names this control connection; data connections show it.
        epoch: u64,
        /// Drawn by the gateway when it first saw this process of the client: counters go on while it stays the same.
        session: u64,
        /// Most data connections at a time.
        connections: u16,
    },
    /// So many data connections more, please.
    Need(u16),
    /// Are you there? I have received so many of your streams' bytes.
    Ping(u64),
    /// I am. I have received so many of your streams' bytes.
    Pong(u64),
    /// For the daemon at the other end; at most [`MAX_MESSAGE`] bytes.
    Payload(Bytes),
    /// I am about to go, or you are not wanted.
    Goodbye {
        /// Why.
        reason: Farewell,
        /// Do not come back before so many seconds.
        retry_after: u16,
    },
}

/// Why a connection is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Farewell {
    /// The daemon stops or restarts.
    Draining = 0,
    /// The key is not registered with this gateway.
    NotAdmitted = 1,
    /// Another connection with the same key took over.
    Replaced = 2,
    /// More than the gateway serves.
    Full = 3,
    /// The data connection's epoch is over.
    Stale = 4,
    /// The gateway does not know its light nodes yet.
    Starting = 5,
}

impl Message {
    /// The frame; `None` when a payload is longer than [`MAX_MESSAGE`].
    #[must_use]
    pub fn frame(&self) -> Option<Vec<u8>> {
        let (kind, payload) = match self {
            Self::Hello(Role::Control { process }) => (Kind::Hello, tagged(0, *process)),
            Self::Hello(Role::Data { epoch }) => (Kind::Hello, tagged(1, *epoch)),
            Self::Welcome { epoch, session, connections } => (
                Kind::Welcome,
                [&epoch.to_be_bytes()[..], &session.to_be_bytes(), &connections.to_be_bytes()].concat(),
            ),
            Self::Need(count) => (Kind::Need, count.to_be_bytes().to_vec()),
            Self::Ping(received) => (Kind::Ping, received.to_be_bytes().to_vec()),
            Self::Pong(received) => (Kind::Pong, received.to_be_bytes().to_vec()),
            Self::Payload(bytes) if bytes.len() > MAX_MESSAGE => return None,
            Self::Payload(bytes) => return Header::frame(Kind::Message, bytes),
            Self::Goodbye { reason, retry_after } => {
                let [high, low] = retry_after.to_be_bytes();
                (Kind::Goodbye, vec![*reason as u8, high, low])
            }
        };
        Header::frame(kind, &payload)
    }

    /// Reads a frame's content.
    ///
    /// # Errors
    /// [`WireError`] when the kind belongs to data connections or the content is not exactly one encoding.
    pub fn decode(kind: Kind, payload: &[u8]) -> Result<Self, WireError> {
        let malformed = WireError::Malformed(kind);
        Ok(match kind {
            Kind::Hello => match payload.split_first() {
                Some((0, rest)) => Self::Hello(Role::Control { process: number(rest).ok_or(malformed)? }),
                Some((1, rest)) => Self::Hello(Role::Data { epoch: number(rest).ok_or(malformed)? }),
                _ => return Err(malformed),
            },
            Kind::Welcome => {
                let (epoch, rest) = payload.split_first_chunk::<8>().ok_or(malformed)?;
                let (session, rest) = rest.split_first_chunk::<8>().ok_or(malformed)?;
                let connections = u16::from_be_bytes(rest.try_into().map_err(|_| malformed)?);
                let (epoch, session) = (u64::from_be_bytes(*epoch), u64::from_be_bytes(*session));
                Self::Welcome { epoch, session, connections }
            }
            Kind::Need => Self::Need(u16::from_be_bytes(payload.try_into().map_err(|_| malformed)?)),
            Kind::Ping => Self::Ping(number(payload).ok_or(malformed)?),
            Kind::Pong => Self::Pong(number(payload).ok_or(malformed)?),
            Kind::Message if payload.len() <= MAX_MESSAGE => Self::Payload(Bytes::copy_from_slice(payload)),
            Kind::Message => return Err(malformed),
            Kind::Goodbye => {
                let [reason, high, low] = payload else { return Err(malformed) };
                let reason = match reason {
                    0 => Farewell::Draining,
                    1 => Farewell::NotAdmitted,
                    2 => Farewell::Replaced,
                    3 => Farewell::Full,
                    4 => Farewell::Stale,
                    5 => Farewell::Starting,
                    _ => return Err(malformed),
                };
                Self::Goodbye { reason, retry_after: u16::from_be_bytes([*high, *low]) }
            }
            Kind::Open | Kind::Data | Kind::End | Kind::Datagram => return Err(WireError::OutOfPlace(kind)),
        })
    }
}

fn tagged(tag: u8, number: u64) -> Vec<u8> {
    [&[tag][..], &number.to_be_bytes()].concat()
}

fn number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_back(message: &Message) -> Message {
        let frame = message.frame().unwrap();
        let header = Header::decode(frame[..4].try_into().unwrap()).unwrap();
        assert_eq!(usize::from(header.length), frame.len() - Header::SIZE);
        Message::decode(header.kind, &frame[4..]).unwrap()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let goodbye = |reason| Message::Goodbye { reason, retry_after: 300 };
        let all = [
            Message::Hello(Role::Control { process: 7 }),
            Message::Hello(Role::Data { epoch: u64::MAX }),
            Message::Welcome { epoch: 1, session: 2, connections: 3 },
            Message::Need(65_535),
            Message::Ping(1 << 40),
            Message::Pong(0),
            Message::Payload(Bytes::from(vec![9; MAX_MESSAGE])),
            goodbye(Farewell::Draining),
            goodbye(Farewell::NotAdmitted),
            goodbye(Farewell::Replaced),
            goodbye(Farewell::Full),
            goodbye(Farewell::Stale),
            goodbye(Farewell::Starting),
        ];
        for message in all {
            assert_eq!(read_back(&message), message);
        }
        assert_eq!(Message::Payload(Bytes::from(vec![0; MAX_MESSAGE + 1])).frame(), None);
    }

    proptest! {
        /// Every content that is read has exactly that encoding; everything else is refused without a panic.
        #[test]
        fn one_message_has_one_encoding(kind in 0u8..24, payload in prop::collection::vec(any::<u8>(), 0..32)) {
            let length = u16::try_from(payload.len()).unwrap().to_be_bytes();
            if let Ok(header) = Header::decode([kind, 0, length[0], length[1]])
                && let Ok(message) = Message::decode(header.kind, &payload)
            {
                prop_assert_eq!(&message.frame().unwrap()[4..], &payload[..]);
            }
        }
    }
}
