//! The digest behind an image's tag, asked of its registry before anything is made: a lease keeps the image that it started
//! with, and who may not have one is told so at once.
//!
//! A tenant names the registry, so it may be anything: answers are read within bounds of time and size, and of what they
//! say only an error's message is passed on.

mod reach;
mod registry;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::try_join_all;
use iono_runtime::{PullPolicy, RuntimeError, Service};
use reach::{Inside, Reach};
use registry::{Answer, Login, Reference, Registry};

/// How long a registry may take in all.
const PATIENCE: Duration = Duration::from_secs(10);

/// The images of these services with their digests, by service. Registries are asked at public addresses, those of
/// `private` wherever they are. One whose registry cannot be reached keeps its tag: the nodes may have it, or reach more
/// than this process does.
///
/// # Errors
/// [`RuntimeError::ImageUnavailable`] when the registry says that there is no such image, or none for this login, or when it
/// is where no lease may send this process.
pub(crate) async fn pin(
    services: Vec<&Service>,
    private: &BTreeSet<String>,
) -> Result<BTreeMap<String, String>, RuntimeError> {
    let asked =
        services.into_iter().filter(|service| service.pull != PullPolicy::Never).map(|service| async {
            let digest = digest(service, private).await?;
            let pinned = digest.filter(|_| !service.image.contains('@'));
            Ok(pinned.map(|digest| (service.name.clone(), format!("{}@{digest}", service.image))))
        });
    Ok(try_join_all(asked).await?.into_iter().flatten().collect())
}

async fn digest(service: &Service, private: &BTreeSet<String>) -> Result<Option<String>, RuntimeError> {
    let reference = Reference::of(&service.image);
    let login = service.credentials.as_ref().filter(|login| reference.is_of(&login.host));
    let login = login.map(|login| Login { user: login.username.expose(), password: login.password.expose() });
    let unknown = |why: &str| {
        tracing::warn!(image = service.image, why, "the digest of an image is not known; its tag is used");
        Ok(None)
    };
    let refused = |reason| Err(RuntimeError::ImageUnavailable { image: service.image.clone(), reason });
    let reach = if private.contains(reference.host()) { Reach::Anywhere } else { Reach::Internet };
    let registry = match Registry::new(&reference, login, reach) {
        Ok(registry) => registry,
        Err(error) => return unknown(&error.to_string()),
    };
    match tokio::time::timeout(PATIENCE, registry.ask()).await {
        Ok(Ok(Answer::Digest(digest))) => Ok(Some(digest)),
        Ok(Ok(Answer::Refused(reason))) => refused(reason),
        Ok(Ok(Answer::Unknown(why))) => unknown(&why),
        Ok(Err(error)) => match Inside::behind(&error) {
            Some(reason) => refused(reason),
            None => unknown(&crate::cluster::words(&error)),
        },
        Err(_) => unknown(&format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

#[cfg(test)]
mod tests;
