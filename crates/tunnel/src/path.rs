//! Which congestion control the tunnel's connections use. The kernel's own (CUBIC nearly everywhere) is the fastest on a
//! clean path, and takes each lost packet for a full pipe on any other: at 1% loss and 60 ms it leaves 2 Mbit/s. BBR does
//! not, but paces every connection, which costs a third of the throughput where many share a clean path. So connections
//! begin with the kernel's and change to BBR once the path between the two ends has shown to be lossy; new streams begin
//! with it then.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tokio::net::TcpStream;

use crate::socket::{self, Losses};

/// Bytes written between two looks at a connection's losses.
pub(crate) const LOOK: usize = 64 * 1024;
/// So many segments sent again ...
const FEW: u32 = 3;
/// ... that are more than one in so many mean a lossy path.
const RARE: u64 = 500;

/// What is known of the path between a client and its gateway; lives as long as the control connection.
#[derive(Debug, Default)]
pub(crate) struct Path {
    lossy: AtomicBool,
}

/// The part of it that belongs to one connection.
#[derive(Debug, Default)]
pub(crate) struct Congestion {
    written: u64,
    next: u64,
    settled: bool,
}

impl Congestion {
    /// A stream begins.
    pub(crate) fn begin(&mut self, path: &Path, stream: &TcpStream) {
        if !self.settled && path.lossy.load(Relaxed) {
            self.settle(stream);
        }
    }

    /// So many bytes more were written.
    pub(crate) fn wrote(&mut self, bytes: usize, path: &Path, stream: &TcpStream) {
        self.written += bytes as u64;
        if self.settled || self.written < self.next {
            return;
        }
        self.next = self.written + LOOK as u64;
        if path.lossy.load(Relaxed)
            || socket::losses(stream).is_some_and(|losses| is_lossy(losses, self.written))
        {
            path.lossy.store(true, Relaxed);
            self.settle(stream);
        }
    }

    fn settle(&mut self, stream: &TcpStream) {
        self.settled = true;
        if !socket::set_congestion(stream, "bbr") {
            tracing::debug!(
                "the path loses packets, and the kernel offers no BBR, which would make the best of it"
            );
        }
    }
}

fn is_lossy(losses: Losses, written: u64) -> bool {
    losses.repeated >= FEW && u64::from(losses.repeated) * u64::from(losses.segment) * RARE >= written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_frequent_losses_count() {
        let losses = |repeated| Losses { repeated, segment: 1_448 };
        assert!(is_lossy(losses(3), 400_000), "1%");
        assert!(!is_lossy(losses(2), 100_000), "too few to tell");
        assert!(!is_lossy(losses(3), 10_000_000), "one in two thousand");
    }
}
