//! Why a runtime could not do what it was asked for.

/// A runtime's refusal. Callers must tell "I do not know" ([`RuntimeError::Unreachable`]) from "it is not there"
/// ([`RuntimeError::NotFound`]): only the second one is knowledge.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum RuntimeError {
    /// The engine does not answer. Nothing follows from this about what runs.
    #[error("the container engine cannot be reached: {0}; what runs there is unknown until it answers")]
    Unreachable(String),
    /// The engine answered: there is no such lease, service, replica or file.
    #[error("not found: {0}")]
    NotFound(String),
    /// The image is neither here nor to be had.
    #[error("image `{image}` is not available: {reason}; check its name, its tag and the credentials")]
    ImageUnavailable {
        /// As the manifest names it.
        image: String,
        /// The engine's or registry's words.
        reason: String,
    },
    /// The workload asks for what this runtime does not do or does not allow.
    #[error("refused: {0}")]
    Refused(String),
    /// The node's disk has no room.
    #[error("no space left: {0}")]
    NoSpace(String),
    /// Containers were started, but a service did not accept connections in time; in an update the old replicas go on.
    #[error("service `{service}` is not ready: {reason}")]
    NotReady {
        /// The service.
        service: String,
        /// What is known: still starting, or the last exit.
        reason: String,
    },
    /// Anything else that the engine said.
    #[error("the container engine failed: {0}")]
    Engine(String),
}

impl RuntimeError {
    /// Whether trying again later, with nothing changed, may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        !matches!(self, Self::Refused(_) | Self::NotFound(_))
    }
}
