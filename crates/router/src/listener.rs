//! Accepts connections for HTTP and HTTPS, bounded in number, head size and time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use metrics::{counter, gauge};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Limits;
use crate::proxy::{Peer, Proxy};

/// Accepts until `stop`, with TLS where `tls` is given.
pub(crate) async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    proxy: Arc<Proxy>,
    places: Arc<Semaphore>,
    stop: CancellationToken,
    tasks: TaskTracker,
) {
    loop {
        let accepted = tokio::select! {
            accepted = next(&listener) => accepted,
            () = stop.cancelled() => return,
        };
        let (stream, address) = accepted;
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            counter!("iono_router_refused_total", "reason" => "connections").increment(1);
            continue;
        };
        let connection =
            Connection { proxy: Arc::clone(&proxy), stop: stop.clone(), _place: Place::new(place) };
        tasks.spawn(connection.run(stream, address, tls.clone()));
    }
}

/// The next connection. A failed accept (too many open files) passes; a busy loop on it would not help.
pub(crate) async fn next(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "TCP_NODELAY was refused");
                }
                return (stream, address);
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// A place among the allowed connections, counted while it is held.
struct Place(#[expect(dead_code, reason = "given back when dropped")] OwnedSemaphorePermit);

impl Place {
    fn new(permit: OwnedSemaphorePermit) -> Self {
        gauge!("iono_router_connections").increment(1);
        Self(permit)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        gauge!("iono_router_connections").decrement(1);
    }
}

struct Connection {
    proxy: Arc<Proxy>,
    stop: CancellationToken,
    _place: Place,
}

impl Connection {
    async fn run(self, stream: TcpStream, address: SocketAddr, tls: Option<TlsAcceptor>) {
        let Some(tls) = tls else { return self.serve(stream, Peer { address, tls: None }).await };
        match tokio::time::timeout(self.proxy.limits.header_timeout, tls.accept(stream)).await {
            Ok(Ok(stream)) => {
                let name = stream.get_ref().1.server_name().map(str::to_owned);
                self.serve(stream, Peer { address, tls: Some(name) }).await;
            }
            Ok(Err(error)) => {
                counter!("iono_router_refused_total", "reason" => "tls").increment(1);
                tracing::debug!(%address, %error, "TLS handshake failed");
            }
            Err(_) => counter!("iono_router_refused_total", "reason" => "tls").increment(1),
        }
    }

    async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(self, stream: S, peer: Peer) {
        let proxy = Arc::clone(&self.proxy);
        let service = service_fn(move |request| Arc::clone(&proxy).serve(request, peer.clone()));
        let builder = server(&self.proxy.limits);
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = self.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.as_mut().await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "connection ended");
        }
    }
}

fn server(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        // hyper's least is 8 KiB.
        .max_buf_size(limits.header_bytes.max(8 * 1024))
        .max_headers(limits.headers)
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(128)
        .keep_alive_interval(Duration::from_secs(20))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}
