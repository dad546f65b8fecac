//! Bodies on their way through: a request's body that can be offered to a second replica as long as nothing of it was
//! sent, and an answer's body that keeps its replica from being drained. Both end when they stall.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};

use crate::backend::InFlight;

/// Why a body ended before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the request's body is larger than the service allows")]
    TooLarge,
    #[error("no byte came for {0:?}")]
    Stalled(Duration),
    #[error("the body was sent to another replica already")]
    Spent,
    #[error(transparent)]
    Broken(#[from] hyper::Error),
}

/// A body that ends when its sender is waited for too long. Time in which nobody reads it does not count.
struct Timed {
    body: Incoming,
    limit: Duration,
    sleep: Pin<Box<Sleep>>,
    waiting: bool,
}

impl Timed {
    fn new(body: Incoming, limit: Duration) -> Self {
        Self { body, limit, sleep: Box::pin(tokio::time::sleep(limit)), waiting: false }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(frame) => {
                self.waiting = false;
                Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Broken)))
            }
            Poll::Pending => {
                if !self.waiting {
                    self.waiting = true;
                    self.sleep.as_mut().reset(Instant::now() + self.limit);
                }
                ready!(std::future::Future::poll(self.sleep.as_mut(), cx));
                Poll::Ready(Some(Err(BodyError::Stalled(self.limit))))
            }
        }
    }
}

/// What the attempts to send one request share.
pub(crate) struct Upload {
    slot: Mutex<Option<Incoming>>,
    max_bytes: u64,
    send_timeout: Duration,
    too_large: AtomicBool,
    started: AtomicBool,
    born: Instant,
    active_at: AtomicU64,
}

impl Upload {
    pub(crate) fn new(body: Incoming, max_bytes: u64, send_timeout: Duration) -> Arc<Self> {
        Arc::new(Self {
            slot: Mutex::new(Some(body)),
            max_bytes,
            send_timeout,
            too_large: AtomicBool::new(false),
            started: AtomicBool::new(false),
            born: Instant::now(),
            active_at: AtomicU64::new(0),
        })
    }

    /// Whether part of it may have reached a replica.
    pub(crate) fn started(&self) -> bool {
        self.started.load(SeqCst)
    }

    /// Whether it was cut off for its size.
    pub(crate) fn too_large(&self) -> bool {
        self.too_large.load(SeqCst)
    }

    /// Returns when nothing of the body has moved for `limit`.
    pub(crate) async fn silent_for(&self, limit: Duration) {
        loop {
            let active = self.born + Duration::from_millis(self.active_at.load(SeqCst));
            let until = active.max(self.born) + limit;
            if Instant::now() >= until {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }

    /// Counts the silence from now on.
    pub(crate) fn touch(&self) {
        let millis = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.active_at.store(millis, SeqCst);
    }

    /// The body for one attempt.
    pub(crate) fn attempt(self: &Arc<Self>) -> Attempt {
        Attempt { upload: Arc::clone(self), taken: None, sent: 0 }
    }

    fn look<T>(&self, with: impl FnOnce(Option<&Incoming>) -> T) -> T {
        with(self.slot.lock().unwrap_or_else(PoisonError::into_inner).as_ref())
    }
}

/// A request's body in one attempt; takes the real one when the connection stands and asks for it.
pub(crate) struct Attempt {
    upload: Arc<Upload>,
    taken: Option<Timed>,
    sent: u64,
}

impl Body for Attempt {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if this.taken.is_none() {
            let body = this.upload.slot.lock().unwrap_or_else(PoisonError::into_inner).take();
            let Some(body) = body else { return Poll::Ready(Some(Err(BodyError::Spent))) };
            this.upload.started.store(true, SeqCst);
            this.taken = Some(Timed::new(body, this.upload.send_timeout));
        }
        let Some(timed) = this.taken.as_mut() else { return Poll::Ready(None) };
        let frame = ready!(timed.poll(cx));
        this.upload.touch();
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            this.sent = this.sent.saturating_add(u64::try_from(data.len()).unwrap_or(u64::MAX));
            if this.sent > this.upload.max_bytes {
                this.upload.too_large.store(true, SeqCst);
                return Poll::Ready(Some(Err(BodyError::TooLarge)));
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.taken {
            Some(timed) => timed.body.is_end_stream(),
            None => self.upload.look(|body| body.is_some_and(Body::is_end_stream)),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.taken {
            Some(timed) => timed.body.size_hint(),
            None => self.upload.look(|body| body.map(Body::size_hint).unwrap_or_default()),
        }
    }
}

/// What an answer holds on to until its last byte is out.
pub(crate) struct Hold {
    pub(crate) _replica: InFlight,
    pub(crate) _permit: OwnedSemaphorePermit,
}

/// An answer's body: a replica's, or a few words of the router itself.
pub(crate) enum Download {
    Replica { body: Box<TimedBody>, _hold: Hold },
    Own(Full<Bytes>),
}

/// A replica's body with its deadline.
pub(crate) struct TimedBody(Timed);

impl Download {
    pub(crate) fn replica(body: Incoming, limit: Duration, hold: Hold) -> Self {
        Self::Replica { body: Box::new(TimedBody(Timed::new(body, limit))), _hold: hold }
    }

    pub(crate) fn own(text: String) -> Self {
        Self::Own(Full::from(text))
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Replica { body, .. } => body.0.poll(cx),
            Self::Own(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Replica { body, .. } => body.0.body.is_end_stream(),
            Self::Own(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Replica { body, .. } => body.0.body.size_hint(),
            Self::Own(body) => body.size_hint(),
        }
    }
}
