//! An open shell or stream and the right behind it: when the lease closes, changes hands or the delegate is revoked,
//! the session ends at once. A chain that does not answer ends nothing: unknown is not gone.

use std::time::Duration;

use iono_primitives::LeaseId;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::{Authenticator, Caller, Need, Refusal, unix_now};

/// How often the right is checked without a sign of change: a delegation runs out by time alone.
const RECHECK: Duration = Duration::from_secs(30);

/// A right that is watched, by a task of its own so that a busy stream cannot put the check off. Made by
/// [`Authenticator::session`].
#[derive(Debug)]
pub struct Session(AbortOnDropHandle<Refusal>);

impl Session {
    pub(crate) fn watch(
        authenticator: Authenticator,
        caller: Caller,
        lease: LeaseId,
        need: Need,
        mut changes: watch::Receiver<u64>,
    ) -> Self {
        Self(AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                wait(&mut changes, authenticator.time_left(&caller, unix_now())).await;
                match authenticator.check_again(&caller, lease, need, unix_now()).await {
                    Err(refusal) if !refusal.is_transient() => return refusal,
                    Err(refusal) => {
                        tracing::warn!(%lease, %refusal, "an open session cannot be checked; it is kept");
                    }
                    Ok(()) => {}
                }
            }
        })))
    }

    /// Waits until the right ends and says why; never a transient refusal. Cancel safe, but not to be called again
    /// after it returned.
    pub async fn ended(&mut self) -> Refusal {
        match (&mut self.0).await {
            Ok(refusal) => refusal,
            Err(_) => Refusal::Unreachable("this provider is shutting down".to_owned()),
        }
    }
}

/// Until something changed, the authorisation ends, or it is time to look again.
async fn wait(changes: &mut watch::Receiver<u64>, time_left: Duration) {
    let pause = tokio::time::sleep(RECHECK.min(time_left + Duration::from_secs(1)));
    tokio::select! {
        Ok(()) = changes.changed() => {}
        () = pause => {}
    }
}
