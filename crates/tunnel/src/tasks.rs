//! The tasks of one end, and their two endings: no new ones while those under way finish, and at once.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// See the file's first lines. Clones stand for the same tasks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tasks {
    /// No new peers, visitors or streams.
    pub(crate) stop: CancellationToken,
    /// Everything ends.
    abort: CancellationToken,
    tracker: TaskTracker,
}

impl Tasks {
    /// Runs until it is done or everything ends.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tracker.spawn(self.abort.clone().run_until_cancelled_owned(task));
    }

    /// Begins no more and waits until what is under way has ended, at most for `limit`.
    pub(crate) async fn drain(&self, limit: Duration) {
        self.stop.cancel();
        self.tracker.close();
        if tokio::time::timeout(limit, self.tracker.wait()).await.is_err() {
            tracing::warn!(?limit, "streams of the tunnel are cut off: they did not end in time");
        }
    }

    /// Ends everything.
    pub(crate) fn abort(&self) {
        self.stop.cancel();
        self.abort.cancel();
    }
}
