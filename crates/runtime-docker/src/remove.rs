//! Takes a lease away: containers first, its stored manifest last, so that what is left after a crash is still known.

use iono_primitives::LeaseId;
use iono_runtime::RuntimeError;
use iono_telemetry::fail_point;

use crate::inner::Inner;

impl Inner {
    /// See [`iono_runtime::Runtime::remove`].
    pub(crate) async fn remove(&self, lease: LeaseId) -> Result<(), RuntimeError> {
        let _turn = self.turns.take_to_remove(lease).await;
        self.take_away(lease).await
    }

    async fn take_away(&self, lease: LeaseId) -> Result<(), RuntimeError> {
        let containers = self.containers(Some(lease), false).await?;
        self.discard_all(&containers).await?;
        fail_point("docker.mid_remove");
        let bridge = self.names.bridge(lease);
        tokio::try_join!(
            self.remove_network(lease),
            self.guard.dismiss(&bridge),
            self.remove_volumes(lease)
        )?;
        self.remove_secrets(lease)?;
        self.kept.remove(lease)?;
        self.remove_manifest(lease).await?;
        self.forget_lease(lease);
        Ok(())
    }
}
