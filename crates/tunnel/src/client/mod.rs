//! The light node's end: keeps one control connection to the gateway, by itself and for ever, and makes the data
//! connections that the gateway asks for.

mod connect;
mod control;
mod data;
mod route;
mod udp;

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use iono_identity::{Pin, ServerIdentity, peer_client_config};
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsConnector;

use crate::tasks::Tasks;
use crate::traffic::Traffic;
use crate::wire::{MAX_MESSAGE, Open, VERSIONS};
use crate::{Limits, TunnelError};

/// Says where a stream goes on this machine: the address of the service that it asks for, or `None` when there is no such
/// service. Asked once per stream, so it must not wait.
pub type Services = Arc<dyn Fn(&Open) -> Option<SocketAddr> + Send + Sync>;

/// What a client needs.
pub struct ClientConfig {
    /// The gateway, as host:port; looked up anew for each connection.
    pub gateway: String,
    /// The gateway's present and next key.
    pub pins: Vec<Pin>,
    /// The light node's key.
    pub identity: ServerIdentity,
    /// Where streams go.
    pub services: Services,
    /// Bounds.
    pub limits: Limits,
}

/// Whether the tunnel stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Connecting, or waiting to.
    Away {
        /// What the last attempt ended with, for the owner.
        why: Option<String>,
    },
    /// Connected.
    Connected {
        /// Names the traffic counters: another number, other counters.
        traffic: u64,
    },
}

/// A running client. Dropping it ends the tunnel at once; [`Client::leave`] says goodbye first.
pub struct Client {
    state: watch::Receiver<State>,
    outbox: mpsc::Sender<Bytes>,
    traffic: watch::Receiver<Arc<Traffic>>,
    tasks: Tasks,
}

struct Shared {
    gateway: String,
    connector: TlsConnector,
    services: Services,
    limits: Limits,
    /// Drawn at start.
    process: u64,
    state: watch::Sender<State>,
    traffic: watch::Sender<Arc<Traffic>>,
    inbox: mpsc::Sender<Bytes>,
    tasks: Tasks,
}

impl Client {
    /// Starts to connect. The gateway's messages come out of the receiver; who does not care drops it.
    ///
    /// # Errors
    /// [`TunnelError::Identity`] when TLS does not accept the key.
    pub fn start(config: ClientConfig) -> Result<(Self, mpsc::Receiver<Bytes>), TunnelError> {
        let protocols = VERSIONS.map(<[u8]>::to_vec).to_vec();
        let tls = peer_client_config(config.pins, &config.identity, protocols)?;
        let (inbox, messages) = mpsc::channel(config.limits.messages);
        let (outbox, outgoing) = mpsc::channel(config.limits.messages);
        let (state_sender, state) = watch::channel(State::Away { why: None });
        let (traffic_sender, traffic) = watch::channel(Arc::default());
        let tasks = Tasks::default();
        let shared = Arc::new(Shared {
            gateway: config.gateway,
            connector: TlsConnector::from(Arc::new(tls)),
            services: config.services,
            limits: config.limits,
            process: rand::random(),
            state: state_sender,
            traffic: traffic_sender,
            inbox,
            tasks: tasks.clone(),
        });
        tasks.spawn(control::run(Arc::clone(&shared), outgoing));
        Ok((Self { state, outbox, traffic, tasks }, messages))
    }

    /// Whether the tunnel stands, and its changes.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Counters, which start anew when the client or the gateway does.
    #[must_use]
    pub fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(&self.traffic.borrow())
    }

    /// Sends a message to the gateway's daemon; it may be lost when the tunnel breaks. It waits while there is no tunnel.
    ///
    /// # Errors
    /// [`TunnelError::MessageTooLong`]; [`TunnelError::Busy`] when too many wait to be sent.
    pub fn send(&self, message: Bytes) -> Result<(), TunnelError> {
        if message.len() > MAX_MESSAGE {
            return Err(TunnelError::MessageTooLong);
        }
        self.outbox.try_send(message).map_err(|_| TunnelError::Busy)
    }

    /// Says goodbye, so that the gateway sends no more visitors, and lets streams end, at most for `limit`.
    pub async fn leave(self, limit: std::time::Duration) {
        self.tasks.drain(limit).await;
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.tasks.abort();
    }
}
