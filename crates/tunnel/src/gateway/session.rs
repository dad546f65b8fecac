//! One light node at the gateway. It outlives the light node's connections: URLs, ports and counters stay while it is
//! away.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use iono_identity::Pin;
use rand::random;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::pool::{Carrier, Pool};
use crate::relay::{self, Outcome, Terms};
use crate::traffic::Traffic;
use crate::wire::{MAX_MESSAGE, Open};
use crate::{Limits, TunnelError};

/// Bytes that wait in each direction of [`Session::connect`]'s stream.
const BUFFER: usize = 64 * 1024;

/// A light node that was admitted once. See the file's first lines.
pub struct Session {
    pin: Pin,
    limits: Arc<Limits>,
    state: Mutex<State>,
}

struct State {
    /// Drawn by the client's process.
    process: u64,
    /// Drawn here for that process.
    session: u64,
    traffic: Arc<Traffic>,
    present: Option<Present>,
    changed: Instant,
}

/// What there is while the client is connected.
#[derive(Clone)]
pub(super) struct Present {
    pub(super) epoch: u64,
    pub(super) pool: Arc<Pool>,
    pub(super) outbox: mpsc::Sender<Bytes>,
    pub(super) address: SocketAddr,
    /// Ends the control connection, for one that takes its place.
    pub(super) replaced: CancellationToken,
}

impl Session {
    pub(super) fn new(pin: Pin, limits: Arc<Limits>) -> Arc<Self> {
        let state = State {
            process: 0,
            session: random(),
            traffic: Arc::default(),
            present: None,
            changed: Instant::now(),
        };
        Arc::new(Self { pin, limits, state: Mutex::new(state) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The light node's key.
    #[must_use]
    pub fn pin(&self) -> Pin {
        self.pin
    }

    /// Whether it is connected now.
    #[must_use]
    pub fn is_present(&self) -> bool {
        self.lock().present.is_some()
    }

    /// When it came or went last.
    #[must_use]
    pub fn changed(&self) -> Instant {
        self.lock().changed
    }

    /// From where it is connected now.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.lock().present.as_ref().map(|present| present.address)
    }

    /// Its counters, which start anew when the client or the gateway does.
    #[must_use]
    pub fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(&self.lock().traffic)
    }

    /// Names these counters: another number, other counters.
    #[must_use]
    pub fn traffic_id(&self) -> u64 {
        self.lock().session
    }

    /// Sends a message to the daemon at the other end; it may be lost when the light node drops off.
    ///
    /// # Errors
    /// [`TunnelError::MessageTooLong`]; [`TunnelError::Away`]; [`TunnelError::Busy`] when too many wait to be sent.
    pub fn send(&self, message: Bytes) -> Result<(), TunnelError> {
        if message.len() > MAX_MESSAGE {
            return Err(TunnelError::MessageTooLong);
        }
        let state = self.lock();
        let outbox = &state.present.as_ref().ok_or(TunnelError::Away)?.outbox;
        outbox.try_send(message).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => TunnelError::Busy,
            mpsc::error::TrySendError::Closed(_) => TunnelError::Away,
        })
    }

    /// Carries a visitor's connection to the light node until both halves have ended.
    ///
    /// # Errors
    /// [`TunnelError::Away`], [`TunnelError::Busy`] or [`TunnelError::NoConnection`] before a byte was read from the
    /// visitor; others when the data connection failed on the way.
    pub async fn relay<V: AsyncRead + AsyncWrite + Unpin>(
        &self,
        open: &Open,
        visitor: &mut V,
    ) -> Result<Outcome, TunnelError> {
        let frame = open.frame().ok_or(TunnelError::BadService)?;
        let mut carrier = self.carrier().await?;
        let (traffic, path) = (self.traffic(), carrier.path());
        let terms = Terms { traffic: &traffic, path: &path, limits: &self.limits };
        let outcome = relay::run(carrier.link()?, visitor, &frame, terms).await?;
        carrier.give_back();
        Ok(outcome)
    }

    /// A stream to one of the light node's services, for what speaks a protocol itself, such as an HTTP client. Dropping
    /// it breaks the stream off.
    ///
    /// # Errors
    /// As of [`Self::relay`], before anything is sent.
    pub async fn connect(&self, open: &Open) -> Result<DuplexStream, TunnelError> {
        let frame = open.frame().ok_or(TunnelError::BadService)?;
        let mut carrier = self.carrier().await?;
        let (ours, mut theirs) = tokio::io::duplex(BUFFER);
        let (traffic, path, limits) = (self.traffic(), carrier.path(), Arc::clone(&self.limits));
        tokio::spawn(async move {
            let Ok(link) = carrier.link() else { return };
            let terms = Terms { traffic: &traffic, path: &path, limits: &limits };
            match relay::run(link, &mut theirs, &frame, terms).await {
                Ok(_) => carrier.give_back(),
                Err(error) => tracing::debug!(%error, "a stream of the tunnel ended early"),
            }
        });
        Ok(ours)
    }

    pub(super) async fn carrier(&self) -> Result<Carrier, TunnelError> {
        let pool = self.lock().present.as_ref().map(|present| Arc::clone(&present.pool));
        pool.ok_or(TunnelError::Away)?.take().await
    }

    /// A control connection takes over; the one before it is ended. Gives the id of the counters.
    pub(super) fn arrive(&self, process: u64, present: Present) -> u64 {
        let mut state = self.lock();
        if let Some(before) = state.present.replace(present) {
            before.replaced.cancel();
        }
        if state.process != process {
            state.process = process;
            state.session = random();
            state.traffic = Arc::default();
        }
        state.changed = Instant::now();
        state.session
    }

    /// A control connection has ended; `false` when another had taken over.
    pub(super) fn leave(&self, epoch: u64) -> bool {
        let mut state = self.lock();
        if state.present.as_ref().is_none_or(|present| present.epoch != epoch) {
            return false;
        }
        state.present = None;
        state.changed = Instant::now();
        true
    }

    /// Ends the control connection, if there is one.
    pub(super) fn dismiss(&self) {
        if let Some(present) = self.lock().present.take() {
            present.replaced.cancel();
        }
    }

    /// Where data connections of this epoch go.
    pub(super) fn pool_of(&self, epoch: u64) -> Option<Arc<Pool>> {
        let state = self.lock();
        state
            .present
            .as_ref()
            .filter(|present| present.epoch == epoch)
            .map(|present| Arc::clone(&present.pool))
    }
}
