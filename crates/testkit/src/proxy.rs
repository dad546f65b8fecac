//! A TCP relay that can be cut: an RPC that is gone for a while, or that fails for some requests alone. Cutting drops the
//! open connections and refuses new ones.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Relays a local port to another.
pub struct Proxy {
    port: u16,
    open: Arc<watch::Sender<bool>>,
    filter: Arc<Filter>,
    task: JoinHandle<()>,
}

/// Which requests do not come through.
#[derive(Default)]
struct Filter {
    refused: Mutex<Option<String>>,
    count: AtomicUsize,
}

impl Proxy {
    /// Relays a new port of 127.0.0.1 to `target` there.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn to(target: u16) -> Result<Self> {
        Self::at([127, 0, 0, 1].into(), target).await
    }

    /// Relays a new port of another address of this machine to `target` of 127.0.0.1.
    ///
    /// # Errors
    /// As [`Proxy::to`].
    pub async fn at(address: IpAddr, target: u16) -> Result<Self> {
        let listener = TcpListener::bind((address, 0)).await?;
        let port = listener.local_addr()?.port();
        let (open, filter) = (Arc::new(watch::Sender::new(true)), Arc::new(Filter::default()));
        let (state, rules) = (open.clone(), filter.clone());
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mut open = state.subscribe();
                if !*open.borrow() {
                    continue; // dropped: the client sees a reset
                }
                let rules = rules.clone();
                tokio::spawn(async move {
                    let Ok(server) = TcpStream::connect(("127.0.0.1", target)).await else { return };
                    let (from_client, mut to_client) = client.into_split();
                    let (mut from_server, to_server) = server.into_split();
                    tokio::select! {
                        () = rules.forward(from_client, to_server) => {}
                        _ = tokio::io::copy(&mut from_server, &mut to_client) => {}
                        _ = open.wait_for(|open| !open) => {}
                    }
                });
            }
        });
        Ok(Self { port, open, filter, task })
    }

    /// The relaying port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The relaying port as an HTTP endpoint.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Drops every connection and refuses new ones.
    pub fn cut(&self) {
        self.open.send_replace(false);
    }

    /// Relays again, everything.
    pub fn restore(&self) {
        self.refuse(None);
        self.open.send_replace(true);
    }

    /// Drops the connection of every request that holds this text, such as a function's selector; others come through.
    pub fn refuse(&self, text: Option<&str>) {
        *self.filter.refused.lock().unwrap_or_else(PoisonError::into_inner) = text.map(str::to_owned);
    }

    /// Requests dropped so far because of what they held.
    #[must_use]
    pub fn refused(&self) -> usize {
        self.filter.count.load(Ordering::Relaxed)
    }
}

impl Filter {
    /// Forwards until the client ends or asks for what is refused.
    async fn forward(&self, mut from: impl AsyncRead + Unpin, mut to: OwnedWriteHalf) {
        let mut chunk = vec![0; 64 << 10];
        while let Ok(size @ 1..) = from.read(&mut chunk).await {
            if self.refuses(&chunk[..size]) {
                self.count.fetch_add(1, Ordering::Relaxed);
                return;
            }
            if to.write_all(&chunk[..size]).await.is_err() {
                return;
            }
        }
    }

    /// Requests of the tests are small: each comes in one piece.
    fn refuses(&self, chunk: &[u8]) -> bool {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.as_ref().is_some_and(|text| String::from_utf8_lossy(chunk).contains(text.as_str()))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
        self.task.abort();
    }
}
