//! A way to the API server that can be cut, silent or slow.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kube::Config;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

/// What a slow way adds to each direction.
const LATENCY: Duration = Duration::from_millis(200);
/// What passes a slow way in each direction, all connections together.
const BYTES_A_SECOND: u32 = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Open,
    /// Connections are closed, and new ones refused.
    Cut,
    /// Connections are taken and nothing passes; those that were there at such a time are dead for ever.
    Silent,
    Slow,
}

pub(crate) struct Proxy {
    address: SocketAddr,
    way: watch::Sender<Way>,
}

impl Proxy {
    pub(crate) async fn new(to: &Config) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (host, port) = (to.cluster_url.host().unwrap(), to.cluster_url.port_u16().unwrap_or(443));
        let target = tokio::net::lookup_host((host, port)).await.unwrap().next().unwrap();
        let way = watch::Sender::new(Way::Open);
        tokio::spawn(serve(listener, address, target, way.subscribe()));
        Self { address, way }
    }

    /// The same cluster by this way.
    pub(crate) fn config(&self, to: &Config) -> Config {
        let mut config = to.clone();
        let name = to.cluster_url.host().unwrap().to_owned();
        config.cluster_url = format!("https://{}", self.address).parse().unwrap();
        config.tls_server_name = to.tls_server_name.clone().or(Some(name));
        config
    }

    pub(crate) fn set(&self, way: Way) {
        self.way.send_replace(way);
    }
}

async fn serve(mut listener: TcpListener, at: SocketAddr, to: SocketAddr, mut way: watch::Receiver<Way>) {
    let slowness = [Slowness::default(), Slowness::default()];
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted.unwrap();
                tokio::spawn(connection(stream, to, way.clone(), slowness.clone()));
            }
            now = until(&mut way, |way| way == Way::Cut) => {
                drop(listener);
                if now.is_none() || until(&mut way, |way| way != Way::Cut).await.is_none() {
                    return;
                }
                listener = TcpListener::bind(at).await.unwrap();
            }
        }
    }
}

async fn connection(
    mut one: TcpStream,
    to: SocketAddr,
    mut way: watch::Receiver<Way>,
    slowness: [Slowness; 2],
) {
    let forward = async {
        let Ok(mut other) = TcpStream::connect(to).await else { return };
        let ((read, write), (back, reply)) = (one.split(), other.split());
        let [there, here] = slowness;
        tokio::select! {
            () = pump(read, reply, way.clone(), there) => {}
            () = pump(back, write, way.clone(), here) => {}
        }
    };
    let mut ways = way.clone();
    let trouble = tokio::select! {
        biased;
        trouble = until(&mut ways, |way| matches!(way, Way::Cut | Way::Silent)) => trouble,
        () = forward => None,
    };
    if trouble == Some(Way::Silent) {
        until(&mut way, |way| way == Way::Cut).await;
    }
}

/// The way once it is such; `None` when nobody decides on it any more.
async fn until(way: &mut watch::Receiver<Way>, is_such: impl Fn(Way) -> bool) -> Option<Way> {
    way.wait_for(|way| is_such(*way)).await.ok().map(|way| *way)
}

/// When a slow way has room again.
#[derive(Clone, Default)]
struct Slowness(Arc<Mutex<Option<Instant>>>);

impl Slowness {
    /// When so many bytes that come now have arrived.
    fn arrival(&self, bytes: usize) -> Instant {
        let now = Instant::now();
        let mut free = self.0.lock().unwrap();
        let begin = free.map_or(now, |free| free.max(now));
        let end = begin + Duration::from_secs(1) * u32::try_from(bytes).unwrap() / BYTES_A_SECOND;
        *free = Some(end);
        end + LATENCY
    }
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    way: watch::Receiver<Way>,
    slowness: Slowness,
) {
    let (sender, mut pieces) = mpsc::unbounded_channel::<(Instant, Vec<u8>)>();
    let read = async move {
        let mut buffer = vec![0; 4_096];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            let is_slow = *way.borrow() == Way::Slow;
            let due = if is_slow { slowness.arrival(count) } else { Instant::now() };
            drop(sender.send((due, buffer[..count].to_vec())));
        }
    };
    let write = async move {
        while let Some((due, piece)) = pieces.recv().await {
            sleep_until(due).await;
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(read, write);
}
