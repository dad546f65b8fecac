//! A port at the gateway whose visitors are carried to a light node's service. It stays while the light node is away;
//! visitors are then turned away at once.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::accept::{Crowd, next};
use super::{Gateway, Session, udp};
use crate::TunnelError;
use crate::wire::{Open, Purpose, Reason};

/// An exposed port; dropping it closes the port and ends its streams.
pub struct Exposure {
    address: SocketAddr,
    _stop: DropGuard,
}

impl Exposure {
    /// Where visitors come.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Gateway {
    /// Carries the visitors of `listener` to the light node's `service`.
    ///
    /// # Errors
    /// [`TunnelError::BadService`], and [`TunnelError::Io`] when the listener has no address.
    pub fn expose_tcp(
        &self,
        session: Arc<Session>,
        listener: TcpListener,
        service: &str,
    ) -> Result<Exposure, TunnelError> {
        self.expose(session, listener, service, self.shared.limits.streams_per_visitor)
    }

    /// As [`Self::expose_tcp`], for a port that only a proxy of this machine reaches, which has one address for all of its
    /// visitors and bounds them itself.
    ///
    /// # Errors
    /// As of [`Self::expose_tcp`].
    pub fn expose_to_proxy(
        &self,
        session: Arc<Session>,
        listener: TcpListener,
        service: &str,
    ) -> Result<Exposure, TunnelError> {
        self.expose(session, listener, service, self.shared.limits.streams)
    }

    fn expose(
        &self,
        session: Arc<Session>,
        listener: TcpListener,
        service: &str,
        each: usize,
    ) -> Result<Exposure, TunnelError> {
        let address = listener.local_addr()?;
        let open = Open { purpose: Purpose::Tcp, service: service.to_owned(), visitor: address };
        open.frame().ok_or(TunnelError::BadService)?;
        let stop = self.shared.tasks.stop.child_token();
        let ended = CancellationToken::new();
        let visitors = Visitors {
            session,
            open,
            ended: ended.clone(),
            // More than this neither get a stream nor wait for one.
            places: Arc::new(Semaphore::new(self.shared.limits.streams + self.shared.limits.waiting)),
            crowd: Arc::default(),
            each,
        };
        let shared = Arc::clone(&self.shared);
        self.shared.tasks.spawn(async move {
            loop {
                let stream = tokio::select! {
                    stream = next(&listener) => stream,
                    () = stop.cancelled() => return,
                    () = visitors.ended.cancelled() => return,
                };
                if let Some(task) = visitors.admit(stream) {
                    shared.tasks.spawn(task);
                }
            }
        });
        Ok(Exposure { address, _stop: ended.drop_guard() })
    }

    /// Carries the datagrams that come to `socket` to the light node's `service`, and its answers back.
    ///
    /// # Errors
    /// [`TunnelError::BadService`], and [`TunnelError::Io`] when the socket has no address.
    pub fn expose_udp(
        &self,
        session: Arc<Session>,
        socket: UdpSocket,
        service: &str,
    ) -> Result<Exposure, TunnelError> {
        let address = socket.local_addr()?;
        let open = Open { purpose: Purpose::Udp, service: service.to_owned(), visitor: address };
        let frame = open.frame().ok_or(TunnelError::BadService)?;
        let stop = self.shared.tasks.stop.child_token();
        let ended = CancellationToken::new();
        let (cut, limits) = (ended.clone(), Arc::clone(&self.shared.limits));
        self.shared.tasks.spawn(async move {
            tokio::select! {
                () = udp::serve(session, socket, frame, limits) => {}
                () = stop.cancelled() => {}
                () = cut.cancelled() => {}
            }
        });
        Ok(Exposure { address, _stop: ended.drop_guard() })
    }
}

/// The visitors of one port.
struct Visitors {
    session: Arc<Session>,
    open: Open,
    ended: CancellationToken,
    places: Arc<Semaphore>,
    crowd: Arc<Crowd>,
    each: usize,
}

impl Visitors {
    /// What serves the visitor; `None` for one too many, whose connection is closed.
    fn admit(&self, mut stream: TcpStream) -> Option<impl Future<Output = ()> + Send + 'static> {
        let visitor = stream.peer_addr().ok()?;
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let guest = self.crowd.enter(visitor.ip(), self.each)?;
        // Without it, small answers wait for more.
        stream.set_nodelay(true).ok()?;
        let (session, ended) = (Arc::clone(&self.session), self.ended.clone());
        let open = Open { visitor, ..self.open.clone() };
        Some(async move {
            let _kept = (place, guest);
            let outcome = tokio::select! {
                outcome = session.relay(&open, &mut stream) => outcome,
                () = ended.cancelled() => return,
            };
            match outcome {
                Ok(outcome) if outcome.theirs == Reason::Finished => {}
                // A visitor must be able to tell "all of it" from "broken off".
                Ok(_) => reset(&stream),
                Err(error) => {
                    reset(&stream);
                    tracing::debug!(%visitor, service = open.service, %error, "a visitor was not served to the end");
                }
            }
        })
    }
}

/// When the connection is dropped now, its other end sees a reset.
pub(crate) fn reset(stream: &TcpStream) {
    if let Err(error) = stream.set_zero_linger() {
        tracing::debug!(%error, "a connection ends without a reset");
    }
}
