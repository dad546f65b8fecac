//! The gate before every request about a lease: identity, rate, right, record; in this order.

use std::sync::Arc;

use http::StatusCode;
use iono_identity::{Authenticator, Caller, Pin, Refusal, Session, unix_now};
use iono_primitives::LeaseId;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::limits::{Meters, StreamPermit};
use crate::peer::Peer;
use crate::{AccessRecord, Action, ApiError, Audit, LeaseService, Limits, Outcome};

/// What every handler shares.
pub(crate) struct Shared {
    pub(crate) service: Arc<dyn LeaseService>,
    pub(crate) authenticator: Authenticator,
    pub(crate) audit: Arc<dyn Audit>,
    pub(crate) limits: Limits,
    pub(crate) meters: Meters,
    pub(crate) draining: CancellationToken,
    /// Shells, which outlive their HTTP connection in hyper's eyes.
    pub(crate) shells: TaskTracker,
}

/// An open stream of a caller: its right is watched, its place is counted, its end recorded.
pub(crate) struct OpenStream {
    session: Session,
    shared: Arc<Shared>,
    record: AccessRecord,
    _permit: StreamPermit,
}

impl Shared {
    /// Lets a request through, or says why not.
    pub(crate) async fn admit(
        &self,
        peer: &Peer,
        lease: LeaseId,
        action: Action,
    ) -> Result<Caller, ApiError> {
        let caller = self.identify(peer, lease, action).await?;
        let right = self.authenticator.authorise(&caller, lease, action.need()).await;
        self.note(peer, lease, action, Some(&caller), &right).await;
        right?;
        Ok(caller)
    }

    /// Lets a stream through, or says why not.
    pub(crate) async fn open(
        self: &Arc<Self>,
        peer: &Peer,
        lease: LeaseId,
        action: Action,
    ) -> Result<OpenStream, ApiError> {
        let caller = self.identify(peer, lease, action).await?;
        let session = self.authenticator.session(&caller, lease, action.need()).await;
        self.note(peer, lease, action, Some(&caller), &session).await;
        let session = session?;
        let permit = self.meters.stream(caller.wallet())?;
        let record = record(peer, lease, action, Some(&caller), Outcome::Allowed);
        Ok(OpenStream { session, shared: Arc::clone(self), record, _permit: permit })
    }

    async fn identify(&self, peer: &Peer, lease: LeaseId, action: Action) -> Result<Caller, ApiError> {
        let admitted = match peer.claim(&self.authenticator) {
            Ok(claim) => self.authenticator.admit(claim, unix_now()).await,
            Err(refusal) => Err(refusal),
        };
        if admitted.is_err() {
            self.note(peer, lease, action, None, &admitted).await;
        }
        let caller = admitted?;
        self.meters.request_by_wallet(caller.wallet())?;
        Ok(caller)
    }

    async fn note<T: Sync>(
        &self,
        peer: &Peer,
        lease: LeaseId,
        action: Action,
        caller: Option<&Caller>,
        result: &Result<T, Refusal>,
    ) {
        let outcome = match result {
            Ok(_) => Outcome::Allowed,
            Err(refusal) => Outcome::Refused(refusal.code().to_owned()),
        };
        self.audit.record(record(peer, lease, action, caller, outcome)).await;
    }
}

impl OpenStream {
    /// Waits until the stream must end: the right ended, or the provider stops. Cancel safe; not to be called again
    /// after it returned.
    pub(crate) async fn ended(&mut self) -> ApiError {
        let refusal = tokio::select! {
            refusal = self.session.ended() => refusal,
            () = self.shared.draining.cancelled() => return ApiError::draining(),
        };
        self.record.at = unix_now();
        self.record.outcome = Outcome::CutOff(refusal.code().to_owned());
        // Not waited for, since a caller that selects may drop this future at any await.
        let (audit, record) = (Arc::clone(&self.shared.audit), self.record.clone());
        tokio::spawn(async move { audit.record(record).await });
        refusal.into()
    }
}

fn record(
    peer: &Peer,
    lease: LeaseId,
    action: Action,
    caller: Option<&Caller>,
    outcome: Outcome,
) -> AccessRecord {
    AccessRecord {
        at: unix_now(),
        peer: peer.address(),
        lease,
        action,
        outcome,
        wallet: caller.map(Caller::wallet),
        account: caller.map(Caller::account),
        key: AccessRecord::key_text(peer.certificate().and_then(Pin::of_certificate)),
    }
}

/// The answer to what takes too long.
pub(crate) fn timed_out() -> ApiError {
    let message = "the provider did not finish in time; what was begun may still go on";
    ApiError::new(StatusCode::GATEWAY_TIMEOUT, "timeout", message, "ask for the status before trying again")
}
