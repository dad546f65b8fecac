//! What happened: events of each lease for people, and each container's starts and exits for the state (`fates`). Fed by
//! the engine's event stream; when that breaks, what it would have told is asked for again.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures::StreamExt;
use iono_primitives::LeaseId;
use iono_runtime::{EventKind, Exit, ExitReason, Happenings, now};

use crate::fates::{Doubt, Fates};
use crate::inner::Inner;
use crate::labels;

#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) fates: Fates,
    pub(crate) happenings: Happenings,
}

impl Hub {
    pub(crate) fn new() -> Self {
        Self { fates: Fates::default(), happenings: Happenings::default() }
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
                self.happenings.emit(lease, subject, EventKind::Started, text);
            }
            Some("kill") if attributes.get("signal").is_some_and(|signal| signal == "9") => {
                self.fates.killed(&id);
            }
            Some("oom") => {
                self.fates.out_of_memory(&id);
                self.happenings.emit(
                    lease,
                    subject,
                    EventKind::OutOfMemory,
                    ExitReason::OutOfMemory.to_string(),
                );
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
        self.happenings.emit(lease, subject, EventKind::Exited, text);
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
