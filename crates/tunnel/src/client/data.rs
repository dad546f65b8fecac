//! One data connection at the client: waits for a stream, carries it to its service, waits for the next.

use std::sync::Arc;

use tokio::net::TcpStream;

use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Shared, connect::connect, udp};
use crate::TunnelError;
use crate::link::Link;
use crate::path::Path;
use crate::relay::{self, Terms};
use crate::traffic::Traffic;
use crate::wire::{Kind, MAX_OPEN, Open, Purpose, Reason, Role, WireError};

/// See the file's first lines.
pub(super) struct Data {
    pub(super) shared: Arc<Shared>,
    pub(super) traffic: Arc<Traffic>,
    pub(super) path: Arc<Path>,
    /// The control connection has ended.
    pub(super) over: CancellationToken,
    /// Told of each stream.
    pub(super) began: Arc<Notify>,
    pub(super) _place: OwnedSemaphorePermit,
}

impl Data {
    pub(super) async fn run(self, epoch: u64) {
        let connected = tokio::select! {
            connected = connect(&self.shared, Role::Data { epoch }, self.shared.limits.data) => connected,
            () = self.over.cancelled() => return,
        };
        let ended = match connected {
            Ok(link) => self.serve(link).await,
            Err(error) => Err(error),
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a data connection ended");
        }
    }

    async fn serve(&self, mut link: Link) -> Result<(), TunnelError> {
        loop {
            let (kind, payload) = tokio::select! {
                frame = link.frame(MAX_OPEN) => frame?,
                () = self.over.cancelled() => {
                    link.close().await;
                    return Ok(());
                }
            };
            let open = match kind {
                Kind::Open => Open::decode(&payload)?,
                Kind::End if Reason::is_late(kind, &payload) => continue,
                Kind::Goodbye => return Err(TunnelError::Closed),
                other => return Err(WireError::OutOfPlace(other).into()),
            };
            self.stream(&mut link, &open).await?;
        }
    }

    async fn stream(&self, link: &mut Link, open: &Open) -> Result<(), TunnelError> {
        self.began.notify_one();
        let limits = &self.shared.limits;
        let terms = Terms { traffic: &self.traffic, path: &self.path, limits };
        let Some(target) = (self.shared.services)(open) else {
            return relay::refuse(link, Reason::Unknown, terms).await;
        };
        if open.purpose == Purpose::Udp {
            return udp::carry(link, target, &self.traffic, limits).await;
        }
        let Ok(Ok(mut service)) = timeout(limits.handshake_time, TcpStream::connect(target)).await else {
            return relay::refuse(link, Reason::Refused, terms).await;
        };
        service.set_nodelay(true)?;
        let outcome = relay::run(link, &mut service, &[], terms).await;
        if !matches!(outcome, Ok(outcome) if outcome.theirs == Reason::Finished) {
            // The service must be able to tell "all of it" from "broken off".
            service.set_zero_linger()?;
        }
        outcome.map(|_| ())
    }
}
