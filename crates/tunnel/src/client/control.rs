//! The client's side of the control connection, again and again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::{Shared, State, connect::connect, data, route::Route};
use crate::TunnelError;
use crate::backoff::{Backoff, jitter};
use crate::link::Link;
use crate::path::Path;
use crate::traffic::Traffic;
use crate::wire::{Farewell, Kind, MAX_MESSAGE, Message, Role, WireError};

/// Pings that nobody answered after which the gateway counts as dead.
const UNANSWERED: u32 = 3;

/// Keeps the tunnel until the client stops.
pub(super) async fn run(shared: Arc<Shared>, mut outgoing: mpsc::Receiver<Bytes>) {
    let mut backoff = Backoff::new();
    let mut counters = None;
    loop {
        let ended = tokio::select! {
            ended = tunnel(&shared, &mut outgoing, &mut counters, &mut backoff) => ended,
            () = shared.tasks.stop.cancelled(), if !matches!(*shared.state.borrow(), State::Connected { .. }) => return,
        };
        let Err(error) = ended else { return };
        let wait = match &error {
            TunnelError::Dismissed { retry_after: seconds @ 1.., .. } => {
                jitter(Duration::from_secs(u64::from(*seconds)))
            }
            _ => backoff.wait(),
        };
        tracing::info!(%error, ?wait, "no tunnel to the gateway");
        shared.state.send_replace(State::Away { why: Some(error.to_string()) });
        tokio::select! {
            () = sleep(wait) => {}
            () = shared.tasks.stop.cancelled() => return,
        }
    }
}

/// One control connection; ends well only when the client stops.
async fn tunnel(
    shared: &Arc<Shared>,
    outgoing: &mut mpsc::Receiver<Bytes>,
    counters: &mut Option<u64>,
    backoff: &mut Backoff,
) -> Result<(), TunnelError> {
    let role = Role::Control { process: shared.process };
    let mut link = connect(shared, role, shared.limits.control).await?;
    let answer = timeout(shared.limits.handshake_time, link.message(MAX_MESSAGE)).await;
    let (epoch, session, connections) = match answer.map_err(|_| TunnelError::Slow)?? {
        Message::Welcome { epoch, session, connections } => (epoch, session, connections),
        other => return Err(unwelcome(&other)),
    };
    if counters.replace(session) != Some(session) {
        shared.traffic.send_replace(Arc::default());
    }
    shared.state.send_replace(State::Connected { traffic: session });
    *backoff = Backoff::new();
    tracing::info!("the tunnel to the gateway stands");
    let most = usize::from(connections).min(shared.limits.streams + shared.limits.ready);
    // Data connections without a stream end with their control connection; streams go on.
    let over = CancellationToken::new();
    let _guard = over.clone().drop_guard();
    let traffic = Arc::clone(&shared.traffic.borrow());
    let places = Arc::new(Semaphore::new(most));
    let (path, began) = (Arc::default(), Arc::default());
    let control = Control { shared, traffic, path, epoch, over, places, began };
    control.run(&mut link, outgoing).await
}

async fn changed(route: Option<&Route>) {
    match route {
        Some(route) => route.changed().await,
        None => std::future::pending().await,
    }
}

fn unwelcome(message: &Message) -> TunnelError {
    let kind = match message {
        Message::Goodbye { reason, retry_after } => {
            return TunnelError::Dismissed { reason: *reason, retry_after: *retry_after };
        }
        Message::Hello(_) => Kind::Hello,
        Message::Welcome { .. } => Kind::Welcome,
        Message::Ping(_) => Kind::Ping,
        Message::Need(_) => Kind::Need,
        Message::Pong(_) => Kind::Pong,
        Message::Payload(_) => Kind::Message,
    };
    WireError::OutOfPlace(kind).into()
}

struct Control<'a> {
    shared: &'a Arc<Shared>,
    traffic: Arc<Traffic>,
    path: Arc<Path>,
    epoch: u64,
    over: CancellationToken,
    /// One for each data connection.
    places: Arc<Semaphore>,
    /// A stream began: there will be something to account for.
    began: Arc<Notify>,
}

impl Control<'_> {
    async fn run(&self, link: &mut Link, outgoing: &mut mpsc::Receiver<Bytes>) -> Result<(), TunnelError> {
        let (ping, idle) = (self.shared.limits.ping, self.shared.limits.idle_ping);
        let (mut unanswered, mut told) = (0, self.traffic.moved());
        let mut next = Instant::now() + jitter(idle);
        let route = Route::of(link);
        loop {
            tokio::select! {
                message = link.message(MAX_MESSAGE) => {
                    let message = message?;
                    unanswered = 0;
                    if matches!(message, Message::Pong(_)) && self.traffic.moved() == told {
                        next = Instant::now() + idle;
                    }
                    self.handle(message).await?;
                }
                () = changed(route.as_ref()) => return Err(TunnelError::Moved),
                () = self.began.notified() => next = next.min(Instant::now() + ping),
                Some(bytes) = outgoing.recv() => link.say(&Message::Payload(bytes)).await?,
                () = sleep_until(next) => {
                    if unanswered == UNANSWERED {
                        return Err(TunnelError::Silent);
                    }
                    unanswered += 1;
                    told = self.traffic.moved();
                    next = Instant::now() + ping;
                    link.say(&Message::Ping(self.traffic.received())).await?;
                }
                () = self.shared.tasks.stop.cancelled() => {
                    return link.say(&Message::Goodbye { reason: Farewell::Draining, retry_after: 0 }).await;
                }
            }
        }
    }

    async fn handle(&self, message: Message) -> Result<(), TunnelError> {
        match message {
            Message::Need(count) => {
                for _ in 0..count {
                    let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { break };
                    let data = data::Data {
                        shared: Arc::clone(self.shared),
                        traffic: Arc::clone(&self.traffic),
                        path: Arc::clone(&self.path),
                        over: self.over.clone(),
                        began: Arc::clone(&self.began),
                        _place: place,
                    };
                    self.shared.tasks.spawn(data.run(self.epoch));
                }
            }
            Message::Pong(received) => self.traffic.confirm(received),
            Message::Payload(bytes) => {
                // A daemon that does not listen needs no messages.
                let _ = self.shared.inbox.send(bytes).await;
            }
            other => return Err(unwelcome(&other)),
        }
        Ok(())
    }
}
