//! Which congestion control the tunnel's connections use. The kernel's own (CUBIC nearly everywhere) is the fastest on a
//! clean path, and takes each lost packet for a full pipe on any other: at 1% loss and 60 ms it leaves 2 Mbit/s. BBR does
//! not, but paces every connection, which costs a third of the throughput where many share a clean path. So connections
//! begin with the kernel's and change to BBR once the path between the two ends has shown to be lossy; new streams begin
//! with it then.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use tokio::net::TcpStream;

use crate::socket::{self, Losses};

/// Bytes written between two looks at a connection's losses: few at first, since a loss that is found early is a slow
/// second less.
const FIRST_LOOK: u64 = 16 * 1024;
const LAST_LOOK: u64 = 128 * 1024;
/// So many losses ...
const FEW: u64 = 3;
/// ... that are more than one in so many segments mean a lossy path.
const RARE: u64 = 300;
/// Of the segments between two looks one in so many may count as lost, and one more: a queue that overflows loses many at
/// once and long nothing, a lossy path some in every look.
const AT_ONCE: u64 = 200;
/// Older segments and losses count half.
const RECENT: u64 = 50_000;

/// What is known of the path between a client and its gateway from all of its connections; lives as long as the control
/// connection.
#[derive(Debug, Default)]
pub(crate) struct Path {
    lossy: AtomicBool,
    recent: Mutex<Recent>,
}

/// In segments.
#[derive(Debug, Default)]
struct Recent {
    sent: u64,
    lost: u64,
}

impl Recent {
    /// Whether so many segments more, and those lost of them, show a lossy path.
    fn shows_loss(&mut self, sent: u64, lost: u64) -> bool {
        self.sent += sent;
        self.lost += lost.min(sent / AT_ONCE + 1);
        let lossy = self.lost >= FEW && self.lost * RARE >= self.sent;
        if self.sent > RECENT {
            (self.sent, self.lost) = (self.sent / 2, self.lost / 2);
        }
        lossy
    }
}

/// The part of it that belongs to one connection.
#[derive(Debug, Default)]
pub(crate) struct Congestion {
    /// Since the last look.
    written: u64,
    looks: u64,
    watch: Watch,
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
        if self.settled || self.written < (FIRST_LOOK * (1 + self.looks / 16)).min(LAST_LOOK) {
            return;
        }
        self.looks += 1;
        self.written = 0;
        let losses = socket::losses(stream);
        if let Some((sent, lost)) = losses.and_then(|losses| self.watch.look(losses, Instant::now())) {
            let mut recent = path.recent.lock().unwrap_or_else(PoisonError::into_inner);
            if recent.shows_loss(sent, lost) {
                path.lossy.store(true, Relaxed);
            }
        }
        self.begin(path, stream);
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

/// Tells losses from segments that were sent again for nothing: the receiver reports these within a way there and back, and
/// a sender that waits for an acknowledgement on a busy machine sends many.
#[derive(Debug, Default)]
struct Watch {
    since: Option<Instant>,
    /// Bytes that had gone out by then; what is written may wait in the kernel for long.
    sent: u64,
    /// Segments that had been sent again by then.
    repeated: u32,
    lost: u32,
}

impl Watch {
    /// Segments that went out since the last look, and those that were lost by then; nothing when that was just now.
    fn look(&mut self, now: Losses, at: Instant) -> Option<(u64, u64)> {
        if self.since.is_some_and(|since| at < since + 2 * now.round_trip) {
            return None;
        }
        let lost = self.repeated.saturating_sub(now.needless);
        let more = lost.saturating_sub(self.lost);
        let sent = (now.sent - self.sent) / u64::from(now.segment.max(1));
        (self.since, self.sent, self.repeated) = (Some(at), now.sent, now.repeated);
        self.lost += more;
        Some((sent, more.into()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_frequent_losses_count() {
        // Segments between two losses, each seen by a look of its own.
        let is_lossy = |apart| {
            let mut recent = Recent::default();
            (0..1_000).any(|_| recent.shows_loss(apart, 1))
        };
        assert!(is_lossy(100), "1%");
        assert!(!is_lossy(1_000), "one in a thousand");
        let mut few = Recent::default();
        assert!(!few.shows_loss(1, 1) && !few.shows_loss(1, 1), "too few to tell");
        // A path that was clean for long and is not any more.
        let mut recent = Recent::default();
        assert!((0..1_000_000).all(|_| !recent.shows_loss(90, 0)));
        assert!((0..1_000).any(|_| recent.shows_loss(100, 1)));
    }

    /// However seldom anybody looks.
    #[test]
    fn what_a_queue_loses_at_once_is_no_lossy_path() {
        // Segments and losses of each look.
        let is_lossy = |looks: &[(u64, u64)]| {
            let mut recent = Recent::default();
            looks.iter().any(|(sent, lost)| recent.shows_loss(*sent, *lost))
        };
        assert!(is_lossy(&[(2_000, 20), (2_000, 20)]), "1%, some in every look");
        // A window of 1,000 that doubled once too often, and what is lost of it in two looks.
        assert!(!is_lossy(&[(500, 0), (1_000, 0), (1_000, 400), (500, 100), (700, 0), (700, 0)]));
    }

    #[test]
    fn what_was_sent_again_for_nothing_is_no_loss() {
        let start = Instant::now();
        let round_trip = Duration::from_millis(60);
        let mut watch = Watch::default();
        let mut look = |millis, sent: u64, repeated, needless| {
            let losses = Losses { sent: sent * 1_448, repeated, needless, segment: 1_448, round_trip };
            watch.look(losses, start + Duration::from_millis(millis))
        };
        assert_eq!(look(0, 10, 1, 0), Some((10, 0)), "may still be reported");
        assert_eq!(look(60, 20, 1, 0), None, "as well");
        assert_eq!(look(120, 30, 2, 1), Some((20, 0)), "was reported");
        assert_eq!(look(240, 40, 9, 1), Some((10, 1)), "the second was not");
        assert_eq!(look(360, 50, 9, 1), Some((10, 7)), "seven more");
        assert_eq!(look(480, 60, 9, 1), Some((10, 0)), "nothing new");
    }
}
