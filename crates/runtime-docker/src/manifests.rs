//! Sealed manifests, kept in the label of an empty engine volume: found again by whoever has the key, on any client of
//! the engine, without a container to write a file. A new version gets a volume of its own before the old one goes.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bollard::models::{Volume, VolumeCreateRequest};
use bollard::query_parameters::{ListVolumesOptionsBuilder, RemoveVolumeOptions};
use iono_primitives::LeaseId;
use iono_runtime::RuntimeError;
use iono_runtime::api::MAX_SEALED_MANIFEST;
use iono_telemetry::fail_point;

use crate::engine::{or_gone, sort};
use crate::inner::Inner;
use crate::labels;

const SEALED: &str = "network.ionosphere.sealed";
const VERSION: &str = "network.ionosphere.version";

fn version(volume: &Volume) -> u64 {
    volume.labels.get(VERSION).and_then(|version| version.parse().ok()).unwrap_or(0)
}

impl Inner {
    /// Manifest volumes, the newest first.
    async fn manifest_volumes(&self, lease: Option<LeaseId>) -> Result<Vec<Volume>, RuntimeError> {
        let mut filters = self.names.filter(lease);
        filters.entry("label".to_owned()).or_default().push(labels::of_kind("manifest"));
        let options = ListVolumesOptionsBuilder::default().filters(&filters).build();
        let listed = self.engine.docker()?.list_volumes(Some(options)).await.map_err(sort)?;
        let mut volumes = listed.volumes.unwrap_or_default();
        volumes.sort_by_key(|volume| std::cmp::Reverse(version(volume)));
        Ok(volumes)
    }

    /// The leases of which a manifest is stored.
    pub(crate) async fn manifests(&self) -> Result<Vec<LeaseId>, RuntimeError> {
        let volumes = self.manifest_volumes(None).await?;
        Ok(volumes.iter().filter_map(|volume| labels::lease_of(&volume.labels)).collect())
    }

    /// See [`iono_runtime::Runtime::store_manifest`].
    pub(crate) async fn store_manifest(&self, lease: LeaseId, sealed: &[u8]) -> Result<(), RuntimeError> {
        if sealed.len() > MAX_SEALED_MANIFEST {
            let text = format!(
                "the sealed manifest has {} bytes, at most {MAX_SEALED_MANIFEST} are kept",
                sealed.len()
            );
            return Err(RuntimeError::Refused(text));
        }
        let text = BASE64_STANDARD.encode(sealed);
        let old = self.manifest_volumes(Some(lease)).await?;
        if old.len() == 1 && old[0].labels.get(SEALED) == Some(&text) {
            return Ok(());
        }
        let next = old.first().map_or(0, version) + 1;
        let mut labels = self.names.labels(lease, "manifest");
        labels.extend([(SEALED.to_owned(), text), (VERSION.to_owned(), next.to_string())]);
        let name = Some(self.names.manifest(lease, next));
        let request = VolumeCreateRequest { name, labels: Some(labels), ..Default::default() };
        self.engine.docker()?.create_volume(request).await.map_err(sort)?;
        fail_point("docker.after_manifest");
        self.remove_all(&old).await
    }

    /// See [`iono_runtime::Runtime::load_manifest`].
    pub(crate) async fn load_manifest(&self, lease: LeaseId) -> Result<Option<Vec<u8>>, RuntimeError> {
        let volumes = self.manifest_volumes(Some(lease)).await?;
        let Some(text) = volumes.first().and_then(|volume| volume.labels.get(SEALED)) else {
            return Ok(None);
        };
        let broken = |_| RuntimeError::Engine(format!("the stored manifest of lease {lease} is damaged"));
        BASE64_STANDARD.decode(text).map(Some).map_err(broken)
    }

    /// Removes the stored manifest of a lease.
    pub(crate) async fn remove_manifest(&self, lease: LeaseId) -> Result<(), RuntimeError> {
        let volumes = self.manifest_volumes(Some(lease)).await?;
        self.remove_all(&volumes).await
    }

    async fn remove_all(&self, volumes: &[Volume]) -> Result<(), RuntimeError> {
        for volume in volumes {
            or_gone(self.engine.docker()?.remove_volume(&volume.name, None::<RemoveVolumeOptions>).await)?;
        }
        Ok(())
    }
}
