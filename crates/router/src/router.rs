//! The router itself: opens listeners, takes routes and replicas, exchanges them without loss.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use iono_primitives::LeaseId;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backend::Pool;
use crate::proxy::Proxy;
use crate::table::Table;
use crate::{Certificates, HttpOptions, Protocol, Route, RouterConfig, listener, tcp, udp};

/// Why the router could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum RouterError {
    /// A listener cannot be opened.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, std::io::Error),
    /// Another lease has the host, or it was named twice.
    #[error("the host {0} is taken")]
    HostTaken(String),
    /// The port cannot be had.
    #[error("port {0} cannot be used: {1}")]
    PortTaken(u16, String),
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

type Forwards = HashMap<(Protocol, u16), Forward>;

/// An exposed port that is open.
struct Forward {
    lease: LeaseId,
    service: String,
    port: u16,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

/// A running router. It stops when dropped.
pub struct Router {
    config: RouterConfig,
    table: Arc<Table>,
    certificates: Certificates,
    http: Option<SocketAddr>,
    https: Option<SocketAddr>,
    forwards: tokio::sync::Mutex<Forwards>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Drop for Router {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Router {
    /// Opens the listeners; there are no routes yet.
    ///
    /// # Errors
    /// [`RouterError::Listen`], [`RouterError::Tls`].
    pub async fn start(config: RouterConfig) -> Result<Self, RouterError> {
        let certificates = Certificates::default();
        let table = Arc::new(Table::new(config.limits.per_lease));
        let proxy = Arc::new(Proxy::new(
            Arc::clone(&table),
            certificates.clone(),
            config.limits.clone(),
            config.behind,
        ));
        let places = Arc::new(Semaphore::new(config.limits.connections));
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let mut bound = [None, None];
        for (slot, (address, tls)) in bound.iter_mut().zip([(config.http, false), (config.https, true)]) {
            let Some(address) = address else { continue };
            let failed = |error| RouterError::Listen(address, error);
            let listener = TcpListener::bind(address).await.map_err(failed)?;
            *slot = Some(listener.local_addr().map_err(failed)?);
            let tls =
                if tls { Some(TlsAcceptor::from(Arc::new(certificates.server_config()?))) } else { None };
            tasks.spawn(listener::accept(
                listener,
                tls,
                Arc::clone(&proxy),
                Arc::clone(&places),
                stop.clone(),
                tasks.clone(),
            ));
        }
        let [http, https] = bound;
        Ok(Self {
            config,
            table,
            certificates,
            http,
            https,
            forwards: tokio::sync::Mutex::default(),
            stop,
            tasks,
        })
    }

    /// Where HTTP is served.
    #[must_use]
    pub fn http_address(&self) -> Option<SocketAddr> {
        self.http
    }

    /// Where HTTPS is served.
    #[must_use]
    pub fn https_address(&self) -> Option<SocketAddr> {
        self.https
    }

    /// The certificates of the HTTPS listener.
    #[must_use]
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// Whether `host` is served over HTTPS with a certificate that names it.
    #[must_use]
    pub fn is_secure(&self, host: &str) -> bool {
        self.https.is_some() && self.certificates.covers(host)
    }

    /// The routes of a lease.
    #[must_use]
    pub fn routes(&self, lease: LeaseId) -> Vec<Route> {
        self.table.routes(lease)
    }

    /// Sets all routes of a lease in place of earlier ones. Ports that stay are not closed in between; replicas that
    /// are known stay known.
    ///
    /// # Errors
    /// [`RouterError::HostTaken`], [`RouterError::PortTaken`]; nothing is changed then.
    pub async fn set_routes(&self, lease: LeaseId, routes: Vec<Route>) -> Result<(), RouterError> {
        let mut forwards = self.forwards.lock().await;
        self.table.check(lease, &routes)?;
        let mut opened: Forwards = HashMap::new();
        for route in &routes {
            let Route::Port { protocol, listen, service, port } = route else { continue };
            let key = (*protocol, *listen);
            let same = |f: &&Forward| f.lease == lease && f.service == *service && f.port == *port;
            if forwards.get(&key).filter(same).is_some() {
                continue;
            }
            // The lease's own port with another target now: it has to be closed before it can be opened.
            if let Some(old) = forwards.remove(&key) {
                old.close().await;
            }
            match self.open(lease, *protocol, *listen, service, *port).await {
                Ok(forward) => drop(opened.insert(key, forward)),
                Err(error) => {
                    for (_, forward) in opened {
                        forward.close().await;
                    }
                    return Err(error);
                }
            }
        }
        let wanted = |key: &(Protocol, u16)| {
            routes
                .iter()
                .any(|r| matches!(r, Route::Port { protocol, listen, .. } if (*protocol, *listen) == *key))
        };
        let gone: Vec<_> = forwards.extract_if(|key, f| f.lease == lease && !wanted(key)).collect();
        forwards.extend(opened);
        self.table.set(lease, routes);
        for (_, forward) in gone {
            forward.close().await;
        }
        Ok(())
    }

    /// From now on these replicas serve. Returns when nothing is under way any more to replicas that no longer do, or
    /// when `drain` is over.
    pub async fn switch(&self, lease: LeaseId, service: &str, replicas: &[IpAddr], drain: Duration) {
        let removed = self.table.pool(lease, service).replace(replicas);
        Pool::drain(&removed, drain).await;
    }

    /// Takes away all routes of a lease: hosts answer 404, ports are closed, connections to them are cut.
    pub async fn remove(&self, lease: LeaseId) {
        let mut forwards = self.forwards.lock().await;
        self.table.remove(lease);
        let gone: Vec<_> = forwards.extract_if(|_, forward| forward.lease == lease).collect();
        for (_, forward) in gone {
            forward.close().await;
        }
    }

    /// Stops accepting, lets requests under way finish for at most `grace`, and closes.
    pub async fn shutdown(self, grace: Duration) {
        self.stop.cancel();
        self.tasks.close();
        // What is not finished by then is cut off by dropping.
        let _ = tokio::time::timeout(grace, self.tasks.wait()).await;
    }

    async fn open(
        &self,
        lease: LeaseId,
        protocol: Protocol,
        listen: u16,
        service: &str,
        port: u16,
    ) -> Result<Forward, RouterError> {
        let taken = |error: std::io::Error| RouterError::PortTaken(listen, error.to_string());
        let address = SocketAddr::new(self.config.ports_on, listen);
        let target = Arc::new(self.table.target(lease, service, port, HttpOptions::default()));
        let (limits, stop) = (self.config.limits.clone(), self.stop.child_token());
        let task = match protocol {
            Protocol::Tcp => {
                let listener = TcpListener::bind(address).await.map_err(taken)?;
                tokio::spawn(tcp::forward(listener, target, limits, stop.clone()))
            }
            Protocol::Udp => {
                let socket = UdpSocket::bind(address).await.map_err(taken)?;
                tokio::spawn(udp::forward(socket, target, limits, stop.clone()))
            }
        };
        Ok(Forward { lease, service: service.to_owned(), port, stop, task })
    }
}

impl Forward {
    /// Closes the port; it is free when this returns.
    async fn close(self) {
        self.stop.cancel();
        // A task that panicked has let go of the port as well.
        let _ = self.task.await;
    }
}
