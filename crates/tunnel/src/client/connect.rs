//! Makes one connection to the gateway.

use std::net::SocketAddr;
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::Shared;
use crate::link::Link;
use crate::read_ahead::ReadAhead;
use crate::wire::{Message, Role};
use crate::{KeepAlive, TunnelError, socket};

/// One of several addresses may be silent; and after an outage a new attempt finds the network sooner than an old one,
/// whose repetitions grow apart.
const ATTEMPT: Duration = Duration::from_secs(3);

/// Connects, shakes hands and says what the connection is for.
pub(super) async fn connect(shared: &Shared, role: Role, keep: KeepAlive) -> Result<Link, TunnelError> {
    let limit = shared.limits.handshake_time;
    timeout(limit, attempt(shared, role, keep)).await.unwrap_or(Err(TunnelError::Slow))
}

async fn attempt(shared: &Shared, role: Role, keep: KeepAlive) -> Result<Link, TunnelError> {
    let stream = reach(&shared.gateway).await?;
    socket::prepare(&stream, keep);
    let peer = stream.peer_addr()?;
    // The pin decides; the name is not looked at, and an address is not sent.
    let tls = shared.connector.connect(ServerName::IpAddress(peer.ip().into()), ReadAhead::new(stream)).await;
    let tls = tls.map_err(|why| TunnelError::Handshake { peer: peer.to_string(), why })?;
    let mut link = Link::new(tls.into())?;
    link.say(&Message::Hello(role)).await?;
    Ok(link)
}

async fn reach(gateway: &str) -> Result<TcpStream, TunnelError> {
    let addresses: Vec<SocketAddr> = lookup_host(gateway).await?.collect();
    let mut last = TunnelError::Slow;
    for address in addresses {
        match timeout(ATTEMPT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error.into(),
            Err(_) => last = TunnelError::Slow,
        }
    }
    Err(last)
}
