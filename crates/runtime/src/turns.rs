//! One change of a lease at a time, and word to those who wait that the lease is being removed.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use iono_primitives::LeaseId;
use tokio::sync::{OwnedMutexGuard, watch};

/// The right to change leases.
#[derive(Debug, Default)]
pub struct Turns {
    locks: Mutex<HashMap<LeaseId, Arc<tokio::sync::Mutex<()>>>>,
    closing: watch::Sender<HashSet<LeaseId>>,
}

impl Turns {
    fn locks(&self) -> MutexGuard<'_, HashMap<LeaseId, Arc<tokio::sync::Mutex<()>>>> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The right to change a lease.
    pub async fn take(&self, lease: LeaseId) -> OwnedMutexGuard<()> {
        let own = Arc::clone(self.locks().entry(lease).or_default());
        own.lock_owned().await
    }

    /// The right to change a lease, if nobody has it.
    pub fn try_take(&self, lease: LeaseId) -> Option<OwnedMutexGuard<()>> {
        Arc::clone(self.locks().entry(lease).or_default()).try_lock_owned().ok()
    }

    /// The right to remove a lease; those who wait for it to become ready are told to stop.
    pub async fn take_to_remove(&self, lease: LeaseId) -> Removal<'_> {
        self.closing.send_modify(|leases| {
            leases.insert(lease);
        });
        let mut removal = Removal { turns: self, lease, turn: None };
        removal.turn = Some(self.take(lease).await);
        removal
    }

    /// Whether a lease is being removed.
    #[must_use]
    pub fn is_closing(&self, lease: LeaseId) -> bool {
        self.closing.borrow().contains(&lease)
    }

    /// Returns when the lease is being removed.
    pub async fn closing(&self, lease: LeaseId) {
        // The sender lives as long as this does.
        let _ = self.closing.subscribe().wait_for(|leases| leases.contains(&lease)).await;
    }

    /// Forgets a lease.
    pub fn forget(&self, lease: LeaseId) {
        // Whoever waits for the lock keeps it alive by itself.
        self.locks().retain(|id, own| *id != lease || Arc::strong_count(own) > 2);
    }
}

/// The right to remove a lease; it is over when this is dropped.
#[derive(Debug)]
pub struct Removal<'a> {
    turns: &'a Turns,
    lease: LeaseId,
    turn: Option<OwnedMutexGuard<()>>,
}

impl Drop for Removal<'_> {
    fn drop(&mut self) {
        self.turns.closing.send_modify(|leases| {
            leases.remove(&self.lease);
        });
        self.turn = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_removal_waits_for_its_turn_and_tells_those_who_wait() {
        let (turns, lease) = (Arc::new(Turns::default()), LeaseId(1));
        let turn = turns.take(lease).await;
        assert!(turns.try_take(lease).is_none() && turns.try_take(LeaseId(2)).is_some());
        let waiting = Arc::clone(&turns);
        let removal = tokio::spawn(async move {
            let _removal = waiting.take_to_remove(lease).await;
            assert!(waiting.is_closing(lease) && waiting.try_take(lease).is_none());
        });
        turns.closing(lease).await;
        drop(turn);
        removal.await.unwrap();
        assert!(!turns.is_closing(lease) && turns.try_take(lease).is_some());
    }
}
