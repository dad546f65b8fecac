//! Addresses of the leases' networks. Docker's own pools end at 31 networks; these are cut to each lease's size.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// A block of IPv4 addresses: `10.201.0.0/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    first: u32,
    prefix: u8,
}

/// The text is no IPv4 network.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("`{0}` is no IPv4 network; write for example 10.201.0.0/16")]
pub struct BadPool(String);

impl Default for Pool {
    fn default() -> Self {
        Self::new(Ipv4Addr::new(10, 201, 0, 0), 16)
    }
}

impl FromStr for Pool {
    type Err = BadPool;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (address, prefix) = text.split_once('/')?;
            let prefix = prefix.parse().ok().filter(|prefix| *prefix <= 32)?;
            Some(Self::new(address.parse().ok()?, prefix))
        };
        parse().ok_or_else(|| BadPool(text.to_owned()))
    }
}

impl std::fmt::Display for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", Ipv4Addr::from(self.first), self.prefix)
    }
}

impl Pool {
    /// The network of that address.
    #[must_use]
    pub fn new(address: Ipv4Addr, prefix: u8) -> Self {
        let prefix = prefix.min(32);
        let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
        Self { first: u32::from(address) & mask, prefix }
    }

    fn size(self) -> u64 {
        1 << (32 - u32::from(self.prefix))
    }

    fn overlaps(self, other: Self) -> bool {
        let (a, b) = (u64::from(self.first), u64::from(other.first));
        a < b + other.size() && b < a + self.size()
    }

    /// Few blocks that hold exactly these addresses.
    pub(crate) fn cover(addresses: &BTreeSet<Ipv4Addr>) -> Vec<Self> {
        let mut blocks: Vec<Self> = Vec::new();
        for address in addresses {
            let mut block = Self::new(*address, 32);
            // Two halves become a whole.
            while let Some(half) = blocks.last().copied()
                && half.prefix == block.prefix
                && half.prefix > 0
                && Self::new(address.to_owned(), block.prefix - 1).first == half.first
            {
                blocks.pop();
                block = Self { first: half.first, prefix: half.prefix - 1 };
            }
            blocks.push(block);
        }
        blocks
    }

    /// The gateway: the first address after the network's own.
    pub(crate) fn gateway(self) -> Ipv4Addr {
        Ipv4Addr::from(self.first + 1)
    }

    /// The addresses for containers, lowest first.
    pub(crate) fn hosts(self) -> impl Iterator<Item = Ipv4Addr> {
        let last = u64::from(self.first) + self.size() - 1;
        (u64::from(self.first) + 2..last).filter_map(|n| u32::try_from(n).ok()).map(Ipv4Addr::from)
    }

    /// A free network within this pool with room for `hosts` containers. The search begins at a place that follows from
    /// `seed`, so that two providers on one engine seldom try the same one.
    pub(crate) fn cut(self, hosts: u32, seed: u64, used: &[Pool]) -> Option<Pool> {
        let needed = u64::from(hosts) + 3;
        let prefix = (self.prefix..=26).rev().find(|prefix| 1u64 << (32 - u32::from(*prefix)) >= needed)?;
        let step = 1u64 << (32 - u32::from(prefix));
        let count = self.size() / step;
        let nth = |n: u64| u32::try_from(u64::from(self.first) + (seed.wrapping_add(n) % count) * step).ok();
        let blocks = (0..count).filter_map(nth).map(|first| Self { first, prefix });
        blocks.into_iter().find(|block| !used.iter().any(|other| other.overlaps(*block)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parses_and_prints() {
        assert_eq!("10.201.3.4/16".parse::<Pool>().unwrap().to_string(), "10.201.0.0/16");
        for bad in ["10.0.0.0", "10.0.0.0/33", "x/8", ""] {
            assert!(bad.parse::<Pool>().is_err(), "{bad}");
        }
    }

    #[test]
    fn cuts_to_size_and_ends() {
        let pool: Pool = "10.0.0.0/24".parse().unwrap();
        let big = pool.cut(100, 0, &[]).unwrap();
        assert_eq!((big.to_string().as_str(), big.hosts().count()), ("10.0.0.0/25", 125));
        let small = pool.cut(3, 0, &[big]).unwrap();
        assert_eq!(small.to_string(), "10.0.0.128/26");
        assert_eq!(pool.cut(3, 0, &[pool]), None);
        assert_eq!(pool.cut(300, 0, &[]), None);
    }

    #[test]
    fn covers_neighbours_with_one_block() {
        let all = |range: std::ops::Range<u8>| range.map(|n| Ipv4Addr::new(10, 0, 0, n)).collect();
        let texts = |range| Pool::cover(&all(range)).iter().map(Pool::to_string).collect::<Vec<_>>();
        assert_eq!(texts(4..8), ["10.0.0.4/30"]);
        assert_eq!(texts(2..9), ["10.0.0.2/31", "10.0.0.4/30", "10.0.0.8/32"]);
        assert_eq!(texts(0..0), Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn covers_these_and_no_others(addresses in proptest::collection::btree_set(0u32..200, 0..100)) {
            let addresses: BTreeSet<_> = addresses.into_iter().map(|n| Ipv4Addr::from((10 << 24) + n)).collect();
            let blocks = Pool::cover(&addresses);
            let covered: BTreeSet<_> = blocks
                .iter()
                .flat_map(|block| (0..block.size()).map(|n| Ipv4Addr::from(block.first + u32::try_from(n).unwrap())))
                .collect();
            prop_assert_eq!(covered, addresses);
        }

        #[test]
        fn never_overlaps(sizes in proptest::collection::vec(1u32..600, 1..30), seed: u64) {
            let pool = Pool::default();
            let mut used: Vec<Pool> = Vec::new();
            for hosts in sizes {
                let block = pool.cut(hosts, seed, &used).unwrap();
                prop_assert!(used.iter().all(|other| !other.overlaps(block)) && block.overlaps(pool));
                prop_assert!(block.hosts().count() >= hosts as usize);
                used.push(block);
            }
        }
    }
}
