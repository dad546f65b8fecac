//! What flows between a runtime and the lease API: logs, events, shells, files.

use bytes::Bytes;
use futures::stream::BoxStream;
use iono_primitives::LeaseId;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::RuntimeError;

/// Pieces of a tar archive.
pub type ByteStream = BoxStream<'static, Result<Bytes, RuntimeError>>;
/// Log lines.
pub type LogStream = BoxStream<'static, Result<LogLine, RuntimeError>>;
/// Events of one lease.
pub type EventStream = BoxStream<'static, Event>;
/// Leases of which something changed.
pub type LeaseStream = BoxStream<'static, LeaseId>;

/// Which log lines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogOptions {
    /// Go on with new lines as they come.
    pub follow: bool,
    /// Only the last so many lines of each replica.
    pub tail: Option<u32>,
    /// Only lines from this second since 1970 on.
    pub since: Option<u64>,
}

/// Standard output or standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputKind {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// A line that a container wrote, without its line end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Milliseconds since 1970.
    pub at: u64,
    /// The service.
    pub service: String,
    /// The replica's number.
    pub replica: u32,
    /// Which output.
    pub kind: OutputKind,
    /// The text; bytes that are not UTF-8 are replaced.
    pub text: String,
}

/// Something that happened to a lease's workload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Grows by one with every event of this runtime.
    pub sequence: u64,
    /// Milliseconds since 1970.
    pub at: u64,
    /// The lease.
    pub lease: LeaseId,
    /// The service, where it concerns one.
    pub service: Option<String>,
    /// The replica, where it concerns one.
    pub replica: Option<u32>,
    /// What.
    pub kind: EventKind,
    /// The same in words.
    pub message: String,
}

/// Kinds of [`Event`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventKind {
    /// The image is being fetched.
    Pulling,
    /// A container was created.
    Created,
    /// A container's process runs.
    Started,
    /// A replica accepts connections.
    Ready,
    /// A container's process ended.
    Exited,
    /// A container used more memory than its limit.
    OutOfMemory,
    /// A container wrote more than its disk limit.
    DiskQuota,
    /// A replica of an older generation was replaced.
    Replaced,
    /// Something could not be done.
    Failed,
}

/// Size of a terminal in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TtySize {
    /// Lines.
    pub rows: u16,
    /// Columns.
    pub columns: u16,
}

/// A command to run in a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecRequest {
    /// The service.
    pub service: String,
    /// Its replica; the first ready one when `None`.
    pub replica: Option<u32>,
    /// Program and arguments.
    pub command: Vec<String>,
    /// A terminal of this size; `None` keeps stdout and stderr apart.
    pub tty: Option<TtySize>,
}

/// To a running command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecInput {
    /// Bytes for its standard input.
    Stdin(Bytes),
    /// End of its standard input; output goes on (half-close).
    Eof,
    /// The terminal has another size now.
    Resize(TtySize),
}

/// From a running command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExecOutput {
    /// Bytes that it wrote.
    Output(OutputKind, Bytes),
    /// It ended with this code; always the last item.
    Exit(i64),
}

/// A running command. Dropping it ends the command.
pub struct ExecSession {
    /// Towards the command. Dropping the sender is not an end of input.
    pub input: mpsc::Sender<ExecInput>,
    /// From the command.
    pub output: BoxStream<'static, Result<ExecOutput, RuntimeError>>,
}
