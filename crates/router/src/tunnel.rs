//! Copies bytes both ways between two connections until both have ended, or both have been silent for too long.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, copy_bidirectional};
use tokio::time::Instant;

/// Milliseconds since `born` at which a byte was last read on either side.
struct Activity {
    born: Instant,
    at: AtomicU64,
}

impl Activity {
    async fn silent_for(&self, limit: Duration) {
        loop {
            let until = self.born + Duration::from_millis(self.at.load(Relaxed)) + limit;
            if Instant::now() >= until {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }
}

/// A connection whose reads are noticed.
struct Watched<S> {
    inner: S,
    activity: Arc<Activity>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        if polled.is_ready() {
            let millis = u64::try_from(self.activity.born.elapsed().as_millis()).unwrap_or(u64::MAX);
            self.activity.at.store(millis, Relaxed);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// Runs the tunnel; an end of one direction is passed on (half-close) and the other goes on.
pub(crate) async fn run<A, B>(a: A, b: B, idle: Duration)
where
    A: AsyncRead + AsyncWrite + Unpin,
    B: AsyncRead + AsyncWrite + Unpin,
{
    let activity = Arc::new(Activity { born: Instant::now(), at: AtomicU64::new(0) });
    let mut a = Watched { inner: a, activity: Arc::clone(&activity) };
    let mut b = Watched { inner: b, activity: Arc::clone(&activity) };
    tokio::select! {
        // How a connection ends is for its two ends to judge.
        _ = copy_bidirectional(&mut a, &mut b) => {}
        () = activity.silent_for(idle) => {}
    }
}
