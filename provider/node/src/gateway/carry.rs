//! Tenants' connections to light nodes' lease APIs, carried through the tunnel unread: their TLS ends at the light node,
//! whose key the registry has (SP-33).

use std::net::SocketAddr;
use std::sync::Arc;

use futures::future::BoxFuture;
use iono_host::subnet::LEASE_API;
use iono_lease_api::LightNodes;
use iono_primitives::FizzId;
use iono_tunnel::wire::{Open, Purpose};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::Gateway;

/// Carries connections for a gateway.
pub struct Carrier(pub Arc<Gateway>);

impl LightNodes for Carrier {
    fn carry(&self, fizz: FizzId, mut tenant: TcpStream, address: SocketAddr) -> BoxFuture<'static, ()> {
        let gateway = Arc::clone(&self.0);
        Box::pin(async move {
            let pin = gateway.members().get(&fizz).map(|member| member.pin);
            let Some(session) = pin.and_then(|pin| gateway.tunnel.session(pin)) else {
                return tracing::debug!(%fizz, "a tenant asks for a light node that is not here");
            };
            let open = Open { purpose: Purpose::Tcp, service: LEASE_API.to_owned(), visitor: address };
            let token: CancellationToken = gateway.token.child_token();
            tokio::select! {
                carried = session.relay(&open, &mut tenant) => {
                    if let Err(error) = carried {
                        tracing::debug!(%fizz, %error, "a tenant's connection was not carried to its end");
                    }
                }
                () = token.cancelled() => {}
            }
        })
    }
}
