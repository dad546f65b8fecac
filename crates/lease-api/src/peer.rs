//! A TLS connection as its requests see it, and how connections are accepted: counted, with their client certificate
//! examined once, and closed when they say nothing.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Extension;
use axum::middleware::AddExtension;
use axum_server::accept::Accept;
use futures::future::BoxFuture;
use iono_identity::authenticate::Claim;
use iono_identity::{Authenticator, Refusal};
use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::Layer as _;

use crate::light::{LightNodes, asked_for};

/// How long a refused connection may stay to read why.
const FAREWELL: Duration = Duration::from_secs(1);
/// How many bytes a refused connection may still send.
const FAREWELL_BYTES: u64 = 64 * 1024;

/// Who is connected. Cheap to clone; lives as long as the connection.
#[derive(Clone)]
pub(crate) struct Peer(Arc<Connection>);

struct Connection {
    address: SocketAddr,
    certificate: Option<CertificateDer<'static>>,
    claim: OnceLock<Result<Claim, Refusal>>,
    _permit: OwnedSemaphorePermit,
}

impl Peer {
    pub(crate) fn address(&self) -> SocketAddr {
        self.0.address
    }

    pub(crate) fn certificate(&self) -> Option<&[u8]> {
        self.0.certificate.as_deref()
    }

    /// What the client certificate claims; the costly part of the check, done once per connection.
    pub(crate) fn claim(&self, authenticator: &Authenticator) -> Result<&Claim, Refusal> {
        self.0.claim.get_or_init(|| authenticator.examine(self.certificate())).as_ref().map_err(Clone::clone)
    }
}

/// The TLS key of new connections; replaced while the server runs when the provider changes its pin.
#[derive(Clone)]
pub(crate) struct Tls(Arc<RwLock<TlsAcceptor>>);

impl Tls {
    pub(crate) fn new(config: rustls::ServerConfig) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(config).into())))
    }

    pub(crate) fn replace(&self, config: rustls::ServerConfig) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config).into();
    }

    fn acceptor(&self) -> TlsAcceptor {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Takes TCP connections through the TLS handshake.
#[derive(Clone)]
pub(crate) struct Acceptor {
    tls: Tls,
    connections: Arc<Semaphore>,
    patience: Duration,
    light_nodes: Option<Arc<dyn LightNodes>>,
}

impl Acceptor {
    pub(crate) fn new(
        tls: Tls,
        connections: usize,
        patience: Duration,
        light_nodes: Option<Arc<dyn LightNodes>>,
    ) -> Self {
        Self { tls, connections: Arc::new(Semaphore::new(connections)), patience, light_nodes }
    }
}

impl<S: Send + 'static> Accept<TcpStream, S> for Acceptor {
    type Stream = FirstWord<TlsStream<TcpStream>>;
    type Service = AddExtension<S, Peer>;
    type Future = BoxFuture<'static, io::Result<(Self::Stream, Self::Service)>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let Self { tls, connections, patience, light_nodes } = self.clone();
        Box::pin(async move {
            let permit = connections.try_acquire_owned().map_err(|_| {
                tracing::warn!("connection refused: as many as allowed are open");
                io::Error::other("too many connections")
            })?;
            stream.set_nodelay(true)?;
            let address = stream.peer_addr()?;
            if let Some(light_nodes) = light_nodes
                && let Some(fizz) = tokio::time::timeout(patience, asked_for(&stream)).await??
            {
                // The tunnel counts those that it carries.
                drop(permit);
                light_nodes.carry(fizz, stream, address).await;
                return Err(io::Error::other("carried on to a light node"));
            }
            let stream =
                match tokio::time::timeout(patience, tls.acceptor().accept(stream).into_fallible()).await? {
                    Ok(stream) => stream,
                    Err((error, stream)) => {
                        tracing::debug!(%address, %error, "TLS handshake failed");
                        linger(stream).await;
                        return Err(error);
                    }
                };
            let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            let peer = Peer(Arc::new(Connection {
                address,
                certificate: certificate.map(|certificate| certificate.clone().into_owned()),
                claim: OnceLock::new(),
                _permit: permit,
            }));
            Ok((FirstWord::new(stream, patience), Extension(peer).layer(service)))
        })
    }
}

/// Lets the client read the alert that says why: closing with bytes unread would reset the connection before that.
async fn linger(mut stream: TcpStream) {
    let rest = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(FAREWELL_BYTES), &mut tokio::io::sink()).await
    };
    let _ = tokio::time::timeout(FAREWELL, rest).await;
}

/// A stream that fails when its first bytes do not come in time. From then on HTTP has time limits of its own.
pub(crate) struct FirstWord<T> {
    stream: T,
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<T> FirstWord<T> {
    fn new(stream: T, patience: Duration) -> Self {
        Self { stream, waiting: Some(Box::pin(tokio::time::sleep(patience))) }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for FirstWord<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let read = Pin::new(&mut this.stream).poll_read(cx, buf);
        if read.is_ready() {
            this.waiting = None;
        } else if let Some(waiting) = &mut this.waiting {
            std::task::ready!(Future::poll(waiting.as_mut(), cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for FirstWord<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn silence_ends_a_connection_but_only_at_first() {
        let (ours, theirs) = tokio::io::duplex(64);
        let mut silent = FirstWord::new(ours, Duration::from_millis(50));
        let error = silent.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        drop(theirs);

        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut talking = FirstWord::new(ours, Duration::from_millis(50));
        theirs.write_u8(1).await.unwrap();
        assert_eq!(talking.read_u8().await.unwrap(), 1);
        let later = async {
            tokio::time::sleep(Duration::from_millis(150)).await;
            theirs.write_u8(2).await
        };
        let (read, _) = tokio::join!(talking.read_u8(), later);
        assert_eq!(read.unwrap(), 2);
    }
}
