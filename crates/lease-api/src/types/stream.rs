//! What is streamed line by line, and how it is asked for.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Which log lines.
#[derive(Debug, Clone, Default, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LogQuery {
    /// One service; all when absent.
    pub service: Option<String>,
    /// Go on with new lines as they come.
    #[param(value_type = Option<bool>)]
    pub follow: bool,
    /// Only the last so many lines of each replica, at most 100,000.
    pub tail: Option<u32>,
    /// Only lines from this second on, unix time.
    pub since: Option<u64>,
}

/// Standard output or standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OutputKind {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line that a container wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// The service.
    pub service: String,
    /// The replica's number.
    pub replica: u32,
    /// Where it was written.
    pub output: OutputKind,
    /// Without the line end; bytes that are not UTF-8 are replaced.
    pub text: String,
}

/// Which events.
#[derive(Debug, Clone, Default, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct EventQuery {
    /// Go on with new events as they come.
    #[param(value_type = Option<bool>)]
    pub follow: bool,
    /// Only events after this sequence number, so that a client can go on where it stopped.
    pub after: Option<u64>,
}

/// Something that happened to a lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeaseEvent {
    /// Grows with every event of this provider.
    pub sequence: u64,
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// The service, where it concerns one.
    pub service: Option<String>,
    /// The replica, where it concerns one.
    pub replica: Option<u32>,
    /// Such as `pulling`, `started`, `ready`, `exited`, `out-of-memory`.
    pub kind: String,
    /// The same in words.
    pub message: String,
}

/// A file or directory in a replica.
#[derive(Debug, Clone, PartialEq, Eq, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct FilePath {
    /// The service.
    pub service: String,
    /// Its replica; the first ready one when absent.
    pub replica: Option<u32>,
    /// Absolute path of at most 4,096 bytes.
    pub path: String,
}
