//! An orderly end: SIGTERM or SIGINT asks every task to finish what it has in hand, and a deadline bounds the wait.

use std::future::Future;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Shared by all tasks of a daemon; cheap to clone.
#[derive(Clone, Default)]
pub struct Shutdown {
    token: CancellationToken,
    tasks: TaskTracker,
}

impl Shutdown {
    /// Ends only when [`Shutdown::begin`] is called.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins at the first SIGTERM or SIGINT; the second ends the process at once with status 130.
    ///
    /// # Errors
    /// When the signals cannot be watched.
    pub fn on_signals() -> std::io::Result<Self> {
        let shutdown = Self::new();
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let token = shutdown.token.clone();
        tokio::spawn(async move {
            for first in [true, false] {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                if first {
                    tracing::info!("asked to end; finishing what is in hand");
                    token.cancel();
                }
            }
            tracing::warn!("asked to end again; ending at once");
            std::process::exit(130);
        });
        Ok(shutdown)
    }

    /// Cancelled when the end begins.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Asks every task to end.
    pub fn begin(&self) {
        self.token.cancel();
    }

    /// Whether the end has begun.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Runs a task that [`Shutdown::drain`] waits for. A task that panics begins the end: a daemon that lost a part is
    /// restarted by its supervisor rather than left half alive.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let token = self.token.clone();
        let inner = tokio::spawn(task);
        self.tasks.spawn(async move {
            if let Err(error) = inner.await
                && error.is_panic()
            {
                tracing::error!(task = name, "a task panicked; ending");
                token.cancel();
            }
        });
    }

    /// Waits until the end begins and then, at most `deadline`, for all tasks. True when all ended in time.
    pub async fn drain(&self, deadline: Duration) -> bool {
        self.token.cancelled().await;
        self.tasks.close();
        let drained = tokio::time::timeout(deadline, self.tasks.wait()).await.is_ok();
        if !drained {
            tracing::warn!(tasks = self.tasks.len(), ?deadline, "some tasks did not end in time");
        }
        drained
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waits_for_tasks_but_not_for_ever() {
        let shutdown = Shutdown::new();
        let token = shutdown.token();
        shutdown.spawn("polite", async move { token.cancelled().await });
        shutdown.begin();
        assert!(shutdown.drain(Duration::from_secs(5)).await);

        let shutdown = Shutdown::new();
        shutdown.spawn("stuck", std::future::pending());
        shutdown.begin();
        assert!(!shutdown.drain(Duration::from_millis(20)).await);
    }

    #[tokio::test]
    async fn a_panic_begins_the_end() {
        let shutdown = Shutdown::new();
        shutdown.spawn("broken", async { panic!("on purpose") });
        assert!(shutdown.drain(Duration::from_secs(5)).await);
    }
}
