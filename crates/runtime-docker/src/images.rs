//! Images: found or fetched, and pinned. A container is created from the engine's id of the image, never from a tag
//! that may move.

use bollard::auth::DockerCredentials;
use bollard::models::ImageInspect;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures::TryStreamExt;
use iono_primitives::LeaseId;
use iono_runtime::{EventKind, PullPolicy, RuntimeError, Service};

use crate::engine::{sort, status};
use crate::inner::Inner;

/// An image on the node.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    pub(crate) id: String,
    /// The registry's digest, or the id where it came from no registry.
    pub(crate) digest: String,
    /// The user that its process runs as; empty for root.
    pub(crate) user: String,
}

impl From<ImageInspect> for Image {
    fn from(image: ImageInspect) -> Self {
        let id = image.id.unwrap_or_default();
        let repo = image.repo_digests.unwrap_or_default().into_iter().next();
        let digest = repo.and_then(|repo| repo.split_once('@').map(|(_, digest)| digest.to_owned()));
        let user = image.config.and_then(|config| config.user).unwrap_or_default();
        Self { digest: digest.unwrap_or_else(|| id.clone()), id, user }
    }
}

impl Inner {
    /// The image of a service: the pinned one if it is still there, else the one on the node or at the registry, as the
    /// pull policy says. `anew` when the manifest is another one than before.
    pub(crate) async fn image(
        &self,
        lease: LeaseId,
        service: &Service,
        pinned: Option<&str>,
        anew: bool,
    ) -> Result<Image, RuntimeError> {
        let ask = service.pull == PullPolicy::Always && anew;
        if let Some(id) = pinned.filter(|_| !ask)
            && let Some(image) = self.inspect_image(id).await?
        {
            return Ok(image);
        }
        if service.pull != PullPolicy::Always
            && let Some(image) = self.inspect_image(&service.image).await?
        {
            return Ok(image);
        }
        let unavailable =
            |reason: String| RuntimeError::ImageUnavailable { image: service.image.clone(), reason };
        if service.pull == PullPolicy::Never {
            return Err(unavailable("it is not on the node and the pull policy is `never`".to_owned()));
        }
        self.hub.happenings.emit(
            lease,
            Some((&service.name, 0)),
            EventKind::Pulling,
            format!("fetching {}", service.image),
        );
        let pulled = tokio::select! {
            pulled = self.pull(service) => pulled,
            () = self.turns.closing(lease) => Err(RuntimeError::Refused("the lease is being removed".to_owned())),
        };
        pulled.map_err(|error| match error {
            error @ (RuntimeError::Unreachable(_) | RuntimeError::NoSpace(_)) => error,
            other => unavailable(words(other)),
        })?;
        let found = self.inspect_image(&service.image).await?;
        found.ok_or_else(|| unavailable("it was fetched, but is not there".to_owned()))
    }

    async fn inspect_image(&self, name: &str) -> Result<Option<Image>, RuntimeError> {
        match self.engine.docker()?.inspect_image(name).await {
            Ok(image) => Ok(Some(image.into())),
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(sort(error)),
        }
    }

    async fn pull(&self, service: &Service) -> Result<(), RuntimeError> {
        let options = CreateImageOptionsBuilder::default().from_image(&with_tag(&service.image)).build();
        let credentials = service.credentials.as_ref().map(|login| DockerCredentials {
            username: Some(login.username.expose().to_owned()),
            password: Some(login.password.expose().to_owned()),
            serveraddress: (!login.host.is_empty()).then(|| login.host.clone()),
            ..Default::default()
        });
        let progress = self.engine.docker()?.create_image(Some(options), None, credentials);
        progress.try_for_each(|_| std::future::ready(Ok(()))).await.map_err(sort)
    }
}

fn words(error: RuntimeError) -> String {
    match error {
        RuntimeError::Engine(text) | RuntimeError::NotFound(text) | RuntimeError::Refused(text) => text,
        other => other.to_string(),
    }
}

/// The reference with a tag: without one the engine would fetch all tags that there are.
fn with_tag(image: &str) -> String {
    let name = image.rsplit('/').next().unwrap_or(image);
    if name.contains(':') || name.contains('@') { image.to_owned() } else { format!("{image}:latest") }
}

#[cfg(test)]
mod tests {
    use super::with_tag;
    use rstest::rstest;

    #[rstest]
    #[case("nginx", "nginx:latest")]
    #[case("nginx:1", "nginx:1")]
    #[case("host:5000/nginx", "host:5000/nginx:latest")]
    #[case("host:5000/nginx:1", "host:5000/nginx:1")]
    #[case("nginx@sha256:00", "nginx@sha256:00")]
    fn adds_the_tag_that_is_meant(#[case] image: &str, #[case] expected: &str) {
        assert_eq!(with_tag(image), expected);
    }
}
