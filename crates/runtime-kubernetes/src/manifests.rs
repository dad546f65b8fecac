//! Sealed manifests, each in a Secret of the provider's own namespace: found again by whoever has the key.

use std::collections::BTreeMap;
use std::time::Duration;

use iono_primitives::LeaseId;
use iono_runtime::RuntimeError;
use iono_runtime::api::MAX_SEALED_MANIFEST;
use iono_telemetry::fail_point;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};

use crate::cluster::{MANAGER, ask, or_gone};
use crate::inner::Inner;
use crate::names::key;

const SEALED: &str = "sealed";
/// How long the cluster may take to tell what it was told.
const TOLD: Duration = Duration::from_secs(30);

impl Inner {
    async fn secrets(&self) -> Result<Api<Secret>, RuntimeError> {
        Ok(Api::namespaced(self.cluster.client().await?, &self.config.namespace))
    }

    fn manifest_of(&self, lease: LeaseId) -> String {
        format!("{}-manifest", self.names.namespace(lease))
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
        self.in_sight().await?;
        let mut labels = self.names.labels(lease);
        labels.insert(key("manifest"), String::new());
        let name = self.manifest_of(lease);
        let secret = Secret {
            metadata: ObjectMeta { name: Some(name.clone()), labels: Some(labels), ..ObjectMeta::default() },
            data: Some(BTreeMap::from([(SEALED.to_owned(), ByteString(sealed.to_vec()))])),
            ..Secret::default()
        };
        let (secrets, params) = (self.secrets().await?, PatchParams::apply(MANAGER).force());
        let patch = Patch::Apply(&secret);
        match ask(secrets.patch(&name, &params, &patch)).await {
            Err(RuntimeError::NotFound(_)) => {
                self.make_own_space().await?;
                ask(secrets.patch(&name, &params, &patch)).await?;
            }
            other => drop(other?),
        }
        fail_point("kubernetes.after_manifest");
        self.wait(lease, "the cluster takes the manifest", TOLD, || {
            self.live.listed(Some(lease)).manifests.contains(&lease)
        })
        .await
    }

    /// The namespace that the provider's own pods would have; a provider outside of the cluster makes it itself.
    async fn make_own_space(&self) -> Result<(), RuntimeError> {
        let spaces: Api<Namespace> = Api::all(self.cluster.client().await?);
        let metadata = ObjectMeta { name: Some(self.config.namespace.clone()), ..ObjectMeta::default() };
        let space = Namespace { metadata, ..Namespace::default() };
        match ask(spaces.create(&PostParams::default(), &space)).await {
            // Somebody else was first.
            Err(RuntimeError::Engine(text)) if text.contains("already exists") => Ok(()),
            other => other.map(drop),
        }
    }

    /// See [`iono_runtime::Runtime::load_manifest`].
    pub(crate) async fn load_manifest(&self, lease: LeaseId) -> Result<Option<Vec<u8>>, RuntimeError> {
        self.in_sight().await?;
        let secret = ask(self.secrets().await?.get_opt(&self.manifest_of(lease))).await?;
        Ok(secret.and_then(|secret| secret.data?.remove(SEALED)).map(|bytes| bytes.0))
    }

    /// Removes the stored manifest of a lease.
    pub(crate) async fn remove_manifest(&self, lease: LeaseId) -> Result<(), RuntimeError> {
        or_gone(ask(self.secrets().await?.delete(&self.manifest_of(lease), &DeleteParams::default())).await)?;
        self.wait(lease, "the stored manifest goes", TOLD, || {
            self.live.listed(Some(lease)).manifests.is_empty()
        })
        .await
    }
}
