//! The events of each lease, for people: the last ones are kept, new ones are sent to whoever listens.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::{Stream, StreamExt};
use iono_primitives::LeaseId;
use tokio::sync::broadcast;

use crate::{Event, EventKind};

/// Events kept of each lease.
const KEPT: usize = 256;

/// What happened, lease by lease.
#[derive(Debug)]
pub struct Happenings {
    kept: Mutex<HashMap<LeaseId, VecDeque<Event>>>,
    sequence: AtomicU64,
    sender: broadcast::Sender<Event>,
}

impl Default for Happenings {
    fn default() -> Self {
        Self { kept: Mutex::default(), sequence: AtomicU64::new(1), sender: broadcast::Sender::new(1_024) }
    }
}

/// Milliseconds since 1970.
#[must_use]
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Happenings {
    fn lock(&self) -> MutexGuard<'_, HashMap<LeaseId, VecDeque<Event>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells an event of a lease, or of one replica of one of its services.
    pub fn emit(
        &self,
        lease: LeaseId,
        service: Option<(&str, u32)>,
        kind: EventKind,
        message: impl Into<String>,
    ) {
        let event = Event {
            sequence: self.sequence.fetch_add(1, SeqCst),
            at: now(),
            lease,
            service: service.map(|(name, _)| name.to_owned()),
            replica: service.map(|(_, replica)| replica),
            kind,
            message: message.into(),
        };
        let mut all = self.lock();
        let kept = all.entry(lease).or_default();
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(event.clone());
        // Nobody listening is fine. Sent under the lock, so that `subscribe` sees each event exactly once.
        let _ = self.sender.send(event);
    }

    /// The kept events of a lease, then new ones.
    pub fn subscribe(&self, lease: LeaseId) -> impl Stream<Item = Event> + Send + use<> {
        let all = self.lock();
        let kept: Vec<Event> = all.get(&lease).into_iter().flatten().cloned().collect();
        let new = self.receive().filter(move |event| std::future::ready(event.lease == lease));
        futures::stream::iter(kept).chain(new)
    }

    /// All new events. A listener that falls behind misses some.
    pub fn receive(&self) -> impl Stream<Item = Event> + Send + use<> {
        futures::stream::unfold(self.sender.subscribe(), |mut receiver| async move {
            loop {
                match receiver.recv().await {
                    Ok(event) => return Some((event, receiver)),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        })
    }

    /// Forgets a lease.
    pub fn forget(&self, lease: LeaseId) {
        self.lock().remove(&lease);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn keeps_a_bounded_number_and_streams_each_once() {
        let happenings = Happenings::default();
        for n in 0..300 {
            happenings.emit(LeaseId(1), None, EventKind::Failed, n.to_string());
        }
        happenings.emit(LeaseId(2), None, EventKind::Failed, "other");
        let stream = happenings.subscribe(LeaseId(1));
        happenings.emit(LeaseId(1), None, EventKind::Failed, "last");
        let events: Vec<_> = stream.take(KEPT + 1).collect().await;
        assert_eq!(events[0].message, "44");
        assert_eq!(events[KEPT].message, "last");
        assert!(events.windows(2).all(|pair| pair[0].sequence < pair[1].sequence));
    }
}
