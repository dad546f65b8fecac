//! Logs, events, shells and files: the runtime's streams as the lease API's.

use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _};
use iono_lease_api::{
    ApiError, ByteStream, EventQuery, EventStream, LeaseEvent, LogLine, LogQuery, LogStream, OutputKind,
    ShellInput, ShellOutput, ShellRequest, ShellSession,
};
use iono_primitives::LeaseId;
use iono_runtime::{self as runtime, ExecInput, ExecOutput, ExecRequest, Runtime, RuntimeError};
use tokio::sync::mpsc;

/// Inputs of a shell that may wait for the engine.
const SHELL_BUFFER: usize = 32;
/// How long an events request that does not follow waits for the next kept event before it takes the list as complete.
const KEPT_EVENTS_PAUSE: std::time::Duration = std::time::Duration::from_millis(200);

/// A runtime's refusal as the tenant reads it.
#[must_use]
pub fn api_error(error: &RuntimeError) -> ApiError {
    let words = error.to_string();
    match error {
        RuntimeError::NotFound(_) => {
            ApiError::not_found(words, "see `iono status` for services and replicas")
        }
        RuntimeError::Refused(_) => ApiError::unprocessable("refused", words, ""),
        RuntimeError::ImageUnavailable { .. } => ApiError::unprocessable("image_unavailable", words, ""),
        RuntimeError::NoSpace(_) => ApiError::unprocessable("no_space", words, "ask for more storage"),
        RuntimeError::NotReady { .. } => ApiError::conflict("not_ready", words, "see `iono logs`"),
        RuntimeError::Unreachable(_) => ApiError::unavailable("engine_unreachable", words, 5),
        RuntimeError::Engine(_) => ApiError::internal(error),
    }
}

/// Log lines.
///
/// # Errors
/// What the runtime refuses.
pub async fn logs(runtime: &dyn Runtime, lease: LeaseId, query: LogQuery) -> Result<LogStream, ApiError> {
    let options = runtime::LogOptions { follow: query.follow, tail: query.tail, since: query.since };
    let lines =
        runtime.logs(lease, query.service.as_deref(), options).await.map_err(|error| api_error(&error))?;
    Ok(lines.map_ok(log_line).map_err(|error| api_error(&error)).boxed())
}

fn log_line(line: runtime::LogLine) -> LogLine {
    let output = output(line.kind);
    LogLine { at_ms: line.at, service: line.service, replica: line.replica, output, text: line.text }
}

fn output(kind: runtime::OutputKind) -> OutputKind {
    match kind {
        runtime::OutputKind::Stdout => OutputKind::Stdout,
        runtime::OutputKind::Stderr => OutputKind::Stderr,
    }
}

/// Events after the query's sequence number.
///
/// # Errors
/// What the runtime refuses.
pub async fn events(
    runtime: &dyn Runtime,
    lease: LeaseId,
    query: EventQuery,
) -> Result<EventStream, ApiError> {
    let all = runtime.events(lease).await.map_err(|error| api_error(&error))?;
    let after = query.after.unwrap_or(0);
    let wanted = all
        .filter(move |event| futures::future::ready(event.sequence > after || after == 0))
        .map(|event| Ok(lease_event(event)));
    if query.follow {
        return Ok(wanted.boxed());
    }
    // The kept ones come at once; the first pause is their end.
    let kept = futures::stream::unfold(wanted.boxed(), |mut events| async move {
        let next = tokio::time::timeout(KEPT_EVENTS_PAUSE, events.next()).await.ok().flatten()?;
        Some((next, events))
    });
    Ok(kept.boxed())
}

fn lease_event(event: runtime::Event) -> LeaseEvent {
    let kind = serde_json::to_value(event.kind).ok().and_then(|kind| kind.as_str().map(str::to_owned));
    LeaseEvent {
        sequence: event.sequence,
        at_ms: event.at,
        service: event.service,
        replica: event.replica,
        kind: kind.unwrap_or_default(),
        message: event.message,
    }
}

/// A command in a replica.
///
/// # Errors
/// What the runtime refuses.
pub async fn shell(
    runtime: &dyn Runtime,
    lease: LeaseId,
    request: ShellRequest,
) -> Result<ShellSession<ApiError>, ApiError> {
    let tty = request.tty.map(|size| runtime::TtySize { rows: size.rows, columns: size.columns });
    let request =
        ExecRequest { service: request.service, replica: request.replica, command: request.command, tty };
    let session = runtime.exec(lease, request).await.map_err(|error| api_error(&error))?;
    let (input, mut inputs) = mpsc::channel(SHELL_BUFFER);
    let to_engine = session.input;
    tokio::spawn(async move {
        // Ends when either side is gone; the sender goes with this task, after the last input.
        while let Some(input) = inputs.recv().await {
            if to_engine.send(exec_input(input)).await.is_err() {
                break;
            }
        }
    });
    let output = session.output.map_ok(shell_output).map_err(|error| api_error(&error)).boxed();
    Ok(ShellSession { input, output })
}

fn exec_input(input: ShellInput) -> ExecInput {
    match input {
        ShellInput::Stdin(bytes) => ExecInput::Stdin(bytes),
        ShellInput::Eof => ExecInput::Eof,
        ShellInput::Resize(size) => {
            ExecInput::Resize(runtime::TtySize { rows: size.rows, columns: size.columns })
        }
    }
}

fn shell_output(output: ExecOutput) -> ShellOutput {
    match output {
        ExecOutput::Output(runtime::OutputKind::Stdout, bytes) => ShellOutput::Stdout(bytes),
        ExecOutput::Output(runtime::OutputKind::Stderr, bytes) => ShellOutput::Stderr(bytes),
        ExecOutput::Exit(code) => ShellOutput::Exit(code),
    }
}

/// A tar archive from the runtime, as the tenant gets it.
#[must_use]
pub fn outgoing(archive: runtime::ByteStream) -> ByteStream {
    archive.map_err(|error| api_error(&error)).boxed()
}

/// A tar archive from the tenant, as the runtime takes it.
#[must_use]
pub fn incoming(archive: ByteStream) -> runtime::ByteStream {
    let pieces = archive.map(|piece: Result<Bytes, ApiError>| {
        piece.map_err(|error| RuntimeError::Refused(format!("the archive broke off: {error}")))
    });
    pieces.boxed()
}
