//! Datagrams as frames of one stream: each with the number of its flow.

use crate::wire::{Header, Kind, WireError};

/// Largest datagram of UDP over IPv4.
pub(crate) const LARGEST: usize = 65_507;
/// Bytes before a datagram: header and flow.
pub(crate) const PREFIX: usize = Header::SIZE + 4;

/// The bytes before a datagram of `length` bytes; `None` when it is longer than UDP allows.
pub(crate) fn prefix(flow: u32, length: usize) -> Option<[u8; PREFIX]> {
    if length > LARGEST {
        return None;
    }
    let length = u16::try_from(length + 4).ok()?;
    let mut bytes = [0; PREFIX];
    bytes[..Header::SIZE].copy_from_slice(&Header { kind: Kind::Datagram, length }.encode());
    bytes[Header::SIZE..].copy_from_slice(&flow.to_be_bytes());
    Some(bytes)
}

/// Flow and datagram of a frame.
pub(crate) fn split(kind: Kind, payload: &[u8]) -> Result<(u32, &[u8]), WireError> {
    if kind != Kind::Datagram {
        return Err(WireError::OutOfPlace(kind));
    }
    let (flow, datagram) = payload.split_first_chunk::<4>().ok_or(WireError::Malformed(kind))?;
    if datagram.len() > LARGEST {
        return Err(WireError::Malformed(kind));
    }
    Ok((u32::from_be_bytes(*flow), datagram))
}
