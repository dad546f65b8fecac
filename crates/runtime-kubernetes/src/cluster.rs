//! The API server: how it is asked, and what its refusals mean.

use std::path::PathBuf;
use std::time::Duration;

use iono_runtime::RuntimeError;
use kube::api::{Api, ApiResource, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::{Client, Config};
use tokio::sync::{Mutex, Semaphore};

use crate::objects::Object;

/// Who the API server knows our fields by: all of them, so that what we no longer say goes.
pub(crate) const MANAGER: &str = "ionosphere";
/// The longest wait for an answer; streams have none.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// A connection that is silent for so long is dead: watches are opened anew more often (see `watches`).
const DEAD: Duration = Duration::from_secs(40);

/// Objects that are sent at once.
const AT_ONCE: usize = 32;

/// A cluster.
pub(crate) struct Cluster {
    config: Config,
    /// The file that remembers which cluster this is.
    pub(crate) known: PathBuf,
    pub(crate) held: Mutex<Held>,
    /// Objects under way at once: an API server refuses a flood, and everybody else waits behind it.
    sending: Semaphore,
}

/// What is held of a cluster, until it shows to be of no use.
#[derive(Default)]
pub(crate) struct Held {
    pub(crate) clients: Option<Clients>,
    /// Whether nobody answered any more, so that watches may wait at dead connections.
    pub(crate) is_stale: bool,
    /// The cluster that answered last.
    pub(crate) id: Option<String>,
}

#[derive(Clone)]
pub(crate) struct Clients {
    pub(crate) usual: Client,
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
    metrics::counter!("iono_kubernetes_requests_total").increment(1);
    match tokio::time::timeout(PATIENCE, answer).await {
        Ok(answer) => answer.map_err(sort),
        Err(_) => Err(RuntimeError::Unreachable(format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}

impl Cluster {
    /// The cluster at `config`; `known` is the file that remembers it.
    pub(crate) fn new(config: Config, known: PathBuf) -> Self {
        Self { config, known, held: Mutex::default(), sending: Semaphore::new(AT_ONCE) }
    }

    /// Clients that share no connection with others.
    pub(crate) fn new_clients(&self) -> Result<Clients, RuntimeError> {
        let (mut usual, mut streams) = (self.config.clone(), self.config.clone());
        usual.read_timeout = Some(DEAD);
        usual.reset_reader_on_write = true;
        streams.read_timeout = None;
        let client = |config| Client::try_from(config).map_err(sort);
        Ok(Clients { usual: client(usual)?, streams: client(streams)? })
    }

    /// The clients of everybody.
    pub(crate) async fn clients(&self) -> Result<Clients, RuntimeError> {
        let mut held = self.held.lock().await;
        match &held.clients {
            Some(clients) => Ok(clients.clone()),
            None => Ok(held.clients.insert(self.new_clients()?).clone()),
        }
    }

    pub(crate) async fn client(&self) -> Result<Client, RuntimeError> {
        Ok(self.clients().await?.usual)
    }

    pub(crate) async fn streams(&self) -> Result<Client, RuntimeError> {
        Ok(self.clients().await?.streams)
    }

    /// Makes an object what it shall be (server-side apply).
    pub(crate) async fn apply(&self, object: &Object) -> Result<DynamicObject, RuntimeError> {
        // It is never closed.
        let _permit = self.sending.acquire().await;
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
