//! From a workload to the objects that make it run, in the order in which they are applied.

mod fits;
mod network;
mod pod;
mod room;
mod workload;

use std::collections::{BTreeMap, BTreeSet};

use iono_primitives::LeaseId;
use iono_runtime::{RuntimeError, Workload};
use k8s_openapi::{Metadata, Resource};
use serde::Serialize;
use serde_json::Value;

use crate::names::key;
use crate::{KubernetesConfig, Names};

pub(crate) use pod::{ROUTED, after_restart};

/// One object, as the API server takes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// `v1`, `apps/v1` …
    pub api_version: &'static str,
    /// `Deployment` …
    pub kind: &'static str,
    /// Plural in its URL, such as `deployments`.
    pub plural: &'static str,
    /// `None` for a namespace.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// All of it.
    pub value: Value,
}

/// All objects of a lease.
///
/// # Errors
/// [`RuntimeError::Refused`] when the workload asks for what is not possible here; nothing was made then.
pub fn of(
    config: &KubernetesConfig,
    names: &Names,
    workload: &Workload,
    carried: &Carried,
) -> Result<Vec<Object>, RuntimeError> {
    let scope = Scope { config, names, workload, carried };
    workload.services.iter().try_for_each(fits::check)?;
    let mut objects = room::objects(&scope)?;
    objects.extend(network::objects(&scope)?);
    for service in &workload.services {
        objects.extend(pod::secrets(&scope, service)?);
        objects.extend(network::service(&scope, service)?);
        objects.push(workload::object(&scope, service)?);
    }
    Ok(objects)
}

/// What a lease's objects follow from beside its workload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Carried {
    /// When fresh replicas were asked for, by service.
    pub restarted: BTreeMap<String, String>,
    /// The image with the digest of its first start, by service.
    pub images: BTreeMap<String, String>,
    /// Public blocks that are the cluster's own: not the internet to a lease.
    pub own_blocks: BTreeSet<String>,
}

/// What every part needs.
struct Scope<'a> {
    config: &'a KubernetesConfig,
    names: &'a Names,
    workload: &'a Workload,
    carried: &'a Carried,
}

impl Object {
    /// The label of the pods that it makes, if it makes any.
    pub(crate) fn template(&self) -> Option<&str> {
        self.value.pointer("/spec/template/metadata/labels")?.get(key("template"))?.as_str()
    }

    /// Whether the pods that it makes are asked if they serve.
    pub(crate) fn has_probe(&self) -> bool {
        self.value.pointer("/spec/template/spec/containers/0/readinessProbe").is_some()
    }

    /// One of its annotations.
    pub(crate) fn annotation(&self, name: &str) -> Option<&str> {
        self.value.pointer("/metadata/annotations")?.get(key(name))?.as_str()
    }
}

impl Scope<'_> {
    fn lease(&self) -> LeaseId {
        self.workload.lease
    }

    fn namespace(&self) -> String {
        self.names.namespace(self.lease())
    }

    /// An object with its name, its labels and, unless it is one, its namespace.
    fn object<K>(&self, name: &str, mut object: K) -> Result<Object, RuntimeError>
    where
        K: Resource + Metadata<Ty = k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta> + Serialize,
    {
        let is_namespace = K::KIND == "Namespace";
        let metadata = object.metadata_mut();
        metadata.name = Some(name.to_owned());
        metadata.namespace = (!is_namespace).then(|| self.namespace());
        metadata.labels.get_or_insert_default().extend(self.names.labels(self.lease()));
        let namespace = metadata.namespace.clone();
        let value =
            serde_json::to_value(&object).map_err(|error| RuntimeError::Refused(error.to_string()))?;
        let (api_version, kind, plural) = (K::API_VERSION, K::KIND, K::URL_PATH_SEGMENT);
        Ok(Object { api_version, kind, plural, namespace, name: name.to_owned(), value })
    }
}

#[cfg(test)]
mod tests;
