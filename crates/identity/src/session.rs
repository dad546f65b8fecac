//! An open shell or stream and the right behind it: when the lease closes, changes hands or the delegate is revoked,
//! the session ends at once. A chain that does not answer ends nothing: unknown is not gone.

use std::time::Duration;

use iono_primitives::LeaseId;
use tokio::sync::watch;

use crate::{Authenticator, Caller, Need, Refusal, unix_now};

/// How often the right is checked without a sign of change: a delegation runs out by time alone.
const RECHECK: Duration = Duration::from_secs(30);

/// A right that is watched. Made by [`Authenticator::session`].
#[derive(Debug)]
pub struct Session {
    authenticator: Authenticator,
    caller: Caller,
    lease: LeaseId,
    need: Need,
    changes: watch::Receiver<u64>,
}

impl Session {
    pub(crate) fn new(
        authenticator: Authenticator,
        caller: Caller,
        lease: LeaseId,
        need: Need,
        changes: watch::Receiver<u64>,
    ) -> Self {
        Self { authenticator, caller, lease, need, changes }
    }

    /// Waits until the right ends and says why. Never returns a transient refusal. Cancel safe.
    pub async fn ended(&mut self) -> Refusal {
        loop {
            let wait =
                RECHECK.min(self.authenticator.time_left(&self.caller, unix_now()) + Duration::from_secs(1));
            tokio::select! {
                changed = self.changes.changed() => {
                    if changed.is_err() {
                        // The view of the chain is gone, as at shutdown: the clock goes on.
                        tokio::time::sleep(wait).await;
                    }
                }
                () = tokio::time::sleep(wait) => {}
            }
            let check = self.authenticator.check_again(&self.caller, self.lease, self.need, unix_now());
            match check.await {
                Err(refusal) if !refusal.is_transient() => return refusal,
                Err(refusal) => {
                    tracing::warn!(lease = %self.lease, %refusal, "an open session cannot be checked; it is kept");
                }
                Ok(()) => {}
            }
        }
    }
}
