//! Visitors and the service that they visit. The service's protocol: the first byte says what the visitor wants, and bytes
//! flow after a second one: all visitors are there then, and nobody's beginning waits for another's flood.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use iono_testkit::eventually;
use iono_testkit::lab::Namespace;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Give me bytes for ever.
const DOWN: u8 = b'D';
/// Take bytes for ever.
const UP: u8 = b'U';
/// An HTTP request begins with it; its answer has [`BODY`] bytes.
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: service\r\nconnection: close\r\n\r\n";
const BODY: usize = 1_024;
/// Until bytes flow evenly, with [`RAMP_TRIPS`] ways there and back for slow start.
const RAMP: Duration = Duration::from_millis(350);
const RAMP_TRIPS: u32 = 5;
/// A visitor that got no answer so long has found no tunnel.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the service to the visitor.
    Down,
    /// From the visitor to the service.
    Up,
}

#[derive(Default)]
struct Counts {
    /// Bytes that came from visitors.
    taken: AtomicU64,
    /// Visitors that are here.
    open: AtomicUsize,
}

/// The service, on the client's side.
pub(crate) struct Service {
    counts: Arc<Counts>,
    runtime: Option<Runtime>,
}

impl Service {
    /// Serves at `address`.
    pub(crate) fn start(namespace: &Namespace, address: SocketAddr) -> Result<Self> {
        let runtime = namespace.runtime()?;
        let counts = Arc::new(Counts::default());
        let counters = Arc::clone(&counts);
        let listener = namespace.run(|| runtime.block_on(TcpListener::bind(address)))?;
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let counts = Arc::clone(&counters);
                counts.open.fetch_add(1, Relaxed);
                tokio::spawn(async move {
                    // Visitors come and go.
                    let _ = serve(stream, &counts.taken).await;
                    counts.open.fetch_sub(1, Relaxed);
                });
            }
        });
        Ok(Self { counts, runtime: Some(runtime) })
    }

    /// Waits until its visitors have gone and nothing of theirs is under way any more.
    pub(crate) async fn quiet(&self) -> Result<()> {
        let counts = &self.counts;
        let gone = || async { (counts.open.load(Relaxed) == 0).then_some(()) };
        eventually("the end of all transfers", PATIENCE, gone).await
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn serve(mut stream: TcpStream, taken: &AtomicU64) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; 256 * 1024];
    let count = stream.read(&mut buffer).await?;
    match buffer[..count].first() {
        Some(&DOWN) => {
            stream.read_exact(&mut buffer[..1]).await?;
            loop {
                stream.write_all(&buffer).await?;
            }
        }
        Some(&UP) => loop {
            let count = stream.read(&mut buffer).await?;
            if count == 0 {
                return Ok(());
            }
            taken.fetch_add(count as u64, Relaxed);
        },
        _ => {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {BODY}\r\nconnection: close\r\n\r\n");
            let answer = [head.as_bytes(), &[b'x'; BODY]].concat();
            stream.write_all(&answer).await?;
            Ok(stream.shutdown().await?)
        }
    }
}

/// Visitors of one address, on the gateway's side.
pub(crate) struct Visitors {
    runtime: Option<Runtime>,
    address: SocketAddr,
}

impl Drop for Visitors {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Visitors {
    pub(crate) fn new(namespace: &Namespace, address: SocketAddr) -> Result<Self> {
        Ok(Self { runtime: Some(namespace.runtime()?), address })
    }

    /// Runs on a thread of the namespace.
    async fn inside<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        let runtime = self.runtime.as_ref().context("ended")?;
        runtime.spawn(work).await?
    }

    /// Seconds until a request is answered.
    pub(crate) async fn served(&self) -> Result<f64> {
        let address = self.address;
        self.inside(async move {
            let start = Instant::now();
            while start.elapsed() < PATIENCE {
                if let Ok(Ok(())) = tokio::time::timeout(Duration::from_secs(2), request(address)).await {
                    return Ok(start.elapsed().as_secs_f64());
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            // At least so long: what comes later is not waited for.
            Ok(PATIENCE.as_secs_f64())
        })
        .await
    }

    /// Seconds until `streams` visitors are all at the service, and after a ramp their bytes a second for `length`.
    pub(crate) async fn throughput(
        &self,
        service: &Service,
        way: Way,
        streams: usize,
        round_trip: Duration,
        length: Duration,
    ) -> Result<[f64; 2]> {
        let (address, counts) = (self.address, Arc::clone(&service.counts));
        self.inside(async move {
            let got = Arc::new(AtomicU64::new(0));
            let mut tasks = JoinSet::new();
            let came = Instant::now();
            let (go, begun) = watch::channel(());
            for _ in 0..streams {
                let (got, begun) = (Arc::clone(&got), begun.clone());
                tasks.spawn(async move { transfer(address, way, &got, begun).await });
            }
            let all = || async { (counts.open.load(Relaxed) >= streams).then_some(()) };
            eventually("all visitors at the service", PATIENCE, all).await?;
            let arrival = came.elapsed().as_secs_f64();
            go.send(())?;
            tokio::time::sleep(RAMP + round_trip * RAMP_TRIPS).await;
            let counter = if way == Way::Down { &got } else { &counts.taken };
            let (start, before) = (Instant::now(), counter.load(Relaxed));
            tokio::time::sleep(length).await;
            let bytes = counter.load(Relaxed) - before;
            let seconds = start.elapsed().as_secs_f64();
            // Of connections that broke: why?
            while let Some(ended) = tasks.try_join_next() {
                ended??;
            }
            #[allow(clippy::cast_precision_loss)]
            Ok([arrival, bytes as f64 / seconds])
        })
        .await
    }

    /// Latencies in seconds of the requests that `visitors` make one after the other, each over a new connection.
    pub(crate) async fn requests(&self, visitors: usize, length: Duration) -> Result<Vec<f64>> {
        let address = self.address;
        self.inside(async move {
            let start = Instant::now();
            let mut tasks = JoinSet::new();
            for _ in 0..visitors {
                tasks.spawn(async move {
                    let mut latencies = Vec::new();
                    while start.elapsed() < length {
                        let began = Instant::now();
                        request(address).await?;
                        latencies.push(began.elapsed().as_secs_f64());
                    }
                    anyhow::Ok(latencies)
                });
            }
            let mut all = Vec::new();
            while let Some(latencies) = tasks.join_next().await {
                all.extend(latencies??);
            }
            Ok(all)
        })
        .await
    }
}

async fn transfer(
    address: SocketAddr,
    way: Way,
    got: &AtomicU64,
    mut begun: watch::Receiver<()>,
) -> Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let mut buffer = vec![0; 256 * 1024];
    stream.write_all(&[if way == Way::Down { DOWN } else { UP }]).await?;
    begun.changed().await?;
    match way {
        Way::Down => {
            stream.write_all(&[DOWN]).await?;
            loop {
                let count = stream.read(&mut buffer).await?;
                ensure!(count > 0, "the tunnel closed a download");
                got.fetch_add(count as u64, Relaxed);
            }
        }
        Way::Up => {
            // What is not sent when the time is over need not be.
            stream.set_zero_linger()?;
            loop {
                stream.write_all(&buffer).await?;
            }
        }
    }
}

async fn request(address: SocketAddr) -> Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(REQUEST).await?;
    let mut answer = Vec::with_capacity(2 * BODY);
    stream.read_to_end(&mut answer).await?;
    ensure!(answer.len() > BODY && answer.starts_with(b"HTTP/1.1 200"), "a wrong answer");
    Ok(())
}
