//! What happened: events of each lease for people, and each container's starts and exits for the state (`fates`). Fed by
//! the engine's event stream; when that breaks, what it would have told is asked for again.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures::{Stream, StreamExt};
use iono_primitives::LeaseId;
use iono_runtime::{Event, EventKind, Exit, ExitReason};
use tokio::sync::broadcast;

use crate::fates::{Doubt, Fates};
use crate::inner::Inner;
use crate::labels;

/// Events kept of each lease.
const KEPT: usize = 256;

#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) fates: Fates,
    kept: Mutex<HashMap<LeaseId, VecDeque<Event>>>,
    sequence: AtomicU64,
    sender: broadcast::Sender<Event>,
}

/// Milliseconds since 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Hub {
    pub(crate) fn new() -> Self {
        Self {
            fates: Fates::default(),
            kept: Mutex::default(),
            sequence: AtomicU64::new(1),
            sender: broadcast::Sender::new(1_024),
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<LeaseId, VecDeque<Event>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells an event.
    pub(crate) fn emit(
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
    pub(crate) fn subscribe(&self, lease: LeaseId) -> impl Stream<Item = Event> + Send + 'static {
        let all = self.lock();
        let kept: Vec<Event> = all.get(&lease).into_iter().flatten().cloned().collect();
        let new = self.receive().filter(move |event| std::future::ready(event.lease == lease));
        futures::stream::iter(kept).chain(new)
    }

    /// All new events. A listener that falls behind misses some.
    pub(crate) fn receive(&self) -> impl Stream<Item = Event> + Send + 'static {
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
    pub(crate) fn forget_lease(&self, lease: LeaseId) {
        self.lock().remove(&lease);
    }

    /// Notes an event of the engine; an exit whose reason is in doubt comes back.
    fn take(&self, message: EventMessage) -> Option<Open> {
        let actor = message.actor?;
        let (id, attributes) = (actor.id?, actor.attributes?);
        let (lease, service, replica) = labels::subject(&attributes)?;
        let at =
            message.time_nano.and_then(|nanos| u64::try_from(nanos / 1_000_000).ok()).unwrap_or_else(now);
        let subject = Some((service.as_str(), replica));
        match message.action.as_deref() {
            Some("start") => {
                let text = if self.fates.started(&id, at) { "started again" } else { "started" };
                self.emit(lease, subject, EventKind::Started, text);
            }
            Some("kill") if attributes.get("signal").is_some_and(|signal| signal == "9") => {
                self.fates.killed(&id);
            }
            Some("oom") => {
                self.fates.out_of_memory(&id);
                self.emit(lease, subject, EventKind::OutOfMemory, ExitReason::OutOfMemory.to_string());
            }
            Some("die") => {
                let code = attributes.get("exitCode").and_then(|code| code.parse().ok()).unwrap_or(-1);
                match self.fates.ended(&id, code, at) {
                    Ok(exit) => self.exited(lease, subject, &exit),
                    Err(doubt) => return Some(Open { lease, service, replica, doubt }),
                }
            }
            _ => {}
        }
        None
    }

    fn exited(&self, lease: LeaseId, subject: Option<(&str, u32)>, exit: &Exit) {
        let text = format!("exited with code {}: {}", exit.code, exit.reason);
        self.emit(lease, subject, EventKind::Exited, text);
    }

    /// Tells an exit once its reason is known.
    async fn settle(&self, open: Open) {
        let exit = self.fates.settle(open.doubt).await;
        self.exited(open.lease, Some((&open.service, open.replica)), &exit);
    }
}

/// An exit that is told when its reason is known.
struct Open {
    lease: LeaseId,
    service: String,
    replica: u32,
    doubt: Doubt,
}

/// An engine that came back has started containers by itself.
async fn heal(inner: Arc<Inner>) {
    if let Err(error) = inner.heal_guard().await {
        tracing::debug!(%error, "the egress guard was not looked at");
    }
}

/// Follows the engine's events until the runtime is dropped.
pub(crate) async fn follow(inner: Weak<Inner>) {
    loop {
        let stream = {
            let Some(inner) = inner.upgrade() else { return };
            tokio::spawn(heal(Arc::clone(&inner)));
            let mut filters = inner.names.filter(None);
            filters.insert("type".to_owned(), vec!["container".to_owned()]);
            filters.insert("event".to_owned(), ["start", "kill", "die", "oom"].map(str::to_owned).to_vec());
            let options = EventsOptionsBuilder::default().filters(&filters).build();
            inner.engine.docker().ok().map(|docker| docker.events(Some(options)))
        };
        if let Some(mut stream) = stream {
            while let Some(Ok(message)) = stream.next().await {
                let Some(inner) = inner.upgrade() else { return };
                if let Some(open) = inner.hub.take(message) {
                    tokio::spawn(async move { inner.hub.settle(open).await });
                }
            }
        }
        if let Some(inner) = inner.upgrade() {
            inner.hub.fates.forget_all();
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn keeps_a_bounded_number_and_streams_each_once() {
        let hub = Hub::new();
        for n in 0..300 {
            hub.emit(LeaseId(1), None, EventKind::Failed, n.to_string());
        }
        hub.emit(LeaseId(2), None, EventKind::Failed, "other");
        let stream = hub.subscribe(LeaseId(1));
        hub.emit(LeaseId(1), None, EventKind::Failed, "last");
        let events: Vec<_> = stream.take(KEPT + 1).collect().await;
        assert_eq!(events[0].message, "44");
        assert_eq!(events[KEPT].message, "last");
        assert!(events.windows(2).all(|pair| pair[0].sequence < pair[1].sequence));
    }
}
