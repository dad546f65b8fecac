//! The gateway's side of one control connection.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::pool::Pool;
use super::session::{Present, Session};
use super::{Event, Shared};
use crate::TunnelError;
use crate::link::Link;
use crate::traffic::Traffic;
use crate::wire::{Farewell, Kind, MAX_MESSAGE, Message, WireError};

/// How often data connections are looked through while more of them are idle than are kept ready. An idle light node must
/// not wake the gateway.
const TRIM: Duration = Duration::from_secs(30);
/// What a client that was replaced should wait, in seconds: two machines with one key must not chase each other.
const REPLACED: u16 = 30;

/// Runs the control connection to its end.
pub(super) async fn serve(shared: Arc<Shared>, session: Arc<Session>, mut link: Link, process: u64) {
    let Some(address) = link.address() else { return };
    let epoch = rand::random();
    let pool = Pool::new(Arc::clone(&shared.limits));
    let (outbox, messages) = mpsc::channel(shared.limits.messages);
    let replaced = CancellationToken::new();
    let present = Present { epoch, pool: Arc::clone(&pool), outbox, address, replaced: replaced.clone() };
    let counters = session.arrive(process, present);
    let connections = u16::try_from(Pool::most(&shared.limits)).unwrap_or(u16::MAX);
    let welcome = Message::Welcome { epoch, session: counters, connections };
    let pin = session.pin();
    tracing::info!(%pin, %address, "light node connected");
    shared.tell(Event::Joined { pin, address }).await;
    let traffic = session.traffic();
    let mut control =
        Control { shared: &shared, session: &session, pool: &pool, traffic, messages, replaced: &replaced };
    let ended = match link.say(&welcome).await {
        Ok(()) => control.run(&mut link).await,
        Err(error) => Err(error),
    };
    if session.leave(epoch) {
        let silence = match &ended {
            Ok(()) => {
                tracing::info!(%pin, "light node left");
                Duration::ZERO
            }
            Err(error) => {
                tracing::info!(%pin, %error, "light node lost");
                shared.limits.control.longest()
            }
        };
        shared.tell(Event::Lost { pin, silence }).await;
    }
    drop(pool.close());
    link.close().await;
}

struct Control<'a> {
    shared: &'a Shared,
    session: &'a Session,
    pool: &'a Pool,
    traffic: Arc<Traffic>,
    messages: mpsc::Receiver<Bytes>,
    replaced: &'a CancellationToken,
}

impl Control<'_> {
    async fn run(&mut self, link: &mut Link) -> Result<(), TunnelError> {
        let silence = self.shared.limits.idle_ping + self.shared.limits.ping * 3;
        let mut heard = Instant::now();
        let mut trim = None;
        self.ask(link).await?;
        loop {
            if self.pool.has_surplus() {
                trim.get_or_insert_with(|| Instant::now() + TRIM);
            }
            let dead = heard + silence;
            tokio::select! {
                message = link.message(MAX_MESSAGE) => {
                    heard = Instant::now();
                    if !self.handle(link, message?).await? {
                        return Ok(());
                    }
                }
                Some(bytes) = self.messages.recv() => link.say(&Message::Payload(bytes)).await?,
                () = self.pool.wanted.notified() => self.ask(link).await?,
                () = sleep_until(trim.map_or(dead, |trim| trim.min(dead))) => {
                    if heard.elapsed() >= silence {
                        return Err(TunnelError::Silent);
                    }
                    trim = None;
                    drop(self.pool.trim());
                    self.ask(link).await?;
                }
                () = self.replaced.cancelled() => {
                    return goodbye(link, Farewell::Replaced, REPLACED).await;
                }
                () = self.shared.tasks.stop.cancelled() => {
                    return goodbye(link, Farewell::Draining, 0).await;
                }
            }
        }
    }

    async fn ask(&self, link: &mut Link) -> Result<(), TunnelError> {
        match self.pool.shortage() {
            0 => Ok(()),
            count => link.say(&Message::Need(count)).await,
        }
    }

    /// `false` when the client says goodbye.
    async fn handle(&mut self, link: &mut Link, message: Message) -> Result<bool, TunnelError> {
        match message {
            Message::Ping(received) => {
                self.traffic.confirm(received);
                link.say(&Message::Pong(self.traffic.received())).await?;
            }
            Message::Payload(bytes) => {
                self.shared.tell(Event::Message { pin: self.session.pin(), bytes }).await;
            }
            Message::Goodbye { .. } => return Ok(false),
            Message::Hello(_) => return Err(WireError::OutOfPlace(Kind::Hello).into()),
            Message::Welcome { .. } => return Err(WireError::OutOfPlace(Kind::Welcome).into()),
            Message::Need(_) => return Err(WireError::OutOfPlace(Kind::Need).into()),
            Message::Pong(_) => return Err(WireError::OutOfPlace(Kind::Pong).into()),
        }
        Ok(true)
    }
}

/// Tells the client why it has to go.
pub(super) async fn goodbye(link: &mut Link, reason: Farewell, retry_after: u16) -> Result<(), TunnelError> {
    link.say(&Message::Goodbye { reason, retry_after }).await
}
