//! What begins a stream: what kind of visitor it is for, which service it wants and from where it came.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::{Header, Kind, WireError};

/// Longest name of a service, in bytes.
const MAX_SERVICE: usize = 255;
/// Most bytes of a whole frame that opens a stream.
pub const MAX_OPEN: usize = Header::SIZE + 1 + 16 + 2 + MAX_SERVICE;

/// What a stream carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Purpose {
    /// Requests between the daemons themselves.
    Control = 0,
    /// A visitor's connection to an exposed port.
    Tcp = 1,
    /// The datagrams of all visitors of an exposed port.
    Udp = 2,
    /// A visitor's HTTP or TLS connection, chosen by host name.
    Http = 3,
}

/// Content of a [`Kind::Open`] frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// What the stream carries.
    pub purpose: Purpose,
    /// Which of the client's services it is for; 1 to 255 bytes.
    pub service: String,
    /// The visitor.
    pub visitor: SocketAddr,
}

impl Open {
    /// The frame that opens the stream; `None` when the service's name is empty or longer than 255 bytes.
    #[must_use]
    pub fn frame(&self) -> Option<Vec<u8>> {
        if self.service.is_empty() || self.service.len() > MAX_SERVICE {
            return None;
        }
        let ip = match self.visitor.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let payload = [
            &[self.purpose as u8][..],
            &ip.octets(),
            &self.visitor.port().to_be_bytes(),
            self.service.as_bytes(),
        ]
        .concat();
        Header::frame(Kind::Open, &payload)
    }

    /// Reads the frame's content.
    ///
    /// # Errors
    /// [`WireError::Malformed`] when it is too short or long, of unknown purpose, or its service is no UTF-8.
    pub fn decode(payload: &[u8]) -> Result<Self, WireError> {
        let malformed = WireError::Malformed(Kind::Open);
        let (&purpose, rest) = payload.split_first().ok_or(malformed)?;
        let (ip, rest) = rest.split_first_chunk::<16>().ok_or(malformed)?;
        let (port, service) = rest.split_first_chunk::<2>().ok_or(malformed)?;
        let purpose = match purpose {
            0 => Purpose::Control,
            1 => Purpose::Tcp,
            2 => Purpose::Udp,
            3 => Purpose::Http,
            _ => return Err(malformed),
        };
        if service.is_empty() || service.len() > MAX_SERVICE {
            return Err(malformed);
        }
        let service = std::str::from_utf8(service).map_err(|_| malformed)?.to_owned();
        let visitor = SocketAddr::new(Ipv6Addr::from(*ip).to_canonical(), u16::from_be_bytes(*port));
        Ok(Self { purpose, service, visitor })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn purposes() -> impl Strategy<Value = Purpose> {
        prop_oneof![Just(Purpose::Control), Just(Purpose::Tcp), Just(Purpose::Udp), Just(Purpose::Http)]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(purpose in purposes(), service in "\\PC{1,60}", ip: Ipv6Addr, port: u16) {
            let open = Open { purpose, service, visitor: SocketAddr::new(ip.to_canonical(), port) };
            let frame = open.frame().unwrap();
            prop_assert!(frame.len() <= MAX_OPEN);
            prop_assert_eq!(Open::decode(&frame[Header::SIZE..]).unwrap(), open);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(open) = Open::decode(&bytes) {
                prop_assert_eq!(&open.frame().unwrap()[Header::SIZE..], &bytes[..]);
            }
        }
    }
}
