//! Files into and out of replicas, as tar archives.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use bollard::query_parameters::{DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder};
use futures::stream::{StreamExt, TryStreamExt};
use iono_primitives::LeaseId;
use iono_runtime::{ByteStream, RuntimeError};

use crate::engine::sort;
use crate::inner::Inner;

impl Inner {
    /// See [`iono_runtime::Runtime::copy_in`].
    pub(crate) async fn copy_in(
        &self,
        lease: LeaseId,
        service: &str,
        replica: Option<u32>,
        path: &str,
        archive: ByteStream,
    ) -> Result<(), RuntimeError> {
        let container = self.running(lease, service, replica).await?;
        // Whatever its target, an archive beyond all disk that the replica has can only be a mistake or an attack.
        let volumes = self.applied(lease).and_then(|workload| {
            let service = workload.services.iter().find(|known| known.name == service)?;
            Some(service.volumes.iter().map(|volume| u64::from(volume.size_mib) << 20).sum::<u64>())
        });
        let most = container.quota.saturating_add(volumes.unwrap_or(u64::MAX));
        let sent = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&sent);
        let body = archive.map_err(std::io::Error::other).and_then(move |bytes| {
            let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            let total = counted.fetch_add(length, SeqCst).saturating_add(length);
            let fits = total <= most;
            std::future::ready(if fits { Ok(bytes) } else { Err(std::io::Error::other("too large")) })
        });
        let options =
            UploadToContainerOptionsBuilder::default().path(path).no_overwrite_dir_non_dir("true").build();
        let docker = self.engine.docker()?;
        let result =
            docker.upload_to_container(&container.id, Some(options), bollard::body_try_stream(body)).await;
        if sent.load(SeqCst) > most {
            let text = format!("the archive is larger than the replica's disk of {} MiB", most >> 20);
            return Err(RuntimeError::Refused(text));
        }
        result.map_err(sort)
    }

    /// See [`iono_runtime::Runtime::copy_out`].
    pub(crate) async fn copy_out(
        &self,
        lease: LeaseId,
        service: &str,
        replica: Option<u32>,
        path: &str,
    ) -> Result<ByteStream, RuntimeError> {
        let container = self.running(lease, service, replica).await?;
        let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
        let mut stream =
            self.engine.docker()?.download_from_container(&container.id, Some(options)).map_err(sort).boxed();
        // The first piece tells whether the path is there.
        let first = stream.try_next().await?;
        Ok(futures::stream::iter(first.map(Ok)).chain(stream).boxed())
    }
}
