//! Light nodes behind their provider's endpoint: the name in the TLS handshake says whose lease API is meant, and what
//! follows passes through to it unread (SP-33).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures::future::BoxFuture;
use iono_primitives::FizzId;
use rustls::server::Acceptor;
use tokio::net::TcpStream;

/// What the names end with. It is no name of the DNS; only the provider's endpoint understands it.
const SUFFIX: &str = ".light-node.ionosphere";
/// A TLS client's first message is no longer than this, or its name is not looked for.
const FIRST_MESSAGE: usize = 16 * 1024;
/// How long the rest of a first message is waited for at a time.
const MORE: Duration = Duration::from_millis(5);

/// The name by which a tenant asks for a light node's lease API.
#[must_use]
pub fn light_node_name(fizz: FizzId) -> String {
    format!("fizz-{fizz}{SUFFIX}")
}

/// The light node that a name stands for, if it is one.
#[must_use]
pub fn named_light_node(name: &str) -> Option<FizzId> {
    name.strip_suffix(SUFFIX)?.strip_prefix("fizz-")?.parse().ok().filter(|fizz| *fizz != FizzId(0))
}

/// Carries tenants' connections on to light nodes.
pub trait LightNodes: Send + Sync {
    /// Carries a connection of which nothing was read yet; done when it is over.
    fn carry(&self, fizz: FizzId, tenant: TcpStream, address: SocketAddr) -> BoxFuture<'static, ()>;
}

/// The light node that a connection's first message asks for. It leaves the message unread.
pub(crate) async fn asked_for(tenant: &TcpStream) -> io::Result<Option<FizzId>> {
    let mut bytes = vec![0; FIRST_MESSAGE];
    let mut seen = 0;
    loop {
        let there = tenant.peek(&mut bytes).await?;
        if there == 0 {
            return Ok(None);
        }
        if there == seen {
            tokio::time::sleep(MORE).await;
            continue;
        }
        seen = there;
        let mut acceptor = Acceptor::default();
        acceptor.read_tls(&mut &bytes[..there])?;
        match acceptor.accept() {
            Ok(Some(accepted)) => {
                return Ok(accepted.client_hello().server_name().and_then(named_light_node));
            }
            Ok(None) if there < FIRST_MESSAGE => {}
            // What is no handshake is told so by the server itself.
            Ok(None) | Err(_) => return Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_one_light_node() {
        assert_eq!(named_light_node(&light_node_name(FizzId(12))), Some(FizzId(12)));
        let others = ["provider.example.org", "fizz-0.light-node.ionosphere", "fizz-.light-node.ionosphere"];
        for other in
            others.iter().chain(&["fizz-1.light-node.ionosphere.example", "12.light-node.ionosphere"])
        {
            assert_eq!(named_light_node(other), None, "{other}");
        }
    }
}
