//! What happened: events of each lease for people, and each container's starts and exits for the state. Fed by the
//! engine's event stream; when that breaks, what it would have told is asked for again.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures::{Stream, StreamExt};
use iono_primitives::LeaseId;
use iono_runtime::{Event, EventKind, Exit, ExitReason};
use tokio::sync::broadcast;

use crate::inner::Inner;
use crate::labels;

/// Events kept of each lease.
const KEPT: usize = 256;

/// The starts and exits of one container.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fate {
    pub(crate) restarts: u32,
    pub(crate) exits: u32,
    pub(crate) last_exit: Option<Exit>,
    /// Milliseconds since 1970.
    pub(crate) started_at: Option<u64>,
    pub(crate) out_of_memory: bool,
}

#[derive(Debug, Default)]
struct State {
    fates: HashMap<String, Fate>,
    events: HashMap<LeaseId, VecDeque<Event>>,
}

#[derive(Debug)]
pub(crate) struct Hub {
    state: Mutex<State>,
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
        Self { state: Mutex::default(), sequence: AtomicU64::new(1), sender: broadcast::Sender::new(1_024) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
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
        let mut state = self.lock();
        let kept = state.events.entry(lease).or_default();
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(event.clone());
        // Nobody listening is fine. Sent under the lock, so that `subscribe` sees each event exactly once.
        let _ = self.sender.send(event);
    }

    /// The kept events of a lease, then new ones.
    pub(crate) fn subscribe(&self, lease: LeaseId) -> impl Stream<Item = Event> + Send + 'static {
        let state = self.lock();
        let kept: Vec<Event> = state.events.get(&lease).into_iter().flatten().cloned().collect();
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

    /// What is known of a container.
    pub(crate) fn fate(&self, id: &str) -> Option<Fate> {
        self.lock().fates.get(id).cloned()
    }

    /// Notes what the engine tells about a container that is not known yet.
    pub(crate) fn learn(&self, id: &str, fate: Fate) {
        self.lock().fates.entry(id.to_owned()).or_insert(fate);
    }

    /// Notes that a container was stopped for its disk use.
    pub(crate) fn over_quota(&self, id: &str) {
        let mut state = self.lock();
        let fate = state.fates.entry(id.to_owned()).or_default();
        fate.last_exit = Some(Exit { code: 137, reason: ExitReason::DiskQuota, at: now() });
    }

    /// Forgets a container.
    pub(crate) fn forget(&self, id: &str) {
        self.lock().fates.remove(id);
    }

    /// Forgets a lease.
    pub(crate) fn forget_lease(&self, lease: LeaseId) {
        self.lock().events.remove(&lease);
    }

    fn forget_fates(&self) {
        self.lock().fates.clear();
    }

    /// Notes an event of the engine.
    fn take(&self, message: EventMessage) {
        let Some(actor) = message.actor else { return };
        let (Some(id), Some(attributes)) = (actor.id, actor.attributes) else { return };
        let Some((lease, service, replica)) = labels::subject(&attributes) else { return };
        let at =
            message.time_nano.and_then(|nanos| u64::try_from(nanos / 1_000_000).ok()).unwrap_or_else(now);
        let subject = Some((service.as_str(), replica));
        match message.action.as_deref() {
            Some("start") => {
                let again = {
                    let mut state = self.lock();
                    let fate = state.fates.entry(id).or_default();
                    fate.out_of_memory = false;
                    fate.restarts += u32::from(fate.started_at.is_some());
                    fate.started_at.replace(at).is_some()
                };
                self.emit(
                    lease,
                    subject,
                    EventKind::Started,
                    if again { "started again" } else { "started" },
                );
            }
            Some("oom") => {
                self.lock().fates.entry(id).or_default().out_of_memory = true;
                self.emit(lease, subject, EventKind::OutOfMemory, ExitReason::OutOfMemory.to_string());
            }
            Some("die") => {
                let code = attributes.get("exitCode").and_then(|code| code.parse().ok()).unwrap_or(-1);
                let exit = self.exit(&id, code, at);
                let text = format!("exited with code {}: {}", exit.code, exit.reason);
                self.emit(lease, subject, EventKind::Exited, text);
            }
            _ => {}
        }
    }

    fn exit(&self, id: &str, code: i64, at: u64) -> Exit {
        let mut state = self.lock();
        let fate = state.fates.entry(id.to_owned()).or_default();
        fate.exits += 1;
        let stopped = fate.last_exit.as_ref().is_some_and(|exit| exit.reason == ExitReason::DiskQuota);
        let reason = match code {
            _ if stopped => ExitReason::DiskQuota,
            _ if fate.out_of_memory => ExitReason::OutOfMemory,
            0 => ExitReason::Completed,
            _ => ExitReason::Failed,
        };
        let exit = Exit { code, reason, at };
        fate.last_exit = Some(exit.clone());
        exit
    }
}

/// Follows the engine's events until the runtime is dropped.
pub(crate) async fn follow(inner: Weak<Inner>) {
    loop {
        let stream = {
            let Some(inner) = inner.upgrade() else { return };
            let mut filters = inner.names.filter(None);
            filters.insert("type".to_owned(), vec!["container".to_owned()]);
            filters.insert("event".to_owned(), ["start", "die", "oom"].map(str::to_owned).to_vec());
            let options = EventsOptionsBuilder::default().filters(&filters).build();
            inner.engine.docker().ok().map(|docker| docker.events(Some(options)))
        };
        if let Some(mut stream) = stream {
            while let Some(Ok(message)) = stream.next().await {
                let Some(inner) = inner.upgrade() else { return };
                inner.hub.take(message);
            }
        }
        if let Some(inner) = inner.upgrade() {
            inner.hub.forget_fates();
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
