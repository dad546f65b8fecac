//! Bytes of visitors' streams and datagrams, both ways, counted alike on both ends. A byte counts when it is received:
//! the receiver's number travels with every ping and pong, so that each end knows its own and the other's.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters of one light node; they go on as long as both processes do, whatever becomes of the connections.
#[derive(Debug, Default)]
pub struct Traffic {
    sent: AtomicU64,
    received: AtomicU64,
    confirmed: AtomicU64,
}

impl Traffic {
    /// Bytes handed to the tunnel at this end.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// Bytes that came out of the tunnel at this end.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received.load(Relaxed)
    }

    /// Of the bytes sent, those that the other end has said to have received: the other end's [`Self::received`] as of
    /// its last word. Never more than were sent, whatever it says.
    #[must_use]
    pub fn confirmed(&self) -> u64 {
        self.confirmed.load(Relaxed)
    }

    /// Changes when anything is carried.
    pub(crate) fn moved(&self) -> u64 {
        self.sent().wrapping_add(self.received())
    }

    pub(crate) fn count_sent(&self, bytes: usize) {
        self.sent.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn count_received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Relaxed);
    }

    /// The other end's word about what it has received.
    pub(crate) fn confirm(&self, received: u64) {
        self.confirmed.fetch_max(received.min(self.sent()), Relaxed);
    }
}
