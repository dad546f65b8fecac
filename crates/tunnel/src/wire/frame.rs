//! The header that precedes everything: kind, a zero, and the length of what follows, in network order.

use super::WireError;

/// Most bytes behind one header.
pub const MAX_PAYLOAD: usize = u16::MAX as usize;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// First frame of a connection, from the client: what the connection is for.
    Hello = 1,
    /// The gateway's answer on the control connection.
    Welcome = 2,
    /// The gateway asks for more data connections.
    Need = 3,
    /// Is the other end alive? With what was received so far.
    Ping = 4,
    /// It is. With what was received so far.
    Pong = 5,
    /// A message between the daemons on both ends.
    Message = 6,
    /// The sender is about to go.
    Goodbye = 7,
    /// A stream begins on a data connection.
    Open = 16,
    /// Bytes of the stream.
    Data = 17,
    /// The sender's half of the stream is over.
    End = 18,
    /// One datagram of a flow.
    Datagram = 19,
}

impl Kind {
    fn from_byte(byte: u8) -> Result<Self, WireError> {
        Ok(match byte {
            1 => Self::Hello,
            2 => Self::Welcome,
            3 => Self::Need,
            4 => Self::Ping,
            5 => Self::Pong,
            6 => Self::Message,
            7 => Self::Goodbye,
            16 => Self::Open,
            17 => Self::Data,
            18 => Self::End,
            19 => Self::Datagram,
            other => return Err(WireError::UnknownKind(other)),
        })
    }
}

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What it is.
    pub kind: Kind,
    /// Bytes that follow, at most [`MAX_PAYLOAD`].
    pub length: u16,
}

impl Header {
    /// Bytes of a header.
    pub const SIZE: usize = 4;

    /// Its bytes.
    #[must_use]
    pub fn encode(self) -> [u8; Self::SIZE] {
        let [high, low] = self.length.to_be_bytes();
        [self.kind as u8, 0, high, low]
    }

    /// Reads a header.
    ///
    /// # Errors
    /// [`WireError`] for an unknown kind and when the second byte is not zero.
    pub fn decode(bytes: [u8; Self::SIZE]) -> Result<Self, WireError> {
        let kind = Kind::from_byte(bytes[0])?;
        if bytes[1] != 0 {
            return Err(WireError::Malformed(kind));
        }
        Ok(Self { kind, length: u16::from_be_bytes([bytes[2], bytes[3]]) })
    }

    /// A whole frame; `None` when `payload` is longer than [`MAX_PAYLOAD`].
    #[must_use]
    pub fn frame(kind: Kind, payload: &[u8]) -> Option<Vec<u8>> {
        let length = u16::try_from(payload.len()).ok()?;
        Some([&Self { kind, length }.encode(), payload].concat())
    }
}

/// How one half of a stream ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// All bytes were sent.
    Finished = 0,
    /// The connection on the sender's side broke; what was sent is not all.
    Broken = 1,
    /// Nothing listens where the stream should go.
    Refused = 2,
    /// Nothing moved for too long.
    Idle = 3,
    /// The sender serves no such service.
    Unknown = 4,
    /// The sender serves as many streams as it is allowed.
    Busy = 5,
    /// After [`Self::Finished`]: the sender's half was whole, but it takes no more of the other's. Each half may have ended
    /// by itself before that arrives; then it concerns a stream that is over and is overheard.
    Gone = 6,
}

impl Reason {
    /// The frame that says so.
    #[must_use]
    pub fn frame(self) -> [u8; Header::SIZE + 1] {
        let [a, b, c, d] = Header { kind: Kind::End, length: 1 }.encode();
        [a, b, c, d, self as u8]
    }

    /// Whether a frame is a [`Self::Gone`] that came too late for the stream that it concerns.
    #[must_use]
    pub fn is_late(kind: Kind, payload: &[u8]) -> bool {
        kind == Kind::End && payload == [Self::Gone as u8]
    }

    /// Reads an [`Kind::End`] frame's content.
    ///
    /// # Errors
    /// [`WireError::Malformed`] for anything but one known byte.
    pub fn decode(payload: &[u8]) -> Result<Self, WireError> {
        Ok(match payload {
            [0] => Self::Finished,
            [1] => Self::Broken,
            [2] => Self::Refused,
            [3] => Self::Idle,
            [4] => Self::Unknown,
            [5] => Self::Busy,
            [6] => Self::Gone,
            _ => return Err(WireError::Malformed(Kind::End)),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// One header has one encoding.
        #[test]
        fn what_is_read_is_what_was_written(bytes in any::<[u8; 4]>()) {
            if let Ok(header) = Header::decode(bytes) {
                prop_assert_eq!(header.encode(), bytes);
            }
        }
    }

    #[test]
    fn a_payload_that_is_too_long_makes_no_frame() {
        assert_eq!(Header::frame(Kind::Data, &vec![0; MAX_PAYLOAD]).map(|frame| frame.len()), Some(65_539));
        assert_eq!(Header::frame(Kind::Data, &vec![0; MAX_PAYLOAD + 1]), None);
    }

    #[test]
    fn reasons_come_back() {
        let all = [
            Reason::Finished,
            Reason::Broken,
            Reason::Refused,
            Reason::Idle,
            Reason::Unknown,
            Reason::Busy,
            Reason::Gone,
        ];
        for reason in all {
            assert_eq!(Reason::decode(&reason.frame()[Header::SIZE..]), Ok(reason));
        }
        for odd in [&[][..], &[7], &[0, 0]] {
            assert_eq!(Reason::decode(odd), Err(WireError::Malformed(Kind::End)));
        }
    }
}
