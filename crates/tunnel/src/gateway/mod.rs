//! The gateway's end: accepts light nodes, knows them by their keys, and opens streams to them.

mod accept;
mod control;
mod expose;
mod pool;
mod session;
mod udp;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use iono_identity::{Pin, ServerIdentity, peer_server_config};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

pub use expose::Exposure;
pub use session::Session;

use crate::tasks::Tasks;
use crate::wire::VERSIONS;
use crate::{Limits, TunnelError};

/// Says which keys are light nodes of this gateway; the registry's word, or nothing while that is not known yet. Asked once
/// per connection, so it must not wait.
pub type Admission = Arc<dyn Fn(Pin) -> Option<bool> + Send + Sync>;

/// What a gateway needs.
pub struct GatewayConfig {
    /// Where light nodes connect.
    pub listener: TcpListener,
    /// The key whose pin the light nodes know.
    pub identity: ServerIdentity,
    /// Which light nodes may.
    pub admission: Admission,
    /// Bounds.
    pub limits: Limits,
}

/// What the daemon around the gateway learns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A light node is there (again).
    Joined {
        /// Its key.
        pin: Pin,
        /// From where.
        address: SocketAddr,
    },
    /// A light node is gone; its session stays.
    Lost {
        /// Its key.
        pin: Pin,
        /// It may have been out of reach for so long already when that was found out; nothing when it said goodbye.
        silence: Duration,
    },
    /// A message of its daemon.
    Message {
        /// Its key.
        pin: Pin,
        /// What it says.
        bytes: Bytes,
    },
}

/// A running gateway. Dropping it stops it at once; [`Gateway::drain`] lets streams end.
pub struct Gateway {
    shared: Arc<Shared>,
    address: SocketAddr,
}

pub(crate) struct Shared {
    limits: Arc<Limits>,
    acceptor: TlsAcceptor,
    admission: Admission,
    sessions: Mutex<HashMap<Pin, Arc<Session>>>,
    events: mpsc::Sender<Event>,
    tasks: Tasks,
}

impl Shared {
    fn sessions(&self) -> MutexGuard<'_, HashMap<Pin, Arc<Session>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while the daemon is slow, which slows down the one light node that has something to say.
    async fn tell(&self, event: Event) {
        // A daemon that does not listen needs no events.
        let _ = self.events.send(event).await;
    }
}

impl Gateway {
    /// Starts to accept light nodes. What they do comes out of the receiver; a daemon that does not care drops it.
    ///
    /// # Errors
    /// [`TunnelError`] when TLS does not accept the key or the listener has no address.
    pub fn start(config: GatewayConfig) -> Result<(Self, mpsc::Receiver<Event>), TunnelError> {
        let protocols = VERSIONS.map(<[u8]>::to_vec).to_vec();
        let tls = peer_server_config(&config.identity, protocols)?;
        let (events, receiver) = mpsc::channel(config.limits.messages);
        let address = config.listener.local_addr()?;
        let shared = Arc::new(Shared {
            limits: Arc::new(config.limits),
            acceptor: TlsAcceptor::from(Arc::new(tls)),
            admission: config.admission,
            sessions: Mutex::default(),
            events,
            tasks: Tasks::default(),
        });
        shared.tasks.spawn(accept::run(Arc::clone(&shared), config.listener));
        Ok((Self { shared, address }, receiver))
    }

    /// Where light nodes connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A light node that has been here since the gateway started and was not forgotten.
    #[must_use]
    pub fn session(&self, pin: Pin) -> Option<Arc<Session>> {
        self.shared.sessions().get(&pin).cloned()
    }

    /// A light node's session, also before it first comes: ports can be opened ahead of it.
    #[must_use]
    pub fn expect(&self, pin: Pin) -> Arc<Session> {
        let limits = &self.shared.limits;
        let mut sessions = self.shared.sessions();
        Arc::clone(sessions.entry(pin).or_insert_with(|| Session::new(pin, Arc::clone(limits))))
    }

    /// Forgets a light node that is registered no more, and ends its connections.
    pub fn forget(&self, pin: Pin) {
        if let Some(session) = self.shared.sessions().remove(&pin) {
            session.dismiss();
        }
    }

    /// No new light nodes, visitors or streams; clients are told to come back. Waits until the streams under way have
    /// ended, at most for `limit`.
    pub async fn drain(self, limit: Duration) {
        self.shared.tasks.drain(limit).await;
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.shared.tasks.abort();
    }
}
