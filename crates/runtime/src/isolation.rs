//! What a tenant's container may do and where its packets may not go, the same on every engine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What a container's root may do: Docker's own list without raw sockets (no forged packets), device nodes and file
/// capabilities.
pub const CAPABILITIES: [&str; 11] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_BIND_SERVICE",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// What is not the internet: RFC 1918, 6598, 3927, 6890 and multicast.
pub const PRIVATE_NETWORKS: [&str; 11] = [
    "0.0.0.0/8",
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.0.0.0/24",
    "192.168.0.0/16",
    "198.18.0.0/15",
    "224.0.0.0/4",
    "240.0.0.0/4",
];

/// Whether an address is not of the internet: of [`PRIVATE_NETWORKS`], or what corresponds to them in IPv6.
#[must_use]
pub fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_private_v4(address),
        IpAddr::V6(address) => is_private_v6(address),
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    PRIVATE_NETWORKS.iter().any(|block| {
        let (network, bits) = block.split_once('/').unwrap_or((block, "32"));
        let mask =
            bits.parse().ok().and_then(|bits: u32| u32::MAX.checked_shl(32 - bits)).unwrap_or(u32::MAX);
        network.parse::<Ipv4Addr>().is_ok_and(|network| network.to_bits() == address.to_bits() & mask)
    })
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    let parts = address.segments();
    // An address of IPv4 in other clothes: mapped, or translated by a gateway (RFC 6052).
    let embedded = match parts {
        [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0, 0, 0, 0, 0, 0xffff, ..] => {
            Some(Ipv4Addr::from_bits(u32::from(parts[6]) << 16 | u32::from(parts[7])))
        }
        _ => None,
    };
    // All that is handed out to the internet so far (RFC 4291): neither loopback nor link-local, unique local, multicast.
    embedded.map_or(parts[0] & 0xe000 != 0x2000, is_private_v4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_of_the_internet_is_known() {
        for private in [
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.169.254",
            "172.31.255.255",
            "192.168.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
        ] {
            assert!(is_private(private.parse().unwrap()), "{private}");
        }
        for public in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2001:4860:4860::8888", "::ffff:8.8.8.8"] {
            assert!(!is_private(public.parse().unwrap()), "{public}");
        }
    }
}
