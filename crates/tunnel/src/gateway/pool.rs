//! The data connections of one light node: which are idle, who waits for one, how many more to ask for.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use crate::link::Link;
use crate::path::Path;
use crate::{Limits, TunnelError};

/// Connections that were asked for and have not come after this are asked for again.
const PATIENCE: Duration = Duration::from_secs(3);

/// See the file's first lines.
pub(super) struct Pool {
    inner: Mutex<Inner>,
    /// Somebody may want more connections, or more are idle than are needed.
    pub(super) wanted: Notify,
    limits: Arc<Limits>,
    path: Arc<Path>,
}

#[derive(Default)]
struct Inner {
    idle: Vec<Link>,
    waiting: VecDeque<oneshot::Sender<Carrier>>,
    /// Idle and busy ones.
    total: usize,
    asked: usize,
    asked_at: Option<Instant>,
    /// The fewest that were idle since the last [`Pool::trim`]: so many were not needed.
    spare: usize,
    closed: bool,
}

/// A data connection in use. Dropped, it is closed; [`Carrier::give_back`] keeps it.
pub(super) struct Carrier {
    link: Option<Link>,
    pool: Arc<Pool>,
}

impl Carrier {
    pub(super) fn link(&mut self) -> Result<&mut Link, TunnelError> {
        self.link.as_mut().ok_or(TunnelError::Closed)
    }

    /// What is known of the path that it takes.
    pub(super) fn path(&self) -> Arc<Path> {
        Arc::clone(&self.pool.path)
    }

    /// For the next stream.
    pub(super) fn give_back(mut self) {
        if let Some(link) = self.link.take() {
            Pool::offer(&self.pool, link);
        }
    }
}

impl Drop for Carrier {
    fn drop(&mut self) {
        if self.link.is_some() {
            self.pool.lock().total -= 1;
            self.pool.wanted.notify_one();
        }
    }
}

impl Pool {
    pub(super) fn new(limits: Arc<Limits>) -> Arc<Self> {
        Arc::new(Self { inner: Mutex::default(), wanted: Notify::new(), limits, path: Arc::default() })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Most data connections at a time.
    pub(super) fn most(limits: &Limits) -> usize {
        limits.streams + limits.ready
    }

    /// Takes in a new connection; gives it back when there are enough or the client is gone.
    pub(super) fn add(self: &Arc<Self>, link: Link) -> Option<Link> {
        {
            let mut inner = self.lock();
            inner.asked = inner.asked.saturating_sub(1);
            if inner.closed || inner.total >= Self::most(&self.limits) {
                return Some(link);
            }
            inner.total += 1;
        }
        Self::offer(self, link);
        None
    }

    /// To the first who still waits, or to the idle ones.
    fn offer(pool: &Arc<Self>, link: Link) {
        let mut inner = pool.lock();
        if inner.closed {
            inner.total -= 1;
            return;
        }
        let mut carrier = Carrier { link: Some(link), pool: Arc::clone(pool) };
        while let Some(waiter) = inner.waiting.pop_front() {
            match waiter.send(carrier) {
                Ok(()) => return,
                Err(back) => carrier = back,
            }
        }
        // Not dropped as a carrier: that would count it out under the lock that is held.
        if let Some(link) = carrier.link.take() {
            inner.idle.push(link);
            if inner.idle.len() == pool.limits.ready + 1 {
                pool.wanted.notify_one();
            }
        }
    }

    /// Whether more are idle than are kept ready: [`Self::trim`] has something to look at.
    pub(super) fn has_surplus(&self) -> bool {
        self.lock().idle.len() > self.limits.ready
    }

    /// A connection for a stream: the one used last that is not stuck, or the next that comes.
    pub(super) async fn take(self: &Arc<Self>) -> Result<Carrier, TunnelError> {
        let receiver = {
            let mut inner = self.lock();
            if inner.closed {
                return Err(TunnelError::Away);
            }
            for at in (0..inner.idle.len()).rev() {
                if inner.idle[at].is_stuck() {
                    continue; // it may come to again
                }
                let mut link = inner.idle.remove(at);
                if !link.is_fresh() {
                    inner.total -= 1;
                    continue;
                }
                inner.spare = inner.spare.min(inner.idle.len());
                if inner.idle.len() < self.limits.ready {
                    self.wanted.notify_one();
                }
                return Ok(Carrier { link: Some(link), pool: Arc::clone(self) });
            }
            inner.spare = 0;
            inner.waiting.retain(|waiter| !waiter.is_closed());
            if inner.total >= self.limits.streams || inner.waiting.len() >= self.limits.waiting {
                return Err(TunnelError::Busy);
            }
            let (sender, receiver) = oneshot::channel();
            inner.waiting.push_back(sender);
            receiver
        };
        self.wanted.notify_one();
        match timeout(self.limits.wait, receiver).await {
            Ok(Ok(carrier)) => Ok(carrier),
            Ok(Err(_)) => Err(TunnelError::Away),
            Err(_) => Err(TunnelError::NoConnection),
        }
    }

    /// How many connections to ask the client for now; they count as asked for.
    pub(super) fn shortage(&self) -> u16 {
        let mut inner = self.lock();
        if inner.asked_at.is_none_or(|at| at.elapsed() > PATIENCE) {
            inner.asked = 0;
        }
        let wanted = (inner.waiting.len() + self.limits.ready).saturating_sub(inner.idle.len() + inner.asked);
        let room = Self::most(&self.limits).saturating_sub(inner.total + inner.asked);
        let count = wanted.min(room);
        if count > 0 {
            inner.asked += count;
            inner.asked_at = Some(Instant::now());
        }
        u16::try_from(count).unwrap_or(u16::MAX)
    }

    /// Takes out dead connections and half of those that nobody needed since the last time, for the caller to close.
    pub(super) fn trim(&self) -> Vec<Link> {
        let mut inner = self.lock();
        let before = inner.idle.len();
        inner.idle.retain_mut(Link::is_fresh);
        let dead = before - inner.idle.len();
        let surplus = inner.spare.min(inner.idle.len()).saturating_sub(self.limits.ready).div_ceil(2);
        inner.total -= dead + surplus;
        // The first ones were idle for longest.
        let closing: Vec<Link> = inner.idle.drain(..surplus).collect();
        inner.idle.shrink_to_fit();
        inner.spare = inner.idle.len();
        closing
    }

    /// The client is gone: nobody gets anything from here any more.
    pub(super) fn close(&self) -> Vec<Link> {
        let mut inner = self.lock();
        inner.closed = true;
        inner.waiting.clear();
        inner.total -= inner.idle.len();
        std::mem::take(&mut inner.idle)
    }
}
