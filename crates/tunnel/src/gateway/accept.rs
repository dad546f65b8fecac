//! Accepts light nodes' connections: few handshakes at a time, few from one address, all within a time, and nothing is
//! kept of who does not get through.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{Shared, control, session::Session};
use crate::link::Link;
use crate::read_ahead::ReadAhead;
use crate::wire::{Farewell, Kind, Message, Role, WireError};
use crate::{TunnelError, socket};

/// Most bytes of the first frame.
const MAX_HELLO: usize = 9;
/// What a client that is not admitted should wait, in seconds.
const NOT_ADMITTED: u16 = 30;

/// Accepts until the gateway stops.
pub(super) async fn run(shared: Arc<Shared>, listener: TcpListener) {
    let places = Arc::new(Semaphore::new(shared.limits.handshakes));
    let crowd = Arc::new(Crowd::default());
    loop {
        let stream = tokio::select! {
            stream = next(&listener) => stream,
            () = shared.tasks.stop.cancelled() => return,
        };
        let Ok(address) = stream.peer_addr() else { continue };
        let Some(guest) = crowd.enter(address.ip(), shared.limits.handshakes_per_address) else { continue };
        // Others wait in the kernel's queue, which is bounded too.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let task_shared = Arc::clone(&shared);
        shared.tasks.spawn(async move {
            let limit = task_shared.limits.handshake_time;
            let greeted = timeout(limit, greet(&task_shared, stream)).await.unwrap_or(Err(TunnelError::Slow));
            drop((guest, place));
            match greeted {
                Ok((link, role)) => admit(task_shared, link, role).await,
                Err(error) => tracing::debug!(%address, %error, "no light node"),
            }
        });
    }
}

/// The next connection. A failed accept (too many open files) passes; a busy loop on it would not help.
pub(super) async fn next(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Handshake and first frame.
async fn greet(shared: &Shared, stream: TcpStream) -> Result<(Link, Role), TunnelError> {
    socket::prepare(&stream, shared.limits.data);
    let peer = stream.peer_addr()?.to_string();
    let tls = shared.acceptor.accept(ReadAhead::new(stream)).await;
    let tls = tls.map_err(|why| TunnelError::Handshake { peer, why })?;
    let mut link = Link::new(tls.into())?;
    match link.message(MAX_HELLO).await? {
        Message::Hello(role) => Ok((link, role)),
        _ => Err(WireError::OutOfPlace(Kind::Hello).into()),
    }
}

/// Who it is decides what becomes of the connection.
async fn admit(shared: Arc<Shared>, mut link: Link, role: Role) {
    let pin = link.pin();
    let refusal = match ((shared.admission)(pin), role) {
        (None, _) => (Farewell::Starting, 0),
        (Some(false), _) => (Farewell::NotAdmitted, NOT_ADMITTED),
        (Some(true), Role::Control { process }) => match session(&shared, pin) {
            Some(session) => {
                socket::prepare(link.tls.get_ref().0.tcp(), shared.limits.control);
                return control::serve(shared, session, link, process).await;
            }
            None => (Farewell::Full, NOT_ADMITTED),
        },
        (Some(true), Role::Data { epoch }) => {
            let pool = shared.sessions().get(&pin).and_then(|session| session.pool_of(epoch));
            match pool.map(|pool| pool.add(link)) {
                Some(Some(back)) => {
                    link = back;
                    (Farewell::Full, 1)
                }
                // It was taken in; or its epoch is over, and the client knows or will.
                Some(None) | None => return,
            }
        }
    };
    // It may be gone already.
    let _ = control::goodbye(&mut link, refusal.0, refusal.1).await;
    link.close().await;
}

/// The session of a light node, a new one as long as there is room.
fn session(shared: &Shared, pin: iono_identity::Pin) -> Option<Arc<Session>> {
    let mut sessions = shared.sessions();
    if let Some(known) = sessions.get(&pin) {
        return Some(Arc::clone(known));
    }
    if sessions.len() >= shared.limits.clients {
        return None;
    }
    let new = Session::new(pin, Arc::clone(&shared.limits));
    sessions.insert(pin, Arc::clone(&new));
    Some(new)
}

/// How many are here from each address; a network of IPv6 (/64) counts as one.
#[derive(Debug, Default)]
pub(super) struct Crowd(Mutex<HashMap<IpAddr, usize>>);

/// One of them, until dropped.
pub(super) struct Guest {
    crowd: Arc<Crowd>,
    address: IpAddr,
}

impl Crowd {
    /// `None` when `limit` are here already.
    pub(super) fn enter(self: &Arc<Self>, ip: IpAddr, limit: usize) -> Option<Guest> {
        let address = match ip.to_canonical() {
            IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX)).into(),
            v4 @ IpAddr::V4(_) => v4,
        };
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= limit {
            return None;
        }
        *count += 1;
        Some(Guest { crowd: Arc::clone(self), address })
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut counts = self.crowd.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}
