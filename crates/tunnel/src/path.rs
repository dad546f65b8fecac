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
/// Older bytes and losses count half.
const RECENT: u64 = 64 << 20;

/// What is known of the path between a client and its gateway from all of its connections; lives as long as the control
/// connection.
#[derive(Debug, Default)]
pub(crate) struct Path {
    lossy: AtomicBool,
    recent: Mutex<Recent>,
}

#[derive(Debug, Default)]
struct Recent {
    sent: u64,
    losses: u64,
}

impl Recent {
    /// Whether so many more bytes, with a loss among them or none, show a lossy path.
    fn shows_loss(&mut self, sent: u64, lost: bool, segment: u32) -> bool {
        self.sent += sent;
        self.losses += u64::from(lost);
        let lossy = self.losses >= FEW && self.losses * u64::from(segment) * RARE >= self.sent;
        if self.sent > RECENT {
            (self.sent, self.losses) = (self.sent / 2, self.losses / 2);
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
    /// As of the last look; what was written may wait in the kernel for long.
    sent: u64,
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
        if let Some(losses) = socket::losses(stream) {
            let sent = losses.sent - std::mem::replace(&mut self.sent, losses.sent);
            let lost = self.watch.sees_loss(losses, Instant::now());
            let mut recent = path.recent.lock().unwrap_or_else(PoisonError::into_inner);
            if recent.shows_loss(sent, lost, losses.segment) {
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
    /// Sent again, as of `since`.
    repeated: u32,
    since: Option<Instant>,
    lost: u32,
}

impl Watch {
    /// Whether anything was lost since it was last asked. A queue that overflows loses many at once and long nothing: what
    /// is lost together is one loss.
    fn sees_loss(&mut self, losses: Losses, now: Instant) -> bool {
        let early = self.since.is_some_and(|since| now < since + 2 * losses.round_trip);
        if early {
            return false;
        }
        let lost = self.repeated.saturating_sub(losses.needless);
        (self.repeated, self.since) = (losses.repeated, Some(now));
        let more = lost > self.lost;
        self.lost = self.lost.max(lost);
        more
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SEGMENT: u32 = 1_448;

    #[test]
    fn only_frequent_losses_count() {
        // Bytes between two losses.
        let is_lossy = |apart: u64| {
            let mut recent = Recent::default();
            (0..1_000).any(|_| recent.shows_loss(apart, true, SEGMENT))
        };
        assert!(is_lossy(100 * 1_448), "1%");
        assert!(!is_lossy(1_000 * 1_448), "one in a thousand");
        let mut few = Recent::default();
        assert!(
            !few.shows_loss(1_448, true, SEGMENT) && !few.shows_loss(1_448, true, SEGMENT),
            "too few to tell"
        );
        // A path that was clean for long and is not any more.
        let mut recent = Recent::default();
        assert!((0..1_000_000).all(|_| !recent.shows_loss(LAST_LOOK, false, SEGMENT)));
        assert!((0..1_000).any(|_| recent.shows_loss(100 * 1_448, true, SEGMENT)));
    }

    #[test]
    fn what_was_sent_again_for_nothing_is_no_loss() {
        let start = Instant::now();
        let round_trip = Duration::from_millis(60);
        let at = |millis| start + Duration::from_millis(millis);
        let losses =
            |repeated, needless| Losses { sent: 0, repeated, needless, segment: SEGMENT, round_trip };
        let mut watch = Watch::default();
        assert!(!watch.sees_loss(losses(1, 0), at(0)), "may still be reported");
        assert!(!watch.sees_loss(losses(1, 0), at(60)), "as well");
        assert!(!watch.sees_loss(losses(2, 1), at(120)), "was reported");
        assert!(watch.sees_loss(losses(9, 1), at(240)), "the second was not");
        assert!(watch.sees_loss(losses(9, 1), at(360)), "seven more");
        assert!(!watch.sees_loss(losses(9, 1), at(480)), "nothing new");
    }
}
