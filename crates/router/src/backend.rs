//! The replicas of one service: which one serves next, what is under way to each, and when a removed one is drained.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

use tokio::sync::{Notify, watch};

/// A replica that refused a connection is passed over for so long, unless it is the only one.
const PENALTY: Duration = Duration::from_secs(1);

/// One replica.
#[derive(Debug)]
pub(crate) struct Backend {
    pub(crate) ip: IpAddr,
    under_way: AtomicUsize,
    retired: AtomicBool,
    changed: Notify,
    failed_at: AtomicU64,
}

/// Something under way to a replica; while it lives the replica is not drained.
#[derive(Debug)]
pub(crate) struct InFlight(pub(crate) Arc<Backend>);

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.0.under_way.fetch_sub(1, SeqCst) == 1 {
            self.0.changed.notify_waiters();
        }
    }
}

impl InFlight {
    /// Returns when the replica was removed from its service.
    pub(crate) async fn retired(&self) {
        loop {
            let changed = self.0.changed.notified();
            if self.0.retired.load(SeqCst) {
                return;
            }
            changed.await;
        }
    }
}

impl Backend {
    fn new(ip: IpAddr) -> Self {
        Self {
            ip,
            under_way: AtomicUsize::new(0),
            retired: AtomicBool::new(false),
            changed: Notify::new(),
            failed_at: AtomicU64::new(0),
        }
    }

    /// Counts up first and looks then, while [`Pool::replace`] marks first and looks then: one of the two sees the
    /// other, so nothing starts unseen on a replica that is about to be stopped.
    fn enter(self: &Arc<Self>) -> Option<InFlight> {
        self.under_way.fetch_add(1, SeqCst);
        let guard = InFlight(Arc::clone(self));
        (!self.retired.load(SeqCst)).then_some(guard)
    }

    async fn drained(&self) {
        loop {
            let changed = self.changed.notified();
            if self.under_way.load(SeqCst) == 0 {
                return;
            }
            changed.await;
        }
    }
}

/// The replicas of one service.
#[derive(Debug)]
pub(crate) struct Pool {
    backends: watch::Sender<Arc<[Arc<Backend>]>>,
    turn: AtomicUsize,
    born: Instant,
}

impl Pool {
    pub(crate) fn new() -> Self {
        Self { backends: watch::Sender::new(Arc::from([])), turn: AtomicUsize::new(0), born: Instant::now() }
    }

    /// From now on these replicas serve. Returns those that no longer do.
    pub(crate) fn replace(&self, replicas: &[IpAddr]) -> Vec<Arc<Backend>> {
        let mut removed = Vec::new();
        self.backends.send_modify(|backends| {
            let next = replicas.iter().map(|ip| {
                let same = backends.iter().find(|backend| backend.ip == *ip);
                same.map_or_else(|| Arc::new(Backend::new(*ip)), Arc::clone)
            });
            let next: Arc<[_]> = next.collect();
            removed = backends.iter().filter(|old| !replicas.contains(&old.ip)).map(Arc::clone).collect();
            *backends = next;
        });
        for backend in &removed {
            backend.retired.store(true, SeqCst);
            backend.changed.notify_waiters();
        }
        removed
    }

    /// Waits until nothing is under way to `removed`, at most for `limit`.
    pub(crate) async fn drain(removed: &[Arc<Backend>], limit: Duration) {
        let all = async {
            for backend in removed {
                backend.drained().await;
            }
        };
        // What is still under way after the limit is cut off when the container stops: that is what the limit means.
        let _ = tokio::time::timeout(limit, all).await;
    }

    /// The replica with the least under way that was not tried yet, or waits up to `hold` for one when there is none.
    pub(crate) async fn acquire(&self, tried: &[IpAddr], hold: Duration) -> Option<InFlight> {
        let mut backends = self.backends.subscribe();
        let wait = async {
            loop {
                let now = Arc::clone(&backends.borrow_and_update());
                if let Some(guard) = self.pick(&now, tried) {
                    return Some(guard);
                }
                // Untried replicas may come while there is nothing that could be tried again.
                if !now.is_empty() && now.iter().all(|backend| tried.contains(&backend.ip)) {
                    return None;
                }
                backends.changed().await.ok()?;
            }
        };
        tokio::time::timeout(hold, wait).await.ok().flatten()
    }

    fn pick(&self, backends: &[Arc<Backend>], tried: &[IpAddr]) -> Option<InFlight> {
        let turn = self.turn.fetch_add(1, SeqCst);
        let count = backends.len();
        let open = (0..count).map(|i| &backends[(turn + i) % count]).filter(|b| !tried.contains(&b.ip));
        let best = open.min_by_key(|b| (self.is_penalised(b), b.under_way.load(SeqCst)))?;
        best.enter()
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }

    fn is_penalised(&self, backend: &Backend) -> bool {
        let failed = backend.failed_at.load(SeqCst);
        failed != 0 && u128::from(self.millis().saturating_sub(failed)) < PENALTY.as_millis()
    }

    /// Notes that a connection to this replica failed.
    pub(crate) fn failed(&self, backend: &Backend) {
        backend.failed_at.store(self.millis(), SeqCst);
    }
}

/// The search of one request or connection for a replica that takes it.
#[derive(Debug)]
pub(crate) struct Search {
    tried: Vec<IpAddr>,
    silent: Vec<IpAddr>,
    tries: usize,
    started: tokio::time::Instant,
    hold: Duration,
}

impl Search {
    /// `hold` is how long it waits for a replica while there is none, and after which it gives up on silent ones.
    pub(crate) fn new(hold: Duration) -> Self {
        let started = tokio::time::Instant::now();
        Self { tried: Vec::new(), silent: Vec::new(), tries: 0, started, hold }
    }

    /// The next replica. When all were tried, those that were silent come again: a service whose queue was full for a
    /// moment has not refused anything.
    pub(crate) async fn next(&mut self, pool: &Pool) -> Option<InFlight> {
        let found = match pool.acquire(&self.tried, self.hold).await {
            None if !self.silent.is_empty() && self.elapsed() < self.hold => {
                self.tried.retain(|ip| !self.silent.contains(ip));
                self.silent.clear();
                pool.acquire(&self.tried, self.hold).await
            }
            found => found,
        }?;
        self.tried.push(found.0.ip);
        self.tries += 1;
        Some(found)
    }

    /// Notes that a replica neither took nor refused the connection in time.
    pub(crate) fn was_silent(&mut self, replica: &Backend) {
        self.silent.push(replica.ip);
    }

    /// How many replicas were tried, each as often as it was.
    pub(crate) fn tries(&self) -> usize {
        self.tries
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    #[tokio::test]
    async fn takes_turns_and_prefers_the_idle() {
        let pool = Pool::new();
        pool.replace(&[ip(1), ip(2)]);
        let first = pool.acquire(&[], Duration::ZERO).await.unwrap();
        let second = pool.acquire(&[], Duration::ZERO).await.unwrap();
        assert_ne!(first.0.ip, second.0.ip);
        pool.failed(&first.0);
        drop((first, second));
        let picks: Vec<_> =
            futures::future::join_all((0..4).map(|_| pool.acquire(&[], Duration::ZERO))).await;
        assert!(picks.iter().flatten().any(|guard| guard.0.ip == ip(2)));
    }

    #[tokio::test]
    async fn drains_when_the_last_guard_goes() {
        let pool = Pool::new();
        pool.replace(&[ip(1)]);
        let guard = pool.acquire(&[], Duration::ZERO).await.unwrap();
        let removed = pool.replace(&[ip(2)]);
        let start = Instant::now();
        let release = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            drop(guard);
        };
        tokio::join!(Pool::drain(&removed, Duration::from_secs(5)), release);
        assert!((Duration::from_millis(50)..Duration::from_secs(1)).contains(&start.elapsed()));
        assert_eq!(pool.acquire(&[], Duration::ZERO).await.unwrap().0.ip, ip(2));
    }

    #[tokio::test]
    async fn holds_until_a_replica_comes() {
        let pool = Pool::new();
        let come = async {
            tokio::time::sleep(Duration::from_millis(30)).await;
            pool.replace(&[ip(9)]);
        };
        let (got, ()) = tokio::join!(pool.acquire(&[], Duration::from_secs(5)), come);
        assert_eq!(got.unwrap().0.ip, ip(9));
        assert!(pool.acquire(&[ip(9)], Duration::from_secs(5)).await.is_none());
    }
}
