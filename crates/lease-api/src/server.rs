//! Starts and stops the interface on a TCP socket: TLS 1.3, HTTP/1.1 and h2, bounded and drained.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum_server::Handle;
use hyper_util::rt::TokioTimer;
use iono_identity::{Authenticator, IdentityError, ServerIdentity, server_config};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::guard::Shared;
use crate::limits::Meters;
use crate::peer::{Acceptor, Tls};
use crate::{Audit, LeaseService, LightNodes, Limits, routes};

/// How often meters forget who was quiet.
const HOUSEKEEPING: Duration = Duration::from_secs(60);

/// What a server needs.
pub struct LeaseApi {
    /// What is done.
    pub service: Arc<dyn LeaseService>,
    /// Who may.
    pub authenticator: Authenticator,
    /// The record of it.
    pub audit: Arc<dyn Audit>,
    /// Bounds.
    pub limits: Limits,
    /// Carries connections on that ask for a light node; none does where this is left out.
    pub light_nodes: Option<Arc<dyn LightNodes>>,
}

/// The server cannot start or failed.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The TLS key is not usable.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The socket failed.
    #[error("the lease API's socket: {0}")]
    Socket(#[from] std::io::Error),
}

/// A running server. Dropping it lets it run on; [`Server::drain`] stops it.
pub struct Server {
    address: SocketAddr,
    tls: Tls,
    handle: Handle<SocketAddr>,
    shared: Arc<Shared>,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Server {
    /// Serves `api` on a bound socket. Call it within a tokio runtime.
    ///
    /// # Errors
    /// [`ServerError`] when the socket or the key cannot be used.
    pub fn start(
        listener: TcpListener,
        identity: &ServerIdentity,
        api: LeaseApi,
    ) -> Result<Self, ServerError> {
        let LeaseApi { service, authenticator, audit, limits, light_nodes } = api;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let tls = Tls::new(server_config(identity)?);
        let acceptor = Acceptor::new(tls.clone(), limits.connections, limits.header_timeout, light_nodes);
        let header_timeout = limits.header_timeout;
        let shared = Arc::new(Shared {
            service,
            authenticator,
            audit,
            meters: Meters::new(&limits),
            limits,
            draining: CancellationToken::new(),
            shells: TaskTracker::new(),
        });

        let handle = Handle::new();
        let mut server = axum_server::from_tcp(listener)?.acceptor(acceptor).handle(handle.clone());
        let http = server.http_builder();
        http.http1().timer(TokioTimer::new()).header_read_timeout(header_timeout).max_buf_size(64 * 1024);
        http.http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(20))
            .max_concurrent_streams(64)
            .max_header_list_size(64 * 1024);
        let router = routes::router(Arc::clone(&shared));
        let serving = tokio::spawn(server.serve(router.into_make_service()));
        tokio::spawn(housekeeping(Arc::clone(&shared)));
        tracing::info!(%address, pin = %identity.pin(), "lease API listening");
        Ok(Self { address, tls, handle, shared, serving })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Shows another key to new connections; those that are open stay. For a rotation: first the registry gets the new
    /// pin as the next one, then this.
    ///
    /// # Errors
    /// [`ServerError::Identity`] when the key cannot be used.
    pub fn use_identity(&self, identity: &ServerIdentity) -> Result<(), ServerError> {
        self.tls.replace(server_config(identity)?);
        tracing::info!(pin = %identity.pin(), "lease API shows another key");
        Ok(())
    }

    /// Waits until it fails; for a supervisor.
    ///
    /// # Errors
    /// [`ServerError::Socket`] when accepting failed.
    pub async fn failed(&mut self) -> Result<(), ServerError> {
        match (&mut self.serving).await {
            Ok(result) => Ok(result?),
            Err(error) => Err(std::io::Error::other(error).into()),
        }
    }

    /// Takes no more connections, ends streams and shells with a word, and waits for requests under way until
    /// `deadline` has passed.
    pub async fn drain(self, deadline: Duration) {
        self.shared.draining.cancel();
        self.shared.shells.close();
        self.handle.graceful_shutdown(Some(deadline));
        let _ = tokio::time::timeout(deadline, self.shared.shells.wait()).await;
        // Ends at the deadline by itself.
        let _ = self.serving.await;
    }
}

async fn housekeeping(shared: Arc<Shared>) {
    let mut every = tokio::time::interval(HOUSEKEEPING);
    loop {
        tokio::select! {
            _ = every.tick() => shared.meters.forget_quiet(),
            () = shared.draining.cancelled() => return,
        }
    }
}
