//! The API server: which cluster it is, how it is asked, and what its refusals mean.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use iono_runtime::{RuntimeError, failed};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Client, Config};
use tokio::sync::OnceCell;

use crate::objects::Object;

/// Who the API server knows our fields by: all of them, so that what we no longer say goes.
pub(crate) const MANAGER: &str = "ionosphere";
/// The longest wait for an answer; streams have none.
const PATIENCE: Duration = Duration::from_secs(30);
/// The namespace that every cluster has from its first moment to its last.
const BIRTHMARK: &str = "kube-system";

/// A cluster.
pub(crate) struct Cluster {
    config: Config,
    /// Remembers which cluster this is.
    known: PathBuf,
    clients: OnceCell<Clients>,
}

struct Clients {
    usual: Client,
    /// Without a limit to silence: a quiet log is followed for days.
    streams: Client,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("url", &self.config.cluster_url).finish_non_exhaustive()
    }
}

/// What the API server's answer says of what was asked for.
pub(crate) fn sort(error: kube::Error) -> RuntimeError {
    match error {
        kube::Error::Api(status) => match status.code {
            404 => RuntimeError::NotFound(status.message),
            // It is there and cannot serve.
            401 | 408 | 429 | 500..=599 => RuntimeError::Unreachable(status.message),
            403 | 400 | 413 | 422 => RuntimeError::Refused(status.message),
            _ => RuntimeError::Engine(status.message),
        },
        kube::Error::SerdeError(error) => RuntimeError::Engine(format!("an answer makes no sense: {error}")),
        error => RuntimeError::Unreachable(words(&error)),
    }
}

/// An error with its causes, each once: the innermost is often the one that helps.
pub(crate) fn words(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// What was to be removed may be gone already.
pub(crate) fn or_gone<T>(result: Result<T, RuntimeError>) -> Result<(), RuntimeError> {
    match result {
        Ok(_) | Err(RuntimeError::NotFound(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// An answer within the time that a healthy cluster needs.
pub(crate) async fn ask<T>(answer: impl Future<Output = kube::Result<T>>) -> Result<T, RuntimeError> {
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(answer) => answer.map_err(sort),
        Err(_) => Err(RuntimeError::Unreachable(format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}

impl Cluster {
    /// The cluster at `config`; `known` is the file that remembers it.
    pub(crate) fn new(config: Config, known: PathBuf) -> Self {
        Self { config, known, clients: OnceCell::new() }
    }

    async fn clients(&self) -> Result<&Clients, RuntimeError> {
        let make = async || {
            let mut streams = self.config.clone();
            streams.read_timeout = None;
            let client = |config| Client::try_from(config).map_err(sort);
            Ok(Clients { usual: client(self.config.clone())?, streams: client(streams)? })
        };
        self.clients.get_or_try_init(make).await
    }

    pub(crate) async fn client(&self) -> Result<Client, RuntimeError> {
        Ok(self.clients().await?.usual.clone())
    }

    pub(crate) async fn streams(&self) -> Result<Client, RuntimeError> {
        Ok(self.clients().await?.streams.clone())
    }

    /// Makes sure that the API server answers, and for the same cluster as ever: one whose store was wiped has nothing
    /// of what it ran, and what was there before is unknown, not gone.
    pub(crate) async fn recognise(&self) -> Result<(), RuntimeError> {
        let namespaces: Api<Namespace> = Api::all(self.client().await?);
        let namespace = match ask(namespaces.get(BIRTHMARK)).await {
            Err(RuntimeError::NotFound(_)) => {
                return Err(RuntimeError::Unreachable(format!("it has no namespace {BIRTHMARK} yet")));
            }
            other => other?,
        };
        let id = namespace.metadata.uid.unwrap_or_default();
        match fs::read_to_string(&self.known) {
            Ok(known) if known.trim() == id => Ok(()),
            Ok(known) => Err(RuntimeError::Unreachable(format!(
                "this is another cluster than before ({id}, not {}): its store was wiped, or the configuration leads \
                 elsewhere; if that is meant, remove {}",
                known.trim(),
                self.known.display()
            ))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => self.remember(&id),
            Err(error) => Err(failed("read", &self.known, &error)),
        }
    }

    fn remember(&self, id: &str) -> Result<(), RuntimeError> {
        let write = || {
            fs::create_dir_all(self.known.parent().unwrap_or(&self.known))?;
            let beside = self.known.with_extension("new");
            fs::write(&beside, id)?;
            fs::rename(&beside, &self.known)
        };
        write().map_err(|error| failed("write", &self.known, &error))
    }

    /// Makes an object what it shall be (server-side apply).
    pub(crate) async fn apply(&self, object: &Object) -> Result<DynamicObject, RuntimeError> {
        let api = self.api_of(object).await?;
        let params = PatchParams::apply(MANAGER).force();
        let refused = |error| match error {
            RuntimeError::Refused(text) => {
                RuntimeError::Refused(format!("{} {}: {text}", object.kind, object.name))
            }
            other => other,
        };
        ask(api.patch(&object.name, &params, &Patch::Apply(&object.value))).await.map_err(refused)
    }

    /// The API of an object's kind, where it lives.
    pub(crate) async fn api_of(&self, object: &Object) -> Result<Api<DynamicObject>, RuntimeError> {
        let (group, version) = object.api_version.split_once('/').unwrap_or(("", object.api_version));
        let kind = GroupVersionKind::gvk(group, version, object.kind);
        let resource = ApiResource::from_gvk_with_plural(&kind, object.plural);
        let client = self.client().await?;
        Ok(match &object.namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            None => Api::all_with(client, &resource),
        })
    }
}
