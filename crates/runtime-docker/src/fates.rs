//! The starts and exits of each container, and why it ended.
//!
//! An exit with 137 is a SIGKILL, and the engine may say only later that the kernel sent it for want of memory. Such an
//! exit stays open for a moment: it is told when its reason is known, or when the time for that is over.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use iono_runtime::{Exit, ExitReason};
use tokio::sync::oneshot;

use crate::oom;

/// 128 + SIGKILL.
pub(crate) const KILLED: i64 = 137;
/// How much later than the exit the engine may say that it was for want of memory; 0.4 s were seen with twenty kills at
/// once on two cores.
const LATE: Duration = Duration::from_secs(2);

/// The starts and exits of one container.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fate {
    pub(crate) restarts: u32,
    pub(crate) exits: u32,
    pub(crate) last_exit: Option<Exit>,
    /// Milliseconds since 1970.
    pub(crate) started_at: Option<u64>,
    /// In this run a process of it was killed for want of memory.
    pub(crate) out_of_memory: bool,
    /// In this run the engine was asked to kill it.
    pub(crate) killed: bool,
    /// It wrote more than it may, and is being stopped for it.
    pub(crate) over_quota: bool,
    /// Newest record of the kernel's log that is accounted for.
    pub(crate) kernel: u64,
}

/// An exit whose reason is not known yet.
#[derive(Debug)]
pub(crate) struct Doubt {
    id: String,
    exit: Exit,
    /// Which exit of the container it is.
    nth: u32,
    late: oneshot::Receiver<()>,
}

#[derive(Debug, Default)]
struct State {
    fates: HashMap<String, Fate>,
    /// By container, which exit is open, and who waits to hear that it was for want of memory.
    open: HashMap<String, (u32, Option<oneshot::Sender<()>>)>,
}

/// What is known of all containers.
#[derive(Debug, Default)]
pub(crate) struct Fates(Mutex<State>);

impl Fates {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a container.
    pub(crate) fn get(&self, id: &str) -> Option<Fate> {
        self.lock().fates.get(id).cloned()
    }

    /// Whether the reason of its last exit is not known yet.
    pub(crate) fn is_open(&self, id: &str) -> bool {
        self.lock().open.contains_key(id)
    }

    /// Notes what the engine tells about a container that is not known yet.
    pub(crate) fn learn(&self, id: &str, fate: Fate) {
        self.lock().fates.entry(id.to_owned()).or_insert(fate);
    }

    /// Notes that a container is being stopped for its disk use: its exit, when that comes, has this reason.
    pub(crate) fn over_quota(&self, id: &str) {
        self.lock().fates.entry(id.to_owned()).or_default().over_quota = true;
    }

    /// Forgets a container.
    pub(crate) fn forget(&self, id: &str) {
        let mut state = self.lock();
        state.fates.remove(id);
        state.open.remove(id);
    }

    /// Forgets all of them.
    pub(crate) fn forget_all(&self) {
        *self.lock() = State::default();
    }

    /// Notes a start; true when it is not the first one.
    pub(crate) fn started(&self, id: &str, at: u64) -> bool {
        let mut state = self.lock();
        let fate = state.fates.entry(id.to_owned()).or_default();
        (fate.out_of_memory, fate.killed) = (false, false);
        fate.restarts += u32::from(fate.started_at.is_some());
        fate.started_at.replace(at).is_some()
    }

    /// Notes that the engine was asked to kill a container.
    pub(crate) fn killed(&self, id: &str) {
        self.lock().fates.entry(id.to_owned()).or_default().killed = true;
    }

    /// Notes that a process was killed for want of memory: of the run whose end is open, or else of this one.
    pub(crate) fn out_of_memory(&self, id: &str) {
        let mut state = self.lock();
        let waiting = state.open.get_mut(id).and_then(|(_, waiting)| waiting.take());
        if waiting.is_none_or(|waiting| waiting.send(()).is_err()) {
            state.fates.entry(id.to_owned()).or_default().out_of_memory = true;
        }
    }

    /// Notes an exit; `Err` when its reason is in doubt.
    pub(crate) fn ended(&self, id: &str, code: i64, at: u64) -> Result<Exit, Doubt> {
        let mut state = self.lock();
        let fate = state.fates.entry(id.to_owned()).or_default();
        fate.exits += 1;
        let stopped = fate.over_quota;
        let reason = match code {
            _ if stopped => ExitReason::DiskQuota,
            _ if fate.out_of_memory => ExitReason::OutOfMemory,
            0 => ExitReason::Completed,
            _ => ExitReason::Failed,
        };
        let exit = Exit { code, reason, at };
        if code == KILLED && !stopped && !fate.killed {
            let ((sender, late), nth) = (oneshot::channel(), fate.exits);
            // An older exit that is still open hears no more, and is closed as it is.
            state.open.insert(id.to_owned(), (nth, Some(sender)));
            return Err(Doubt { id: id.to_owned(), exit, nth, late });
        }
        fate.last_exit = Some(exit.clone());
        Ok(exit)
    }

    /// Waits for the reason of an exit.
    pub(crate) async fn settle(&self, doubt: Doubt) -> Exit {
        let Doubt { id, mut exit, nth, late } = doubt;
        let newest = oom::newest(&id).await;
        let logged = self.lock().fates.get_mut(&id).is_some_and(|fate| {
            let before = fate.kernel;
            fate.kernel = before.max(newest);
            newest > before
        });
        let told = async { matches!(tokio::time::timeout(LATE, late).await, Ok(Ok(()))) };
        if logged || exit.reason == ExitReason::OutOfMemory || told.await {
            exit.reason = ExitReason::OutOfMemory;
        }
        let mut state = self.lock();
        if state.open.get(&id).is_some_and(|(open, _)| *open == nth) {
            state.open.remove(&id);
            if let Some(fate) = state.fates.get_mut(&id) {
                fate.last_exit = Some(exit.clone());
            }
        }
        exit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(ended: Result<Exit, Doubt>) -> ExitReason {
        ended.unwrap().reason
    }

    #[tokio::test]
    async fn the_engine_may_tell_before_or_after_the_exit() {
        let fates = Fates::default();
        fates.started("before", 1);
        fates.out_of_memory("before");
        let doubt = fates.ended("before", KILLED, 2).unwrap_err();
        assert_eq!(fates.settle(doubt).await.reason, ExitReason::OutOfMemory);
        assert_eq!(fates.get("before").unwrap().last_exit.unwrap().reason, ExitReason::OutOfMemory);

        fates.started("after", 1);
        let doubt = fates.ended("after", KILLED, 2).unwrap_err();
        assert!(fates.is_open("after") && fates.get("after").unwrap().last_exit.is_none());
        let late = async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            // The next run has begun meanwhile, and has nothing to do with it.
            fates.started("after", 3);
            fates.out_of_memory("after");
        };
        assert_eq!(tokio::join!(fates.settle(doubt), late).0.reason, ExitReason::OutOfMemory);
        assert!(!fates.is_open("after"));
        assert_eq!(reason(fates.ended("after", 1, 4)), ExitReason::Failed);
    }

    #[tokio::test]
    async fn the_wait_is_bounded_and_a_kill_on_request_needs_none() {
        let fates = Fates::default();
        fates.started("itself", 1);
        let doubt = fates.ended("itself", KILLED, 2).unwrap_err();
        let settled = tokio::time::timeout(LATE * 2, fates.settle(doubt)).await.unwrap();
        assert_eq!((settled.reason, fates.is_open("itself")), (ExitReason::Failed, false));

        fates.started("asked", 1);
        fates.killed("asked");
        assert_eq!(reason(fates.ended("asked", KILLED, 2)), ExitReason::Failed);
        fates.over_quota("filler");
        assert_eq!(reason(fates.ended("filler", KILLED, 3)), ExitReason::DiskQuota);
        assert_eq!(reason(fates.ended("done", 0, 3)), ExitReason::Completed);
    }

    #[tokio::test]
    async fn a_newer_exit_closes_an_older_one() {
        let fates = Fates::default();
        let older = fates.ended("twice", KILLED, 1).unwrap_err();
        let newer = fates.ended("twice", KILLED, 2).unwrap_err();
        fates.out_of_memory("twice");
        assert_eq!(fates.settle(older).await.reason, ExitReason::Failed);
        assert!(fates.is_open("twice"));
        assert_eq!(fates.settle(newer).await.reason, ExitReason::OutOfMemory);
        let fate = fates.get("twice").unwrap();
        assert_eq!((fate.exits, fate.last_exit.unwrap().at), (2, 2));
    }
}
