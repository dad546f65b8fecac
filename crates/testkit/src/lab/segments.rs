//! Loss of single segments out of a packet that the kernel left whole. What remains are the runs between them, each a
//! whole packet again.

use super::tun::VNET_HEADER;

const NEEDS_CHECKSUM: u8 = 1;
const NO_GSO: u8 = 0;
const IP_LENGTH: usize = 2;
const IP_ID: usize = 4;
const IP_CHECKSUM: usize = 10;
const TCP_SEQUENCE: usize = 4;
const TCP_FLAGS: usize = 13;
const TCP_CHECKSUM: usize = 16;
const FIN_PSH: u8 = 0x09;

/// Lays the packet out; `None` when it is a single segment or nothing that is known here.
struct Layout {
    ip: usize,
    tcp: usize,
    payload: usize,
    segment: usize,
}

impl Layout {
    fn of(packet: &[u8]) -> Option<Self> {
        let segment = usize::from(u16::from_ne_bytes([*packet.get(4)?, *packet.get(5)?]));
        if packet[1] == NO_GSO || segment == 0 {
            return None;
        }
        let ip = VNET_HEADER;
        let tcp = ip + usize::from(packet.get(ip)? & 0x0f) * 4;
        let payload = tcp + usize::from(packet.get(tcp + 12)? >> 4) * 4;
        (packet.len() > payload + segment && packet[ip] >> 4 == 4).then_some(Self {
            ip,
            tcp,
            payload,
            segment,
        })
    }
}

/// Passes on what is left of `packet` when `lost` says for each of its segments whether it is.
pub(super) fn thin(packet: &[u8], mut lost: impl FnMut() -> bool, mut pass: impl FnMut(Vec<u8>)) {
    let Some(layout) = Layout::of(packet) else {
        if !lost() {
            pass(packet.to_vec());
        }
        return;
    };
    let count = (packet.len() - layout.payload).div_ceil(layout.segment);
    let fates: Vec<bool> = (0..count).map(|_| lost()).collect();
    let mut from = 0;
    for run in fates.split(|lost| *lost) {
        if !run.is_empty() {
            pass(part(packet, &layout, from, run.len(), count));
        }
        from += run.len() + 1;
    }
}

/// Segments `from .. from + length` of `count` as a packet.
fn part(packet: &[u8], layout: &Layout, from: usize, length: usize, count: usize) -> Vec<u8> {
    if length == count {
        return packet.to_vec();
    }
    let &Layout { ip, tcp, payload, segment } = layout;
    let start = from * segment;
    let end = ((from + length) * segment).min(packet.len() - payload);
    let mut part = [&packet[..payload], &packet[payload + start..payload + end]].concat();
    if length == 1 {
        part[0] |= NEEDS_CHECKSUM;
        part[1] = NO_GSO;
        part[4..6].fill(0);
    }
    if from + length < count {
        part[tcp + TCP_FLAGS] &= !FIN_PSH;
    }
    let total = u16::try_from(part.len() - ip).unwrap_or(u16::MAX);
    set16(&mut part, ip + IP_LENGTH, total);
    let id = u16::from_be_bytes([part[ip + IP_ID], part[ip + IP_ID + 1]]);
    set16(&mut part, ip + IP_ID, id.wrapping_add(u16::try_from(from).unwrap_or(u16::MAX)));
    let at = tcp + TCP_SEQUENCE;
    let sequence = u32::from_be_bytes([part[at], part[at + 1], part[at + 2], part[at + 3]]);
    let sequence = sequence.wrapping_add(u32::try_from(start).unwrap_or(u32::MAX));
    part[at..at + 4].copy_from_slice(&sequence.to_be_bytes());
    set16(&mut part, ip + IP_CHECKSUM, 0);
    let header = !fold(sum(&part[ip..tcp]));
    set16(&mut part, ip + IP_CHECKSUM, header);
    // The kernel completes it: so far it covers the pseudo-header alone.
    let length = u32::try_from(part.len() - tcp).unwrap_or(u32::MAX);
    let pseudo = fold(sum(&part[ip + 12..ip + 20]) + u32::from(part[ip + 9]) + length);
    set16(&mut part, tcp + TCP_CHECKSUM, pseudo);
    part
}

fn set16(packet: &mut [u8], at: usize, value: u16) {
    packet[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

fn sum(bytes: &[u8]) -> u32 {
    bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum()
}

fn fold(mut sum: u32) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// Ten segments of 100 bytes, PSH set, behind 20 bytes each of IP and TCP.
    fn packet() -> Vec<u8> {
        let mut packet = vec![0; VNET_HEADER + 40];
        packet[0] = NEEDS_CHECKSUM;
        packet[1] = 1;
        packet[4..6].copy_from_slice(&100u16.to_ne_bytes());
        packet[VNET_HEADER] = 0x45;
        packet[VNET_HEADER + 9] = 6;
        packet[VNET_HEADER + 20 + 12] = 0x50;
        packet[VNET_HEADER + 20 + TCP_FLAGS] = 0x18;
        packet.extend((0..1_000u32).map(|n| (n / 100) as u8));
        packet
    }

    fn thinned(lost: &[usize]) -> Vec<Vec<u8>> {
        let (mut at, mut parts) = (0, Vec::new());
        thin(
            &packet(),
            || {
                at += 1;
                lost.contains(&(at - 1))
            },
            |part| parts.push(part),
        );
        parts
    }

    #[test]
    fn nothing_lost_is_the_same_packet() {
        assert_eq!(thinned(&[]), vec![packet()]);
    }

    #[test]
    fn runs_between_lost_segments_remain() {
        let parts = thinned(&[0, 4, 9]);
        let contents: Vec<&[u8]> = parts.iter().map(|part| &part[VNET_HEADER + 40..]).collect();
        assert_eq!(contents.iter().map(|content| content.len()).collect::<Vec<_>>(), [300, 400]);
        assert_eq!((contents[0][0], contents[1][0]), (1, 5));
        let sequence = |part: &[u8]| u32::from_be_bytes(part[VNET_HEADER + 24..][..4].try_into().unwrap());
        assert_eq!((sequence(&parts[0]), sequence(&parts[1])), (100, 500));
        // The last one, with the push, was lost.
        assert!(parts.iter().all(|part| part[VNET_HEADER + 20 + TCP_FLAGS] == 0x10));
        for part in &parts {
            assert_eq!(fold(sum(&part[VNET_HEADER..VNET_HEADER + 20])), 0xffff, "checksum of the IP header");
        }
    }

    #[test]
    fn a_single_segment_is_an_ordinary_packet() {
        let parts = thinned(&[0, 1, 2, 3, 5, 6, 7, 8, 9]);
        assert_eq!(parts.len(), 1);
        assert_eq!((parts[0][1], &parts[0][4..6]), (NO_GSO, &[0, 0][..]));
        assert!(thinned(&(0..10).collect::<Vec<_>>()).is_empty());
    }
}
