//! The connection to the engine, and what its errors mean.

use std::path::PathBuf;
use std::sync::OnceLock;

use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, Docker};
use iono_runtime::RuntimeError;

/// Seconds until an engine that does not answer counts as unreachable.
const TIMEOUT: u64 = 60;

/// The engine at a socket, connected to when it is first needed: it may be down when the provider starts.
#[derive(Debug)]
pub(crate) struct Engine {
    socket: PathBuf,
    docker: OnceLock<Docker>,
}

impl Engine {
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self { socket, docker: OnceLock::new() }
    }

    /// The client; every call of it opens a connection of its own.
    pub(crate) fn docker(&self) -> Result<&Docker, RuntimeError> {
        if let Some(docker) = self.docker.get() {
            return Ok(docker);
        }
        let path = self.socket.to_string_lossy();
        let docker = Docker::connect_with_unix(&path, TIMEOUT, API_DEFAULT_VERSION)
            .map_err(|error| RuntimeError::Unreachable(error.to_string()))?;
        Ok(self.docker.get_or_init(|| docker))
    }
}

/// Sorts an error of the client. Whatever is no answer of the engine is `Unreachable`.
pub(crate) fn sort(error: Error) -> RuntimeError {
    match error {
        Error::DockerResponseServerError { status_code, message } => answer(status_code, message),
        Error::DockerStreamError { error } => answer(500, error),
        Error::JsonDataError { message, .. } => {
            RuntimeError::Engine(format!("answered with an unknown form: {message}"))
        }
        other => RuntimeError::Unreachable(other.to_string()),
    }
}

fn answer(status: u16, message: String) -> RuntimeError {
    if message.contains("no space left on device") {
        return RuntimeError::NoSpace(message);
    }
    match status {
        404 => RuntimeError::NotFound(message),
        400 | 403 => RuntimeError::Refused(message),
        _ => RuntimeError::Engine(message),
    }
}

/// The status of an answer that is an error.
pub(crate) fn status(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// Takes "it is not there" for done.
pub(crate) fn or_gone(result: Result<(), Error>) -> Result<(), RuntimeError> {
    match result {
        Err(error) if status(&error) == Some(404) => Ok(()),
        // "Already in progress" and "already stopped".
        Err(error) if matches!(status(&error), Some(304 | 409)) => Ok(()),
        other => other.map_err(sort),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_an_answer_from_silence() {
        let refused = |status_code, message: &str| {
            sort(Error::DockerResponseServerError { status_code, message: message.to_owned() })
        };
        assert!(matches!(refused(404, "no such container"), RuntimeError::NotFound(_)));
        assert!(matches!(refused(500, "write: no space left on device"), RuntimeError::NoSpace(_)));
        assert!(matches!(refused(500, "x"), RuntimeError::Engine(_)));
        assert!(matches!(sort(Error::RequestTimeoutError), RuntimeError::Unreachable(_)));
    }

    #[test]
    fn an_engine_that_is_not_there_is_unreachable() {
        let engine = Engine::new("/nowhere/docker.sock".into());
        assert!(matches!(engine.docker(), Err(RuntimeError::Unreachable(_))));
    }
}
